//! The operations that change and show what there is: views of the buses, subscriptions and connections that `/v1` has.
//!
//! A target of a rule is a subscription, an API destination is a connection, and EventBridge's connection is a connection without an
//! endpoint. What Trunkline itself has no word for (a rule without targets, a description, tags) stands in the bus's annotations.
//! `docs/adr/0004-eventbridge-rules.md` says why.

pub(super) mod api_destinations;
pub(super) mod archives;
pub(super) mod buses;
mod changing;
pub(super) mod connections;
mod home;
mod page;
pub(super) mod policies;
mod reached;
mod record;
pub(super) mod replays;
pub(super) mod rules;
mod serving;
pub(super) mod tags;
mod target;
pub(super) mod targets;
