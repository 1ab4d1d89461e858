//! What one walk finds, against one path at a time; and that it looks at each byte a few times only, whatever the paths.

use super::*;
use crate::{Context, Envelope, Paths, Transform, json::looked, limits::PATHS_MAX};
use event::{Data, Event};
use proptest::prelude::*;
use serde::{
    Deserialize, Deserializer,
    de::{MapAccess, Visitor},
};
use serde_json::value::RawValue;
use std::fmt;

fn paths(texts: &[String]) -> Vec<InputPath> {
    texts
        .iter()
        .map(|text| InputPath::parse(text).expect("a path"))
        .collect()
}

fn planned(paths: &[InputPath]) -> Plan {
    Plan::new(&paths.iter().collect::<Vec<_>>(), 0)
}

fn found(path: &str, text: &str) -> Option<String> {
    let path = [InputPath::parse(path).expect(path)];
    let read = |bytes: &[u8]| String::from_utf8(bytes.to_vec()).expect("it is UTF-8");
    match planned(&path).find(text.as_bytes(), usize::MAX)?.pop()? {
        Found::Nothing => None,
        Found::One(value) => Some(read(value)),
        Found::List(list) => Some(list.into_iter().map(read).collect::<Vec<_>>().join("|")),
    }
}

#[test]
fn a_path_finds_what_it_names() {
    let text = r#"{"a": {"b-c": [1, {"d": null}], "x y": 2}, "a.b": 3, "n": {"k":1}, "n": {"k":2}, "\u006f": [{"n": 1, "n": 2}, 5]}"#;
    for (path, value) in [
        ("$.a.b-c[0]", Some("1")),
        ("$.a.b-c[1].d", Some("null")),
        ("$['a'][\"x y\"]", Some("2")),
        ("$['a.b']", Some("3")),
        ("$.n.k", Some("2")),
        ("$.n", Some(r#"{"k":2}"#)),
        ("$.o[1]", Some("5")),
        ("$.o[*].n", Some("2")),
        ("$.o[0].*", Some("1|2")),
        ("$.a.b-c[2]", None),
        ("$.a.b-c.d", None),
        ("$.a[0]", None),
        ("$.missing", None),
        ("$.a.b-c[*]", Some("1|{\"d\": null}")),
        ("$.a.*", Some("[1, {\"d\": null}]|2")),
        ("$.*.k", Some("1|2")),
        ("$.missing[*]", Some("")),
    ] {
        assert_eq!(found(path, text).as_deref(), value, "{path}");
    }
    assert_eq!(found("$", " 5 ").as_deref(), Some("5"));
}

#[test]
fn what_is_no_json_is_walked_to_its_end() {
    let paths = ["$", "$.*", "$[*][*]", "$.a.b", "$[1].a", "$.*[0].*"].map(str::to_owned);
    let plan = planned(&self::paths(&paths));
    for text in [
        "",
        " ",
        "{",
        "[",
        "\"",
        "\"\\",
        "{\"a",
        "{\"a\"",
        "[1,,,]",
        "{]}",
        "}{",
        "[[[[",
        "{\"a\":}",
        "[:,:]",
        "{{{{",
        "{\"a\":{\"b\"",
    ] {
        assert!(plan.find(text.as_bytes(), usize::MAX).is_some(), "{text}");
    }
}

#[test]
fn lists_that_are_longer_than_any_output_are_not_made() {
    let plan = planned(&paths(&["$[*]".to_owned(), "$.*".to_owned(), "$[0]".to_owned()]));
    assert!(plan.find(b"[1, 2, 3]", 6).is_some());
    assert!(plan.find(b"[1, 2, 3]", 5).is_none());
}

/// The members of an object in their order, also those of one name.
struct Members<'a>(Vec<(String, &'a RawValue)>);

impl<'de: 'a, 'a> Deserialize<'de> for Members<'a> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Pairs;
        impl<'de> Visitor<'de> for Pairs {
            type Value = Members<'de>;

            fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
                formatter.write_str("an object")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Members<'de>, A::Error> {
                let mut members = Vec::new();
                while let Some(member) = map.next_entry()? {
                    members.push(member);
                }
                Ok(Members(members))
            }
        }
        deserializer.deserialize_map(Pairs)
    }
}

/// One path, step by step, with a value parsed at each: what a walk must agree with.
fn obvious<'a>(text: &'a str, steps: &[Step]) -> Found<'a> {
    fn collect<'a>(value: &'a RawValue, steps: &[Step], all: &mut Vec<&'a [u8]>) {
        let Some((step, rest)) = steps.split_first() else {
            return all.push(value.get().as_bytes());
        };
        let members = serde_json::from_str::<Members<'_>>(value.get()).map_or_else(|_| Vec::new(), |members| members.0);
        let elements = serde_json::from_str::<Vec<&RawValue>>(value.get()).unwrap_or_default();
        match step {
            Step::Member(name) => {
                let member = members.iter().rev().find(|(known, _)| **known == **name);
                member.into_iter().for_each(|(_, value)| collect(value, rest, all));
            }
            Step::Index(index) => {
                let element = elements.get(*index);
                element.into_iter().for_each(|value| collect(value, rest, all));
            }
            Step::Every => {
                elements.iter().for_each(|value| collect(value, rest, all));
                members.iter().for_each(|(_, value)| collect(value, rest, all));
            }
        }
    }
    let mut all = Vec::new();
    collect(serde_json::from_str(text).expect("JSON"), steps, &mut all);
    match steps.contains(&Step::Every) {
        true => Found::List(all),
        false => all.first().map_or(Found::Nothing, |value| Found::One(value)),
    }
}

/// JSON texts with white space, names that are there twice, and names and texts with escapes.
fn text() -> impl Strategy<Value = String> {
    let leaf = prop::sample::select(vec![
        "1",
        " -2.50e1 ",
        "null",
        "\"\"",
        r#""\"]}\\""#,
        " \"a\" ",
        "{}",
        " [ ] ",
    ]);
    let name = prop::sample::select(vec![
        "\"a\"",
        "\"b\" ",
        " \"\\u0061\"",
        "\"\\\"\"",
        "\"\\\\}\"",
        "\"é\"",
    ]);
    leaf.prop_map(str::to_owned).prop_recursive(5, 60, 5, move |inner| {
        let member = (name.clone(), inner.clone()).prop_map(|(name, value)| format!("{name}:{value}"));
        prop_oneof![
            prop::collection::vec(inner, 0..5).prop_map(|all| format!("[{}] ", all.join(","))),
            prop::collection::vec(member, 0..6).prop_map(|all| format!(" {{{}}}", all.join(" , "))),
        ]
    })
}

fn path() -> impl Strategy<Value = String> {
    let step = prop::sample::select(vec![
        ".a",
        ".a",
        ".b",
        "['\\\"']",
        "['\\\\}']",
        ".é",
        "[0]",
        "[1]",
        "[*]",
        ".*",
    ]);
    prop::collection::vec(step, 0..5).prop_map(|steps| format!("${}", steps.concat()))
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2_000))]

    #[test]
    fn one_walk_finds_what_each_path_finds_by_itself(text in text(), texts in prop::collection::vec(path(), 1..20)) {
        let paths = paths(&texts);
        let together = planned(&paths).find(text.as_bytes(), usize::MAX).expect("there is room");
        for ((path, found), name) in paths.iter().zip(together).zip(&texts) {
            prop_assert_eq!(found, obvious(&text, path.steps()), "{} in {}", name, text);
        }
    }
}

/// Bytes of an event's data at its limit, nearly.
const LARGE: usize = 900_000;
/// Levels of an event's data, nearly as many as there may be.
const DEEP: usize = 124;

fn nested(open: &str, inner: &str, close: &str) -> String {
    open.repeat(DEEP) + inner + &close.repeat(DEEP)
}

/// A transform at its limits, on an event at its limits, looks at each byte of the event a few times and not once for each path or step:
/// to leave out white space, to find, and to copy what it writes.
#[track_caller]
fn check_work(path: impl Fn(usize) -> String, template: &str, detail: String) {
    let named = |n: usize| (n.to_string(), path(n));
    let paths: Vec<_> = (0..PATHS_MAX).map(named).collect();
    let transform = Transform::input_transformer(&paths, template).expect("it is within the limits");
    let bytes = detail.len();
    let event = Event::builder("1", "/s", "t").data(Data::json(detail)).build();
    let event = event.expect("it is within the limits");
    looked::bytes();
    let output = transform.apply(&event.view(), &Context::default());
    let written = output.map_or(0, |output| output.bytes().len());
    let looked_at = looked::bytes();
    assert!(
        looked_at <= 4 * (bytes + written),
        "{looked_at} bytes were looked at, of {bytes} and {written} written"
    );
}

/// A template that names all paths, so often as there is room for.
fn of_all(times: usize) -> String {
    let values: Vec<_> = (0..PATHS_MAX * times).map(|n| format!("<{}>", n % PATHS_MAX)).collect();
    format!("[{}]", values.join(","))
}

#[test]
fn long_paths_cost_one_walk() {
    let detail = || nested("{\"a\":", &format!("\"{}\"", "x".repeat(LARGE)), "}");
    let path = |n: usize| format!("$.detail{}.x{n}", ".a".repeat(118));
    check_work(path, &of_all(1), detail());
    check_work(path, "{}", detail());
    check_work(|n| format!("$.detail{}", ".a".repeat(n)), "\"<99>\"", detail());
    check_work(|n| format!("$.detail{}", ".a".repeat(n)), "{}", detail());
}

#[test]
fn texts_at_many_paths_cost_one_walk() {
    let path = |n: usize| format!("$.detail{}.x{n}", ".a".repeat(118));
    let paths = Paths::new(&paths(&(0..PATHS_MAX).map(path).collect::<Vec<_>>()));
    let detail = nested("{\"a\":", &format!("\"{}\"", " ".repeat(LARGE)), "}");
    let bytes = detail.len();
    let event = Event::builder("1", "/s", "t").data(Data::json(detail)).build();
    let event = event.expect("it is within the limits");
    looked::bytes();
    let texts = Envelope::new(&event.view(), &Context::default()).texts_at(&paths);
    assert_eq!(texts, Ok(vec![None; PATHS_MAX]));
    let looked_at = looked::bytes();
    assert!(looked_at <= 4 * bytes, "{looked_at} bytes were looked at, of {bytes}");
    let whole = Paths::new(&self::paths(&["$.detail".to_owned(), "$.detail.a".to_owned()]));
    let failed = Envelope::new(&event.view(), &Context::default()).texts_at(&whole);
    assert_eq!(failed.map_err(|failure| failure.code), Err("transform_too_large"));
}

#[test]
fn paths_that_all_lead_through_every_element_cost_one_walk() {
    let elements = vec!["\"x\""; LARGE / 4].join(",");
    let path = |n: usize| {
        let step = |at: usize| if at == n % 80 { "[0]" } else { "[*]" };
        format!("$.detail{}.x{n}", (0..80).map(step).collect::<String>())
    };
    check_work(path, &of_all(1), nested("[", &elements, "]"));
}

#[test]
fn white_space_is_looked_at_once_and_not_for_each_placeholder() {
    let spaces = " ".repeat(LARGE);
    let path = |n: usize| format!("$.detail{}", ".a".repeat(n));
    check_work(path, &of_all(14), nested("{\"a\":", &format!("[{spaces}]"), "}"));
}

#[test]
fn members_of_one_name_cost_one_walk() {
    let members = vec!["\"n\":{\"n\":[0]}"; LARGE / 14].join(",");
    check_work(
        |n| format!("$.detail{}[{n}]", ".*".repeat(n % 2) + ".n" + &".*".repeat(n % 3)),
        &of_all(1),
        format!("{{{members}}}"),
    );
    let paths = paths(&["$.n".to_owned(), "$.n.*".to_owned(), "$.*.n".to_owned()]);
    let text = format!("{{{members}}}");
    let found = planned(&paths)
        .find(text.as_bytes(), usize::MAX)
        .expect("there is room");
    let one = &b"{\"n\":[0]}"[..];
    assert_eq!(found[..2], [Found::One(one), Found::List(vec![b"[0]"])]);
    assert_eq!(found[2], Found::List(vec![b"[0]"; LARGE / 14]));
}
