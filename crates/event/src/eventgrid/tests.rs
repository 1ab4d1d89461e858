//! The mapping of Event Grid's schema, both ways.

use super::*;
use crate::{Data, codes};

const NOW: &str = "2026-01-31T12:00:00Z";

fn read(text: &str) -> Vec<Result<Event, Invalid>> {
    decode(&Bytes::copy_from_slice(text.as_bytes()), "/v1/buses/default").expect("an array")
}

fn one(text: &str) -> Result<Event, Invalid> {
    read(&format!("[{text}]")).remove(0)
}

fn written(event: &Event) -> String {
    let mut out = Vec::new();
    encode(&event.view(), NOW, &mut out);
    String::from_utf8(out).expect("JSON is UTF-8")
}

#[track_caller]
fn comes_back(event: &Event) {
    let text = written(event);
    assert_eq!(one(&text).as_ref(), Ok(event), "{text}");
}

/// What `azure-eventgrid` sends, and what a subscriber of Azure's gets.
#[test]
fn an_event_of_the_schema_is_written_as_it_was_read() {
    let text = concat!(
        r#"{"id":"b1","topic":"/subscriptions/s/resourceGroups/g/providers/Microsoft.EventGrid/topics/t","subject":"/orders/1","#,
        r#""eventType":"Order.Placed","eventTime":"2026-01-31T12:00:00.1234567Z","dataVersion":"2.0","metadataVersion":"1","#,
        r#""data":{ "b": 1.0e2 ,"a":[null] }}"#
    );
    let event = one(text).expect("it is valid");
    assert_eq!(written(&event), text);
    assert_eq!(
        event.source(),
        "/subscriptions/s/resourceGroups/g/providers/Microsoft.EventGrid/topics/t"
    );
    assert_eq!(
        (event.event_type(), event.subject()),
        ("Order.Placed", Some("/orders/1"))
    );
    assert_eq!(event.time(), Some("2026-01-31T12:00:00.1234567Z"));
    assert_eq!(event.extension("dataversion"), Some("2.0"));
    assert_eq!(event.data_content_type(), Some("application/json"));
    assert_eq!(event.extensions().len(), 1);
}

#[test]
fn what_a_publisher_leaves_out_is_filled_in() {
    let event = one(r#"{"id":"1","subject":"","eventType":"t","eventTime":"2017-08-10T21:03:07","topic":null}"#);
    let event = event.expect("it is valid");
    assert_eq!(event.source(), "/v1/buses/default");
    assert_eq!((event.subject(), event.time()), (None, Some("2017-08-10T21:03:07Z")));
    assert_eq!(
        written(&event),
        concat!(
            r#"{"id":"1","topic":"/v1/buses/default","subject":"","eventType":"t","eventTime":"2017-08-10T21:03:07Z","#,
            r#""dataVersion":"","metadataVersion":"1","data":null}"#
        )
    );
}

#[test]
fn what_the_schema_has_no_place_for_stands_in_a_member_of_its_own() {
    let event = Event::builder("1", "/s", "t")
        .extension("traceparent", "00-x")
        .data_schema("https://example.com/s")
        .data(Data::json("5"))
        .build()
        .expect("it is valid");
    let text = written(&event);
    assert!(
        text.ends_with(
            r#""data":5,"cloudEvent":{"time":null,"dataschema":"https://example.com/s","traceparent":"00-x"}}"#
        ),
        "{text}"
    );
    assert!(text.contains(r#""eventTime":"2026-01-31T12:00:00Z""#), "{text}");
    comes_back(&event);
}

#[test]
fn every_event_comes_back_as_it_was() {
    let base = || Event::builder("1", "/s", "t").time(NOW);
    let typed = |name: &str, value: &str, kind| crate::Extension {
        name: name.to_owned(),
        value: value.to_owned(),
        kind,
    };
    let events = [
        base(),
        base().subject("a \"b\" é"),
        base().data(Data::json(r#"{"a": 1}"#)),
        base().data(Data::json("\"x\"")),
        base()
            .data(Data::json("\"x\""))
            .data_content_type("application/vnd.x+json"),
        base().data(Data::text("some text")),
        base().data(Data::text("<a/>")).data_content_type("text/xml"),
        base().data(Data::binary(vec![0, 1, 255])),
        base().data(Data::binary(vec![0])).data_content_type("application/json"),
        base().data_content_type("application/json"),
        base().extension("dataversion", "").extension("metadataversion", "1"),
        base().extension("metadataversion", "2"),
        base().typed_extension(typed("dataversion", "3", AttributeKind::Integer)),
        base().typed_extension(typed("flag", "true", AttributeKind::Boolean)),
        base().extension("topic", "x").extension("cloudevent", "y"),
    ];
    for event in events {
        comes_back(&event.build().expect("it is valid"));
    }
}

#[test]
fn what_is_refused_is_named_as_the_sender_named_it() {
    for (member, attribute) in [
        (r#""eventType":"""#, "eventType"),
        (r#""eventType":5"#, "eventType"),
        (r#""eventType":"t","eventTime":"yesterday""#, "eventTime"),
        (r#""eventType":"t","topic":"a b""#, "topic"),
        (r#""eventType":"t","eventtype":"t""#, "eventtype"),
        (r#""eventType":"t","dataVersion":1"#, "dataVersion"),
        (r#""eventType":"t","dataVersion":"\ud800""#, "dataVersion"),
        (r#""eventType":"t","cloudEvent":5"#, "cloudEvent"),
        (r#""eventType":"t","cloudEvent":{"source":"/bank"}"#, "source"),
        (
            r#""eventType":"t","cloudEvent":{"time":"2026-01-31T12:00:00Z"}"#,
            "eventTime",
        ),
        (r#""eventType":"t","cloudEvent":{"data_base64":true}"#, "data"),
        (
            r#""eventType":"t","cloudEvent":{"data_base64":true},"data":"!""#,
            "data_base64",
        ),
        (r#""eventType":"t","cloudEvent":{"a":"1","a":"2"}"#, "a"),
        (r#""eventType":"t","cloudEvent":{"A":"1"}"#, "A"),
        (r#""eventType":"t","id":"2""#, "id"),
    ] {
        let refused = one(&format!(r#"{{"id":"1",{member}}}"#)).map_err(|invalid| invalid.attribute);
        let expected = match attribute {
            "source" => "topic",
            other => other,
        };
        assert_eq!(refused.err().as_deref(), Some(expected), "{member}");
    }
    let missing = one(r#"{"eventType":"t"}"#).expect_err("it has no id");
    assert_eq!(
        (missing.code, missing.attribute.as_str()),
        (codes::ATTRIBUTE_MISSING, "id")
    );
}

#[test]
fn one_bad_entry_leaves_the_others_readable_and_no_array_is_refused() {
    let entries = read(r#"[{"id":"1","eventType":"t"},{"id":"2"},5,{"id":"3","eventType":"t"}]"#);
    let good: Vec<bool> = entries.iter().map(Result::is_ok).collect();
    assert_eq!(good, [true, false, false, true]);
    for body in [r#"{"id":"1","eventType":"t"}"#, "", "[", "null"] {
        let refused = decode(&Bytes::copy_from_slice(body.as_bytes()), "/s").expect_err(body);
        assert_eq!(refused.code, codes::BODY_INVALID, "{body}");
    }
}
