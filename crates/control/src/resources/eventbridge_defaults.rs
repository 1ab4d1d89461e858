//! What a bus says for its connections to Amazon EventBridge, so that not each of them has to. Connections of provider `aws` are not
//! meant: a rule's target forwards an event with the source that it has.

use super::ConnectionSpec;
use serde::{Deserialize, Serialize};

/// What connections to Amazon EventBridge leave out.
#[derive(Clone, Debug, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct EventBridgeDefaults {
    /// `Source` of entries whose connection names none; absent: each event's own.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub source: Option<String>,
}

impl EventBridgeDefaults {
    /// Whether nothing is said.
    pub fn is_empty(&self) -> bool {
        *self == Self::default()
    }

    /// Says for a connection what it leaves out.
    pub fn fill(&self, connection: &mut ConnectionSpec) {
        if let ConnectionSpec::EventBridge(config) = connection
            && config.source.is_none()
        {
            config.source.clone_from(&self.source);
        }
    }
}
