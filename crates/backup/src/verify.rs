//! Verifying a backup where it lies: every file that it needs, its parents' too.

use crate::{
    Error, Identities, Manifest, Name, Phase, Progress, catalog,
    stored::{self, Open},
};
use std::path::Path;

/// Reads every file that a restore of this backup would read, and compares lengths and checksums; with identities, it opens
/// what is encrypted, too.
///
/// # Errors
/// [`Error::Damaged`] with the first file that is not as it was written.
pub fn verify(root: &Path, name: &Name, identities: &Identities, progress: &Progress) -> Result<Manifest, Error> {
    let manifest = catalog::load(root, name)?;
    let is_encrypted = manifest.encryption.is_some();
    let open = match is_encrypted && !identities.is_empty() {
        true => Open::Encrypted(identities),
        false => Open::AsStored,
    };
    let parts = manifest.files.iter().flat_map(|entry| &entry.parts);
    progress.begin(Phase::Verifying, parts.map(|part| part.stored).sum());
    for entry in &manifest.files {
        for part in &entry.parts {
            let file = stored::path_of(&stored::data_of(root, &part.backup), &entry.path, is_encrypted);
            stored::read(&file, part, open, &mut std::io::sink(), progress)?;
        }
    }
    Ok(manifest)
}
