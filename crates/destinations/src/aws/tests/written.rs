//! Events as the services' requests: golden texts, limits, what does not fit.

use super::{connection, event, subscription};
use crate::aws::{act::Writer, fill::Unfit};
use control::resources::ConnectionSpec;
use delivery::{Member, Record};
use event::{Data, Event, hops};
use serde_json::{Value, json};

fn spec(provider: &str, more: Value) -> ConnectionSpec {
    connection(provider, "127.0.0.1:1".parse().expect("an address"), more)
}

/// The body of the request, and how many events it holds.
fn written(spec: &ConnectionSpec, more: Value, events: &[Event]) -> Result<(String, usize), Unfit> {
    let writer = Writer::new(spec, &subscription(more)).expect("it is one of Amazon's");
    let views: Vec<_> = events.iter().map(Event::view).collect();
    let record = Record::new(Some(b"customer-7"), None, std::iter::empty());
    let members: Vec<_> = views
        .iter()
        .map(|event| Member {
            event,
            record: &record,
            message_id: "msg_1",
            number: 1,
            accepted: 0,
        })
        .collect();
    let (call, sent) = writer.write(&members)?;
    let body = String::from_utf8(call.body.to_vec()).expect("it is text");
    Ok((body, sent))
}

fn with_data(bytes: usize) -> Event {
    let text = format!(r#"{{"x":"{}"}}"#, "x".repeat(bytes - 8));
    let event = Event::builder("1", "s", "t").data(Data::json(text));
    event.build().expect("a good event")
}

fn binary(media_type: &str, bytes: &'static [u8]) -> Event {
    let event = Event::builder("1", "s", "t").data_content_type(media_type);
    event.data(Data::binary(bytes)).build().expect("a good event")
}

#[test]
fn an_entry_of_eventbridge_has_every_field_that_the_event_has() {
    let event = Event::builder("1", "com.example.shop", "order.placed")
        .time("2026-11-21T10:00:00.250Z")
        .extension("awsresources", r#"["arn:aws:s3:::invoices"]"#)
        .extension("awstraceheader", "Root=1-5759e988-bd862e3fe1be46a994272793")
        .data(Data::json(r#"{"note": "a \"quoted\" word"}"#));
    let event = event.build().expect("a good event");
    let spec = spec("eventbridge", json!({"event_bus": "orders"}));
    assert_eq!(
        written(&spec, json!({}), &[event]).expect("it fits").0,
        r#"{"Entries":[{"Source":"com.example.shop","DetailType":"order.placed","Detail":"{\"note\": \"a \\\"quoted\\\" word\"}","#.to_owned()
            + r#""EventBusName":"orders","TraceHeader":"Root=1-5759e988-bd862e3fe1be46a994272793","Time":1795255200.250,"#
            + r#""Resources":["arn:aws:s3:::invoices","trunkline:hops:1"]}]}"#
    );
}

#[test]
fn an_entry_of_cloudwatch_events_names_no_bus_and_no_trace() {
    let event = Event::builder("1", "s", "t")
        .extension("traceparent", "00-5759e988bd862e3fe1be46a994272793-53995c3f42cd8ad8-01");
    let event = event.data(Data::json("{}")).build().expect("a good event");
    let old = spec("eventbridge", json!({"api": "cloudwatch-events", "source": "shop"}));
    let more = json!({"target": {"detail_type": "OrderPlaced"}});
    assert_eq!(
        written(&old, more.clone(), std::slice::from_ref(&event))
            .expect("it fits")
            .0,
        r#"{"Entries":[{"Source":"shop","DetailType":"OrderPlaced","Detail":"{}","Resources":["trunkline:hops:1"]}]}"#
    );
    let new = written(&spec("eventbridge", json!({})), more, &[event])
        .expect("it fits")
        .0;
    let trace = r#""TraceHeader":"Root=1-5759e988-bd862e3fe1be46a994272793;Parent=53995c3f42cd8ad8;Sampled=1""#;
    assert!(new.contains(trace), "{new}");
}

#[test]
fn messages_of_queues_and_topics_carry_their_group_and_the_id_of_every_retry() {
    let queue = |name: &str| json!({"queue": format!("https://sqs.eu-central-1.amazonaws.com/1/{name}")});
    let data = json!({"target": {"mode": "data"}});
    assert_eq!(
        written(
            &spec("sqs", queue("orders.fifo")),
            data.clone(),
            &[event("1"), event("2")]
        )
        .expect("they fit"),
        (
            r#"{"QueueUrl":"https://sqs.eu-central-1.amazonaws.com/1/orders.fifo","Entries":["#.to_owned()
                + r#"{"Id":"0","MessageBody":"{\"total\": 5}","MessageGroupId":"customer-7","MessageDeduplicationId":"msg_1"},"#
                + r#"{"Id":"1","MessageBody":"{\"total\": 5}","MessageGroupId":"customer-7","MessageDeduplicationId":"msg_1"}]}"#,
            2
        )
    );
    let plain = written(&spec("sqs", queue("orders")), json!({}), &[event("1")])
        .expect("it fits")
        .0;
    assert!(
        plain.contains(r#"\"specversion\":\"1.0\""#) && !plain.contains("MessageGroupId"),
        "{plain}"
    );
    let topic = json!({"topic": "arn:aws:sns:eu-central-1:1:orders.fifo"});
    let by_type = json!({"target": {"mode": "data", "group": "type"}});
    assert_eq!(
        written(&spec("sns", topic), by_type, &[event("1")]).expect("it fits").0,
        "Action=PublishBatch&Version=2010-03-31&TopicArn=arn%3Aaws%3Asns%3Aeu-central-1%3A1%3Aorders.fifo\
         &PublishBatchRequestEntries.member.1.Id=0&PublishBatchRequestEntries.member.1.Message=%7B%22total%22%3A+5%7D\
         &PublishBatchRequestEntries.member.1.MessageGroupId=order.placed\
         &PublishBatchRequestEntries.member.1.MessageDeduplicationId=msg_1"
    );
}

#[test]
fn records_of_a_stream_carry_any_bytes_and_their_key() {
    let data = json!({"target": {"mode": "data"}});
    let stream = "arn:aws:kinesis:eu-central-1:123456789012:stream/orders";
    let binary = binary("application/octet-stream", &[0, 255, 10]);
    assert_eq!(
        written(&spec("kinesis", json!({"stream": stream})), data, &[binary])
            .expect("it fits")
            .0,
        format!(r#"{{"StreamARN":"{stream}","Records":[{{"Data":"AP8K","PartitionKey":"customer-7"}}]}}"#)
    );
}

/// As a rule's targets say them: one group for all, a value of the event as it was received, constant attributes.
#[test]
fn groups_and_attributes_are_what_the_target_says() {
    let event = Event::builder("1", "shop", "order").data(Data::json(r#"{"customer": "c 1", "n": 7}"#));
    let event = event.build().expect("a good event");
    let value = event.data().map(|data| data.bytes.as_ref());
    let record = Record::new(None, value, event::record_binding::record_headers(&event).iter());
    let shaped = Event::builder("1", "shop", "order").data(Data::json(r#"{"sum": 7}"#));
    let shaped = shaped.build().expect("a good event");
    let body = |spec: &ConnectionSpec, target: Value| {
        let writer = Writer::new(spec, &subscription(json!({"target": target}))).expect("it is one of Amazon's");
        let member = Member {
            event: &shaped.view(),
            record: &record,
            message_id: "msg_1",
            number: 1,
            accepted: 0,
        };
        let (call, _) = writer.write(&[member]).expect("it fits");
        String::from_utf8(call.body.to_vec()).expect("it is text")
    };
    let fifo = spec(
        "sqs",
        json!({"queue": "https://sqs.eu-central-1.amazonaws.com/1/q.fifo"}),
    );
    let target = json!({"mode": "data", "group_id": "orders", "attributes": {"RULE_ARN": "r"}});
    assert_eq!(
        body(&fifo, target),
        r#"{"QueueUrl":"https://sqs.eu-central-1.amazonaws.com/1/q.fifo","Entries":[{"Id":"0","MessageBody":"{\"sum\": 7}","#.to_owned()
            + r#""MessageGroupId":"orders","MessageDeduplicationId":"msg_1","#
            + r#""MessageAttributes":{"RULE_ARN":{"DataType":"String","StringValue":"r"}}}]}"#
    );
    let topic = spec("sns", json!({"topic": "arn:aws:sns:eu-central-1:1:orders"}));
    let said = body(&topic, json!({"mode": "data", "attributes": {"k": "v w"}}));
    let entry = "PublishBatchRequestEntries.member.1.MessageAttributes.entry.1";
    assert!(
        said.ends_with(&format!(
            "&{entry}.Name=k&{entry}.Value.DataType=String&{entry}.Value.StringValue=v+w"
        )),
        "{said}"
    );
    let stream = spec("kinesis", json!({"stream": "orders"}));
    for (path, key) in [
        ("$.detail.n", "7\""),
        ("$.detail.customer", "h-"),
        ("$.source", "shop\""),
        ("$.detail.none", "msg_1\""),
    ] {
        let said = body(&stream, json!({"mode": "data", "group_path": path}));
        assert!(said.contains(&format!(r#""PartitionKey":"{key}"#)), "{path}: {said}");
    }
}

#[test]
fn a_batch_of_a_function_is_an_array() {
    let more = json!({"target": {"mode": "batched"}, "delivery": {"batch": {"events": 2}}});
    let (body, sent) = written(
        &spec("lambda", json!({"function": "f"})),
        more,
        &[event("1"), event("2"), event("3")],
    )
    .expect("they fit");
    let events: Vec<Value> = serde_json::from_str(&body).expect("an array");
    assert_eq!((events.len(), sent, &events[1]["id"]), (2, 2, &json!("2")));
}

/// Ten entries, and what the provider counts, whichever is reached first.
#[test]
fn a_request_holds_what_the_provider_takes_and_no_more() {
    let queue = json!({"queue": "https://sqs.eu-central-1.amazonaws.com/1/q"});
    let topic = json!({"topic": "arn:aws:sns:eu-central-1:1:t"});
    let mib = 1 << 20;
    for (provider, more, bytes, expected) in [
        ("eventbridge", json!({}), 100, 10),
        ("sqs", queue.clone(), 100, 10),
        ("sns", topic.clone(), 100, 10),
        ("kinesis", json!({"stream": "s"}), 100, 12),
        // 256 KiB each, with the attributes: three fit.
        ("eventbridge", json!({}), mib / 4, 3),
        ("sqs", queue.clone(), mib / 4, 4),
        ("sns", topic.clone(), mib / 4, 1),
        ("sns", topic, mib / 8, 2),
        ("kinesis", json!({"stream": "s"}), mib, 9),
        ("lambda", json!({"function": "f"}), 100, 1),
    ] {
        let events = vec![with_data(bytes); 12];
        let (_, sent) = written(&spec(provider, more), json!({"target": {"mode": "data"}}), &events).expect("they fit");
        assert_eq!(sent, expected, "{provider} {bytes}");
    }
}

#[test]
fn an_event_that_the_provider_can_never_take_is_refused_with_the_reason() {
    let refused = |provider: &str, more: Value, mode: &str, event: Event| {
        let more = spec(provider, more);
        let unfit = written(&more, json!({"target": {"mode": mode}}), &[event]).expect_err("it is refused");
        (unfit.reason, unfit.detail)
    };
    let queue = || json!({"queue": "https://sqs.eu-central-1.amazonaws.com/1/q"});
    let list = Event::builder("1", "s", "t")
        .data(Data::json("[5]"))
        .build()
        .expect("a good event");
    let (reason, detail) = refused("eventbridge", json!({}), "data", list);
    assert_eq!(reason, "event_unsuitable");
    assert!(detail.contains("target.mode structured can carry it"), "{detail}");
    let (reason, detail) = refused("sqs", queue(), "structured", with_data(1 << 20));
    assert_eq!(reason, "event_too_large");
    assert!(
        detail.ends_with("is larger than the 1048576 bytes that the service takes"),
        "{detail}"
    );
    let (reason, _) = refused("sqs", queue(), "data", binary("application/octet-stream", &[0xff]));
    assert_eq!(reason, "event_unsuitable");
    let (reason, _) = refused("sqs", queue(), "data", binary("text/plain", b"a\x01b"));
    assert_eq!(reason, "event_unsuitable");
    let (reason, _) = refused(
        "lambda",
        json!({"function": "f"}),
        "data",
        binary("text/plain", b"hello"),
    );
    assert_eq!(reason, "event_unsuitable");
    let (reason, _) = refused("lambda", json!({"function": "f"}), "data", with_data(1_000_001));
    assert_eq!(reason, "event_too_large");
    let looping = Event::builder("1", "s", "t")
        .extension(hops::EXTENSION, "16")
        .data(Data::json("{}"));
    let (reason, _) = refused("eventbridge", json!({}), "data", looping.build().expect("a good event"));
    assert_eq!(reason, "too_many_hops");
}

#[test]
fn an_event_that_does_not_fit_stops_the_request_before_it() {
    let spec = spec("sqs", json!({"queue": "https://sqs.eu-central-1.amazonaws.com/1/q"}));
    let events = [event("1"), binary("text/plain", b"\x01"), event("3")];
    let (_, sent) = written(&spec, json!({"target": {"mode": "data"}}), &events).expect("the first fits");
    assert_eq!(sent, 1);
}
