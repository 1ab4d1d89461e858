//! Encryption of a backup's files, each by itself, in the format of age (<https://age-encryption.org/v1>): to recipients, whose
//! identities the server never sees. The format and the cryptography are that library's; a file of a backup also opens with
//! age's own tools.

use crate::Error;
use std::io::{Read, Write};
use std::path::Path;

/// The word in a manifest.
pub(crate) const SCHEME: &str = "age";
/// What an encrypted file's name ends with.
pub(crate) const EXTENSION: &str = ".age";
/// Recipients of one backup; each adds a line to every file.
const RECIPIENTS_MAX: usize = 16;

/// Who may open what is written.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Recipients(Vec<String>);

impl Recipients {
    /// Reads public keys, `age1…`. None: nothing is encrypted.
    ///
    /// # Errors
    /// [`Error::Key`] with the one that is none, or without the feature.
    pub fn parse(texts: &[String]) -> Result<Self, Error> {
        if texts.len() > RECIPIENTS_MAX {
            return Err(Error::Key(format!(
                "{} recipients; at most {RECIPIENTS_MAX}",
                texts.len()
            )));
        }
        texts.iter().try_for_each(|text| recipient(text).map(drop))?;
        let mut texts = texts.to_vec();
        texts.sort_unstable();
        texts.dedup();
        Ok(Self(texts))
    }

    /// Their texts, sorted.
    pub fn texts(&self) -> &[String] {
        &self.0
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

/// Opens what was written to recipients.
#[derive(Clone, Default)]
pub struct Identities {
    #[cfg(feature = "encryption")]
    keys: Vec<age::x25519::Identity>,
}

impl std::fmt::Debug for Identities {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.write_str("Identities(…)")
    }
}

#[cfg(feature = "encryption")]
mod with_age {
    use super::{Error, Identities, Path, Read, Recipients, Write};
    use age::secrecy::ExposeSecret as _;
    use std::str::FromStr as _;

    pub(super) fn recipient(text: &str) -> Result<age::x25519::Recipient, Error> {
        age::x25519::Recipient::from_str(text)
            .map_err(|reason| Error::Key(format!("{text:?} is not a recipient (age1…): {reason}")))
    }

    impl Identities {
        /// Reads a file of identities as age's tools write it: one `AGE-SECRET-KEY-1…` a line, comments after `#`.
        ///
        /// # Errors
        /// [`Error::Key`] if there is none in it.
        pub fn parse(text: &str) -> Result<Self, Error> {
            let lines = text.lines().map(str::trim);
            let keys = lines
                .filter(|line| !line.is_empty() && !line.starts_with('#'))
                .map(age::x25519::Identity::from_str)
                .collect::<Result<Vec<_>, _>>();
            match keys {
                Ok(keys) if !keys.is_empty() => Ok(Self { keys }),
                Ok(_) => Err(Error::Key("the file holds no identity".into())),
                // What the line says is not for a message.
                Err(reason) => Err(Error::Key(format!(
                    "a line is not an identity (AGE-SECRET-KEY-1…): {reason}"
                ))),
            }
        }

        /// Whether there are none.
        pub fn is_empty(&self) -> bool {
            self.keys.is_empty()
        }
    }

    /// A new identity: the secret text for its keeper, and the recipient that belongs to it.
    ///
    /// # Errors
    /// None with this feature.
    pub fn generate_identity() -> Result<(String, String), Error> {
        let identity = age::x25519::Identity::generate();
        let public = identity.to_public().to_string();
        Ok((identity.to_string().expose_secret().to_owned(), public))
    }

    pub(crate) fn encrypt<W: Write>(
        recipients: &Recipients,
        out: W,
        content: impl FnOnce(&mut dyn Write) -> Result<u64, Error>,
        path: &Path,
    ) -> Result<(W, u64), Error> {
        use crate::error::Named as _;
        let keys = recipients.texts().iter().map(|text| recipient(text));
        let keys: Vec<_> = keys.collect::<Result<_, _>>()?;
        let encryptor = age::Encryptor::with_recipients(keys.iter().map(|key| key as &dyn age::Recipient))
            .map_err(|error| Error::Key(error.to_string()))?;
        let mut writer = encryptor.wrap_output(out).named("write", path)?;
        let bytes = content(&mut writer)?;
        Ok((writer.finish().named("write", path)?, bytes))
    }

    pub(crate) fn decrypt<R: Read>(identities: &Identities, stored: R, path: &Path) -> Result<impl Read, Error> {
        if identities.is_empty() {
            return Err(Error::NeedsIdentity);
        }
        let decryptor = age::Decryptor::new(stored);
        let decryptor =
            decryptor.map_err(|error| Error::damaged(path, format!("is not encrypted as it should be: {error}")))?;
        let keys = identities.keys.iter().map(|key| key as &dyn age::Identity);
        decryptor.decrypt(keys).map_err(|error| match error {
            age::DecryptError::NoMatchingKeys => {
                Error::Key("none of the identities opens this backup: it was made for other recipients".into())
            }
            error => Error::damaged(path, format!("does not open: {error}")),
        })
    }
}

#[cfg(feature = "encryption")]
pub use with_age::generate_identity;
#[cfg(feature = "encryption")]
use with_age::recipient;
#[cfg(feature = "encryption")]
pub(crate) use with_age::{decrypt, encrypt};

#[cfg(not(feature = "encryption"))]
mod without {
    use super::{Error, Identities, Path, Read, Recipients, Write};

    fn missing() -> Error {
        Error::Key("this program was built without the feature `encryption`".into())
    }

    pub(super) fn recipient(_: &str) -> Result<(), Error> {
        Err(missing())
    }

    impl Identities {
        /// Reads nothing: the feature is not here.
        ///
        /// # Errors
        /// Always.
        pub fn parse(_: &str) -> Result<Self, Error> {
            Err(missing())
        }

        /// Always: there can be none.
        pub fn is_empty(&self) -> bool {
            true
        }
    }

    /// Makes nothing: the feature is not here.
    ///
    /// # Errors
    /// Always.
    pub fn generate_identity() -> Result<(String, String), Error> {
        Err(missing())
    }

    pub(crate) fn encrypt<W: Write>(
        _: &Recipients,
        _: W,
        _: impl FnOnce(&mut dyn Write) -> Result<u64, Error>,
        _: &Path,
    ) -> Result<(W, u64), Error> {
        Err(missing())
    }

    pub(crate) fn decrypt<R: Read>(_: &Identities, _: R, _: &Path) -> Result<std::io::Empty, Error> {
        Err(missing())
    }
}

#[cfg(not(feature = "encryption"))]
pub use without::generate_identity;
#[cfg(not(feature = "encryption"))]
use without::recipient;
#[cfg(not(feature = "encryption"))]
pub(crate) use without::{decrypt, encrypt};

#[cfg(all(test, feature = "encryption"))]
mod tests {
    use super::*;

    #[test]
    fn what_is_written_to_a_recipient_opens_with_its_identity_only_and_whole_only() {
        let (secret, public) = generate_identity().unwrap();
        let (other, _) = generate_identity().unwrap();
        let recipients = Recipients::parse(&[public]).unwrap();
        let path = Path::new("file");
        let content = vec![7; 200_000];
        let write = |out: &mut dyn Write| {
            out.write_all(&content).unwrap();
            Ok(content.len() as u64)
        };
        let (stored, bytes) = encrypt(&recipients, Vec::new(), write, path).unwrap();
        assert_eq!(bytes, 200_000);
        let open = |secret: &str, stored: &[u8]| {
            let mut opened = Vec::new();
            let read = decrypt(&Identities::parse(secret).unwrap(), stored, path)
                .and_then(|mut reader| reader.read_to_end(&mut opened).map_err(|_| Error::Stopped));
            read.map(|_| opened)
        };
        assert_eq!(open(&secret, &stored).unwrap(), content);
        assert!(matches!(open(&other, &stored), Err(Error::Key(_))));
        assert!(open(&secret, &stored[..stored.len() - 1]).is_err());
        let mut flipped = stored.clone();
        flipped[100_000] ^= 1;
        assert!(open(&secret, &flipped).is_err());
    }

    #[test]
    fn keys_that_are_none_are_refused_without_being_shown() {
        assert!(matches!(Recipients::parse(&["age1x".into()]), Err(Error::Key(_))));
        let refused = Identities::parse("# a comment\nsecret-by-mistake\n")
            .unwrap_err()
            .to_string();
        assert!(!refused.contains("secret-by-mistake"), "{refused}");
        assert!(matches!(Identities::parse("# nothing\n"), Err(Error::Key(_))));
    }
}
