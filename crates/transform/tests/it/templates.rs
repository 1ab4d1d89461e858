//! Input transformers: what EventBridge makes of the same template and event, and where this differs on purpose.

use crate::{context, made, order};
use event::{Data, DataForm, Event};
use transform::{Part, Transform, limits};

fn transformer(paths: &[(&str, &str)], template: &str) -> Result<Transform, (Part, String)> {
    let paths: Vec<_> = paths
        .iter()
        .map(|(name, path)| ((*name).to_owned(), (*path).to_owned()))
        .collect();
    Transform::input_transformer(&paths, template).map_err(|error| (error.part, error.message))
}

const PATHS: &[(&str, &str)] = &[
    ("id", "$.detail.id"),
    ("total", "$.detail.total"),
    ("name", "$.detail.customer.name"),
    ("customer", "$.detail.customer"),
    ("states", "$.detail.states"),
    ("kind", "$.detail-type"),
    ("gone", "$.detail.gone"),
    ("note", "$.detail.note"),
    ("each", "$.detail.states[*]"),
];

fn check(template: &str, expected: Result<&str, &'static str>) {
    let transform = transformer(PATHS, template).expect(template);
    assert_eq!(
        made(&transform, &order()).as_deref(),
        expected.as_ref().copied(),
        "{template}"
    );
}

#[test]
fn a_bare_variable_is_json() {
    check(
        r#"{"n": <id>, "t":<total>, "s": <kind>}"#,
        Ok(r#"{"n": 7, "t":12.50, "s": "order placed"}"#),
    );
    check(
        r#"{"c": <customer>}"#,
        Ok(r#"{"c": {"name":"Ann \"A\" Lee","vip":true}}"#),
    );
    check(
        r#"[<states>, <each>, <note>]"#,
        Ok(r#"[["NEW","PAID"], ["NEW","PAID"], null]"#),
    );
    check("<customer>", Ok(r#"{"name":"Ann \"A\" Lee","vip":true}"#));
}

#[test]
fn a_variable_in_a_string_loses_its_quotes() {
    check(
        r#"{"m": "order <id> of <kind>!"}"#,
        Ok(r#"{"m": "order 7 of order placed!"}"#),
    );
    check(r#"{"m": "<states> <note>"}"#, Ok(r#"{"m": "[NEW,PAID] null"}"#));
    check(r#""<customer>""#, Ok(r#""{name:Ann \"A\" Lee,vip:true}""#));
}

#[test]
fn what_is_escaped_stays_escaped_so_that_no_value_ends_a_string() {
    check(r#"{"m": "<name>", "x": 1}"#, Ok(r#"{"m": "Ann \"A\" Lee", "x": 1}"#));
    let template = transformer(&[("v", "$.detail.v")], r#"{"a": "<v>"}"#).expect("a template");
    for hostile in [r#"\",\"admin\":true,\"b\":\""#, r"\\", r"\r\nX-Admin: 1", r"\u0022"] {
        let data = format!(r#"{{"v": "{hostile}"}}"#);
        let event = Event::builder("1", "/s", "t")
            .data(Data::json(data))
            .build()
            .expect("it is valid");
        let output = made(&template, &event).expect("an output");
        assert_eq!(output, format!(r#"{{"a": "{hostile}"}}"#));
    }
}

#[test]
fn attributes_are_escaped_too() {
    let template = transformer(&[("s", "$.detail-type")], r#"{"a": "<s>", "b": <s>}"#).expect("a template");
    let event = Event::builder("1", "/s", "/a\"b\\c").build().expect("it is valid");
    assert_eq!(
        made(&template, &event).as_deref(),
        Ok(r#"{"a": "/a\"b\\c", "b": "/a\"b\\c"}"#)
    );
}

#[test]
fn a_value_that_is_not_there_is_an_empty_string() {
    check(r#"{"m": "<gone>!", "g": <gone>}"#, Ok(r#"{"m": "!", "g": ""}"#));
}

#[test]
fn predefined_variables_are_there_without_paths() {
    check(r#"{"r": "<aws.events.rule-name>"}"#, Ok(r#"{"r": "orders"}"#));
    check(
        r#"{"r": <aws.events.rule-arn>}"#,
        Ok(r#"{"r": "arn:aws:events:us-east-1:000000000000:rule/orders"}"#),
    );
    check(
        r#"{"t": <aws.events.event.ingestion-time>}"#,
        Ok(r#"{"t": "2026-11-21T10:15:30Z"}"#),
    );
    let whole = made(&Transform::input_path("$").expect("a path"), &order()).expect("an envelope");
    check("<aws.events.event.json>", Ok(whole.as_str()));
    let attributes = concat!(
        r#"{"version":"0","id":"e-1","detailType":"order placed","source":"com.example.shop","account":"000000000000","#,
        r#""time":"2026-11-21T10:15:30Z","region":"us-east-1","resources":["arn:aws:s3:::one","two"]}"#
    );
    check("<aws.events.event>", Ok(attributes));
}

#[test]
fn strings_one_after_another_are_text() {
    let template = "\"order <id>\"\n\"of <kind>\"";
    check(template, Ok("\"order 7\"\n\"of order placed\""));
    let output = |template| {
        let transform = transformer(PATHS, template).expect(template);
        transform.apply(&order().view(), &context()).expect("an output")
    };
    assert_eq!(
        (output(template).data_form(), output(template).content_type()),
        (DataForm::Text, "text/plain; charset=utf-8")
    );
    assert_eq!(
        (output("\"one <id>\"").data_form(), output("\"one\"").content_type()),
        (DataForm::Json, "application/json")
    );
}

#[test]
fn angle_brackets_that_hold_no_name_are_text() {
    check(
        r#"{"m": "1 < 2, a <- b, <>, <id"}"#,
        Ok(r#"{"m": "1 < 2, a <- b, <>, <id"}"#),
    );
    check(r#"{"m": "<<id>> \"<id>\" \\"}"#, Ok(r#"{"m": "<7> \"7\" \\"}"#));
}

#[test]
fn a_name_takes_a_string_and_fails_for_anything_else() {
    check(r#"{<kind>: 1}"#, Ok(r#"{"order placed": 1}"#));
    check(r#"{"x-<id>": 1}"#, Ok(r#"{"x-7": 1}"#));
    check(r#"{<id>: 1}"#, Err("transform_not_json"));
}

#[test]
fn what_can_never_work_is_refused_when_it_is_saved() {
    let refused = |paths: &[(&str, &str)], template: &str| transformer(paths, template).expect_err(template);
    let (part, message) = refused(PATHS, r#"{"a": <unknown>}"#);
    assert_eq!(part, Part::Placeholder("unknown".to_owned()));
    assert!(message.contains("<unknown>"), "{message}");
    for template in [
        "order <id>",
        "{\"a\": }",
        "{\"a\": <id>",
        "\"open",
        "<id> <id>",
        "{} {}",
        "\"a\" 5",
        "  ",
    ] {
        assert_eq!(refused(PATHS, template).0, Part::Template, "{template}");
    }
    assert_eq!(refused(&[], "").1, "a template is not empty");
    assert_eq!(refused(&[("a b", "$")], "{}").0, Part::Path("a b".to_owned()));
    assert_eq!(refused(&[("aws-x", "$")], "{}").1, "a name does not begin with 'AWS'");
    assert_eq!(refused(&[("", "$")], "{}").0, Part::Path(String::new()));
    assert!(refused(&[("a", "detail")], "{}").1.contains("begins with '$'"));
    assert!(refused(&[], &format!("\"{}\"", "x".repeat(8_191))).1.contains("8192"));
}

#[test]
fn a_hundred_paths_are_taken_and_one_more_is_not() {
    let paths = |count: usize| -> Vec<(String, String)> {
        (0..count).map(|n| (format!("v{n}"), "$.detail".to_owned())).collect()
    };
    assert!(Transform::input_transformer(&paths(limits::PATHS_MAX), "{}").is_ok());
    let error = Transform::input_transformer(&paths(limits::PATHS_MAX + 1), "{}").expect_err("one too many");
    assert_eq!(
        (error.part, error.message.as_str()),
        (Part::Paths, "a template has at most 100 paths")
    );
}
