//! Amazon's services: EventBridge, SQS, SNS, Kinesis, Lambda. Credentials come from the official chain, signatures from the
//! official signer; the requests are our own, through the one connector.
//!
//! Each service is a module with the same inside: `Writer` (events as the service's entries, and what its answer says of each
//! of them; pure), the table of its errors, and the harmless request of a connection's test.

mod access;
mod act;
mod answer;
mod attributes;
mod credentials;
pub mod errors;
mod eventbridge;
mod fill;
mod kinesis;
mod lambda;
mod sns;
mod sqs;
mod test;
#[cfg(test)]
mod tests;
mod transport;
pub mod xml;

pub use access::Access;
pub use act::Aws;
pub use answer::Said;
pub use test::{test, test_account};
