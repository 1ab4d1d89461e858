//! Texts whose rest is not read once every asked path has a value: what comes again counts again, however it is written.

use pattern::{Document, Matcher, Scratch};
use proptest::collection::vec;
use proptest::prelude::*;
use proptest::sample::select;
use std::sync::Arc;

use crate::agreement::cases;
use crate::bare;

/// So long that it is searched.
fn filler() -> String {
    format!(r#""filler":["{}"]"#, "lorem ipsum ".repeat(20))
}

/// Whether an event matches, checked and taken at its word alike.
fn matches(pattern: &str, event: &str) -> bool {
    let filter = bare(pattern);
    let checked = filter.matches(&Document::bare(event.as_bytes()));
    let well_formed = filter.matches(&Document::bare_well_formed(event.as_bytes()));
    assert_eq!(well_formed, checked, "{pattern} {event}");
    checked
}

#[test]
fn what_comes_again_behind_a_long_text_counts_again() {
    let filler = filler();
    for again in [
        r#""order":{"status":"paid"}"#,
        r#""order.status":"paid""#,
        r#""order":{"a":{"status":1},"status":["paid"]}"#,
        r#""order":[{"status":"paid"}]"#,
        r#""\u006frder":{"status":"paid"}"#,
        r#""order":{"statu\u0073":"paid"}"#,
        r#""order.\u0073tatus":"paid""#,
        r#""order" : {"status" : "paid"}"#,
    ] {
        let pattern = r#"{"order":{"status":["paid"]}}"#;
        assert!(
            matches(pattern, &format!(r#"{{"order":{{"status":"open"}},{filler},{again}}}"#)),
            "{again}"
        );
        assert!(
            !matches(
                pattern,
                &format!(r#"{{"order":{{"status":"open"}},{filler},"x":{{{again}}}}}"#)
            ),
            "{again}"
        );
    }
    let within = format!(r#"{{"order":{{"status":"open",{filler},"status":"paid"}}}}"#);
    assert!(matches(r#"{"order":{"status":["paid"]}}"#, &within));
    let above = format!(r#"{{"a":{{"b":{{"c":1}},{filler}}},{filler},"a":{{"b":{{"c":2}}}}}}"#);
    assert!(matches(r#"{"a":{"b":{"c":[2]}}}"#, &above));
}

#[test]
fn names_that_stand_elsewhere_mislead_nobody() {
    let filler = filler();
    for other in [
        r#""orders":1"#,
        r#""x":"order""#,
        r#""x":["order", "status"]"#,
        r#""x":{"y":{"order":{"status":"paid"}}}"#,
        r#""status":"paid""#,
        r#""x":"\"order\":{\"status\":\"paid\"}""#,
    ] {
        let event = format!(r#"{{"order":{{"status":"open"}},{filler},{other},{filler}}}"#);
        assert!(!matches(r#"{"order":{"status":["paid"]}}"#, &event), "{other}");
        assert!(matches(r#"{"order":{"status":["open"]}}"#, &event), "{other}");
    }
}

#[test]
fn a_long_name_that_comes_again_counts_again() {
    for length in [63, 64, 65, 200] {
        let name = "n".repeat(length);
        let pattern = format!(r#"{{"{name}":["paid"]}}"#);
        for (again, expected) in [("", true), ("n", false), ("m", false)] {
            let event = format!(r#"{{"{name}":"open",{},"{name}{again}":"paid"}}"#, filler());
            assert_eq!(matches(&pattern, &event), expected, "{length} {again}");
        }
        let shorter = format!(r#"{{"{name}":"open",{},"{}":"paid"}}"#, filler(), &name[1..]);
        assert!(!matches(&pattern, &shorter));
    }
}

#[test]
fn an_element_of_an_array_ends_nothing() {
    let filler = filler();
    let event = format!(r#"{{"a":[{{"b":1,{filler}}},{{"b":2}}, 7],{filler}}}"#);
    assert!(matches(r#"{"a":{"b":[2]}}"#, &event));
    assert!(matches(r#"{"a":[7]}"#, &event));
    assert!(matches(r#"{"$or":[{"a":[7]},{"a":{"b":[3]}}]}"#, &event));
    assert!(matches(
        r#"{"a":[1],"b":["x"]}"#,
        &format!(r#"{{"b":"x","a":[2,{{"c":[{{{filler}}}]}},1],{filler}}}"#)
    ));
}

#[test]
fn a_name_without_letters_is_looked_for_by_reading() {
    let event = format!(r#"{{"":1,{},"":2}}"#, filler());
    assert!(matches(r#"{"":[2]}"#, &event) && !matches(r#"{"":[3]}"#, &event));
}

const NAMES: [&str; 6] = ["a", "bb", "ccc", "a.bb", "bb.ccc", "\\u0061"];

/// An object of few names, nested, with long texts between.
fn object() -> impl Strategy<Value = String> {
    let scalar = select(&["1", "2", "\"a\"", "\"ccc\"", "[1,2]", "\"\\n\""][..]).prop_map(String::from);
    let value = scalar.prop_recursive(4, 24, 4, |inner| {
        let member = (select(&NAMES[..]), inner.clone(), any::<bool>());
        prop_oneof![
            3 => vec(member, 1..4).prop_map(|members| written(&members)),
            1 => vec(inner, 0..3).prop_map(|items| format!("[{}]", items.join(","))),
        ]
    });
    vec((select(&NAMES[..]), value, any::<bool>()), 1..5).prop_map(|members| written(&members))
}

fn written(members: &[(&str, String, bool)]) -> String {
    let member = |(name, value, long): &(&str, String, bool)| match long {
        true => format!(r#""{name}":{value},{}"#, filler()),
        false => format!(r#""{name}":{value}"#),
    };
    format!("{{{}}}", members.iter().map(member).collect::<Vec<_>>().join(","))
}

fn pattern() -> impl Strategy<Value = String> {
    let path = vec(select(&["a", "bb", "ccc"][..]), 1..4).prop_map(|path| path.join("."));
    let test = select(&["1", "2", "\"a\"", "{\"anything-but\":[1]}", "{\"exists\":true}"][..]);
    vec((path, test), 1..4).prop_map(|fields| {
        let fields = fields.iter().map(|(path, test)| format!(r#""{path}":[{test}]"#));
        format!("{{{}}}", fields.collect::<Vec<_>>().join(","))
    })
}

proptest! {
    #![proptest_config(cases(500))]

    #[test]
    fn a_text_whose_rest_is_not_read_answers_like_one_that_is(patterns in vec(pattern(), 1..5), event in object()) {
        let filters = patterns.iter().map(|pattern| Arc::new(bare(pattern)));
        let matcher = Matcher::build(filters.enumerate());
        let mut scratch = Scratch::new();
        let mut answer = |document: &Document<'_>| {
            let mut ids = Vec::new();
            matcher.matches(document, &mut scratch, &mut ids);
            ids
        };
        let checked = answer(&Document::bare(event.as_bytes()));
        prop_assert_eq!(answer(&Document::bare_well_formed(event.as_bytes())), checked, "{:?} {}", patterns, event);
        for pattern in &patterns {
            matches(pattern, &event);
        }
    }

    #[test]
    fn a_text_that_breaks_behind_what_is_asked_for_harms_nobody(event in object(), cut in 0.0..1.0) {
        let filter = bare(r#"{"a":[{"exists":true}],"bb":{"ccc":[{"exists":true}]}}"#);
        let length = event.floor_char_boundary((event.len() as f64 * cut) as usize);
        let broken = &event.as_bytes()[..length];
        // The answer is one of those that a text with this beginning may have: that of the whole, or none because it is broken.
        let matched = filter.matches(&Document::bare_well_formed(broken));
        prop_assert!(!matched || filter.matches(&Document::bare(event.as_bytes())), "{event} {length}");
    }
}
