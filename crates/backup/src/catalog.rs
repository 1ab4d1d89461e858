//! The backups in a directory. One without a good manifest is listed as what it is, and never used.

use crate::{Error, Manifest, Name, Recipients, Timeline, create::PARTIAL, error::Named, manifest::BYTES_MAX};
use std::{fs, io::Read as _, path::Path};

/// The manifest's name in a backup's directory.
pub(crate) const MANIFEST: &str = "manifest.json";

/// A backup in a directory.
#[derive(Debug)]
pub enum Listed {
    /// It is complete, as far as its manifest says.
    Complete(Box<Manifest>),
    /// It is being made, or was never finished.
    Unfinished(Name),
    /// Its manifest is damaged or of a later program.
    Unusable(Name, Error),
}

impl Listed {
    /// Its name.
    pub fn name(&self) -> &Name {
        match self {
            Self::Complete(manifest) => &manifest.name,
            Self::Unfinished(name) | Self::Unusable(name, _) => name,
        }
    }
}

/// The backups in a directory, oldest first. A directory that does not exist holds none.
///
/// # Errors
/// What the system says of the directory.
pub fn list(root: &Path) -> Result<Vec<Listed>, Error> {
    let entries = match fs::read_dir(root) {
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(Vec::new()),
        entries => entries.named("list", root)?,
    };
    let mut listed = Vec::new();
    for entry in entries {
        let path = entry.named("list", root)?.path();
        let Some(file_name) = path.file_name().and_then(|name| name.to_str()) else {
            continue;
        };
        let unfinished = file_name.strip_suffix(PARTIAL).and_then(|name| name.strip_suffix('.'));
        if let Some(name) = unfinished.and_then(Name::parse) {
            listed.push(Listed::Unfinished(name));
        } else if let Some(name) = Name::parse(file_name) {
            listed.push(match load(root, &name) {
                Ok(manifest) => Listed::Complete(Box::new(manifest)),
                Err(error) => Listed::Unusable(name, error),
            });
        }
    }
    listed.sort_by(|one, other| one.name().cmp(other.name()));
    Ok(listed)
}

/// The manifest of a backup.
pub(crate) fn load(root: &Path, name: &Name) -> Result<Manifest, Error> {
    let path = root.join(name.as_str()).join(MANIFEST);
    let file = match fs::File::open(&path) {
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
            return Err(match root.join(name.as_str()).is_dir() {
                true => Error::damaged(&path, "is missing"),
                false => Error::NotFound(name.to_string()),
            });
        }
        file => file.named("open", &path)?,
    };
    let mut bytes = Vec::new();
    file.take(BYTES_MAX).read_to_end(&mut bytes).named("read", &path)?;
    let manifest = Manifest::decode(&bytes, &path)?;
    if manifest.name != *name {
        return Err(Error::damaged(&path, format!("is the manifest of {}", manifest.name)));
    }
    Ok(manifest)
}

/// The latest complete backup of this timeline that a new one can build on.
///
/// # Errors
/// What the system says of the directory.
pub fn latest(root: &Path, timeline: &Timeline, recipients: &Recipients) -> Result<Option<Name>, Error> {
    let usable = |manifest: &Manifest| {
        let of = manifest
            .encryption
            .as_ref()
            .map_or(&[][..], |encryption| &encryption.recipients);
        manifest.timeline == timeline.id() && of == recipients.texts()
    };
    let listed = list(root)?.into_iter().rev();
    Ok(listed
        .filter_map(|one| match one {
            Listed::Complete(manifest) if usable(&manifest) => Some(manifest.name),
            _ => None,
        })
        .next())
}
