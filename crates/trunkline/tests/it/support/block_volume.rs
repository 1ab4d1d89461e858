//! A small volume with a file system of its own on a loop device: for one that turns read-only under those who write to it.

use std::{fs::File, path::Path, path::PathBuf, process::Command};

/// A mounted volume; unmounted when dropped, also by a panic.
pub struct BlockVolume {
    directory: tempfile::TempDir,
}

impl BlockVolume {
    /// Makes and mounts one of this many MiB; why not, where the system does not permit it.
    pub fn mount(mebibytes: u64) -> Result<BlockVolume, String> {
        let directory = tempfile::tempdir().expect("a directory");
        let volume = BlockVolume { directory };
        let image = File::create(volume.image()).expect("a file");
        image.set_len(mebibytes << 20).expect("a sparse file");
        std::fs::create_dir(volume.place()).expect("a directory");
        run("mkfs.ext4", &["-q"], &[&volume.image()])?;
        volume.mount_again()?;
        Ok(volume)
    }

    /// Where the data goes.
    pub fn data_dir(&self) -> PathBuf {
        self.place().join("data")
    }

    /// Does what the kernel does by itself after an error of the device: from now on nobody can write, whoever has files open.
    pub fn turn_read_only(&self) {
        run("mount", &["-o", "remount,abort"], &[&self.place()]).expect("it was permitted to mount it");
    }

    /// What an administrator does about it.
    pub fn repair(&self) {
        run("umount", &[], &[&self.place()]).expect("nobody uses it");
        // 1 says that something was put right.
        let checked = Command::new("fsck.ext4").arg("-p").arg(self.image()).output();
        let code = checked.expect("it is where mkfs.ext4 is").status.code();
        assert!(matches!(code, Some(0 | 1)), "fsck.ext4: {code:?}");
        self.mount_again().expect("it was mounted before");
    }

    fn mount_again(&self) -> Result<(), String> {
        run("mount", &["-o", "loop"], &[&self.image(), &self.place()])
    }

    fn image(&self) -> PathBuf {
        self.directory.path().join("image")
    }

    fn place(&self) -> PathBuf {
        self.directory.path().join("volume")
    }
}

impl Drop for BlockVolume {
    fn drop(&mut self) {
        // Lazily: a server of the test may still be ending.
        let _ = Command::new("umount").arg("--lazy").arg(self.place()).output();
    }
}

fn run(program: &str, options: &[&str], paths: &[&Path]) -> Result<(), String> {
    let ended = Command::new(program).args(options).args(paths).output();
    let ended = ended.map_err(|error| format!("{program}: {error}"))?;
    match ended.status.success() {
        true => Ok(()),
        false => Err(String::from_utf8_lossy(&ended.stderr).trim().to_string()),
    }
}
