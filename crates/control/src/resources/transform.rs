//! What a subscription makes of an event before it is delivered.

use crate::filters::FilterText;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// What becomes of an event's data. Its attributes stay.
#[derive(Clone, Debug, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum TransformSpec {
    /// The event as it is.
    #[default]
    Raw,
    /// A constant: JSON, or a string that holds it.
    Input(FilterText),
    /// A part of the event's EventBridge envelope; `$` is all of it.
    InputPath(String),
    /// A template with values from the event's EventBridge envelope.
    InputTransformer(InputTransformer),
}

/// EventBridge's input transformer.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct InputTransformer {
    /// Variables: names, and paths of the envelope.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub paths: BTreeMap<String, String>,
    /// JSON or strings, with `<name>` where a value goes.
    pub template: String,
}

impl TransformSpec {
    /// Whether events stay as they are.
    pub fn is_raw(&self) -> bool {
        *self == Self::Raw
    }
}
