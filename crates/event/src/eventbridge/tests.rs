//! Entries: every member comes back, and what is wrong is said in the words of an entry.

use super::*;
use proptest::prelude::*;

fn entry() -> Entry<'static> {
    Entry {
        source: "com.example.shop".into(),
        detail_type: "Order Placed".into(),
        detail: r#"{"total": 5.0, "sku":"a"}"#.into(),
        ..Entry::default()
    }
}

#[test]
fn an_entry_becomes_an_event() {
    let event = entry().into_event("i").expect("valid");
    assert_eq!(
        (event.id(), event.source(), event.event_type(), event.time()),
        ("i", "com.example.shop", "Order Placed", None)
    );
    assert_eq!(
        (event.extensions().len(), event.data_content_type()),
        (0, Some("application/json"))
    );
}

#[test]
fn every_member_of_an_entry_comes_back() {
    let whole = Entry {
        source: "my shop/é%2".into(),
        time: Some("2023-11-14T22:13:20.5Z".into()),
        resources: vec!["arn:aws:s3:::a".into(), "with \"quotes\"\n".into()],
        trace_header: Some("Root=1-5759e988-bd862e3fe1be46a994272793;Parent=53995c3f42cd8ad8;Sampled=1".into()),
        account: Some("123456789012".into()),
        region: Some("eu-west-1".into()),
        ..entry()
    };
    let event = whole.clone().into_event("i").expect("valid");
    assert_eq!(event.source(), "my%20shop/%C3%A9%252");
    assert_eq!(
        event.extension("traceparent"),
        Some("00-5759e988bd862e3fe1be46a994272793-53995c3f42cd8ad8-01")
    );
    assert_eq!(Entry::of(&event.view()).expect("it is one"), whole);
    let view = event.view();
    assert_eq!((account(&view), region(&view)), ("123456789012", "eu-west-1"));
    let resources: Vec<String> = serde_json::from_str(resources_json(&view)).expect("a list");
    assert_eq!(resources, whole.resources);
}

#[test]
fn a_refusal_is_in_the_words_of_an_entry() {
    let refused = |change: fn(&mut Entry<'_>)| {
        let mut entry = entry();
        change(&mut entry);
        entry.into_event("i").expect_err("it is refused").attribute
    };
    assert_eq!(refused(|entry| entry.source = "".into()), "Source");
    assert_eq!(refused(|entry| entry.source = "a\u{0}b".into()), "Source");
    assert_eq!(refused(|entry| entry.detail_type = "".into()), "DetailType");
    assert_eq!(refused(|entry| entry.detail_type = "a\nb".into()), "DetailType");
    assert_eq!(refused(|entry| entry.time = Some("yesterday".into())), "Time");
    assert_eq!(
        refused(|entry| entry.trace_header = Some("a\r\nb: c".into())),
        "TraceHeader"
    );
    assert_eq!(refused(|entry| entry.resources = vec!["\u{ffff}".into()]), "Resources");
    for detail in ["", "[]", "5", "\"{}\"", "{", "{}x", "null", "{\"a\":}", "\u{a0}{}"] {
        let refused = Entry {
            detail: detail.into(),
            ..entry()
        }
        .into_event("i")
        .expect_err(detail);
        assert_eq!(
            (refused.attribute.as_str(), refused.code),
            ("Detail", crate::codes::DATA_INVALID),
            "{detail}"
        );
    }
}

/// Check 44: an extension that somebody publishes does not make an event another source's.
#[test]
fn the_source_of_an_extension_counts_only_where_it_is_that_of_the_event() {
    let event = |source: &str, given: &str| {
        Event::builder("1", source, "t")
            .extension("awssource", given)
            .build()
            .expect("valid")
    };
    for (source_of_event, given, seen) in [
        ("my%20shop", "my shop", "my shop"),
        ("my%20shop", "aws.s3", "my%20shop"),
        ("/shop", "bank", "/shop"),
        ("my%20shop", "my%20shop", "my%20shop"),
    ] {
        assert_eq!(
            source(&event(source_of_event, given).view()),
            seen,
            "{source_of_event} {given}"
        );
    }
}

#[test]
fn only_data_that_is_an_object_is_a_detail() {
    for data in [Data::json("[5]"), Data::text("{}"), Data::binary(vec![0])] {
        let event = Event::builder("1", "/s", "t").data(data).build().expect("valid");
        assert!(Entry::of(&event.view()).is_err());
    }
    let event = Event::builder("1", "/s", "t")
        .extension("awsresources", "{broken")
        .data(Data::json("{}"));
    let event = event.build().expect("valid");
    assert!(Entry::of(&event.view()).expect("it is one").resources.is_empty());
}

proptest! {
    #[test]
    fn whatever_is_taken_comes_back(
        source in "\\PC{1,20}",
        detail_type in "\\PC{1,20}",
        resources in prop::collection::vec(".{0,8}", 0..4),
        trace in prop::option::of("\\PC{1,20}"),
        region in "[a-z]{2}-[a-z]{4}-[0-9]",
    ) {
        let given = Entry {
            source: source.into(),
            detail_type: detail_type.into(),
            resources: resources.into_iter().map(Cow::Owned).collect(),
            trace_header: trace.map(Cow::Owned),
            region: Some(region.into()),
            ..entry()
        };
        if let Ok(event) = given.clone().into_event("i") {
            let view = event.view();
            let back = Entry::of(&view).expect("its detail is an object");
            let region = back.region.clone().or(Some(REGION_DEFAULT.into()));
            prop_assert_eq!(Entry { region, ..back }, given);
        }
    }
}
