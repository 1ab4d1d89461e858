//! How much a bus or a key may use: what people write. Counting and refusing is where the thing is used: rates at the doors
//! and the intake, resources when a change is planned.

use serde::{Deserialize, Serialize};
use std::time::Duration;

use super::Rate;

/// Bytes per time, written as `10MiB/s`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ByteRate {
    /// How many bytes.
    pub bytes: u64,
    /// In how long.
    pub per: Duration,
}

/// What a bus may take and hold. What is absent is bounded by the node alone.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct BusQuotas {
    /// Events published per time.
    #[serde(with = "crate::units::optional_rate", skip_serializing_if = "Option::is_none")]
    pub events: Option<Rate>,
    /// Bytes of their records per time.
    #[serde(with = "crate::units::optional_byte_rate", skip_serializing_if = "Option::is_none")]
    pub bytes: Option<ByteRate>,
    /// Bytes that its topics keep.
    #[serde(with = "crate::units::optional_bytes", skip_serializing_if = "Option::is_none")]
    pub stored: Option<u64>,
    /// Subscriptions.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub subscriptions: Option<u32>,
    /// Partitions of its topics together.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub partitions: Option<u32>,
    /// Connections open at once that began with a request to it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub connections: Option<u32>,
}

/// What a key may take.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct KeyQuotas {
    /// Events published per time.
    #[serde(with = "crate::units::optional_rate", skip_serializing_if = "Option::is_none")]
    pub events: Option<Rate>,
    /// Bytes of them per time, as they are sent.
    #[serde(with = "crate::units::optional_byte_rate", skip_serializing_if = "Option::is_none")]
    pub bytes: Option<ByteRate>,
    /// Connections open at once that began with it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub connections: Option<u32>,
}

impl BusQuotas {
    /// Whether nothing is bounded.
    pub fn is_empty(&self) -> bool {
        *self == Self::default()
    }
}

impl KeyQuotas {
    /// Whether nothing is bounded.
    pub fn is_empty(&self) -> bool {
        *self == Self::default()
    }
}
