//! What a lint calls certain holds for random events.

use pattern::{Data, Document, Filter, Finding, FindingCode, Mounts, Surroundings, lint};
use proptest::collection::vec;
use proptest::prelude::*;
use proptest::sample::select;

use crate::agreement::{cases, event, pattern, pattern_of};
use crate::bare;
use crate::reference::{Json, Node, Pattern, Test, write_json, write_pattern};

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

const PATHS: [&str; 8] = ["a", "x", "x.a", "x.b", "x.c", "x.x.a", "y.a", "y.b"];

/// Fields that may lie in arrays together, and the zeros and ones that they are asked for.
fn fields() -> impl Strategy<Value = Pattern> {
    let bit = || select(vec![("0", Some(0.0)), ("1", Some(1.0))]).prop_map(|bit| Test::Value(Json::Number(bit)));
    let tests = prop_oneof![
        3 => vec(bit(), 1..2),
        2 => Just(vec![Test::Exists(false)]),
        2 => Just(vec![Test::Exists(true), Test::Exists(false)]),
        1 => bit().prop_map(|bit| vec![bit, Test::Exists(false)]),
    ];
    let fields = proptest::sample::subsequence(&PATHS[..], 2..5).prop_shuffle();
    (fields, vec(tests, 5)).prop_map(|(paths, tests)| {
        let nodes = tests.into_iter().map(Node::Tests);
        paths.into_iter().map(String::from).zip(nodes).collect()
    })
}

/// Events of arrays of objects, and the same with the members of the data as a list.
fn events() -> impl Strategy<Value = Vec<(Json, Json)>> {
    let bit = || select(vec![("0", Some(0.0)), ("1", Some(1.0))]).prop_map(Json::Number);
    let key = || select(vec!["a", "b", "c", "x"]).prop_map(String::from);
    let value = bit().prop_recursive(3, 12, 3, move |inner| {
        let object = vec((key(), inner.clone()), 1..4).prop_map(Json::Object);
        prop_oneof![1 => object.clone(), 4 => vec(object, 1..4).prop_map(Json::List), 1 => vec(inner, 0..3).prop_map(Json::List)]
    });
    let member = (select(vec!["a", "x", "y", "x"]).prop_map(String::from), value);
    vec(vec(member, 1..4), 12).prop_map(|events| {
        let both = |members: Vec<(String, Json)>| {
            let alone = members.iter().cloned().map(|member| Json::Object(vec![member]));
            (Json::List(alone.collect()), Json::Object(members))
        };
        events
            .into_iter()
            .map(both)
            .map(|(list, object)| (object, list))
            .collect()
    })
}

/// Checks that one pattern's answers allow another's, wherever a finding says so.
fn check_statement(
    finding: &Finding,
    [first, second]: [&Pattern; 2],
    events: &[(Json, Json)],
    allows: impl Fn(bool, bool) -> bool,
) -> Result<(), TestCaseError> {
    let texts = [first, second].map(write_pattern);
    let filters = texts.each_ref().map(|text| bare(text));
    let holds_for_lists = !finding.message.contains("unless the data itself is a list");
    for (object, list) in events {
        let asked = [object].into_iter().chain(holds_for_lists.then_some(list));
        for event in asked.map(write_json) {
            let document = Document::new().data(Data::Json(event.as_bytes()));
            let [first, second] = filters.each_ref().map(|filter| filter.matches(&document));
            prop_assert!(
                allows(first, second),
                "{}: {:?} about {}",
                finding.message,
                texts,
                event
            );
        }
    }
    Ok(())
}

fn findings_of(pattern: &Pattern, code: FindingCode) -> Vec<Finding> {
    let findings = lint(&bare(&write_pattern(pattern)), &Surroundings::default());
    findings.into_iter().filter(|finding| finding.code == code).collect()
}

proptest! {
    #![proptest_config(cases(300))]

    #[test]
    fn a_field_that_is_called_superfluous_is(pattern in fields(), events in events()) {
        for finding in findings_of(&pattern, FindingCode::FieldAlwaysPasses) {
            let without = pattern.iter().filter(|(path, _)| Some(path) != finding.path.as_ref());
            check_statement(&finding, [&pattern, &without.cloned().collect()], &events, |with, without| with == without)?;
        }
    }

    #[test]
    fn an_alternative_that_is_called_covered_is(narrow in fields(), left_out: usize, events in events()) {
        let mut wide = narrow.clone();
        wide.remove(left_out % narrow.len());
        let either = vec![("$or".to_owned(), Node::Or(vec![narrow.clone(), wide.clone()]))];
        for finding in findings_of(&either, FindingCode::AlternativeShadowed) {
            check_statement(&finding, [&narrow, &wide], &events, |narrow, wide| wide || !narrow)?;
        }
    }
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
