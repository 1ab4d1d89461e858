//! Signature Version 4 as its verifier: what a request claims, and whether its signature is that of the claim.
//!
//! In the order of use: [`Message`] is the request, [`Claim::of`] reads what it says of its signature (in the header
//! `Authorization`, or presigned in its query), [`Claim::in_time`] holds it against the clock, [`SigningKeys`] derive and keep the
//! key of a day, and [`Claim::is_signed_with`] compares. What a claim must cover to be believed is checked when it is read: the
//! host and every header `x-amz-*`.
//!
//! Deliberately not here: whose key it is; bodies that are signed in chunks, and bodies that are not signed at all, which AWS allows
//! for S3 alone; SigV4a; session tokens, because no key of this server has one.

mod canonical;
mod claim;
mod keys;
mod refused;

pub use claim::{Claim, Message};
pub use keys::{SigningKey, SigningKeys};
pub use refused::Refused;

#[cfg(test)]
mod tests;
