//! Sealed secrets: the master key, the envelope, fingerprints.
//!
//! An envelope is base64 of: format (1), key id (4 bytes), nonce (12 bytes), ChaCha20-Poly1305 ciphertext and tag. The bus,
//! kind and name of its resource are authenticated with it, so that it opens nowhere else. The key id lets a later master key
//! seal while an earlier one still opens: [`Sealer::next_key`] and [`Sealer::adopt`] bring one in, [`Sealer::reseal`] plans what is
//! sealed again. This module keeps no resource and rotates nothing by itself.

mod keyring;
mod master_key;
mod reseal;

pub use keyring::{KeptIn, MASTER_KEYS_MAX, NextKey};
pub use master_key::MasterKey;
pub use reseal::{RESEAL_DOCUMENTS_MAX, Resealed, Sealed, keys_needed};

use crate::{
    limits::DEFAULT_BUS,
    model::{Connection, Model},
    refusal::{Class, Refusal},
    resources::{
        Auth, AwsCredentials, ClientCredentials, ConnectionSpec, Parameter, ResourceKind, Secret, Signing,
        WebhookConfig,
    },
};
use base64::{
    Engine as _,
    engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD},
};
use keyring::Keyring;
use ring::{aead, hmac, rand::SecureRandom as _, rand::SystemRandom};
use std::path::Path;

/// Persisted; the first byte of an envelope.
const ENVELOPE_FORMAT: u8 = 1;
const KEY_ID_BYTES: usize = 4;
const HEAD_BYTES: usize = 1 + KEY_ID_BYTES + aead::NONCE_LEN;
/// Bytes of a fingerprint's HMAC that are shown; enough that nobody finds a second secret for one.
const FINGERPRINT_BYTES: usize = 16;
const FINGERPRINT_KEY_BYTES: usize = 32;
/// The setting that holds the sealed fingerprint key.
pub(crate) const FINGERPRINT_KEY_SETTING: &str = "fingerprint-key";

/// Why a secret could not be sealed or opened, or a master key not be had.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The text is not base64 of 32 bytes.
    #[error("read the master key: it is not base64 of 32 bytes")]
    MasterKeyForm,
    /// The file holds something else.
    #[error("read the master key file {0:?}: a line of it is not base64 of 32 bytes")]
    MasterKeyFileForm(std::path::PathBuf),
    /// The file cannot be read or made.
    #[error("read or make the master key file {path:?}: {source}")]
    MasterKeyFile {
        /// Which file.
        path: std::path::PathBuf,
        /// What the system said.
        source: std::io::Error,
    },
    /// Others may read the file.
    #[error("use the master key file {0:?}: others may read it; make it 0600, or 0440 where it is mounted for a group")]
    MasterKeyExposed(std::path::PathBuf),
    /// Sealed under a key that is not here.
    #[error("open a secret: it was sealed under master key {0}, which is not among those given")]
    UnknownMasterKey(String),
    /// Altered, or moved from another resource.
    #[error("open a secret of {0}: it is damaged, or sealed for another resource")]
    Damaged(String),
    /// The keys are the operator's to bring.
    #[error("draw a new master key: the server reads its keys from its configuration, so a new one must be given")]
    MasterKeyNeeded,
    /// It is one of the keys already.
    #[error("take master key {0} as a new one: the server has it already")]
    MasterKeyKnown(String),
    /// As many as may be.
    #[error("take one more master key: there are {MASTER_KEYS_MAX}; forget an earlier one first")]
    MasterKeysFull,
    /// The file was changed, and lacks a key that is needed.
    #[error(
        "take the first master key of {path:?}: the file lacks key {id}, which the server still needs; add its line"
    )]
    MasterKeyMissing {
        /// Which file.
        path: std::path::PathBuf,
        /// The key that it lacks.
        id: String,
    },
    /// The system's random source failed.
    #[error("draw random bytes")]
    Random,
}

impl From<Error> for Refusal {
    fn from(error: Error) -> Self {
        Refusal::new("secrets_unreadable", Class::Internal, format!("failed to {error}"))
    }
}

/// Whose a secret is; authenticated with it.
#[derive(Clone, Copy, Debug)]
pub struct Place<'a> {
    /// The bus's name.
    pub bus: &'a str,
    /// The resource's kind, as its word, or `setting`.
    pub kind: &'a str,
    /// The resource's name.
    pub name: &'a str,
}

impl Place<'_> {
    fn connection<'a>(bus: &'a str, name: &'a str) -> Place<'a> {
        Place {
            bus,
            kind: ResourceKind::Connection.word(),
            name,
        }
    }

    /// Each part with its length before it, so that no two places look alike.
    fn bytes(&self) -> Vec<u8> {
        let mut bytes = b"trunkline/1".to_vec();
        [self.bus, self.kind, self.name]
            .into_iter()
            .for_each(|part| prefixed(&mut bytes, part));
        bytes
    }
}

impl std::fmt::Display for Place<'_> {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(formatter, "{} {:?} of bus {:?}", self.kind, self.name, self.bus)
    }
}

const FINGERPRINT_KEY_PLACE: Place<'static> = Place {
    bus: "",
    kind: "setting",
    name: FINGERPRINT_KEY_SETTING,
};

fn prefixed(bytes: &mut Vec<u8>, part: &str) {
    bytes.extend_from_slice(&u32::try_from(part.len()).unwrap_or(u32::MAX).to_be_bytes());
    bytes.extend_from_slice(part.as_bytes());
}

/// Seals and opens secrets under the master key. Cheap to clone.
#[derive(Clone)]
pub struct Sealer {
    keyring: Keyring,
}

impl std::fmt::Debug for Sealer {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter
            .debug_struct("Sealer")
            .field("key", &self.key_id())
            .finish_non_exhaustive()
    }
}

impl Sealer {
    /// The id of the key that seals: enough to tell keys apart, nothing of the key itself.
    pub fn key_id(&self) -> String {
        self.keyring.keys()[0].id_text()
    }

    /// Seals and opens under one key.
    pub fn from_key(key: MasterKey) -> Self {
        Self {
            keyring: Keyring::new(vec![key], None),
        }
    }

    /// With the keys of a file, the current one first; made (0600, one random key) if it is not there.
    pub fn open_or_create(path: &Path) -> Result<Self, Error> {
        let keys = MasterKey::open_or_create(path)?;
        Ok(Self {
            keyring: Keyring::new(keys, Some(path)),
        })
    }

    /// Whether [`Sealer::open_or_create`] could use a file, as far as that can be told without making it.
    pub fn check_file(path: &Path) -> Result<(), Error> {
        MasterKey::check_file(path)
    }

    /// With keys from the environment, each base64 of 32 bytes, between commas or spaces: the current one first.
    pub fn from_text(text: &str) -> Result<Self, Error> {
        let keys = MasterKey::all_from_text(text)?;
        Ok(Self {
            keyring: Keyring::new(keys, None),
        })
    }

    /// Seals bytes for a place.
    pub fn seal(&self, place: Place<'_>, plain: &[u8]) -> Result<String, Error> {
        let keys = self.keyring.keys();
        let key = &keys[0];
        let mut nonce = [0; aead::NONCE_LEN];
        SystemRandom::new().fill(&mut nonce).map_err(|_| Error::Random)?;
        let mut sealed = plain.to_vec();
        let nonce_once = aead::Nonce::assume_unique_for_key(nonce);
        let place = aead::Aad::from(place.bytes());
        key.aead()
            .seal_in_place_append_tag(nonce_once, place, &mut sealed)
            .map_err(|_| Error::Random)?;
        let mut envelope = Vec::with_capacity(HEAD_BYTES + sealed.len());
        envelope.push(ENVELOPE_FORMAT);
        envelope.extend_from_slice(&key.id());
        envelope.extend_from_slice(&nonce);
        envelope.extend_from_slice(&sealed);
        Ok(STANDARD.encode(envelope))
    }

    /// Opens what was sealed for a place.
    pub fn open(&self, place: Place<'_>, envelope: &str) -> Result<Vec<u8>, Error> {
        let damaged = || Error::Damaged(place.to_string());
        let envelope = STANDARD.decode(envelope).map_err(|_| damaged())?;
        let (id, rest) = parts(&envelope).ok_or_else(damaged)?;
        let (nonce, sealed) = rest.split_at_checked(aead::NONCE_LEN).ok_or_else(damaged)?;
        let keys = self.keyring.keys();
        let key = keys.iter().find(|key| key.id() == id);
        let key = key.ok_or_else(|| Error::UnknownMasterKey(MasterKey::id_as_text(&id)))?;
        let nonce = aead::Nonce::try_assume_unique_for_key(nonce).map_err(|_| damaged())?;
        let mut plain = sealed.to_vec();
        let length = key
            .aead()
            .open_in_place(nonce, aead::Aad::from(place.bytes()), &mut plain);
        let length = length.map_err(|_| damaged())?.len();
        plain.truncate(length);
        Ok(plain)
    }

    /// A connection's specification with its secrets plain.
    pub fn open_connection(&self, connection: &Connection) -> Result<ConnectionSpec, Error> {
        let place = Place::connection(&connection.bus, &connection.name);
        map_secrets(&connection.spec, &mut |secret, _| match secret {
            Secret::Sealed(envelope) => {
                let plain = self.open(place, envelope)?;
                String::from_utf8(plain)
                    .map(Secret::Plain)
                    .map_err(|_| Error::Damaged(place.to_string()))
            }
            other => Ok(other.clone()),
        })
    }

    /// A connection's specification with its plain secrets sealed.
    pub(crate) fn seal_connection(
        &self,
        bus: &str,
        name: &str,
        spec: &ConnectionSpec,
    ) -> Result<ConnectionSpec, Error> {
        map_secrets(spec, &mut |secret, _| match secret {
            Secret::Plain(plain) => self
                .seal(Place::connection(bus, name), plain.as_bytes())
                .map(Secret::Sealed),
            other => Ok(other.clone()),
        })
    }

    /// Makes a fingerprint key and seals it: once for an installation.
    pub(crate) fn new_fingerprint_key(&self) -> Result<String, Error> {
        let mut key = [0; FINGERPRINT_KEY_BYTES];
        SystemRandom::new().fill(&mut key).map_err(|_| Error::Random)?;
        self.seal(FINGERPRINT_KEY_PLACE, &key)
    }

    /// What makes the fingerprints of a model. Fails when the model was sealed under another master key, so that calling it at
    /// start checks the key.
    pub fn fingerprints(&self, model: &Model) -> Result<Fingerprints, Error> {
        let sealed = model.fingerprint_key.as_deref();
        let sealed = sealed.ok_or_else(|| Error::Damaged(FINGERPRINT_KEY_PLACE.to_string()))?;
        let key = self.open(FINGERPRINT_KEY_PLACE, sealed)?;
        Ok(Fingerprints {
            key: hmac::Key::new(hmac::HMAC_SHA256, &key),
        })
    }
}

/// The id of the key that an envelope was sealed under, and what stands behind it.
fn parts(envelope: &[u8]) -> Option<([u8; KEY_ID_BYTES], &[u8])> {
    let (format, rest) = envelope.split_first()?;
    let (id, rest) = rest.split_first_chunk::<KEY_ID_BYTES>()?;
    (*format == ENVELOPE_FORMAT).then_some((*id, rest))
}

/// Makes fingerprints: HMAC-SHA256, under a key that a new master key re-seals but does not change, over bus, kind, name and
/// secret; the first 16 bytes, base64url.
#[derive(Clone, Debug)]
pub struct Fingerprints {
    key: hmac::Key,
}

impl Fingerprints {
    /// The fingerprint of a connection's secret.
    pub(crate) fn of(&self, bus: &str, name: &str, plain: &str) -> String {
        let mut bytes = Place::connection(bus, name).bytes();
        prefixed(&mut bytes, plain);
        URL_SAFE_NO_PAD.encode(&hmac::sign(&self.key, &bytes).as_ref()[..FINGERPRINT_BYTES])
    }

    /// A specification with its plain secrets as fingerprints: the outgoing form.
    pub(crate) fn of_spec(&self, bus: &str, name: &str, spec: &ConnectionSpec) -> ConnectionSpec {
        let mapped = map_secrets(spec, &mut |secret, _| {
            Ok::<_, std::convert::Infallible>(match secret {
                Secret::Plain(plain) => Secret::Fingerprint(self.of(bus, name, plain)),
                other => other.clone(),
            })
        });
        let Ok(mapped) = mapped;
        mapped
    }
}

/// A specification with each secret replaced; the function gets the secret and its pointer in the resource.
pub(crate) fn map_secrets<E>(
    spec: &ConnectionSpec,
    replace: &mut dyn FnMut(&Secret, &str) -> Result<Secret, E>,
) -> Result<ConnectionSpec, E> {
    let config = match spec {
        ConnectionSpec::Webhook(config) => config,
        ConnectionSpec::EventGrid(config) => {
            let mut config = config.clone();
            let (secret, pointer) = config.auth.secret_mut();
            *secret = replace(secret, pointer)?;
            return Ok(ConnectionSpec::EventGrid(config));
        }
        other => return map_aws_secrets(other.clone(), replace),
    };
    let auth = match &config.auth {
        Auth::None => Auth::None,
        Auth::Basic { username, password } => Auth::Basic {
            username: username.clone(),
            password: replace(password, "/config/auth/password")?,
        },
        Auth::Bearer { token } => Auth::Bearer {
            token: replace(token, "/config/auth/token")?,
        },
        Auth::ApiKey { header, value } => Auth::ApiKey {
            header: header.clone(),
            value: replace(value, "/config/auth/value")?,
        },
        Auth::ClientCredentials(client) => Auth::ClientCredentials(ClientCredentials {
            client_secret: replace(&client.client_secret, "/config/auth/client_secret")?,
            parameters: map_parameters(&client.parameters, "/config/auth/parameters", replace)?,
            ..client.clone()
        }),
    };
    let parameters = map_parameters(&config.parameters, "/config/parameters", replace)?;
    let mut list = |secrets: &[Secret]| {
        let place = |index| format!("/config/signing/secrets/{index}");
        let pairs = secrets.iter().enumerate();
        pairs
            .map(|(index, secret)| replace(secret, &place(index)))
            .collect::<Result<Vec<_>, E>>()
    };
    let signing = match &config.signing {
        None => None,
        Some(Signing::StandardWebhooks { secrets, public_keys }) => Some(Signing::StandardWebhooks {
            secrets: list(secrets)?,
            public_keys: public_keys.clone(),
        }),
        Some(Signing::XMagentoSignature { secrets }) => Some(Signing::XMagentoSignature {
            secrets: list(secrets)?,
        }),
    };
    let mut tls = config.tls.clone();
    if let Some(key) = tls.as_mut().and_then(|tls| tls.key.as_mut()) {
        *key = replace(key, "/config/tls/key")?;
    }
    Ok(ConnectionSpec::Webhook(WebhookConfig {
        parameters,
        auth,
        signing,
        tls,
        ..config.clone()
    }))
}

fn map_parameters<E>(
    parameters: &[Parameter],
    at: &str,
    replace: &mut dyn FnMut(&Secret, &str) -> Result<Secret, E>,
) -> Result<Vec<Parameter>, E> {
    let mut mapped = parameters.to_vec();
    for (index, parameter) in mapped.iter_mut().enumerate() {
        if let Some(secret) = &mut parameter.secret {
            *secret = replace(secret, &format!("{at}/{index}/secret"))?;
        }
    }
    Ok(mapped)
}

fn map_aws_secrets<E>(
    mut spec: ConnectionSpec,
    replace: &mut dyn FnMut(&Secret, &str) -> Result<Secret, E>,
) -> Result<ConnectionSpec, E> {
    if let Some(AwsCredentials::Static {
        secret_access_key,
        session_token,
        ..
    }) = spec.aws_credentials_mut()
    {
        *secret_access_key = replace(secret_access_key, "/config/aws/credentials/secret_access_key")?;
        if let Some(token) = session_token {
            *token = replace(token, "/config/aws/credentials/session_token")?;
        }
    }
    Ok(spec)
}

const _: () = assert!(
    !DEFAULT_BUS.is_empty(),
    "the empty bus name is the installation's own place"
);
