//! What filters see of events, which rule speaks for an offset, and what asking costs.

// One allocator that counts, and one piece of unsafe code, for the tests of both crates.
#[path = "../../../pattern/tests/it/counting.rs"]
#[expect(dead_code, reason = "bytes are what the matcher's own tests ask for")]
mod counting;

use super::*;
use control::{filters::paths as control_paths, resources::TopicSpec};
use event::{Event, record_binding::record_headers};
use pattern::Mounts;

fn check(pattern: &str, event: &Event, expected: bool) {
    let names = [
        ("detail", control_paths::DATA),
        ("detail-type", control_paths::TYPE),
        ("time", control_paths::AWS_TIME),
        ("account", control_paths::AWS_ACCOUNT),
        ("resources", control_paths::AWS_RESOURCES),
    ];
    let mounts = names
        .iter()
        .fold(Mounts::builder(), |mounts, (name, path)| mounts.mount(name, path))
        .build();
    let filter = Filter::eventbridge(pattern.as_bytes(), &mounts).unwrap();
    let found = Sieve::default().matches_one(&filter, &event.view(), 1_700_000_000_123);
    assert_eq!(found, expected, "{pattern}");
    assert_eq!(why_not(&filter, &event.view(), 1_700_000_000_123).is_none(), expected);
}

fn event(time: Option<&str>) -> Event {
    let builder = Event::builder("1", "/s", "order").data(event::Data::json(r#"{"status": "paid"}"#));
    let builder = builder.extension("awsresources", r#"["arn:1"]"#);
    time.into_iter()
        .fold(builder, event::EventBuilder::time)
        .build()
        .unwrap()
}

#[test]
fn eventbridge_patterns_see_an_event_from_any_door() {
    let event = event(None);
    check(
        r#"{"detail": {"status": ["paid"]}, "detail-type": ["order"]}"#,
        &event,
        true,
    );
    check(r#"{"detail": {"status": ["open"]}}"#, &event, false);
    check(r#"{"resources": ["arn:1"], "account": ["000000000000"]}"#, &event, true);
}

#[test]
fn eventbridge_patterns_see_the_source_that_was_no_uri_reference_as_it_was() {
    let entry = event::eventbridge::Entry {
        source: "my shop".into(),
        detail_type: "Order Placed".into(),
        detail: "{}".into(),
        ..Default::default()
    };
    let event = entry.into_event("1").unwrap();
    let filter = |pattern: &str| compiled(&format!(r#"{{"eventbridge": {pattern}}}"#));
    let sees = |pattern: &str| Sieve::default().matches_one(&filter(pattern), &event.view(), 0);
    assert!(sees(r#"{"source": ["my shop"], "detail-type": ["Order Placed"]}"#));
    assert!(!sees(r#"{"source": ["my%20shop"]}"#));
    let of_uri = compiled(r#"{"cesql": "source = 'my%20shop'"}"#);
    assert!(Sieve::default().matches_one(&of_uri, &event.view(), 0));
}

#[test]
fn time_is_in_utc_to_the_second_and_the_append_time_where_there_is_none() {
    check(
        r#"{"time": ["2026-01-02T03:04:05Z"]}"#,
        &event(Some("2026-01-02T03:04:05.678Z")),
        true,
    );
    check(
        r#"{"time": [{"prefix": "2026-01-02T02:04:05Z"}]}"#,
        &event(Some("2026-01-02T03:04:05+01:00")),
        true,
    );
    check(r#"{"time": ["2023-11-14T22:13:20Z"]}"#, &event(None), true);
}

#[test]
fn expressions_see_attributes_with_their_types() {
    let typed = |name: &str, value: &str, kind| event::Extension {
        name: name.into(),
        value: value.into(),
        kind,
    };
    let event = Event::builder("1", "/s", "order")
        .typed_extension(typed("hops", "5", AttributeKind::Integer))
        .typed_extension(typed("urgent", "true", AttributeKind::Boolean))
        .extension("sequence", "05")
        .build()
        .unwrap();
    let check = |expression: &str, expected: bool| {
        let filter = Filter::cesql(expression, pattern::Dialect::Standard).unwrap();
        let found = Sieve::default().matches_one(&filter, &event.view(), 1_700_000_000_123);
        assert_eq!(found, expected, "{expression}");
    };
    check("specversion = '1.0' AND type LIKE 'ord%'", true);
    check("'05' = hops AND '05' = sequence", true);
    check("'5' = sequence", false);
    check("urgent AND hops + 1 = 6", true);
    check("EXISTS time", false);
}

#[test]
fn an_earlier_rule_speaks_below_its_boundary_only() {
    let _ = TopicSpec::default();
    let partition = Partition { topic: 1, index: 0 };
    let rule = |version| Rule {
        version,
        filter: Arc::new(Filter::everything()),
        topics: BTreeSet::from([1]),
    };
    let earlier = |version, offset| Earlier {
        rule: rule(version),
        boundary: BTreeMap::from([(partition, offset)]),
    };
    let rules = Rules {
        current: rule(3),
        earlier: vec![earlier(1, 10), earlier(2, 20)],
    };
    let speaks = [9, 10, 19, 20].map(|offset| rules.at(partition, offset).version);
    assert_eq!(speaks, [1, 2, 2, 3]);
    assert_eq!(rules.at(Partition { index: 1, ..partition }, 0).version, 3);
}

/// The headers and the value of an event's record.
fn record(event: &Event) -> (Vec<(String, Vec<u8>)>, Vec<u8>) {
    let headers = record_headers(event);
    let owned = headers
        .iter()
        .map(|(name, value)| (name.to_owned(), value.unwrap().to_vec()));
    (
        owned.collect(),
        event.data().map_or_else(Vec::new, |data| data.bytes.to_vec()),
    )
}

/// The event of a record, as the router reads it.
fn read<'r>((headers, value): &'r (Vec<(String, Vec<u8>)>, Vec<u8>)) -> EventView<'r> {
    let headers = headers
        .iter()
        .map(|(name, value)| (name.as_str(), Some(value.as_slice())));
    EventView::from_record(headers, Some(value)).unwrap()
}

/// A filter as a subscription has it.
fn compiled(filter: &str) -> Arc<Filter> {
    let filter = serde_json::from_str(filter).unwrap();
    control::filters::compile_parts(None, Some(&filter)).unwrap()
}

#[test]
fn a_record_is_matched_without_an_allocation_once_the_memory_is_warm() {
    let filters = [
        r#"{"eventbridge": {"detail": {"status": ["paid"], "note": [{"wildcard": "*b*"}]}, "time": [{"prefix": "2026-"}]}}"#,
        r#"{"eventbridge": {"resources": ["arn:1"], "source": [{"anything-but": ["/test"]}]}}"#,
        r#"{"cesql": "tenant IN ('a', 'b') AND hops > 3 AND subject LIKE 'x%'"}"#,
        r#"{"jsonpath": "$.lines[?@.price > 10]"}"#,
        r#"{"cloudevents": [{"prefix": {"type": "order."}}]}"#,
        r#"{"eventgrid": {"advancedFilters": [{"operatorType": "StringBeginsWith", "key": "data.status", "values": ["p"]}]}}"#,
    ];
    let ids = 1u64..;
    let matcher = Matcher::build(ids.zip(filters.map(compiled)));
    let data = r#"{"status": "paid", "note": "a\u0062c", "lines": [{"price": 12, "more": {"x": [1, 2]}}]}"#;
    let whole = Event::builder("1", "/s", "order.placed")
        .subject("x")
        .time("2026-01-02T03:04:05.678Z")
        .extension("awsresources", r#"["arn:1"]"#)
        .extension("tenant", "a")
        .typed_extension(event::Extension {
            name: "hops".into(),
            value: "5".into(),
            kind: AttributeKind::Integer,
        })
        .data(event::Data::json(data))
        .build()
        .unwrap();
    let bare = Event::builder("2", "/s", "order.gone").build().unwrap();
    let records = [record(&whole), record(&bare)];
    let mut sieve = Sieve::default();
    let mut pass = |appended: Millis| {
        let expected: [&[SubscriptionId]; 2] = [&[1, 2, 3, 4, 5, 6], &[5]];
        for (record, expected) in records.iter().zip(expected) {
            let matched = sieve.matches(&matcher, &read(record), appended);
            assert_eq!(matched, expected);
        }
    };
    pass(1_700_000_000_123);
    let before = counting::allocations();
    (0..20).for_each(|_| pass(1_700_000_000_123));
    assert_eq!(counting::allocations() - before, 0);
}

#[test]
fn json_is_read_again_only_where_nobody_vouches_for_it() {
    let event = event(None);
    let own = record(&event);
    assert!(matches!(data(&read(&own)), Data::WellFormed(_)) && matches!(data(&event.view()), Data::WellFormed(_)));
    let (mut headers, value) = own;
    headers.retain(|(name, _)| name != event::record_binding::DATA_HEADER);
    let foreign = (headers, value);
    assert!(matches!(data(&read(&foreign)), Data::Json(_)));
}
