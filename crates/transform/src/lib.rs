//! What a subscription makes of an event before it is delivered: a constant, a part of the event, or a text with parts of it, as
//! Amazon EventBridge's `Input`, `InputPath` and `InputTransformer` do. Pure: an event in, bytes out. It delivers nothing, knows no
//! subscription, and decides nothing about failures; a template language and jq will be further variants of [`Transform`].
//!
//! A transform is compiled once, when it is saved; what is wrong with it is told then, with its place.
//!
//! ```
//! use event::{Data, Event};
//! use transform::{Context, Transform};
//!
//! let paths = [("total".to_owned(), "$.detail.total".to_owned())];
//! let transform = Transform::input_transformer(&paths, r#"{"type": "<aws.events.rule-name>", "sum": <total>}"#)?;
//! let event = Event::builder("1", "/shop", "placed").data(Data::json(r#"{"total": 5}"#)).build().expect("it is valid");
//! let context = Context { rule_name: "big-orders", ..Context::default() };
//! let output = transform.apply(&event.view(), &context).expect("the data has a total");
//! assert_eq!(output.bytes(), br#"{"type": "big-orders", "sum": 5}"#);
//! # Ok::<(), transform::CompileError>(())
//! ```

mod compiled;
mod envelope;
mod error;
mod json;
pub mod limits;
mod path;
mod paths;
mod template;
mod variable;
mod walk;

pub use compiled::{Output, Transform};
pub use envelope::{Context, Envelope};
pub use error::{CompileError, Failure, Part};
pub use path::InputPath;
pub use paths::Paths;
