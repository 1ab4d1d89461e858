//! Azure Event Grid: events published to a topic, in either schema, in requests of at most 1 MiB, with a key, a signature made
//! with one, or a token of Microsoft Entra ID. Whatever speaks as a topic does will do, another Trunkline's door too.

mod act;
mod config;
mod sas;
mod test;
#[cfg(test)]
mod tests;
mod wire;

pub use act::EventGrid;
pub use config::Shared;
pub use test::test;
pub(crate) use wire::rfc_3339;
