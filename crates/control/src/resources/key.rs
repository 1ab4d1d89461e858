//! Keys as people declare them: what a key may do, where, until when. The secret is no part of it.

use super::KeyQuotas;
use serde::{Deserialize, Serialize};

/// A key's public part and rights; the secret is shown once, when it is made.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct KeySpec {
    /// Free text.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub description: String,
    /// What its secret is for; fixed when the key is made.
    #[serde(default, skip_serializing_if = "KeySigning::is_bearer")]
    pub signing: KeySigning,
    /// Which buses; absent: all.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub buses: Option<Vec<String>>,
    /// What it may do.
    pub scopes: Vec<Scope>,
    /// Which events scope `publish` is for; absent: all.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub publish: Option<PublishLimits>,
    /// RFC 3339; absent: does not expire.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub not_after: Option<String>,
    /// How much it may use; absent: what the bus may.
    #[serde(default, skip_serializing_if = "KeyQuotas::is_empty")]
    pub quotas: KeyQuotas,
}

/// What a key may do. Each but `publish` and `audit` includes the one above it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Scope {
    /// Publish events.
    Publish,
    /// See what is declared and how it is doing; no event.
    Read,
    /// See and receive events: subscriptions, replays, dead letters, stories, the tail.
    Subscribe,
    /// Topics, event types, connections.
    Manage,
    /// See the audit trail.
    Audit,
    /// Buses, keys, the installation; for all buses only.
    Administer,
}

impl Scope {
    /// Every scope, in the order of their documentation.
    pub const ALL: [Scope; 6] = [
        Self::Publish,
        Self::Read,
        Self::Subscribe,
        Self::Manage,
        Self::Audit,
        Self::Administer,
    ];

    /// Its word in keys and refusals.
    pub fn word(self) -> &'static str {
        match self {
            Self::Publish => "publish",
            Self::Read => "read",
            Self::Subscribe => "subscribe",
            Self::Manage => "manage",
            Self::Audit => "audit",
            Self::Administer => "administer",
        }
    }

    /// Whether a key that has this scope may do what asks for the other one.
    pub fn includes(self, asked: Scope) -> bool {
        match self {
            Self::Publish | Self::Audit => self == asked,
            Self::Read | Self::Subscribe | Self::Manage | Self::Administer => {
                asked <= self && !matches!(asked, Self::Publish | Self::Audit)
            }
        }
    }
}

/// What a key's secret is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum KeySigning {
    /// It is shown with each request (`Authorization: Bearer`); only its hash is kept.
    #[default]
    Bearer,
    /// It signs requests as AWS does (Signature Version 4): kept sealed, because verifying needs it.
    Aws,
    /// It is an Event Grid key, which is sent or signs shared access signatures: kept sealed.
    #[serde(rename = "eventgrid")]
    EventGrid,
}

impl KeySigning {
    fn is_bearer(&self) -> bool {
        *self == Self::Bearer
    }
}

/// The events that a key may publish: patterns in which `*` stands for any characters; everything else for itself. Absent:
/// any. Both must allow an event.
#[derive(Clone, Debug, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct PublishLimits {
    /// Of these types.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub types: Option<Vec<String>>,
    /// From these sources.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub sources: Option<Vec<String>>,
}
