//! The language at the crate's boundary, clause by clause of its specification.

mod guards;
mod language;
mod reference;
mod refusals;

use crate::cesql::Expression;
use crate::document::Document;
use crate::filter::{Dialect, Filter};

/// The attributes that the tests speak of. `hop` and `flag` are typed, `sequence` is not.
pub(super) fn event() -> Document<'static> {
    Document::new()
        .text("/attr/specversion", "1.0")
        .text("/attr/id", "42")
        .text("/attr/source", "https://example.com/shop")
        .text("/attr/type", "com.example.order.placed")
        .text("/attr/subject", "Ünïcödé 😀")
        .text("/attr/sequence", "007")
        .text("/attr/yes", "TRUE")
        .integer("/attr/hop", "5")
        .boolean("/attr/flag", "true")
}

/// What an expression comes to: its value as an expression, and its errors' kinds.
pub(super) fn outcome(expression: &str, document: &Document<'_>) -> String {
    let parsed =
        Expression::parse(expression, Dialect::Standard).unwrap_or_else(|error| panic!("{expression}: {error}"));
    let evaluation = parsed.evaluate(document);
    let errors = evaluation
        .errors
        .iter()
        .map(|error| format!(" {}", error.kind.as_str()));
    format!("{}{}", evaluation.value, errors.collect::<String>())
}

/// Checks what an expression comes to, and that a filter of it passes as it says.
pub(super) fn check(expression: &str, expected: &str) {
    let event = event();
    assert_eq!(outcome(expression, &event), expected, "{expression}");
    if let Ok(filter) = Filter::cesql(expression, Dialect::Standard) {
        assert_eq!(filter.matches(&event), expected == "TRUE", "{expression} as a filter");
        let explanation = crate::explain(&filter, &event);
        assert_eq!(explanation.matched, expected == "TRUE", "{expression} explained");
        assert_eq!(
            explanation.first_reason().is_none(),
            expected == "TRUE",
            "{expression}: {explanation:?}"
        );
    }
}
