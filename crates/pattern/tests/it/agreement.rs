//! Random patterns and events: the compiled filter agrees with the reference, and a set of filters agrees with each of them.

use std::net::IpAddr;
use std::sync::Arc;

use pattern::{Document, Filter, Matcher, Mounts, Scratch, explain};
use proptest::collection::vec;
use proptest::prelude::*;
use proptest::sample::select;

use crate::reference::{Json, Node, Number, Pattern, Test, matches, write_json, write_pattern};

const NUMBERS: [Number; 14] = [
    ("0", Some(0.0)),
    ("-0", Some(0.0)),
    ("1", Some(1.0)),
    ("1.0", Some(1.0)),
    ("10e-1", Some(1.0)),
    ("2", Some(2.0)),
    ("300", Some(300.0)),
    ("3e2", Some(300.0)),
    ("0.1", Some(0.1)),
    ("-1.5", Some(-1.5)),
    ("12345678901234567890123", None),
    ("1.2345678901234567890123e22", None),
    ("1e400", None),
    ("9007199254740993", None),
];

const TEXTS: [&str; 20] = [
    "",
    "a",
    "A",
    "ab",
    "aB",
    "b",
    "ba",
    "aba",
    "é",
    "É",
    "e\u{301}",
    "ß",
    "SS",
    "😀",
    "x*y",
    "1",
    "10.0.0.1",
    "::1",
    "0:0:0:0:0:0:0:1",
    "true",
];

const WILDCARDS: [&str; 9] = ["", "*", "a*", "*a", "a*a", "*b*", "a*b*", r"x\**", "*é"];

/// Bytes of a rest that is searched rather than read, and a few more.
const REST: usize = 128;

/// Few keys, so that patterns and events meet.
const KEYS: [&str; 5] = ["a", "a", "b", "b", "a.b"];

fn text() -> impl Strategy<Value = String> {
    select(&TEXTS[..]).prop_map(String::from)
}

fn texts() -> impl Strategy<Value = Vec<String>> {
    vec(text(), 1..4)
}

fn affixes() -> impl Strategy<Value = Vec<String>> {
    vec(select(&TEXTS[1..]).prop_map(String::from), 1..3)
}

fn wildcards() -> impl Strategy<Value = Vec<String>> {
    vec(select(&WILDCARDS[..]).prop_map(String::from), 1..3)
}

fn comparable() -> impl Strategy<Value = Number> {
    select(
        NUMBERS
            .into_iter()
            .filter(|(_, value)| value.is_some())
            .collect::<Vec<_>>(),
    )
}

fn key() -> impl Strategy<Value = String> {
    select(&KEYS[..]).prop_map(String::from)
}

fn scalar() -> impl Strategy<Value = Json> {
    prop_oneof![
        1 => Just(Json::Null),
        1 => any::<bool>().prop_map(Json::Bool),
        3 => select(&NUMBERS[..]).prop_map(Json::Number),
        5 => text().prop_map(Json::Text),
    ]
}

fn value() -> impl Strategy<Value = Json> {
    scalar().prop_recursive(4, 24, 4, |inner| {
        prop_oneof![
            2 => vec((key(), inner.clone()), 0..4).prop_map(Json::Object),
            3 => vec(inner, 0..4).prop_map(Json::List),
        ]
    })
}

pub fn event() -> impl Strategy<Value = Json> {
    vec((key(), value()), 0..5).prop_map(Json::Object)
}

fn numeric() -> impl Strategy<Value = Test> {
    let ends = [
        None,
        Some(-1.5),
        Some(0.0),
        Some(0.1),
        Some(1.0),
        Some(2.0),
        Some(300.0),
    ];
    let ranges: Vec<(Option<f64>, Option<f64>)> = ends
        .iter()
        .flat_map(|low| ends.iter().map(move |high| (*low, *high)))
        .filter(|(low, high)| match (low, high) {
            (Some(low), Some(high)) => low < high,
            (low, high) => low.or(*high).is_some(),
        })
        .collect();
    (select(ranges), any::<bool>(), any::<bool>()).prop_map(|((low, high), low_included, high_included)| {
        Test::Numeric(
            low.map(|low| (low, low_included)),
            high.map(|high| (high, high_included)),
        )
    })
}

fn in_private_network(address: IpAddr) -> bool {
    matches!(address, IpAddr::V4(address) if address.octets()[0] == 10)
}

fn is_loopback(address: IpAddr) -> bool {
    matches!(address, IpAddr::V6(address) if address.is_loopback() || address.is_unspecified())
}

fn test() -> impl Strategy<Value = Test> {
    prop_oneof![
        8 => scalar().prop_map(Test::Value),
        2 => text().prop_map(Test::Prefix),
        2 => text().prop_map(Test::Suffix),
        1 => text().prop_map(Test::PrefixFolded),
        1 => text().prop_map(Test::SuffixFolded),
        2 => text().prop_map(Test::Folded),
        2 => select(&WILDCARDS[..]).prop_map(|text| Test::Wildcard(text.into())),
        4 => any::<bool>().prop_map(Test::Exists),
        2 => numeric(),
        1 => prop_oneof![Just(Test::Cidr("10.1.2.3/8", in_private_network)), Just(Test::Cidr("::/127", is_loopback))],
        2 => texts().prop_map(Test::AnythingButTexts),
        1 => vec(comparable(), 1..3).prop_map(Test::AnythingButNumbers),
        1 => affixes().prop_map(Test::AnythingButPrefixes),
        1 => affixes().prop_map(Test::AnythingButSuffixes),
        1 => texts().prop_map(Test::AnythingButFolded),
        1 => wildcards().prop_map(Test::AnythingButWildcards),
    ]
}

pub fn pattern() -> impl Strategy<Value = Pattern> {
    pattern_of(vec(test(), 1..5))
}

pub fn pattern_of(tests: impl Strategy<Value = Vec<Test>> + 'static) -> impl Strategy<Value = Pattern> {
    let node = tests.prop_map(Node::Tests).prop_recursive(2, 8, 3, |inner| {
        let object = || vec((key(), inner.clone()), 1..3);
        prop_oneof![
            3 => object().prop_map(Node::Object),
            1 => vec(object(), 2..4).prop_map(Node::Or),
        ]
    });
    vec((key(), node), 1..3)
}

/// Patterns over zeros, ones and absence: what is left is which elements of arrays are picked.
fn pattern_of_bits() -> impl Strategy<Value = Pattern> {
    let bit = || select(vec![NUMBERS[0], NUMBERS[2]]).prop_map(|number| Test::Value(Json::Number(number)));
    pattern_of(vec(
        prop_oneof![6 => bit(), 1 => any::<bool>().prop_map(Test::Exists)],
        1..3,
    ))
}

/// Events of arrays of arrays and objects of zeros and ones, keys repeated.
fn event_of_bits() -> impl Strategy<Value = Json> {
    let bit = select(vec![NUMBERS[0], NUMBERS[2]]).prop_map(Json::Number);
    let value = bit.prop_recursive(5, 60, 4, |inner| {
        prop_oneof![
            2 => vec((key(), inner.clone()), 0..4).prop_map(Json::Object),
            2 => vec(inner, 0..4).prop_map(Json::List),
        ]
    });
    vec((key(), value), 1..4).prop_map(Json::Object)
}

/// Checks the compiled filter and its explanation against the reference.
fn check(pattern: &Pattern, events: &[Json]) -> Result<(), TestCaseError> {
    let text = write_pattern(pattern);
    let filter = Filter::eventbridge(text.as_bytes(), &Mounts::bare())
        .map_err(|error| TestCaseError::fail(format!("{text}: {error}")))?;
    let mut scratch = Scratch::new();
    for event in events {
        let event_text = write_json(event);
        let document = Document::bare(event_text.as_bytes());
        let expected = matches(pattern, event);
        let matched = filter.matches_with(&document, &mut scratch);
        prop_assert_eq!(matched, expected, "pattern {} event {}", text, event_text);
        // The rest of a long text is searched for names once every value has come; of a short one it is read.
        for long in [event_text.clone(), format!("{event_text}{}", " ".repeat(REST))] {
            let skipping = filter.matches_with(&Document::bare_well_formed(long.as_bytes()), &mut scratch);
            prop_assert_eq!(skipping, expected, "well-formed: pattern {} event {}", text, long);
        }
        let explanation = explain(&filter, &document);
        prop_assert_eq!(explanation.matched, expected);
        prop_assert_eq!(explanation.first_reason().is_none(), expected);
    }
    Ok(())
}

/// So many cases, unless `PROPTEST_CASES` asks for more.
pub fn cases(usual: u32) -> ProptestConfig {
    let asked = std::env::var_os("PROPTEST_CASES").is_some();
    let default = ProptestConfig {
        failure_persistence: None,
        ..ProptestConfig::default()
    };
    if asked {
        default
    } else {
        ProptestConfig {
            cases: usual,
            ..default
        }
    }
}

/// Checks that a set of filters answers for each event what each of them does alone.
pub fn check_together(filters: Vec<Arc<Filter>>, events: &[Json]) -> Result<(), TestCaseError> {
    let matcher = Matcher::build(filters.iter().cloned().enumerate());
    let mut scratch = Scratch::new();
    for event in events {
        let text = write_json(event);
        let document = Document::bare(text.as_bytes());
        let mut together = Vec::new();
        matcher.matches(&document, &mut scratch, &mut together);
        let numbered = filters.iter().enumerate();
        let alone = numbered.filter(|(_, filter)| filter.matches(&document));
        prop_assert_eq!(together, alone.map(|(id, _)| id).collect::<Vec<_>>(), "event {}", text);
    }
    Ok(())
}

proptest! {
    #![proptest_config(cases(400))]

    #[test]
    fn a_compiled_filter_agrees_with_the_reference(pattern in pattern(), events in vec(event(), 1..6)) {
        check(&pattern, &events)?;
    }

    #[test]
    fn elements_of_arrays_are_picked_as_the_reference_does(pattern in pattern_of_bits(), events in vec(event_of_bits(), 1..6)) {
        check(&pattern, &events)?;
    }
}

proptest! {
    #![proptest_config(cases(80))]

    #[test]
    fn a_set_of_filters_agrees_with_each_of_them(patterns in vec(pattern(), 1..12), events in vec(event(), 1..4)) {
        let compile = |pattern: &Pattern| Arc::new(Filter::eventbridge(write_pattern(pattern).as_bytes(), &Mounts::bare()).unwrap());
        check_together(patterns.iter().map(compile).collect(), &events)?;
    }

}

proptest! {
    #![proptest_config(cases(1_000))]

    #[test]
    fn no_text_makes_the_compiler_or_the_scanner_panic(
        pattern in r#"[\[\]{}:,"\\a\$or*01e.+\-tfn ]{0,40}"#,
        event in r#"[\[\]{}:,"\\a\$ud8*01e.+\-tfn ]{0,40}"#,
    ) {
        let filter = Filter::eventbridge(pattern.as_bytes(), &Mounts::bare());
        let filter = filter.unwrap_or_else(|_| Filter::eventbridge(br#"{"a":[{"exists":true}]}"#, &Mounts::bare()).unwrap());
        let matched = explain(&filter, &Document::bare(event.as_bytes())).matched;
        prop_assert_eq!(filter.matches(&Document::bare(event.as_bytes())), matched);
    }

    #[test]
    fn the_scanner_takes_for_json_what_is_json(event in r#"[\[\]{}:,"\\a01e.\-tn]{0,12}|\{"b":[\[\]{}:,"0-9.eE+\-]{0,10}\}|\{"b":(true|false|nul|null|tru)[, ]?\}"#) {
        let filter = Filter::eventbridge(br#"{"a":{"b":[{"exists":false}]}}"#, &Mounts::bare()).unwrap();
        let explanation = explain(&filter, &Document::bare(event.as_bytes()));
        let is_object = serde_json::from_str::<&serde_json::value::RawValue>(&event).is_ok_and(|raw| raw.get().starts_with('{'));
        prop_assert_eq!(explanation.data == pattern::DataState::Json, is_object, "{}", event);
    }
}
