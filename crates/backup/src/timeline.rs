//! Which history a data directory tells. An offset means a record only within one: a directory that was restored goes on from
//! an earlier moment and gives offsets again that the original gave, to other records. So a restore begins another timeline,
//! and an incremental backup builds on a parent of its own timeline only.
//!
//! It is a file `timeline` in the data directory: JSON, an id of 32 hexadecimal digits, and of a restored one what it came from.

use crate::error::{Error, Named};
use ring::rand::SecureRandom as _;
use serde::{Deserialize, Serialize};
use std::{
    fs,
    path::{Path, PathBuf},
};

const FILE: &str = "timeline";
const ID_LETTERS: usize = 32;

/// A timeline.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Timeline {
    id: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    restored: Option<Origin>,
}

/// What a restored directory came from.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Origin {
    /// The backup.
    pub backup: String,
    /// The timeline that it was made of.
    pub timeline: String,
    /// When it was restored, milliseconds since the epoch.
    pub at: i64,
}

impl Timeline {
    /// A new one, of a directory that came from a backup or from nothing.
    pub fn begin(restored: Option<Origin>) -> Self {
        let mut bytes = [0; ID_LETTERS / 2];
        ring::rand::SystemRandom::new()
            .fill(&mut bytes)
            .expect("the system has random bytes");
        Self {
            id: bytes.iter().map(|byte| format!("{byte:02x}")).collect(),
            restored,
        }
    }

    /// That of a data directory; begun if it has none yet.
    pub fn open(data: &Path) -> Result<Self, Error> {
        let path = Self::path(data);
        match fs::read(&path) {
            Ok(bytes) => Self::decode(&bytes).ok_or_else(|| {
                Error::damaged(
                    &path,
                    "is not a timeline; remove it, and the next backup is a full one of a new timeline",
                )
            }),
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
                let timeline = Self::begin(None);
                timeline.save(data)?;
                Ok(timeline)
            }
            Err(error) => Err(error).named("read", &path),
        }
    }

    /// Writes it, as a whole or not at all.
    pub fn save(&self, data: &Path) -> Result<(), Error> {
        let bytes = serde_json::to_vec(self).expect("texts and numbers serialize");
        crate::stored::replace(&Self::path(data), &bytes)
    }

    fn path(data: &Path) -> PathBuf {
        data.join(FILE)
    }

    fn decode(bytes: &[u8]) -> Option<Self> {
        let timeline: Self = serde_json::from_slice(bytes).ok()?;
        is_id(&timeline.id).then_some(timeline)
    }

    /// Its id.
    pub fn id(&self) -> &str {
        &self.id
    }

    /// What it came from, if it was restored.
    pub fn restored(&self) -> Option<&Origin> {
        self.restored.as_ref()
    }

    #[cfg(test)]
    pub(crate) fn of_id(id: &str) -> Self {
        Self {
            id: id.to_owned(),
            restored: None,
        }
    }
}

/// Whether a text is a timeline's id.
pub(crate) fn is_id(text: &str) -> bool {
    text.len() == ID_LETTERS
        && text
            .bytes()
            .all(|byte| byte.is_ascii_digit() || (b'a'..=b'f').contains(&byte))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_directory_keeps_its_timeline_and_a_damaged_file_is_no_other() {
        let directory = tempfile::tempdir().unwrap();
        let first = Timeline::open(directory.path()).unwrap();
        assert_eq!(Timeline::open(directory.path()).unwrap(), first);
        assert!(is_id(first.id()));
        fs::write(directory.path().join(FILE), "{\"id\":\"../../etc\"}").unwrap();
        assert!(matches!(Timeline::open(directory.path()), Err(Error::Damaged { .. })));
    }
}
