//! Why a request about resources was refused: a stable code, a sentence, and where.

/// A refusal. Nothing was changed.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{detail}")]
pub struct Refusal {
    /// Stable code, e.g. `resource_invalid`, `resource_not_found`, `version_conflict`, `name_invalid`, `in_use`.
    pub code: &'static str,
    /// What kind of refusal it is, for the door's status.
    pub class: Class,
    /// The sentence, naming the thing, the rule, and what to do next.
    pub detail: String,
    /// A JSON pointer into the request, where there is one place to blame.
    pub pointer: Option<String>,
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
    /// No key, or a wrong one.
    Unauthenticated,
    /// The key lacks the scope.
    Forbidden,
}
