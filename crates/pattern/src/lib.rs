//! Filters over documents: compiled when saved, many of them in one matcher, able to explain themselves.
//!
//! A [`Document`] is scalars and lists of scalars at canonical paths, and one JSON text mounted at `/data`. Each dialect's
//! compiler rewrites its paths through the [`Mounts`] that its caller passes, so one scan of the bytes serves all dialects.
//! A [`Filter`] answers alone; a [`Matcher`] answers for many at once, exactly as each of them would alone.
//!
//! This crate knows no events, topics or buses, does no I/O and keeps no state.
//!
//! ```
//! use pattern::{Data, Document, Filter, Mounts};
//!
//! let mounts = Mounts::builder().mount("detail-type", "/attr/type").mount("detail", "/data").build();
//! let filter = Filter::eventbridge(br#"{"detail": {"status": [{"prefix": "pa"}]}}"#, &mounts)?;
//! let document = Document::new().text("/attr/type", "order").data(Data::Json(br#"{"status": "paid"}"#));
//! assert!(filter.matches(&document));
//! # Ok::<(), pattern::CompileError>(())
//! ```

mod address;
mod ahead;
mod anywhere;
mod automaton;
#[cfg(test)]
mod bombs;
pub mod cesql;
mod check;
mod chunks;
mod cloudevents;
mod consistency;
mod decimal;
mod digits;
mod document;
mod ending;
mod error;
mod eventbridge;
mod eventgrid;
mod explain;
mod extended;
mod few;
mod fields;
mod filter;
mod fold;
mod hits;
pub mod import;
mod index;
mod json;
mod jsonpath;
mod keys;
pub mod limits;
mod lint;
mod matcher;
mod mounts;
mod number;
mod numbers;
mod operator;
mod path;
mod paths;
mod pieces;
mod postings;
mod ranges;
mod required;
mod rules;
mod scan;
mod shared_tests;
mod simd;
mod steps;
mod table;
mod tape;
mod tokens;
mod wildcard;

pub use document::{Data, Document};
pub use error::{CompileCode, CompileError};
pub use explain::{Clause, ClauseKind, DataState, Explanation, explain};
pub use fields::Scratch;
pub use filter::{Dialect, Filter};
pub use lint::{Finding, FindingCode, MountKind, Samples, Severity, Surroundings, lint, lint_text};
pub use matcher::{Matcher, MatcherBuilder};
pub use mounts::{Mounts, MountsBuilder};
