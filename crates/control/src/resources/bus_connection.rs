//! Connections to another bus of this server. Events go there inside of it; who makes such a connection must be allowed to publish
//! there.

use serde::{Deserialize, Serialize};

/// A connection to another bus of this server.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct BusConfig {
    /// The bus's name.
    pub bus: String,
}
