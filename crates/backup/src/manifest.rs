//! The manifest: what a backup consists of. JSON, so that a person can read it; a checksum over its bytes, so that it cannot be
//! misread. It is written last: a directory without one is no backup.
//!
//! `{"sha256":"<hex of the manifest's bytes>","manifest":{…}}`, on one line.

use crate::{Name, error::Error, timeline};
use ring::digest;
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;
use std::path::{Component, Path};

/// The format that this program writes, and the latest that it reads. Persisted, keep stable.
pub(crate) const FORMAT: u32 = 1;
/// A manifest of two thousand partitions with a hundred segments each is below it; whatever is longer is none.
pub(crate) const BYTES_MAX: u64 = 256 << 20;

/// What a backup consists of.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Manifest {
    /// The format of this document.
    pub format: u32,
    /// The backup.
    pub name: Name,
    /// When it was begun, milliseconds since the epoch.
    pub created: i64,
    /// The version of the program that made it.
    pub program: String,
    /// The timeline of the data directory.
    pub timeline: String,
    /// The backup that this one builds on.
    pub parent: Option<Name>,
    /// How its files are encrypted; absent: they are not.
    pub encryption: Option<Encryption>,
    /// The id of the master key that secrets were sealed under; of a backup during a rotation the ids of both, between `+`. The keys are
    /// not here.
    pub master_key: String,
    /// What the store held.
    pub store: StoreState,
    /// What the journal held.
    pub journal: JournalState,
    /// Every file of the data directory, by its path.
    pub files: Vec<Entry>,
    /// What is worth knowing: files that were damaged or missing in the data directory already.
    pub notes: Vec<String>,
}

/// How files are encrypted.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Encryption {
    /// `age`: each file is one of <https://age-encryption.org/v1>.
    pub scheme: String,
    /// Whose identities open them.
    pub recipients: Vec<String>,
}

/// What the store held.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct StoreState {
    /// Its format.
    pub format: u32,
    /// Its last transaction.
    pub revision: u64,
}

/// What the journal held.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct JournalState {
    /// Its format.
    pub format: u32,
    /// Its last frame.
    pub sequence: u64,
    /// No record is younger.
    pub append_time: i64,
    /// What each partition held.
    pub partitions: Vec<PartitionState>,
}

/// What a partition held.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PartitionState {
    /// The bus's number.
    pub bus: u32,
    /// The topic's number.
    pub topic: u32,
    /// The partition's index.
    pub index: u32,
    /// First readable offset.
    pub start: u64,
    /// Offset after the last record.
    pub next: u64,
}

/// A file of the data directory.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Entry {
    /// Below the data directory, with `/`.
    pub path: String,
    /// Its length.
    pub bytes: u64,
    /// Whether it never changes again.
    #[serde(rename = "final")]
    pub is_final: bool,
    /// Its content, one after the other.
    pub parts: Vec<Part>,
}

/// A piece of a file; it lies in a backup under `data/` and the file's path (and `.age`, when it is encrypted).
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Part {
    /// In which backup.
    pub backup: Name,
    /// How many bytes of the file.
    pub bytes: u64,
    /// How many bytes as it lies there.
    pub stored: u64,
    /// SHA-256 of the bytes as they lie there, in hexadecimal.
    pub sha256: String,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Sealed<'a> {
    sha256: String,
    #[serde(borrow)]
    manifest: &'a RawValue,
}

impl Manifest {
    /// The file's bytes.
    pub fn encode(&self) -> Vec<u8> {
        let text = serde_json::to_string(self).expect("texts and numbers serialize");
        let sealed = Sealed {
            sha256: hex(digest::digest(&digest::SHA256, text.as_bytes()).as_ref()),
            manifest: &RawValue::from_string(text).expect("it was serialized as JSON"),
        };
        let mut bytes = serde_json::to_vec(&sealed).expect("texts serialize");
        bytes.push(b'\n');
        bytes
    }

    /// Reads a file of this name.
    ///
    /// # Errors
    /// [`Error::Damaged`] if a byte differs from what was written or a path leads out of the directory, and
    /// [`Error::UnknownFormat`] if it is of a later program.
    pub fn decode(bytes: &[u8], file: &Path) -> Result<Self, Error> {
        let damaged = |reason: String| Error::damaged(file, reason);
        let text = std::str::from_utf8(bytes).map_err(|_| damaged("is not text".into()))?;
        let sealed: Sealed<'_> =
            serde_json::from_str(text).map_err(|error| damaged(format!("is not a manifest: {error}")))?;
        let manifest = sealed.manifest.get();
        if hex(digest::digest(&digest::SHA256, manifest.as_bytes()).as_ref()) != sealed.sha256 {
            return Err(damaged("is not as it was written: its checksum does not hold".into()));
        }
        // A later format may have other fields: what it is comes first.
        #[derive(Deserialize)]
        struct Version {
            format: u32,
        }
        let Version { format } =
            serde_json::from_str(manifest).map_err(|error| damaged(format!("names no format: {error}")))?;
        if format > FORMAT {
            return Err(Error::UnknownFormat {
                what: "manifest",
                found: format,
                known: FORMAT,
            });
        }
        let manifest: Self =
            serde_json::from_str(manifest).map_err(|error| damaged(format!("is not a manifest: {error}")))?;
        manifest.check().map_err(damaged)?;
        Ok(manifest)
    }

    fn check(&self) -> Result<(), String> {
        if !timeline::is_id(&self.timeline) {
            return Err("names no timeline".into());
        }
        // Whoever adds up lengths later need not fear an overflow.
        let parts = self.files.iter().flat_map(|entry| &entry.parts);
        let both = parts.map(|part| (part.bytes, part.stored));
        if added_up(both.clone().map(|(bytes, _)| bytes)).is_none()
            || added_up(both.map(|(_, stored)| stored)).is_none()
        {
            return Err("lists more bytes than there can be".into());
        }
        let mut last: Option<&str> = None;
        for entry in &self.files {
            if !is_below(&entry.path) {
                return Err(format!(
                    "lists {:?}, which is no path below a data directory",
                    entry.path
                ));
            }
            if last.is_some_and(|last| last >= entry.path.as_str()) {
                return Err(format!("lists {:?} out of order", entry.path));
            }
            if added_up(entry.parts.iter().map(|part| part.bytes)) != Some(entry.bytes) {
                return Err(format!("lists {:?} with parts of another length", entry.path));
            }
            last = Some(&entry.path);
        }
        Ok(())
    }

    /// The entry of a path.
    pub fn entry(&self, path: &str) -> Option<&Entry> {
        let at = self.files.binary_search_by(|entry| entry.path.as_str().cmp(path));
        at.ok().map(|at| &self.files[at])
    }

    /// What the API and the command line show of a complete backup.
    pub fn shown(&self) -> serde_json::Value {
        serde_json::json!({
            "name": self.name,
            "state": "complete",
            "parent": self.parent,
            "encrypted": self.encryption.is_some(),
            "size": self.bytes(),
            "stored": self.stored_bytes(),
            "files": self.files.len(),
            "timeline": self.timeline,
            "master_key": self.master_key,
            "notes": self.notes,
        })
    }

    /// The ids of the master keys that open its secrets: each is needed.
    pub fn master_keys(&self) -> impl Iterator<Item = &str> {
        self.master_key.split('+').filter(|id| !id.is_empty())
    }

    pub(crate) fn joined(master_keys: impl IntoIterator<Item = String>) -> String {
        master_keys.into_iter().collect::<Vec<_>>().join("+")
    }

    /// Bytes of the data directory.
    pub fn bytes(&self) -> u64 {
        self.files.iter().map(|entry| entry.bytes).sum()
    }

    /// Bytes that lie in this backup itself.
    pub fn stored_bytes(&self) -> u64 {
        let parts = self.files.iter().flat_map(|entry| &entry.parts);
        parts
            .filter(|part| part.backup == self.name)
            .map(|part| part.stored)
            .sum()
    }
}

/// The sum, if it is a length.
fn added_up(mut lengths: impl Iterator<Item = u64>) -> Option<u64> {
    lengths.try_fold(0, u64::checked_add)
}

/// Whether a path leads to a place below the directory, and to nothing of it that a backup never holds.
fn is_below(path: &str) -> bool {
    let normal = |component| matches!(component, Component::Normal(_));
    let plain = Path::new(path).components().all(normal) && !path.contains(['\0', '\\']) && !path.ends_with('/');
    plain && ["journal/", "attempts/"].iter().any(|place| path.starts_with(place)) || path == "store.db"
}

pub(crate) fn hex(bytes: &[u8]) -> String {
    use std::fmt::Write as _;
    bytes
        .iter()
        .fold(String::with_capacity(2 * bytes.len()), |mut text, byte| {
            let _ = write!(text, "{byte:02x}");
            text
        })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn manifest() -> Manifest {
        let name = Name::parse("20261121T083320.123Z-3f9a2c1b").unwrap();
        Manifest {
            format: FORMAT,
            name: name.clone(),
            created: 1_795_250_000_123,
            program: "0.1.0".into(),
            timeline: "3f9a2c1b000000000000000000000000".into(),
            parent: None,
            encryption: None,
            master_key: "0a0b0c0d".into(),
            store: StoreState { format: 1, revision: 7 },
            journal: JournalState {
                format: 1,
                sequence: 9,
                append_time: 1_795_250_000_000,
                partitions: vec![PartitionState {
                    bus: 1,
                    topic: 2,
                    index: 0,
                    start: 0,
                    next: 5,
                }],
            },
            files: vec![Entry {
                path: "journal/checkpoint".into(),
                bytes: 3,
                is_final: false,
                parts: vec![Part {
                    backup: name,
                    bytes: 3,
                    stored: 3,
                    sha256: "ab".into(),
                }],
            }],
            notes: vec![],
        }
    }

    #[test]
    fn a_manifest_has_these_bytes() {
        let expected = concat!(
            r#"{"sha256":"SUM","manifest":{"format":1,"name":"20261121T083320.123Z-3f9a2c1b","created":1795250000123,"#,
            r#""program":"0.1.0","timeline":"3f9a2c1b000000000000000000000000","parent":null,"encryption":null,"#,
            r#""master_key":"0a0b0c0d","store":{"format":1,"revision":7},"journal":{"format":1,"sequence":9,"#,
            r#""append_time":1795250000000,"partitions":[{"bus":1,"topic":2,"index":0,"start":0,"next":5}]},"files":["#,
            r#"{"path":"journal/checkpoint","bytes":3,"final":false,"parts":[{"backup":"20261121T083320.123Z-3f9a2c1b","#,
            r#""bytes":3,"stored":3,"sha256":"ab"}]}],"notes":[]}}"#,
            "\n"
        );
        let expected = expected.replace("SUM", SUM);
        let bytes = manifest().encode();
        assert_eq!(std::str::from_utf8(&bytes).unwrap(), expected);
        assert_eq!(Manifest::decode(&bytes, Path::new("m")).unwrap(), manifest());
    }

    const SUM: &str = "4c1aaeb7ea70cd6d4fae78fb76e193293c08d887b002b9a6af3de00bfc46cbde";

    #[test]
    fn no_flipped_or_missing_byte_of_a_manifest_goes_unseen() {
        let good = manifest().encode();
        // The last byte is the line's end.
        for at in 0..good.len() - 1 {
            let mut bad = good.clone();
            bad[at] ^= 0x01;
            assert!(Manifest::decode(&bad, Path::new("m")).is_err(), "byte {at}");
            assert!(Manifest::decode(&good[..at], Path::new("m")).is_err(), "cut at {at}");
        }
    }

    #[test]
    fn lengths_that_cannot_be_added_up_are_refused() {
        let mut huge = manifest();
        huge.files[0].parts[0].stored = u64::MAX;
        assert!(Manifest::decode(&huge.encode(), Path::new("m")).is_ok());
        let mut second = huge.files[0].clone();
        second.path = "journal/next".into();
        huge.files.push(second);
        let refused = Manifest::decode(&huge.encode(), Path::new("m"));
        assert!(matches!(refused, Err(Error::Damaged { .. })), "{refused:?}");
    }

    #[test]
    fn a_path_out_of_the_directory_and_a_later_format_are_refused() {
        for path in [
            "../etc/passwd",
            "/etc/passwd",
            "journal/../../x",
            "master.key",
            "journal/",
            "",
            "journal/a\0b",
        ] {
            let mut bad = manifest();
            bad.files[0].path = path.into();
            let refused = Manifest::decode(&bad.encode(), Path::new("m"));
            assert!(matches!(refused, Err(Error::Damaged { .. })), "{path:?}: {refused:?}");
        }
        let later = Manifest {
            format: 2,
            ..manifest()
        };
        let refused = Manifest::decode(&later.encode(), Path::new("m"));
        assert!(
            matches!(refused, Err(Error::UnknownFormat { found: 2, .. })),
            "{refused:?}"
        );
    }
}
