//! Constants and paths.

use crate::{context, made, order};
use event::{Data, DataForm, Event};
use transform::{Part, Transform, limits};

fn at(path: &str) -> Result<String, &'static str> {
    made(&Transform::input_path(path).expect(path), &order())
}

#[test]
fn the_whole_event_is_its_eventbridge_envelope() {
    let envelope = concat!(
        r#"{"version":"0","id":"e-1","detail-type":"order placed","source":"com.example.shop","account":"000000000000","#,
        r#""time":"2026-11-21T10:15:30Z","region":"us-east-1","resources":["arn:aws:s3:::one","two"],"#,
        r#""detail":{"id":7,"total":12.50,"customer":{"name":"Ann \"A\" Lee","vip":true},"states":["NEW","PAID"],"note":null}}"#
    );
    assert_eq!(at("$").as_deref(), Ok(envelope));
}

#[test]
fn what_an_event_does_not_say_its_envelope_takes_from_where_it_was_accepted() {
    let bare = Event::builder("1", "/s", "t").build().expect("it is valid");
    let whole = made(&Transform::input_path("$").expect("a path"), &bare).expect("an envelope");
    assert!(whole.contains(r#""time":"2026-11-21T10:15:30Z""#), "{whole}");
    assert!(whole.ends_with(r#""resources":[],"detail":{}}"#), "{whole}");
    let said = Event::builder("1", "/s", "t")
        .extension("awsaccount", "123456789012")
        .extension("awsregion", "eu-west-1");
    let whole = made(
        &Transform::input_path("$").expect("a path"),
        &said.build().expect("it is valid"),
    )
    .expect("an envelope");
    assert!(
        whole.contains(r#""account":"123456789012""#) && whole.contains(r#""region":"eu-west-1""#),
        "{whole}"
    );
}

#[test]
fn the_envelope_of_a_replayed_event_names_the_replay() {
    let replayed = |path: &str| {
        let context = transform::Context {
            replay_name: Some("again"),
            ..context()
        };
        let transform = Transform::input_path(path).expect("a path");
        let output = transform
            .apply(&order().view(), &context)
            .map_err(|failure| failure.code)?;
        Ok(String::from_utf8(output.bytes().to_vec()).expect("it is UTF-8"))
    };
    let whole = replayed("$").expect("an envelope");
    assert!(whole.contains(r#""two"],"replay-name":"again","detail":{"#), "{whole}");
    assert_eq!(replayed("$.replay-name").as_deref(), Ok(r#""again""#));
    assert_eq!(replayed("$.replay-name.x"), Err("transform_path_missing"));
    assert_eq!(at("$.replay-name"), Err("transform_path_missing"));
}

#[test]
fn a_path_takes_a_part_as_json() {
    for (path, part) in [
        ("$.detail.customer", r#"{"name":"Ann \"A\" Lee","vip":true}"#),
        ("$.detail.customer.name", r#""Ann \"A\" Lee""#),
        ("$.detail.total", "12.50"),
        ("$.detail.note", "null"),
        ("$.detail-type", r#""order placed""#),
        ("$['detail-type']", r#""order placed""#),
        ("$.resources[1]", r#""two""#),
        ("$.detail.states[*]", r#"["NEW","PAID"]"#),
        ("$.detail.customer.*", r#"["Ann \"A\" Lee",true]"#),
        ("$.time", r#""2026-11-21T10:15:30Z""#),
    ] {
        assert_eq!(at(path).as_deref(), Ok(part), "{path}");
    }
}

#[test]
fn an_event_without_the_part_fails_with_a_reason() {
    for path in ["$.detail.missing", "$.source.x", "$.subject", "$.*", "$[0]"] {
        assert_eq!(at(path), Err("transform_path_missing"), "{path}");
    }
    let text = Event::builder("1", "/s", "t")
        .data(Data::text("no \"json\""))
        .build()
        .expect("it is valid");
    let whole = Transform::input_path("$.detail").expect("a path");
    assert_eq!(made(&whole, &text).as_deref(), Ok(r#""no \"json\"""#));
    assert_eq!(
        made(&Transform::input_path("$.detail.x").expect("a path"), &text),
        Err("transform_path_missing")
    );
}

#[test]
fn a_constant_is_the_same_for_every_event() {
    let constant = Transform::input(" {\"a\": 3e2}\n").expect("JSON");
    assert_eq!(made(&constant, &order()).as_deref(), Ok("{\"a\": 3e2}"));
    for wrong in ["", "{", "plain", "{} {}"] {
        let error = Transform::input(wrong).expect_err(wrong);
        assert_eq!(error.part, Part::Input);
        assert!(error.message.starts_with("it is no JSON"), "{error}");
    }
    let long = format!("\"{}\"", "x".repeat(limits::TEXT_CHARACTERS_MAX));
    assert!(
        Transform::input(&long)
            .expect_err("it is too long")
            .message
            .contains("8192")
    );
}

#[test]
fn the_event_of_an_output_is_the_same_event_with_other_data() {
    let event = order();
    let view = event.view();
    let output = Transform::input("[1]")
        .expect("JSON")
        .apply(&view, &context())
        .expect("a constant");
    let changed = output.event(&view);
    assert_eq!(
        (changed.id(), changed.source(), changed.event_type()),
        (view.id(), view.source(), view.event_type())
    );
    assert_eq!(
        (changed.data(), changed.data_form()),
        (Some(&b"[1]"[..]), DataForm::Json)
    );
    assert_eq!(
        (changed.data_content_type(), changed.data_schema()),
        (Some("application/json"), None)
    );
    assert_eq!(changed.extension("awsresources"), view.extension("awsresources"));
}
