//! The master keys at hand. The first seals, all open; every clone of a sealer sees a new one at once. Where they were read from a
//! file, the file is written before they change here, so that whatever was sealed under a key is opened after a crash. It
//! seals nothing again: [`super::reseal`] does.

use super::{Error, MasterKey, Sealer, master_key};
use std::{
    path::{Path, PathBuf},
    sync::{Arc, PoisonError, RwLock},
};

/// Master keys at once: the current one, those that backups still need, and some room.
pub const MASTER_KEYS_MAX: usize = 8;

/// Where the keys come from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum KeptIn {
    /// A file of the server's, which it may write.
    File,
    /// The configuration or the environment, which only the operator can change.
    Configuration,
}

/// The keys, shared by clones of a sealer.
#[derive(Clone)]
pub(super) struct Keyring {
    keys: Arc<RwLock<Arc<[MasterKey]>>>,
    file: Option<Arc<Path>>,
}

impl Keyring {
    pub(super) fn new(keys: Vec<MasterKey>, file: Option<&Path>) -> Self {
        assert!(!keys.is_empty(), "a keyring has a key that seals");
        Self {
            keys: Arc::new(RwLock::new(keys.into())),
            file: file.map(Arc::from),
        }
    }

    /// The keys now, the current one first.
    pub(super) fn keys(&self) -> Arc<[MasterKey]> {
        Arc::clone(&self.keys.read().unwrap_or_else(PoisonError::into_inner))
    }

    fn set(&self, keys: Vec<MasterKey>) {
        *self.keys.write().unwrap_or_else(PoisonError::into_inner) = keys.into();
    }
}

/// A master key that is to become the current one. Its text is shown by nothing.
#[derive(Clone)]
pub struct NextKey {
    key: MasterKey,
    /// As the file will hold it; `None` if an operator put it there already.
    text: Option<String>,
}

impl std::fmt::Debug for NextKey {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(formatter, "NextKey({})", self.id())
    }
}

impl NextKey {
    /// Its id.
    pub fn id(&self) -> String {
        self.key.id_text()
    }
}

impl Sealer {
    /// The ids of the keys that only open, the newest first.
    pub fn earlier_key_ids(&self) -> Vec<String> {
        self.keyring.keys()[1..].iter().map(MasterKey::id_text).collect()
    }

    /// Where its keys come from.
    pub fn kept_in(&self) -> KeptIn {
        match self.keyring.file {
            Some(_) => KeptIn::File,
            None => KeptIn::Configuration,
        }
    }

    /// A key to seal with from now on: the one given, the one that an operator put first in the file, or a new one.
    pub fn next_key(&self, given: Option<&str>) -> Result<NextKey, Error> {
        let keys = self.keyring.keys();
        let next = match (given, &self.keyring.file) {
            (Some(text), _) => NextKey {
                key: MasterKey::from_text(text)?,
                text: Some(text.trim().to_owned()),
            },
            (None, None) => return Err(Error::MasterKeyNeeded),
            (None, Some(path)) => placed(path, &keys)?.map_or_else(drawn, Ok)?,
        };
        if keys.iter().any(|key| key.id() == next.key.id()) {
            return Err(Error::MasterKeyKnown(next.id()));
        }
        if keys.len() >= MASTER_KEYS_MAX {
            return Err(Error::MasterKeysFull);
        }
        if let (Some(path), Some(_)) = (&self.keyring.file, &next.text) {
            master_key::try_replacing(path)?;
        }
        Ok(next)
    }

    /// Seals with this key from now on; the others still open. The file, if there is one, is durable before anything is sealed.
    pub fn adopt(&self, next: &NextKey) -> Result<(), Error> {
        if let (Some(path), Some(text)) = (&self.keyring.file, &next.text) {
            let mut texts = vec![text.clone()];
            texts.extend(master_key::read_texts(path)?);
            master_key::replace(path, &texts)?;
        }
        let earlier = self.keyring.keys();
        self.keyring
            .set([next.key.clone()].iter().chain(earlier.iter()).cloned().collect());
        Ok(())
    }

    /// Whether an earlier key could go: of the file, it is the one thing that may be in the way.
    pub fn can_forget(&self) -> Result<(), Error> {
        self.keyring.file.as_deref().map_or(Ok(()), master_key::try_replacing)
    }

    /// Lets an earlier key go, from the file too. Whoever asks made sure that nothing is sealed under it.
    pub fn forget(&self, id: &str) -> Result<(), Error> {
        let keys = self.keyring.keys();
        let is_it = |key: &MasterKey| key.id_text() == id;
        if !keys[1..].iter().any(is_it) {
            return Err(Error::UnknownMasterKey(id.to_owned()));
        }
        if let Some(path) = &self.keyring.file {
            let mut texts = master_key::read_texts(path)?;
            texts.retain(|text| MasterKey::from_text(text).is_ok_and(|key| !is_it(&key)));
            master_key::replace(path, &texts)?;
        }
        self.keyring
            .set(keys.iter().filter(|key| !is_it(key)).cloned().collect());
        Ok(())
    }
}

/// The key that an operator put in front of the current one.
fn placed(path: &Path, keys: &[MasterKey]) -> Result<Option<NextKey>, Error> {
    let texts = master_key::read_texts(path)?;
    let found = texts
        .iter()
        .map(|text| MasterKey::from_text(text))
        .collect::<Result<Vec<_>, _>>()?;
    let (first, current) = (&found[0], &keys[0]);
    if first.id() == current.id() {
        return Ok(None);
    }
    // Without the keys that are needed, the next start would open nothing.
    match keys
        .iter()
        .find(|key| !found.iter().any(|other| other.id() == key.id()))
    {
        Some(missing) => Err(Error::MasterKeyMissing {
            path: PathBuf::from(path),
            id: missing.id_text(),
        }),
        None => Ok(Some(NextKey {
            key: first.clone(),
            text: None,
        })),
    }
}

fn drawn() -> Result<NextKey, Error> {
    let text = MasterKey::random_text()?;
    Ok(NextKey {
        key: MasterKey::from_text(&text)?,
        text: Some(text),
    })
}
