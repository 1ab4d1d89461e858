//! The event: a CloudEvents 1.0 event, its limits, and its codecs (HTTP binary, structured and batched; JSON; the Kafka
//! record binding; EventBridge's entries and envelopes; Event Grid's schema). Pure: bytes in, bytes out. It knows no topic, no bus
//! and no network.
//!
//! An [`Event`] owns its parts and is valid because it exists. An [`EventView`] borrows them, from an [`Event`] or from a
//! stored record, and is what every encoder takes.
//!
//! ```
//! use event::{Data, Event, http_binding};
//!
//! let event = Event::builder("1", "/shop", "com.example.order.placed").data(Data::json(r#"{"total": 5}"#)).build()?;
//! let headers = http_binding::encode_binary(&event.view());
//! assert_eq!(headers["ce-type"], "com.example.order.placed");
//! assert_eq!(http_binding::decode_binary(&headers, event.data().expect("it has data").bytes.clone())?, event);
//! # Ok::<(), event::Invalid>(())
//! ```

mod event;
mod extensions;
mod rules;
mod scan;
mod view;

pub mod eventbridge;
pub mod eventgrid;
pub mod hops;
pub mod http_binding;
pub mod identity;
pub mod json;
pub mod limits;
pub mod media_type;
pub mod record_binding;

pub use event::*;
pub use view::{EventView, ExtensionView};
