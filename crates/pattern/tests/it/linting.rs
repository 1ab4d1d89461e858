//! What a lint calls certain holds for random events.

use pattern::{Document, Filter, FindingCode, Mounts, Surroundings, lint};
use proptest::collection::vec;
use proptest::prelude::*;

use crate::agreement::{cases, event, pattern, pattern_of};
use crate::reference::{Json, Pattern, Test, write_json, write_pattern};

fn check(pattern: &Pattern, events: &[Json]) -> Result<(), TestCaseError> {
    let text = write_pattern(pattern);
    let filter = Filter::eventbridge(text.as_bytes(), &Mounts::bare())
        .map_err(|error| TestCaseError::fail(format!("{text}: {error}")))?;
    let findings = lint(&filter, &Surroundings::default());
    let says = |code| findings.iter().any(|finding| finding.code == code);
    for event in events {
        let event = write_json(event);
        let matched = filter.matches(&Document::bare(event.as_bytes()));
        prop_assert!(!(matched && says(FindingCode::NeverMatches)), "{text} matches {event}");
        prop_assert!(
            matched || !says(FindingCode::AlwaysMatches),
            "{text} does not match {event}"
        );
    }
    Ok(())
}

/// Tests that take everything, mixed with a few that do not.
fn generous() -> impl Strategy<Value = Vec<Test>> {
    let everything = Just(vec![Test::Exists(true), Test::Exists(false)]);
    let but_one = Just(vec![
        Test::AnythingButTexts(vec!["a".into()]),
        Test::Value(Json::Text("a".into())),
        Test::Exists(false),
    ]);
    prop_oneof![3 => everything, 3 => but_one, 1 => Just(vec![Test::Exists(false)])]
}

proptest! {
    #![proptest_config(cases(300))]

    #[test]
    fn what_is_called_certain_holds_for_every_event(pattern in pattern(), events in vec(event(), 1..6)) {
        check(&pattern, &events)?;
    }

    #[test]
    fn what_takes_everything_takes_every_event(pattern in pattern_of(generous()), events in vec(event(), 1..8)) {
        check(&pattern, &events)?;
    }
}
