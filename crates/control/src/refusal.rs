//! Why a request about resources was refused: a stable code, a sentence, and where.

use crate::filters::TextPosition;

/// A refusal. Nothing was changed.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{detail}")]
pub struct Refusal {
    /// Stable code: `resource_invalid`, `field_unknown`, `name_invalid`, `filter_invalid`, `filter_not_json`,
    /// `filter_too_complex`, `types_invalid`, `transform_invalid`, `url_refused`,
    /// `fingerprint_unknown`, `resource_not_found`, `version_conflict`, `already_exists`, `in_use`, `limit_exceeded`,
    /// `key_invalid`, `key_expired`, `scope_missing`, `secrets_unreadable`.
    pub code: &'static str,
    /// What kind of refusal it is, for the door's status.
    pub class: Class,
    /// The sentence, naming the thing, the rule, and what to do next.
    pub detail: String,
    /// A JSON pointer into the request, where there is one place to blame.
    pub pointer: Option<String>,
    /// The place in a filter's text, where one is to blame.
    pub in_text: Option<Box<InText>>,
    /// The quota that is used up, where one is.
    pub limit: Option<&'static str>,
}

/// Where a text inside a request is to blame.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct InText {
    /// The place in the text.
    pub position: TextPosition,
    /// The corrected form, where it can be guessed.
    pub suggestion: Option<String>,
}

/// Classes of refusals, which doors turn into their own statuses.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Class {
    /// The request breaks a rule (HTTP 422; 400 where it does not parse).
    Invalid,
    /// The request does not parse.
    Malformed,
    /// No such resource.
    NotFound,
    /// The version is another one (412), or it exists already.
    Precondition,
    /// Another resource needs it.
    InUse,
    /// A bound of the node or the bus.
    Limit,
    /// A quota of the bus (HTTP 429); `limit` names it.
    Quota,
    /// No key, or a wrong one.
    Unauthenticated,
    /// The key lacks the scope.
    Forbidden,
    /// The installation is at fault, not the request: a secret cannot be sealed or opened (HTTP 500).
    Internal,
}

impl Refusal {
    /// A rule is broken at a place of the request.
    pub fn invalid(pointer: impl Into<String>, detail: impl Into<String>) -> Self {
        Self {
            pointer: Some(pointer.into()),
            ..Self::new("resource_invalid", Class::Invalid, detail)
        }
    }

    /// A refusal without a place.
    pub fn new(code: &'static str, class: Class, detail: impl Into<String>) -> Self {
        Self {
            code,
            class,
            detail: detail.into(),
            pointer: None,
            in_text: None,
            limit: None,
        }
    }

    /// A bound is reached.
    pub fn limit(detail: impl Into<String>) -> Self {
        Self::new("limit_exceeded", Class::Limit, detail)
    }

    /// A quota is used up.
    pub fn quota(limit: &'static str, detail: impl Into<String>) -> Self {
        Self {
            limit: Some(limit),
            ..Self::new("quota_exceeded", Class::Quota, detail)
        }
    }

    /// Another resource needs it.
    pub fn in_use(detail: impl Into<String>) -> Self {
        Self::new("in_use", Class::InUse, detail)
    }

    /// No such resource.
    pub fn not_found(detail: impl Into<String>) -> Self {
        Self::new("resource_not_found", Class::NotFound, detail)
    }
}
