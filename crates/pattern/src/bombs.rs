//! Check 56: filters and events made to cost much are refused or cost little. Steps are counted (bytes of values and hits of the
//! index), not time: a step takes about a nanosecond, so that a 50th of a second has room for 20 million.

use std::fmt::Write;
use std::sync::Arc;

use crate::{Dialect, Document, Filter, Matcher, Mounts, Scratch, steps};

/// Bytes of a value: the largest data that an event may have.
const VALUE_BYTES: usize = 1 << 20;

/// Stars of a bomb.
const STARS: usize = 64;

/// Filters of a set.
const RULES: u32 = 10_000;

/// Steps that fit into a third of the 50 ms that the check allows, if one takes a nanosecond.
const STEPS_MAX: usize = 16_000_000;

fn pattern(text: &str) -> Result<Filter, String> {
    Filter::eventbridge(text.as_bytes(), &Mounts::bare()).map_err(|error| error.to_string())
}

/// Steps of a filter about a document, alone and in a matcher, whichever are more.
fn steps_of(filter: Filter, document: &Document<'_>) -> usize {
    let mut scratch = Scratch::new();
    let alone = steps::of(|| {
        filter.matches_with(document, &mut scratch);
    });
    let matcher = Matcher::build([(1u32, Arc::new(filter))]);
    alone.max(steps::of(|| matcher.matches(document, &mut scratch, &mut Vec::new())))
}

/// Steps of ten thousand filters about an event, and how many match.
fn steps_of_rules(rule: impl Fn(u32) -> String, event: &str) -> (usize, usize) {
    let filters = (0..RULES).map(|index| (index, Arc::new(pattern(&rule(index)).unwrap())));
    let matcher = Matcher::build(filters);
    let (mut scratch, mut matched) = (Scratch::new(), Vec::new());
    let document = Document::bare(event.as_bytes());
    let steps = steps::of(|| matcher.matches(&document, &mut scratch, &mut matched));
    (steps, matched.len())
}

#[test]
fn check_56_a_pattern_of_64_stars_is_refused() {
    let bomb = "*a".repeat(STARS);
    for test in [
        format!(r#"{{"wildcard": "{bomb}"}}"#),
        format!(r#"{{"wildcard": "{bomb}*"}}"#),
        format!(r#"{{"anything-but": {{"wildcard": "{bomb}"}}}}"#),
    ] {
        let refusal = pattern(&format!(r#"{{"a": [{test}]}}"#)).unwrap_err();
        assert!(refusal.contains("Rule is too complex"), "{refusal}");
    }
    let folded = format!(r#"{{"a": [{{"wildcard": {{"equals-ignore-case": "{bomb}"}}}}]}}"#);
    let refusal = Filter::eventbridge_extended(folded.as_bytes(), &Mounts::bare()).unwrap_err();
    assert!(refusal.to_string().contains("Rule is too complex"), "{refusal}");
}

#[test]
fn check_56_where_64_stars_are_taken_a_value_of_a_mebibyte_is_read_about_once() {
    let value = "a".repeat(VALUE_BYTES);
    let (stars, percents) = ("*a".repeat(STARS), "%a".repeat(STARS));
    let json = format!(r#"{{"a": "{value}"}}"#);
    let attribute = Document::new().text("/attr/type", &value);
    // Each is asked about a value that it matches, and about one that it misses at its end.
    for last in ["", "b"] {
        let types = Filter::types(&[&format!("{stars}{last}")]).unwrap();
        let like = Filter::cesql(&format!("type LIKE '{percents}_{last}'"), Dialect::Standard).unwrap();
        for filter in [types, like] {
            let taken = steps_of(filter, &attribute);
            assert!(
                (VALUE_BYTES / 2..4 * VALUE_BYTES).contains(&taken) || taken < 1_000,
                "{taken} steps"
            );
        }
        let regex = format!(r#"{{"a": [{{"regex": "{}{last}$"}}]}}"#, "(a*)*".repeat(8));
        let folded = format!(r#"{{"a": [{{"wildcard": {{"equals-ignore-case": "*a*a*a{last}*"}}}}]}}"#);
        for text in [regex, folded] {
            let filter = Filter::eventbridge_extended(text.as_bytes(), &Mounts::bare()).unwrap();
            let taken = steps_of(filter, &Document::bare(json.as_bytes()));
            assert!(taken < 4 * VALUE_BYTES, "{text}: {taken} steps");
        }
    }
}

#[test]
fn check_56_alternatives_beyond_a_thousand_are_refused_and_a_thousand_cost_a_look_up_each() {
    let alternatives = |count: usize, test: &dyn Fn(usize) -> String| {
        let all: Vec<String> = (0..count).map(test).collect();
        format!(r#"{{"$or": [{}]}}"#, all.join(","))
    };
    let exact = |index: usize| format!(r#"{{"a": ["{index}"], "b": [{{"wildcard": "*{index}*"}}]}}"#);
    let refusal = pattern(&alternatives(1_001, &exact)).unwrap_err();
    assert!(refusal.contains("Rule is too complex"), "{refusal}");
    let ten = alternatives(10, &|index| format!(r#"{{"x": ["{index}"]}}"#));
    let fields: Vec<String> = (0..4).map(|_| ten[1..ten.len() - 1].to_owned()).collect();
    assert!(
        pattern(&format!(
            r#"{{"a": {{{0}}}, "b": {{{0}}}, "c": {{{0}}}, "d": {{{0}}}}}"#,
            fields[0]
        ))
        .is_err()
    );
    let filter = pattern(&alternatives(1_000, &exact)).unwrap();
    let event = format!(r#"{{"a": "999", "b": "{}"}}"#, "9".repeat(VALUE_BYTES));
    let taken = steps_of(filter, &Document::bare(event.as_bytes()));
    assert!(taken < 4 * VALUE_BYTES, "{taken} steps");
}

#[test]
fn check_56_ten_thousand_rules_look_at_a_value_of_a_mebibyte_a_few_times() {
    // Pieces of every length, of which each is everywhere in the value or nowhere.
    let pieces = |index: u32| match index % 2 {
        0 => format!(
            r#"{{"a": [{{"wildcard": "*{}*"}}], "b": ["{index}"]}}"#,
            "a".repeat(1 + index as usize % 8)
        ),
        _ => format!(
            r#"{{"a": [{{"wildcard": "*{}{index}*"}}]}}"#,
            &"bbbbbbbb"[..index as usize % 5]
        ),
    };
    let same = |_: u32| r#"{"a": [{"wildcard": "*aaaaaaa*"}]}"#.to_owned();
    let ends = |index: u32| format!(r#"{{"a": [{{"wildcard": "*a{index}"}}, {{"prefix": "aaaa{index}"}}]}}"#);
    let event = format!(r#"{{"a": "{}", "b": "7"}}"#, "a".repeat(VALUE_BYTES));
    let (taken, matched) = steps_of_rules(pieces, &event);
    assert!(taken < STEPS_MAX && matched == 0, "{taken} steps, {matched} match");
    let (taken, matched) = steps_of_rules(ends, &event);
    assert!(taken < STEPS_MAX && matched == 0, "{taken} steps, {matched} match");
    let (taken, matched) = steps_of_rules(same, &event);
    assert!(
        taken < STEPS_MAX && matched == RULES as usize,
        "{taken} steps, {matched} match"
    );
}

#[test]
fn check_56_a_list_of_a_mebibyte_meets_each_of_ten_thousand_rules_once() {
    let mut numbers = String::from(r#"{"a": ["#);
    for number in 0..100_000 {
        write!(numbers, "{}{number}", if number > 0 { "," } else { "" }).unwrap();
    }
    numbers.push_str("]}");
    let texts = format!(r#"{{"a": [{}"x"]}}"#, "\"x\",".repeat(VALUE_BYTES / 4));
    let above = |index: u32| format!(r#"{{"a": [{{"numeric": [">=", {index}]}}]}}"#);
    let (taken, matched) = steps_of_rules(above, &numbers);
    assert!(
        taken < STEPS_MAX && matched == RULES as usize,
        "{taken} steps, {matched} match"
    );
    for test in [
        r#""x""#,
        r#"{"prefix": "x"}"#,
        r#"{"equals-ignore-case": "X"}"#,
        r#"{"anything-but": "y"}"#,
    ] {
        let (taken, matched) = steps_of_rules(|_| format!(r#"{{"a": [{test}]}}"#), &texts);
        assert!(
            taken < STEPS_MAX && matched == RULES as usize,
            "{test}: {taken} steps, {matched} match"
        );
    }
}
