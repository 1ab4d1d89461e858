//! A control group whose processes get only so much more memory: for a machine that has none left.

use std::{fs, io, path::PathBuf};

/// A memory controller's group of its own; removed when dropped, once its processes are gone.
pub struct MemoryGroup {
    place: PathBuf,
}

/// The controller of version 1 and of version 2, and the files that limit memory, and memory and swap together.
const CONTROLLERS: [(&str, &str, &str); 2] = [
    (
        "/sys/fs/cgroup/memory",
        "memory.limit_in_bytes",
        "memory.memsw.limit_in_bytes",
    ),
    ("/sys/fs/cgroup", "memory.max", "memory.swap.max"),
];

impl MemoryGroup {
    /// Puts a running process into a new group. What it has already is not counted in version 1.
    pub fn around(pid: u32, bytes: u64) -> io::Result<MemoryGroup> {
        let version = usize::from(!PathBuf::from(CONTROLLERS[0].0).is_dir());
        let (root, memory, swap) = CONTROLLERS[version];
        let place = PathBuf::from(root).join(format!("trunkline-test-{pid}"));
        fs::create_dir(&place)?;
        let group = MemoryGroup { place };
        fs::write(group.place.join(memory), bytes.to_string())?;
        // Where there is no accounting of swap, there is no such file.
        let swap = group.place.join(swap);
        if swap.exists() {
            fs::write(
                swap,
                if version == 0 {
                    bytes.to_string()
                } else {
                    "0".to_string()
                },
            )?;
        }
        fs::write(group.place.join("cgroup.procs"), pid.to_string())?;
        Ok(group)
    }
}

impl Drop for MemoryGroup {
    fn drop(&mut self) {
        let _ = fs::remove_dir(&self.place);
    }
}
