//! What is accepted, and that what was accepted comes out so that putting it again changes nothing.

use super::*;
use ResourceKind::{Connection, EventType, Subscription, Topic};
use proptest::prelude::*;

#[test]
fn the_example_of_the_documentation_is_accepted_whole() {
    let mut installation = Installation::new();
    let mut put = |kind, name: &str, body| assert!(installation.put(kind, name, body).is_ok());
    put(
        Topic,
        "orders",
        json!({"kind": "topic", "bus": "default", "name": "orders", "partitions": 6,
        "retention": {"age": "7d", "bytes": "10GiB", "hold": "7d"}}),
    );
    put(
        EventType,
        "com.example.order.placed",
        json!({"owner": "checkout",
        "routes": [{"topic": "orders", "key": "order.customer.id"}]}),
    );
    put(Connection, "crm", webhook("http://crm.example:9000/hook"));
    put(
        Subscription,
        "paid-orders-to-crm",
        json!({
            "topics": ["orders"],
            "types": ["com.example.order.*"],
            "filter": {"eventbridge": {"detail": {"status": ["paid"]}}},
            "connection": "crm",
            "target": {"mode": "binary"},
            "delivery": {"ordering": "none", "concurrency": 16, "rate": "100/s", "timeout": "15s",
                "retry": {"schedule": ["0s", "5s", "30s", "2m"], "attempts": 12, "age": "24h"}},
            "start": "now",
            "enabled": true
        }),
    );
    let exported = installation.export(Subscription, "paid-orders-to-crm");
    assert_eq!(exported["delivery"]["rate"], "100/s");
    assert_eq!(
        exported["delivery"]["retry"]["schedule"],
        json!(["0s", "5s", "30s", "2m"])
    );
}

#[test]
fn a_subscription_that_says_little_gets_the_defaults() {
    let installation = Installation::furnished();
    let delivery = &installation.model.buses[BUS].subscriptions["to-crm"].spec.delivery;
    assert_eq!(delivery.concurrency, 16);
    assert_eq!(delivery.timeout.as_secs(), 15);
    assert_eq!(delivery.retry.age.as_secs(), 86_400);
    let waits: Vec<_> = delivery.retry.schedule.iter().map(|wait| wait.as_secs()).collect();
    assert_eq!(waits, [0, 5, 30, 120, 600, 1_800, 3_600, 10_800, 21_600, 43_200]);
}

fn topics() -> impl Strategy<Value = Value> {
    let ages = prop_oneof![
        Just(json!(null)),
        Just(json!("36h")),
        (1u32..5_000).prop_map(|hours| json!(format!("{hours}h")))
    ];
    let sizes = prop_oneof![
        Just(json!(null)),
        (1u64 << 20..1 << 50).prop_map(|bytes| json!(bytes)),
        Just(json!("3GiB"))
    ];
    (1u32..500, ages, sizes, ".{0,20}").prop_map(|(partitions, age, bytes, description)| {
        let description = description.replace('\0', "");
        json!({"partitions": partitions, "retention": {"age": age, "bytes": bytes}, "description": description})
    })
}

fn connections() -> impl Strategy<Value = Value> {
    let auths = prop_oneof![
        Just(json!({"type": "none"})),
        Just(json!({"type": "basic", "username": "u", "password": "pass word"})),
        Just(json!({"type": "bearer", "token": "t"})),
        Just(json!({"type": "api-key", "header": "Authorization", "value": "Token t"})),
    ];
    let signings = prop_oneof![
        Just(json!(null)),
        Just(json!({"style": "standard-webhooks", "secrets": [SECRET]})),
        Just(json!({"style": "standard-webhooks", "secrets": [OTHER_SECRET, SECRET]})),
    ];
    (auths, signings, "[a-z]{1,8}", "[ -~]{0,8}").prop_map(|(auth, signing, name, value)| {
        let headers = json!({format!("x-{name}"): value.trim()});
        let config =
            json!({"url": format!("https://{name}.example/"), "headers": headers, "auth": auth, "signing": signing});
        json!({"provider": "webhook", "config": config})
    })
}

fn subscriptions() -> impl Strategy<Value = Value> {
    let retries = prop_oneof![
        Just(json!({})),
        proptest::collection::vec(0u64..100_000, 1..50).prop_map(|waits| {
            json!({"schedule": waits.iter().map(|wait| format!("{wait}ms")).collect::<Vec<_>>(), "attempts": 3})
        }),
        (1.0f64..10.0, 0.0f64..0.5).prop_map(|(factor, jitter)| {
            json!({"exponential": {"first": "1s", "factor": factor, "max": "1h", "jitter": jitter}, "age": "90m"})
        }),
    ];
    let filters = prop_oneof![
        Just(json!(null)),
        Just(json!({"eventbridge": {"detail": {"n": [{"numeric": [">", 0.1]}]}}}))
    ];
    let rates = prop_oneof![
        Just(json!(null)),
        (1u32..1000, "[smhd]").prop_map(|(count, unit)| json!(format!("{count}/{unit}")))
    ];
    (retries, filters, rates, any::<bool>(), 1u32..1000).prop_map(|(retry, filter, rate, enabled, concurrency)| {
        let outcomes = json!({"404": "refused", "503": "delivered"});
        json!({"connection": "crm", "topics": null, "types": ["a.*"], "filter": filter, "enabled": enabled, "start": "earliest",
            "target": {"mode": "structured"},
            "delivery": {"rate": rate, "retry": retry, "ordering": "key", "concurrency": concurrency, "outcomes": outcomes}})
    })
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(64) })]

    #[test]
    fn putting_what_was_exported_changes_nothing(topic in topics(), connection in connections(), subscription in subscriptions()) {
        let mut installation = Installation::furnished();
        for (kind, body) in [(Topic, topic), (Connection, connection), (Subscription, subscription)] {
            installation.put(kind, "new", body).unwrap();
            let exported = installation.export(kind, "new");
            prop_assert_eq!(told(installation.put(kind, "new", exported.clone())), "Unchanged");
            prop_assert_eq!(installation.export(kind, "new"), exported);
        }
    }
}

/// A subscription with this member as it goes out; neither that nor what went in changes it any more.
fn kept(member: &str) -> Value {
    let mut installation = Installation::furnished();
    let body = format!(r#"{{"connection": "crm", {member}}}"#);
    let body = crate::filters::read_document(body.as_bytes()).unwrap();
    let kind = ResourceKind::Subscription;
    assert_eq!(
        installation.put(kind, "s", body.clone()),
        Ok(Effect::SubscriptionCreated)
    );
    let exported = export(&installation.model, &installation.sealer, kind, BUS, "s").unwrap();
    for again in [exported.clone(), body] {
        assert_eq!(installation.put(kind, "s", again), Ok(Effect::Unchanged));
    }
    exported
}

/// A constant is delivered as it was written.
#[test]
fn a_constant_keeps_its_numbers_on_the_way_in_and_out() {
    for (text, is_json) in [
        (r#"{"z":[300.0,1.5],"a":5}"#, true),
        (r#"{"n":12345678901234567890123,"d":1.10,"a":1,"a":2}"#, false),
        ("1e400", false),
        ("5", true),
    ] {
        let exported = kept(&format!(r#""transform": {{"input": {text}}}"#));
        let shown = &exported["transform"]["input"];
        assert_eq!(shown.is_string(), !is_json, "{shown}");
        assert_eq!(shown.as_str().map_or_else(|| shown.to_string(), str::to_owned), text);
    }
}

/// Numbers, repeated names and their order are the filter's meaning.
#[test]
fn a_filter_keeps_its_text_on_the_way_in_and_out() {
    let texts = [
        (r#"{"z": [300.0], "detail": {"b": [1], "a": [2]}}"#, true),
        (r#"{"detail": {"n": [1e400, 3e2]}}"#, false),
        (r#"{"detail": {"n": [1], "n": [2]}}"#, false),
    ];
    for (text, is_json) in texts {
        let exported = kept(&format!(r#""filter": {{"eventbridge": {text}}}"#));
        let shown = &exported["filter"]["eventbridge"];
        assert_eq!(shown.is_object(), is_json, "{shown}");
        if is_json {
            assert_eq!(shown.to_string(), text.replace(' ', ""));
        } else {
            assert_eq!(shown.as_str(), Some(text));
        }
    }
}
