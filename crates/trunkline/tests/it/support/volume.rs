//! A small volume of its own, in memory: for filling it up.

use std::{
    fs::File,
    io::Write,
    path::{Path, PathBuf},
    process::Command,
};

/// A mounted volume; unmounted when dropped, also by a panic.
pub struct Volume {
    directory: tempfile::TempDir,
}

impl Volume {
    /// Mounts one of this many MiB; why not, where the system does not permit it.
    pub fn mount(mebibytes: u64) -> Result<Volume, String> {
        let directory = tempfile::tempdir().expect("a directory");
        let mounted = Command::new("mount")
            .args(["-t", "tmpfs", "-o", &format!("size={mebibytes}m"), "tmpfs"])
            .arg(directory.path())
            .output()
            .map_err(|error| format!("mount: {error}"))?;
        match mounted.status.success() {
            true => Ok(Volume { directory }),
            false => Err(String::from_utf8_lossy(&mounted.stderr).trim().to_string()),
        }
    }

    /// Where the data goes.
    pub fn data_dir(&self) -> PathBuf {
        self.directory.path().join("data")
    }

    /// Free bytes.
    pub fn free(&self) -> u64 {
        let volume = rustix::fs::statvfs(self.directory.path()).expect("it is mounted");
        volume.f_bavail * volume.f_frsize
    }

    /// Takes space until no more than `left` bytes are free.
    pub fn fill(&self, left: u64) -> Ballast {
        let path = self.directory.path().join("ballast");
        let mut file = File::options().create(true).append(true).open(&path).expect("a file");
        let block = [0; 4096];
        while self.free() > left && file.write(&block).is_ok_and(|written| written > 0) {}
        Ballast { path }
    }
}

impl Drop for Volume {
    fn drop(&mut self) {
        // Lazily: a server of the test may still be ending.
        let _ = Command::new("umount").arg("--lazy").arg(self.directory.path()).status();
    }
}

/// What takes the space.
pub struct Ballast {
    path: PathBuf,
}

impl Ballast {
    /// Gives the space back.
    pub fn remove(self) {
        let path: &Path = &self.path;
        std::fs::remove_file(path).expect("it is there");
    }
}
