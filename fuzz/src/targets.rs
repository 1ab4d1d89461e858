//! The targets: one file per parser with the same inside, and a line here.

mod backup_manifest;
mod batch_results;
mod checkpoint;
mod config;
mod event_binary;
mod event_grid;
mod event_json;
mod event_record;
mod eventbridge_entry;
mod events;
mod frames;
mod identity_run;
mod pattern;
mod pattern_cesql;
mod pattern_cloudevents;
mod pattern_eventgrid;
mod pattern_extended;
mod pattern_import;
mod pattern_jsonpath;
mod pattern_types;
mod record_batch;
mod resource;
mod segment;
mod sigv4_claim;
mod sns_answer;
mod token_answer;
mod transform;
mod units;
mod url;

use std::hash::{DefaultHasher, Hash, Hasher};

/// One parser under test.
#[derive(Clone, Copy)]
pub struct Target {
    /// What it is called on the command line and in `corpus/`.
    pub name: &'static str,
    /// Feeds it one input; panics when something does not hold. What is returned tells inputs apart that end differently:
    /// one that ends in a new way is worth mutating further.
    pub run: fn(&[u8]) -> u64,
    /// Well-formed inputs to begin with.
    pub samples: fn() -> Vec<Vec<u8>>,
}

/// All of them, in the order that bytes come in: from producers, from operators, from receivers, from the disk.
pub const TARGETS: &[Target] = &[
    event_binary::TARGET,
    event_json::TARGET,
    event_grid::TARGET,
    event_record::TARGET,
    eventbridge_entry::TARGET,
    sigv4_claim::TARGET,
    record_batch::TARGET,
    pattern::TARGET,
    pattern_types::TARGET,
    pattern_extended::TARGET,
    pattern_eventgrid::TARGET,
    pattern_jsonpath::TARGET,
    pattern_cesql::TARGET,
    pattern_cloudevents::TARGET,
    pattern_import::TARGET,
    transform::TARGET,
    resource::TARGET,
    units::TARGET,
    url::TARGET,
    config::TARGET,
    batch_results::TARGET,
    token_answer::TARGET,
    sns_answer::TARGET,
    frames::TARGET,
    segment::TARGET,
    checkpoint::TARGET,
    identity_run::TARGET,
    backup_manifest::TARGET,
];

/// The ending that stands for this.
fn ending(of: &impl Hash) -> u64 {
    let mut hasher = DefaultHasher::new();
    of.hash(&mut hasher);
    hasher.finish()
}

/// A message without what it says about one input: figures, and what stands in quotes.
fn outline(message: &str) -> String {
    let unquoted: String = message.split(['"', '\'', '`']).step_by(2).collect();
    unquoted
        .chars()
        .filter(|character| !character.is_ascii_digit())
        .take(24)
        .collect()
}

/// An input in two parts: up to the first `separator`, and behind it.
fn halves<'a>(input: &'a [u8], separator: &str) -> (&'a [u8], &'a [u8]) {
    let at = input
        .windows(separator.len())
        .position(|window| window == separator.as_bytes());
    at.map_or((input, &[]), |at| (&input[..at], &input[at + separator.len()..]))
}

/// Samples from texts.
fn texts(samples: &[&str]) -> Vec<Vec<u8>> {
    samples.iter().map(|sample| sample.as_bytes().to_vec()).collect()
}
