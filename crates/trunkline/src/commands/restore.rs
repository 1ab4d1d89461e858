//! `trunkline restore`: puts a backup back, to a directory that is empty or does not exist, on this machine or another. It
//! starts nothing.

use crate::{
    commands::backup::{failure, identities, place},
    exit::{Code, Failure},
    output::{Output, printable},
    progress::{Shown, size},
    wiring::MASTER_KEY,
};
use backup::{Manifest, Progress, Restored};
use control::seal::Sealer;
use serde_json::json;
use std::{
    path::{Path, PathBuf},
    time::Instant,
};

/// Put a backup back.
#[derive(Debug, clap::Args)]
pub struct Restore {
    /// The backup's directory; those that it builds on lie beside it.
    #[arg(value_name = "PATH")]
    pub backup: PathBuf,
    /// The data directory to make; it must be empty or not exist.
    #[arg(long, value_name = "PATH")]
    pub data_dir: PathBuf,
    /// File with the identity that opens an encrypted backup.
    #[arg(long, value_name = "FILE")]
    pub identity: Option<PathBuf>,
    /// The master key's file of the server that was backed up: copied to the data directory. It is in no backup.
    #[arg(long, value_name = "FILE")]
    pub master_key: Option<PathBuf>,
}

impl Restore {
    /// Restores, verifies, and says what comes next.
    pub async fn run(self, output: Output) -> Result<(), Failure> {
        let (root, name) = place(&self.backup)?;
        let identities = identities(self.identity.as_deref())?;
        let key = self.master_key.as_deref().map(read_key).transpose()?;
        let (began, progress) = (Instant::now(), Progress::default());
        let work = backup::restore((&root, &name), &self.data_dir, &identities, &progress);
        let restored = Shown::new().during(&progress, work).await.map_err(failure)?;
        if let Some((sealer, text)) = &key {
            put_key(&self.data_dir, sealer, text, &restored.manifest)?;
        }
        self.tell(output, &restored, key.is_some(), began.elapsed().as_secs_f64());
        Ok(())
    }

    fn tell(&self, output: Output, restored: &Restored, has_key: bool, seconds: f64) {
        let manifest = &restored.manifest;
        output.did(format!("{} is restored", self.data_dir.display()));
        if output.is_json() {
            let told = json!({"backup": manifest.name, "data_dir": self.data_dir, "bytes": manifest.bytes(),
                "seconds": seconds, "timeline": restored.timeline.id(), "master_key": manifest.master_key,
                "notes": manifest.notes, "damage": restored.damage});
            return output.line(&format!("{told:#}"));
        }
        let shown = self.data_dir.display();
        output.line(&format!(
            "{} restored to {shown} in {seconds:.1} s",
            size(manifest.bytes())
        ));
        output.line(&format!("its timeline is {}", restored.timeline.id()));
        for said in manifest.notes.iter().chain(&restored.damage) {
            output.line(&printable(&format!("note: {said}")));
        }
        output.line(
            "offsets go on from the backup: whoever kept offsets or cursors of the original beyond it has to start again \
             (docs/backup.md)",
        );
        if !has_key {
            let id = &manifest.master_key;
            output.line(&format!(
                "next: put the master key {id} at {shown}/{MASTER_KEY}, mode 0600"
            ));
        }
        output.line(&format!("then: trunkline serve --data-dir {shown}"));
    }
}

fn read_key(file: &Path) -> Result<(Sealer, String), Failure> {
    let usage = |reason: String| Failure::new(Code::Usage, format!("--master-key {}: {reason}", file.display()));
    let text = std::fs::read_to_string(file).map_err(|error| usage(error.to_string()))?;
    let sealer = Sealer::from_text(text.trim()).map_err(|error| usage(format!("failed to {error}")))?;
    Ok((sealer, text))
}

/// The key beside what was sealed under it, if it is the right one.
fn put_key(data: &Path, sealer: &Sealer, text: &str, manifest: &Manifest) -> Result<(), Failure> {
    use std::{io::Write as _, os::unix::fs::OpenOptionsExt as _};
    let held: Vec<String> = [sealer.key_id()].into_iter().chain(sealer.earlier_key_ids()).collect();
    if !manifest.master_keys().all(|id| held.iter().any(|held| held == id)) {
        let message = format!(
            "everything is restored but the master key: the file holds key {}, the backup was made under {}",
            held.join(", "),
            manifest.master_key
        );
        return Err(
            Failure::new(Code::Usage, message).hint(format!("put the right one at {}/{MASTER_KEY}", data.display()))
        );
    }
    let path = data.join(MASTER_KEY);
    let mut options = std::fs::OpenOptions::new();
    let written = options
        .write(true)
        .create_new(true)
        .mode(0o600)
        .open(&path)
        .and_then(|mut file| {
            file.write_all(text.as_bytes())?;
            file.sync_all()
        });
    written.map_err(|error| Failure::new(Code::Failed, format!("cannot write {}: {error}", path.display())))
}
