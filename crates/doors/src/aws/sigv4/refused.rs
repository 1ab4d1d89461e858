//! Why a signature is not believed, in AWS's codes. The sentences are for whoever configures a client.

use std::borrow::Cow;

/// A refusal.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Refused {
    /// There is no signature.
    Missing,
    /// A part of the signature is missing or cannot be read; which.
    Incomplete(Cow<'static, str>),
    /// A session token, which no key has.
    SessionToken,
    /// The signature is not that of the request, or not of now, or not for here; why.
    Invalid(Cow<'static, str>),
}

impl Refused {
    /// AWS's code.
    pub fn code(&self) -> &'static str {
        match self {
            Self::Missing => "MissingAuthenticationTokenException",
            Self::Incomplete(_) => "IncompleteSignatureException",
            Self::SessionToken => "UnrecognizedClientException",
            Self::Invalid(_) => "InvalidSignatureException",
        }
    }

    /// What to tell the client.
    pub fn message(&self) -> &str {
        match self {
            Self::Missing => "Missing Authentication Token",
            Self::Incomplete(what) | Self::Invalid(what) => what,
            Self::SessionToken => {
                "The security token included in the request is invalid: keys of this server have no session token. Unset \
                 AWS_SESSION_TOKEN and configure the access key id and the secret alone."
            }
        }
    }

    /// The signature of the request is another one.
    pub(super) fn mismatch() -> Self {
        Self::Invalid(Cow::Borrowed(
            "The request signature we calculated does not match the signature you provided. Check your secret access key and \
             signing method.",
        ))
    }
}
