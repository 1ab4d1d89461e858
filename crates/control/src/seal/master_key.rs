//! The master key and where it comes from: a 0600 file made at first start, or the environment. It is never in a backup and
//! never shown.

use super::{Error, KEY_ID_BYTES};
use base64::{Engine as _, engine::general_purpose::STANDARD};
use ring::{aead, digest, rand::SecureRandom as _, rand::SystemRandom};
use std::{
    fs::{File, OpenOptions},
    io::{self, Read as _, Write as _},
    os::unix::fs::{OpenOptionsExt as _, PermissionsExt as _},
    path::Path,
    sync::Arc,
};

const KEY_BYTES: usize = 32;
/// The file holds base64 of 32 bytes and a newline; whatever is longer is not a key.
const FILE_BYTES_MAX: u64 = 256;
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
    pub fn open_or_create(path: &Path) -> Result<Self, Error> {
        let file_error = |source| Error::MasterKeyFile {
            path: path.to_owned(),
            source,
        };
        match File::open(path) {
            Ok(file) => Self::read(path, file),
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                let text = random_text()?;
                create(path, &text).map_err(file_error)?;
                Self::from_text(&text)
            }
            Err(error) => Err(file_error(error)),
        }
    }

    fn read(path: &Path, file: File) -> Result<Self, Error> {
        let file_error = |source| Error::MasterKeyFile {
            path: path.to_owned(),
            source,
        };
        if file.metadata().map_err(file_error)?.permissions().mode() & 0o077 != 0 {
            return Err(Error::MasterKeyExposed(path.to_owned()));
        }
        let mut text = String::new();
        file.take(FILE_BYTES_MAX)
            .read_to_string(&mut text)
            .map_err(file_error)?;
        Self::from_text(&text)
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

fn random_text() -> Result<String, Error> {
    let mut bytes = [0; KEY_BYTES];
    SystemRandom::new().fill(&mut bytes).map_err(|_| Error::Random)?;
    Ok(STANDARD.encode(bytes))
}

/// Written beside and linked into place when durable: a crash leaves a whole key or none, because a half key would lock every
/// secret away.
fn create(path: &Path, text: &str) -> io::Result<()> {
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
    std::fs::hard_link(&beside, path)?;
    std::fs::remove_file(&beside)?;
    match path.parent().filter(|parent| !parent.as_os_str().is_empty()) {
        Some(parent) => File::open(parent)?.sync_all(),
        None => File::open(".")?.sync_all(),
    }
}
