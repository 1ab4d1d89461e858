//! The crate at its boundary: patterns and events as texts, answers as booleans.

mod agreement;
mod allocations;
mod arrays;
mod counting;
mod documents;
mod ending;
mod every_dialect;
mod explaining;
mod extended;
mod jsonpath;
mod linting;
mod many;
mod mixed;
mod operators;
mod reference;
mod refusals;

use pattern::{Document, Filter, Mounts};

/// Compiles a pattern over bare documents.
fn bare(pattern: &str) -> Filter {
    Filter::eventbridge(pattern.as_bytes(), &Mounts::bare()).unwrap_or_else(|error| panic!("{pattern}: {error}"))
}

/// Checks the answer of a pattern about a bare document.
fn check(pattern: &str, event: &str, expected: bool) {
    let matched = bare(pattern).matches(&Document::bare(event.as_bytes()));
    assert_eq!(matched, expected, "pattern {pattern} event {event}");
}

/// Checks a pattern for the field `a` against values of that field.
fn check_values(tests: &str, accepted: &[&str], rejected: &[&str]) {
    let pattern = format!("{{\"a\":[{tests}]}}");
    for value in accepted {
        check(&pattern, &format!("{{\"a\":{value}}}"), true);
    }
    for value in rejected {
        check(&pattern, &format!("{{\"a\":{value}}}"), false);
    }
}
