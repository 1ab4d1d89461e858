//! Parameters of a connection: what its requests carry in their headers, their query or their body beside what the event makes of them,
//! each in the open or as a secret.

use super::Secret;
use serde::{Deserialize, Serialize};

/// One parameter: it has a `value` or a `secret`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Parameter {
    /// Where it goes.
    #[serde(rename = "in")]
    pub place: ParameterPlace,
    /// Its name there.
    pub name: String,
    /// What it is, for whoever may read the connection.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub value: Option<String>,
    /// What it is, for nobody.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub secret: Option<Secret>,
}

/// Where a parameter goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum ParameterPlace {
    /// A header.
    Header,
    /// The query of the URL.
    Query,
    /// A member of the JSON object in the body; of a request for a token, of the form.
    Body,
}

/// How a token is asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "UPPERCASE")]
pub enum TokenMethod {
    /// As RFC 6749 says: the form is the body.
    #[default]
    Post,
    /// The form is the body.
    Put,
    /// The form is the query.
    Get,
}

impl TokenMethod {
    pub(super) fn is_post(&self) -> bool {
        *self == Self::Post
    }
}
