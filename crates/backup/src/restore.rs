//! Putting a backup back: into a directory that is empty or does not exist, verified while it is written and once more as a
//! data directory; whole or not at all.
//!
//! A file `restoring` stands in the directory until all is done: a bus does not start on it. The master key is not put back,
//! for it was never there.

use crate::{
    Error, Identities, Manifest, Name, Phase, Progress, Timeline, catalog,
    create::{now, sync_directories},
    error::Named,
    sources::{JOURNAL, STORE},
    stored::{self, Open},
    timeline::Origin,
};
use journal::embedded::doctor::{self, Severity};
use std::{fs, path::Path};

/// The file that says that a directory is half restored.
pub const RESTORING: &str = "restoring";

/// What was put back.
#[derive(Debug)]
pub struct Restored {
    /// What the backup said of itself.
    pub manifest: Manifest,
    /// The timeline that begins with it.
    pub timeline: Timeline,
    /// Damage that the backup holds because the original had it: what is served as a damaged range.
    pub damage: Vec<String>,
}

/// Restores a backup to a directory.
///
/// # Errors
/// [`Error::Damaged`] with the file, if any differs from what was written; nothing is left then.
pub async fn restore(
    (root, name): (&Path, &Name),
    target: &Path,
    identities: &Identities,
    progress: &Progress,
) -> Result<Restored, Error> {
    let manifest = catalog::load(root, name)?;
    check_formats(&manifest)?;
    let existed = claim(target)?;
    let (root, place) = (root.to_owned(), target.to_owned());
    let (identities, progress) = (identities.clone(), progress.clone());
    let put = tokio::task::spawn_blocking(move || {
        put_files(&root, &manifest, &place, &identities, &progress)?;
        Ok((check_journal(&place.join(JOURNAL))?, manifest))
    });
    let restored = match put.await.unwrap_or(Err(Error::Stopped)) {
        Ok((damage, manifest)) => finish(target, manifest, damage).await,
        Err(error) => Err(error),
    };
    if restored.is_err() {
        give_up(target, existed);
    }
    restored
}

fn check_formats(manifest: &Manifest) -> Result<(), Error> {
    let known = [
        ("store", manifest.store.format, store::FORMAT),
        ("journal", manifest.journal.format, journal::embedded::backup::FORMAT),
    ];
    match known.into_iter().find(|(_, found, known)| found > known) {
        Some((what, found, known)) => Err(Error::UnknownFormat { what, found, known }),
        None => Ok(()),
    }
}

/// Takes an empty directory, or makes one; whether it was there.
fn claim(target: &Path) -> Result<bool, Error> {
    let existed = match fs::read_dir(target) {
        Ok(mut entries) => match entries.next() {
            None => true,
            Some(_) => return Err(Error::NotEmpty(target.to_owned())),
        },
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => false,
        Err(error) => return Err(error).named("list", target),
    };
    stored::make_directory(target)?;
    stored::replace(
        &target.join(RESTORING),
        b"a restore to this directory was not finished\n",
    )?;
    Ok(existed)
}

fn put_files(
    root: &Path,
    manifest: &Manifest,
    target: &Path,
    identities: &Identities,
    progress: &Progress,
) -> Result<(), Error> {
    let is_encrypted = manifest.encryption.is_some();
    if is_encrypted && identities.is_empty() {
        return Err(Error::NeedsIdentity);
    }
    let open = match is_encrypted {
        true => Open::Encrypted(identities),
        false => Open::Plain,
    };
    progress.begin(Phase::Restoring, manifest.bytes());
    for entry in &manifest.files {
        let path = target.join(&entry.path);
        stored::make_directory(path.parent().unwrap_or(target))?;
        let mut file = stored::create_file(&path)?;
        for part in &entry.parts {
            let from = stored::path_of(&stored::data_of(root, &part.backup), &entry.path, is_encrypted);
            stored::read(&from, part, open, &mut file, progress)?;
        }
        file.sync_all().named("sync", &path)?;
    }
    Ok(())
}

/// What damage the journal has; an error if it would not open.
fn check_journal(journal: &Path) -> Result<Vec<String>, Error> {
    let report = doctor::examine(journal)?;
    let mut damage = Vec::new();
    for finding in report.findings {
        let said = format!("{} at byte {}: {}", finding.file, finding.position, finding.what);
        match finding.severity {
            Severity::Fatal => return Err(Error::Unsound(said)),
            Severity::Damage => damage.push(said),
            Severity::Harmless => {}
        }
    }
    Ok(damage)
}

async fn finish(target: &Path, manifest: Manifest, damage: Vec<String>) -> Result<Restored, Error> {
    let settings = store::Settings {
        missing: store::Missing::Refuse,
        ..store::Settings::default()
    };
    let store = store::Embedded::open(&target.join(STORE), settings)?;
    let verified = store.verify().await;
    store::Store::shutdown(&store).await?;
    verified?;
    let timeline = Timeline::begin(Some(Origin {
        backup: manifest.name.to_string(),
        timeline: manifest.timeline.clone(),
        at: now(),
    }));
    timeline.save(target)?;
    sync_directories(target)?;
    let marker = target.join(RESTORING);
    fs::remove_file(&marker).named("remove", &marker)?;
    stored::sync_directory(target)?;
    Ok(Restored {
        manifest,
        timeline,
        damage,
    })
}

/// Removes what was put there. What cannot be removed stays behind the file that says so.
fn give_up(target: &Path, existed: bool) {
    let removed = match existed {
        false => fs::remove_dir_all(target).named("remove", target),
        true => empty(target),
    };
    if let Err(error) = removed {
        tracing::warn!(%error, "what was restored in part stays");
    }
}

fn empty(target: &Path) -> Result<(), Error> {
    let marker = target.join(RESTORING);
    for entry in fs::read_dir(target).named("list", target)? {
        let path = entry.named("list", target)?.path();
        match path.is_dir() {
            true => fs::remove_dir_all(&path),
            false if path == marker => Ok(()),
            false => fs::remove_file(&path),
        }
        .named("remove", &path)?;
    }
    fs::remove_file(&marker).named("remove", &marker)
}
