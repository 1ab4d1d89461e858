//! The master key and where it comes from: a 0600 file made at first start, or the environment. It is never in a backup and
//! never shown.

use super::{Error, KEY_ID_BYTES, keyring::MASTER_KEYS_MAX};
use base64::{Engine as _, engine::general_purpose::STANDARD};
use ring::{aead, digest, rand::SecureRandom as _, rand::SystemRandom};
use std::{
    fs::{File, OpenOptions},
    io::{self, Read as _, Write as _},
    os::unix::fs::{OpenOptionsExt as _, PermissionsExt as _},
    path::{Path, PathBuf},
    sync::Arc,
};

const KEY_BYTES: usize = 32;
/// The file holds a line with base64 of 32 bytes for each key, the current one first; whatever is longer holds something else.
const FILE_BYTES_MAX: u64 = 1 << 10;
/// Only the owner reads and writes.
const FILE_MODE: u32 = 0o600;

/// A master key: 32 random bytes. Cheap to clone, shown by its id only.
#[derive(Clone)]
pub struct MasterKey {
    id: [u8; KEY_ID_BYTES],
    aead: Arc<aead::LessSafeKey>,
}

impl std::fmt::Debug for MasterKey {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(formatter, "MasterKey({})", self.id_text())
    }
}

impl MasterKey {
    /// From its bytes.
    pub fn from_bytes(bytes: &[u8; KEY_BYTES]) -> Self {
        let mut hash = digest::Context::new(&digest::SHA256);
        hash.update(b"trunkline master key id");
        hash.update(bytes);
        let mut id = [0; KEY_ID_BYTES];
        id.copy_from_slice(&hash.finish().as_ref()[..KEY_ID_BYTES]);
        let key = aead::UnboundKey::new(&aead::CHACHA20_POLY1305, bytes).expect("the algorithm takes 32 bytes");
        Self {
            id,
            aead: Arc::new(aead::LessSafeKey::new(key)),
        }
    }

    /// A new key: base64 of 32 random bytes.
    pub fn random_text() -> Result<String, Error> {
        let mut bytes = [0; KEY_BYTES];
        SystemRandom::new().fill(&mut bytes).map_err(|_| Error::Random)?;
        Ok(STANDARD.encode(bytes))
    }

    /// From several texts, between spaces, commas or ends of lines: the current one first.
    pub(super) fn all_from_text(text: &str) -> Result<Vec<Self>, Error> {
        let keys = split(text).map(Self::from_text).collect::<Result<Vec<_>, _>>()?;
        match keys.len() {
            0 => Err(Error::MasterKeyForm),
            1..=MASTER_KEYS_MAX => Ok(keys),
            _ => Err(Error::MasterKeysFull),
        }
    }

    /// From base64 of 32 bytes, as in the environment and the file.
    pub fn from_text(text: &str) -> Result<Self, Error> {
        let bytes = STANDARD.decode(text.trim()).map_err(|_| Error::MasterKeyForm)?;
        bytes
            .as_slice()
            .try_into()
            .map(Self::from_bytes)
            .map_err(|_| Error::MasterKeyForm)
    }

    /// From a file that only its owner may read; made, with a random key, if it is not there.
    pub(super) fn open_or_create(path: &Path) -> Result<Vec<Self>, Error> {
        match File::open(path) {
            Ok(file) => Self::all_from_file(path, file),
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                let text = Self::random_text()?;
                create(path, &text).map_err(|source| file_error(path, source))?;
                Self::all_from_text(&text)
            }
            Err(error) => Err(file_error(path, error)),
        }
    }

    fn all_from_file(path: &Path, file: File) -> Result<Vec<Self>, Error> {
        Self::all_from_text(&read(path, file)?).map_err(|error| match error {
            Error::MasterKeyForm => Error::MasterKeyFileForm(path.to_owned()),
            other => other,
        })
    }

    /// Whether a file holds keys, or could be made.
    pub(super) fn check_file(path: &Path) -> Result<(), Error> {
        match File::open(path) {
            Ok(file) => Self::all_from_file(path, file).map(drop),
            Err(error) if error.kind() == io::ErrorKind::NotFound => match path.parent() {
                Some(parent) if !parent.as_os_str().is_empty() && !parent.is_dir() => Err(file_error(path, error)),
                _ => Ok(()),
            },
            Err(error) => Err(file_error(path, error)),
        }
    }

    pub(super) fn id(&self) -> [u8; KEY_ID_BYTES] {
        self.id
    }

    pub(super) fn id_text(&self) -> String {
        Self::id_as_text(&self.id)
    }

    pub(super) fn id_as_text(id: &[u8]) -> String {
        id.iter().map(|byte| format!("{byte:02x}")).collect()
    }

    pub(super) fn aead(&self) -> &aead::LessSafeKey {
        &self.aead
    }
}

fn file_error(path: &Path, source: io::Error) -> Error {
    Error::MasterKeyFile {
        path: path.to_owned(),
        source,
    }
}

/// The texts of several keys.
fn split(text: &str) -> impl Iterator<Item = &str> {
    text.split([' ', ',', '\t', '\r', '\n']).filter(|text| !text.is_empty())
}

/// What may stand instead of the owner's alone: nobody writes it, and the group reads it. So a container platform mounts a secret that
/// is another user's to own.
const MOUNTED: u32 = 0o440;

fn read(path: &Path, file: File) -> Result<String, Error> {
    let mode = file
        .metadata()
        .map_err(|source| file_error(path, source))?
        .permissions()
        .mode();
    if mode & 0o077 != 0 && mode & 0o777 != MOUNTED {
        return Err(Error::MasterKeyExposed(path.to_owned()));
    }
    let mut bytes = Vec::new();
    file.take(FILE_BYTES_MAX)
        .read_to_end(&mut bytes)
        .map_err(|source| file_error(path, source))?;
    String::from_utf8(bytes).map_err(|_| Error::MasterKeyFileForm(path.to_owned()))
}

/// The texts of the keys in a file, as they stand there.
pub(super) fn read_texts(path: &Path) -> Result<Vec<String>, Error> {
    let file = File::open(path).map_err(|source| file_error(path, source))?;
    let text = read(path, file)?;
    MasterKey::all_from_text(&text)?;
    Ok(split(&text).map(str::to_owned).collect())
}

/// Another content for a file that is there: whole and durable when this returns, the old one whole before. Of a symbolic link, what
/// it leads to.
pub(super) fn replace(path: &Path, texts: &[String]) -> Result<(), Error> {
    let replaced = std::fs::canonicalize(path).and_then(|path| {
        let beside = beside(&path, &(texts.join("\n")))?;
        std::fs::rename(&beside, &path)?;
        sync_directory(&path)
    });
    replaced.map_err(|source| file_error(path, source))
}

/// Whether the file beside can be written, of which [`replace`] makes the next one: a read-only mount is known before anything is said to
/// have changed.
pub(super) fn try_replacing(path: &Path) -> Result<(), Error> {
    let tried = std::fs::canonicalize(path).and_then(|path| std::fs::remove_file(beside(&path, "")?));
    tried.map_err(|source| file_error(path, source))
}

/// Written beside and linked into place when durable: a crash leaves a whole key or none, because a half key would lock every
/// secret away.
fn create(path: &Path, text: &str) -> io::Result<()> {
    let beside = beside(path, text)?;
    std::fs::hard_link(&beside, path)?;
    std::fs::remove_file(&beside)?;
    sync_directory(path)
}

/// A durable file beside another.
fn beside(path: &Path, text: &str) -> io::Result<PathBuf> {
    let beside = path.with_extension("new");
    match std::fs::remove_file(&beside) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
        _ => {}
    }
    let mut file = OpenOptions::new()
        .write(true)
        .create_new(true)
        .mode(FILE_MODE)
        .open(&beside)?;
    file.write_all(text.as_bytes())?;
    file.write_all(b"\n")?;
    file.sync_all()?;
    Ok(beside)
}

fn sync_directory(path: &Path) -> io::Result<()> {
    match path.parent().filter(|parent| !parent.as_os_str().is_empty()) {
        Some(parent) => File::open(parent)?.sync_all(),
        None => File::open(".")?.sync_all(),
    }
}
