//! The event: a CloudEvents 1.0 event, its limits, and its codecs (HTTP binary, structured and batched; JSON; the Kafka
//! record binding). Pure: bytes in, bytes out. It knows no topic, no bus and no network.

mod event;
pub mod http_binding;
pub mod json;
pub mod limits;
pub mod record_binding;

pub use event::*;
