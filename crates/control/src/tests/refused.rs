//! What is refused, with its code, place and sentence.

use super::*;
use ResourceKind::{Bus, Connection, EventType, Key, Subscription, Topic};

/// Every case is refused as told, and changes nothing.
fn check(kind: ResourceKind, cases: &[(Value, &str)]) {
    let mut installation = Installation::furnished();
    let before = installation.documents.clone();
    for (body, expected) in cases {
        let told = told(installation.put(kind, "new", body.clone()));
        assert_eq!(told, *expected, "{body}");
        assert_eq!(installation.documents, before);
    }
}

#[test]
fn unknown_fields_are_told_with_their_place_and_the_nearest_right_name() {
    check(
        Topic,
        &[
            (
                json!({"partitons": 3}),
                r#"field_unknown /partitons: unknown field "partitons"; did you mean "partitions"?"#,
            ),
            (
                json!({"retention": {"Age": "1d"}}),
                r#"field_unknown /retention/Age: unknown field "Age"; did you mean "age"?"#,
            ),
            (
                json!({"retention": {"zzz": 1}}),
                r#"field_unknown /retention/zzz: unknown field "zzz"; the fields here are age, bytes, hold"#,
            ),
            (
                json!({"nmae": "new"}),
                r#"field_unknown /nmae: unknown field "nmae"; did you mean "name"?"#,
            ),
            (
                json!({"x/~y": 1}),
                r#"field_unknown /x~1~0y: unknown field "x/~y"; the fields here are description, partitions, retention, kind, bus, name"#,
            ),
        ],
    );
    check(
        Connection,
        &[
            (
                json!({"provider": "webhok", "config": {}}),
                r#"resource_invalid /provider: unknown value "webhok"; did you mean "webhook"?"#,
            ),
            (
                json!({"provider": "webhook", "config": {"url": "https://a.example", "auth": {"type": "bearer", "tokn": "t"}}}),
                r#"field_unknown /config/auth/tokn: unknown field "tokn"; did you mean "token"?"#,
            ),
        ],
    );
    check(
        Subscription,
        &[
            (
                json!({"connection": "crm", "delivery": {"retry": {"schedule": ["0s"], "ages": "1h"}}}),
                r#"field_unknown /delivery/retry/ages: unknown field "ages"; did you mean "age"?"#,
            ),
            (
                json!({"connection": "crm", "filter": {"eventbrigde": {}}}),
                r#"field_unknown /filter/eventbrigde: unknown field "eventbrigde"; did you mean "eventbridge"?"#,
            ),
        ],
    );
}

#[test]
fn a_source_that_eventbridge_would_not_take_is_refused_on_a_bus() {
    const RULE: &str = "resource_invalid /eventbridge/source: source is 1 to 256 characters without control characters, and does not begin with aws.";
    check(
        Bus,
        &[
            (json!({"eventbridge": {"source": ""}}), RULE),
            (json!({"eventbridge": {"source": "aws.s3"}}), RULE),
            (json!({"eventbridge": {"source": "a\nb"}}), RULE),
            (json!({"eventbridge": {"source": "s".repeat(257)}}), RULE),
            (
                json!({"eventbridge": {"sauce": "shop"}}),
                r#"field_unknown /eventbridge/sauce: unknown field "sauce"; did you mean "source"?"#,
            ),
        ],
    );
}

#[test]
fn wrong_types_are_told_with_their_place_and_without_their_value() {
    check(
        Topic,
        &[
            (json!([]), "resource_invalid : a resource is a JSON object"),
            (
                json!({"partitions": "six"}),
                "resource_invalid /partitions: expected a whole number from 0 to 4294967295, found a string",
            ),
            (
                json!({"partitions": 1.5}),
                "resource_invalid /partitions: expected a whole number from 0 to 4294967295, found a number with a fraction",
            ),
            (
                json!({"retention": {"age": "soon"}}),
                "resource_invalid /retention/age: a duration is a whole number and one of d, h, m, s, ms, such as 30s",
            ),
            (
                json!({"retention": {"bytes": "10 GiB"}}),
                "resource_invalid /retention/bytes: a size is a whole number of bytes, or one with KiB, MiB, GiB, TiB (or kB, MB, GB, TB), such as 10GiB",
            ),
            (
                json!({"kind": "bus"}),
                r#"resource_invalid /kind: kind is "bus" here, but the request is about "topic""#,
            ),
            (
                json!({"name": "old"}),
                r#"resource_invalid /name: name is "old" here, but the request is about "new""#,
            ),
            (json!({"bus": 5}), "resource_invalid /bus: bus is a string"),
        ],
    );
    check(
        Subscription,
        &[
            (json!({}), r#"resource_invalid : field "connection" is missing"#),
            (
                json!({"connection": "crm", "topics": "orders"}),
                "resource_invalid /topics: expected a list, found a string",
            ),
            (
                json!({"connection": "crm", "delivery": {"retry": {"schedule": ["0s", "5x"]}}}),
                "resource_invalid /delivery/retry/schedule/1: a duration is a whole number and one of d, h, m, s, ms, such as 30s",
            ),
            (
                json!({"connection": "crm", "delivery": {"outcomes": {"many": "retry"}}}),
                "resource_invalid /delivery/outcomes/many: expected a number as the name",
            ),
            (
                json!({"connection": "crm", "delivery": {"rate": "100"}}),
                "resource_invalid /delivery/rate: a rate is a whole number from 1 on and a period, such as 100/s, 30/m, 5/10s",
            ),
        ],
    );
}

#[test]
fn topics_keep_their_bounds() {
    check(
        Topic,
        &[
            (
                json!({"partitions": 0}),
                "resource_invalid /partitions: partitions is from 1 to 2000",
            ),
            (
                json!({"partitions": 2001}),
                "resource_invalid /partitions: partitions is from 1 to 2000",
            ),
            (
                json!({"partitions": 1983}),
                "limit_exceeded : the node would have 2001 partitions in all; it has at most 2000",
            ),
            (
                json!({"retention": {"age": "59s"}}),
                "resource_invalid /retention/age: age is from 1m to 36500d",
            ),
            (
                json!({"retention": {"bytes": 5}}),
                "resource_invalid /retention/bytes: bytes is at least 1MiB",
            ),
            (
                json!({"description": "x".repeat(4097)}),
                "resource_invalid /description: free text has at most 4096 characters and no NUL",
            ),
            (
                json!({"description": "x".repeat(300_000)}),
                "limit_exceeded : a resource has at most 262144 bytes",
            ),
        ],
    );
}

#[test]
fn event_types_route_to_topics_that_exist_and_to_few() {
    let many = |enabled| {
        (0..9)
            .map(|index| json!({"topic": format!("t{index}"), "enabled": enabled}))
            .collect::<Vec<_>>()
    };
    check(
        EventType,
        &[
            (
                json!({"routes": [{"topic": "order"}]}),
                r#"resource_invalid /routes/0/topic: topic "order" does not exist; did you mean "orders"?"#,
            ),
            (
                json!({"routes": [{"topic": "orders"}, {"topic": "orders", "enabled": false}]}),
                r#"resource_invalid /routes/1/topic: topic "orders" is named twice"#,
            ),
            (
                json!({"routes": many(true)}),
                "resource_invalid /routes: 9 routes are enabled; at most 8 may be",
            ),
            (
                json!({"routes": many(false)}),
                r#"resource_invalid /routes/0/topic: topic "t0" does not exist"#,
            ),
            (
                json!({"routes": [{"topic": "orders", "key": "a..b"}]}),
                "resource_invalid /routes/0/key: key is a dotted path into the data, such as order.customer.id, of at most 512 characters",
            ),
            (
                json!({"tags": ["pii", ""]}),
                "resource_invalid /tags/1: a tag is 1 to 100 printable characters",
            ),
            (
                json!({"lifecycle": "stabel"}),
                r#"resource_invalid /lifecycle: unknown value "stabel"; did you mean "stable"?"#,
            ),
        ],
    );
}

#[test]
fn webhooks_lead_only_where_they_may_and_say_nothing_reserved() {
    let at = |url: &str| json!({"provider": "webhook", "config": {"url": url}});
    let with = |field: &str, value: Value| json!({"provider": "webhook", "config": {"url": "https://a.example/", field: value}});
    check(
        Connection,
        &[
            (
                at("http://127.0.0.1:9000/hook"),
                "url_refused /config/url: the address 127.0.0.1 is not public (loopback); allow_networks can allow its network",
            ),
            (
                at("http://0x7f.1/"),
                "url_refused /config/url: the address 127.0.0.1 is not public (loopback); allow_networks can allow its network",
            ),
            (
                at("http://LOCALHOST./"),
                "url_refused /config/url: the host localhost is a loopback name; allow_networks can allow its network",
            ),
            (
                at("ftp://a.example"),
                "resource_invalid /config/url: the scheme of the URL must be http or https",
            ),
            (
                at("https://user:word@a.example"),
                "resource_invalid /config/url: the URL must not carry a user name or a password",
            ),
            (
                at("https://@a.example"),
                "resource_invalid /config/url: the URL must not carry a user name or a password",
            ),
            (
                at("https://a.example/#x"),
                "resource_invalid /config/url: the URL has no fragment: it is never sent",
            ),
            (
                at("https://a.example/\r\nx"),
                "resource_invalid /config/url: the URL is not valid: it contains a space, a control character or a backslash",
            ),
            (
                at("/hook"),
                "resource_invalid /config/url: the URL is not valid: it does not parse",
            ),
            (
                with("headers", json!({"Host": "b"})),
                "resource_invalid /config/headers/Host: header host is reserved",
            ),
            (
                with("headers", json!({"Webhook-Id": "b"})),
                "resource_invalid /config/headers/Webhook-Id: header webhook-id is reserved",
            ),
            (
                with("headers", json!({"Authorization": "b"})),
                "resource_invalid /config/headers/Authorization: header authorization is reserved; use config.auth",
            ),
            (
                with("headers", json!({"a b": "b"})),
                r#"resource_invalid /config/headers/a b: "a b" is not a header name"#,
            ),
            (
                with("headers", json!({"x-a": "b\r\nx-b: c"})),
                "resource_invalid /config/headers/x-a: a header value is at most 4096 visible ASCII characters, spaces and tabs, none at an end",
            ),
            (
                with("headers", json!({"X-A": "1", "x-a": "2"})),
                r#"resource_invalid /config/headers: header "x-a" is named twice"#,
            ),
            (
                with("auth", json!({"type": "basic", "username": "a:b", "password": "p"})),
                "resource_invalid /config/auth/username: username has no colon and no control characters",
            ),
            (
                with("auth", json!({"type": "bearer", "token": "t", "header": "h"})),
                "resource_invalid /config/auth: auth of type bearer takes exactly token",
            ),
            (
                with("auth", json!({"type": "bearer", "token": "a b"})),
                "resource_invalid /config/auth/token: token is visible ASCII without spaces, and is 1 to 4096 bytes long",
            ),
            (
                with("auth", json!({"type": "api-key", "header": "ce-id", "value": "v"})),
                "resource_invalid /config/auth/header: header ce-id is reserved",
            ),
            (
                with("auth", json!("Bearer hush")),
                "resource_invalid /config/auth: expected an object, found a string",
            ),
        ],
    );
}

#[test]
fn subscriptions_keep_their_bounds() {
    let with = |field: &str, value: Value| json!({"connection": "crm", "topics": ["orders"], field: value});
    let retry = |retry: Value| json!({"connection": "crm", "delivery": {"retry": retry}});
    check(
        Subscription,
        &[
            (
                with("dead_letter", json!({})),
                r#"resource_invalid /dead_letter: dead_letter takes a topic or a connection"#,
            ),
            (
                with("dead_letter", json!({"topic": "events", "connection": "crm"})),
                r#"resource_invalid /dead_letter: dead_letter takes a topic or a connection"#,
            ),
            (
                with("dead_letter", json!({"topic": "orders"})),
                r#"resource_invalid /dead_letter/topic: copies go to a topic that the subscription does not read, and not to "trunkline""#,
            ),
            (
                with("dead_letter", json!({"topic": "event"})),
                r#"resource_invalid /dead_letter/topic: topic "event" does not exist; did you mean "events"?"#,
            ),
            (
                with("dead_letter", json!({"connection": "crn"})),
                r#"resource_invalid /dead_letter/connection: connection "crn" does not exist; did you mean "crm"?"#,
            ),
            (
                with("dead_letter", json!({"topic": "events", "target": {"mode": "data"}})),
                r#"resource_invalid /dead_letter/target: target says what a connection's provider needs; a topic needs nothing"#,
            ),
            (
                json!({"connection": "crn"}),
                r#"resource_invalid /connection: connection "crn" does not exist; did you mean "crm"?"#,
            ),
            (
                with("topics", json!(["order"])),
                r#"resource_invalid /topics/0: topic "order" does not exist; did you mean "orders"?"#,
            ),
            (
                with("topics", json!([])),
                "resource_invalid /topics: topics must not be empty",
            ),
            (
                with("topics", json!(["orders", "orders"])),
                r#"resource_invalid /topics/1: topic "orders" is named twice"#,
            ),
            (
                with("types", json!([])),
                "resource_invalid /types: types must not be empty",
            ),
            (
                with("delivery", json!({"concurrency": 0})),
                "resource_invalid /delivery/concurrency: concurrency is from 1 to 1000",
            ),
            (
                with("delivery", json!({"timeout": "99ms"})),
                "resource_invalid /delivery/timeout: timeout is from 100ms to 5m",
            ),
            (
                with("delivery", json!({"outcomes": {"199": "retry"}})),
                "resource_invalid /delivery/outcomes/199: an outcome is of a status from 200 to 599",
            ),
            (
                retry(json!({"schedule": []})),
                "resource_invalid /delivery/retry: a schedule has at least one wait",
            ),
            (
                retry(json!({"schedule": vec!["1s"; 51]})),
                "resource_invalid /delivery/retry/schedule: there are 51 waits; at most 50 may be",
            ),
            (
                retry(json!({"attempts": 0})),
                "resource_invalid /delivery/retry/attempts: attempts is from 1 to 100000",
            ),
            (
                retry(json!({"schedule": ["1s"], "exponential": {"first": "1s", "factor": 2, "max": "1h"}})),
                "resource_invalid /delivery/retry: schedule and exponential exclude each other",
            ),
            (
                retry(json!({"exponential": {"first": "1s", "factor": 0.5, "max": "1h"}})),
                "resource_invalid /delivery/retry/exponential/factor: factor is from 1 to 10",
            ),
            (
                retry(json!({"exponential": {"first": "1m", "factor": 2, "max": "1s"}})),
                "resource_invalid /delivery/retry/exponential/max: max is from 1m to 7d",
            ),
            (
                retry(json!({"age": "8d"})),
                r#"resource_invalid /delivery/retry/age: age is 8d, but topic "events" holds unsettled records for 7d only: lower age, or raise the topic's retention.hold"#,
            ),
        ],
    );
}

#[test]
fn a_filter_that_does_not_compile_is_refused_with_its_place_and_reason() {
    let mut installation = Installation::furnished();
    let body = json!({"connection": "crm", "filter": {"eventbridge": {"detail": {"a": [{"prefx": "x"}]}}}});
    let refusal = installation.put(Subscription, "new", body).unwrap_err();
    assert_eq!(
        (refusal.code, refusal.pointer.as_deref()),
        ("filter_invalid", Some("/filter/eventbridge/detail/a/0/prefx"))
    );
    assert!(refusal.detail.contains("prefx"), "{}", refusal.detail);
    assert!(refusal.in_text.is_some());
    let text = "{\"detail\":\n  {\"a\": \"x\"}}";
    let body = json!({"connection": "crm", "filter": {"eventbridge": text}});
    let refusal = installation.put(Subscription, "new", body).unwrap_err();
    let place = refusal.in_text.unwrap();
    let position = place.position;
    assert_eq!((position.byte, position.line, position.column), (19, 2, 9));
    assert_eq!(refusal.pointer.as_deref(), Some("/filter/eventbridge/detail/a"));
    assert_eq!(place.suggestion.as_deref(), Some("write it as a list: \"a\": [\"x\"]"));
    let body = json!({"connection": "crm", "filter": {"eventbridge": "{\"a\": "}});
    let refusal = installation.put(Subscription, "new", body).unwrap_err();
    assert_eq!(
        (refusal.code, refusal.pointer.as_deref()),
        ("filter_not_json", Some("/filter/eventbridge/a"))
    );
    let refusal = installation
        .put(Subscription, "new", json!({"connection": "crm", "types": ["a", ""]}))
        .unwrap_err();
    assert_eq!(
        (refusal.code, refusal.pointer.as_deref()),
        ("types_invalid", Some("/types/1"))
    );
}

#[test]
fn a_filter_has_one_language_and_the_dialect_where_there_is_one() {
    let one =
        "resource_invalid /filter: a filter has exactly one of eventbridge, cesql, cloudevents, eventgrid and jsonpath";
    let filter = |filter: Value| json!({"connection": "crm", "filter": filter});
    check(
        Subscription,
        &[
            (filter(json!({})), one),
            (filter(json!({"dialect": "extended"})), one),
            (filter(json!({"eventbridge": {"a": [1]}, "cesql": "TRUE"})), one),
            (
                filter(json!({"jsonpath": "$", "dialect": "extended"})),
                "resource_invalid /filter: dialect extended is for eventbridge, cesql and cloudevents",
            ),
            (
                filter(json!({"eventbridge": {"a": [1]}, "dialect": "extendet"})),
                r#"resource_invalid /filter/dialect: unknown value "extendet"; did you mean "extended"?"#,
            ),
        ],
    );
}

#[test]
fn every_language_is_compiled_when_it_is_saved() {
    let mut installation = Installation::furnished();
    let mut put = |filter: Value| {
        let put = installation.put(Subscription, "new", json!({"connection": "crm", "filter": filter}));
        put.map_err(|refusal| {
            (
                refusal.code,
                refusal.pointer.unwrap_or_default(),
                refusal.in_text.map_or(0, |place| place.position.byte),
            )
        })
    };
    for good in [
        json!({"cesql": "type = 'order' AND subject LIKE 'a%'"}),
        json!({"cloudevents": [{"exact": {"type": "order"}}, {"not": {"sql": "EXISTS subject"}}]}),
        json!({"eventgrid": {"subjectBeginsWith": "/a", "advancedFilters": [{"operatorType": "NumberGreaterThan", "key": "data.n", "value": 5}]}}),
        json!({"jsonpath": "$.lines[?@.price > 10]"}),
        json!({"eventbridge": {"$not": {"detail": {"a": ["x"]}}}, "dialect": "extended"}),
        json!({"eventbridge": {"detail": {"a": [{"regex": "^a+$"}]}}, "dialect": "extended"}),
    ] {
        assert!(put(good.clone()).is_ok(), "{good}: {:?}", put(good.clone()));
    }
    for (bad, pointer) in [
        (json!({"cesql": "type = "}), "/filter/cesql"),
        (
            json!({"cloudevents": [{"exat": {"type": "order"}}]}),
            "/filter/cloudevents/0",
        ),
        (
            json!({"eventgrid": {"advancedFilters": [{"operatorType": "NumberIsh", "key": "data.n", "value": 5}]}}),
            "/filter/eventgrid/advancedFilters/0/operatorType",
        ),
        (json!({"jsonpath": "$.a["}), "/filter/jsonpath"),
        (
            json!({"eventbridge": {"detail": {"a": [{"regex": "^a+$"}]}}}),
            "/filter/eventbridge/detail/a/0/regex",
        ),
    ] {
        let refused = put(bad.clone()).unwrap_err();
        assert!(refused.1.starts_with(pointer), "{bad}: {refused:?}");
        assert!(refused.2 > 0, "{bad}: {refused:?}");
    }
}

#[test]
fn keys_keep_their_rules() {
    check(
        Key,
        &[(
            json!({}),
            "resource_not_found : key \"new\" does not exist; `key create` makes one and shows its secret once",
        )],
    );
    let mut installation = Installation::furnished();
    let mut create = |body| {
        told(installation.change(&change(
            Key,
            "new",
            Action::CreateKey {
                body,
                token: token("new"),
            },
        )))
    };
    assert_eq!(
        create(json!({"scopes": []})),
        "resource_invalid /scopes: scopes must not be empty"
    );
    assert_eq!(
        create(json!({"scopes": ["manage", "manage"]})),
        "resource_invalid /scopes: a scope is named twice"
    );
    assert_eq!(
        create(json!({"scopes": ["manage"], "buses": ["defualt"]})),
        r#"resource_invalid /buses/0: bus "defualt" does not exist; did you mean "default"?"#
    );
    assert_eq!(
        create(json!({"scopes": ["administer"], "not_after": "tomorrow"})),
        "resource_invalid /not_after: not_after is an RFC 3339 time with its zone, such as 2030-01-31T12:00:00Z"
    );
    assert_eq!(
        create(json!({"scopes": ["administer"], "buses": ["default"]})),
        "resource_invalid /scopes: scope administer is for the whole installation: leave buses out, or take scope manage"
    );
    assert_eq!(
        create(json!({"scopes": ["read"], "publish": {"types": ["a"]}})),
        "resource_invalid /publish: publish narrows the scope publish, which this key does not have"
    );
    assert_eq!(
        create(json!({"scopes": ["publish"], "publish": {"types": []}})),
        "resource_invalid /publish/types: patterns must not be empty"
    );
    assert_eq!(
        create(json!({"scopes": ["publish"], "publish": {"sources": ["a", "b\u{202e}"]}})),
        "resource_invalid /publish/sources/1: a pattern is 1 to 512 printable characters, in which * stands for any characters"
    );
    assert_eq!(
        create(json!({"scopes": ["publish"], "quotas": {"bytes": "0B/s"}})),
        "resource_invalid /quotas/bytes: a rate of bytes is a size from 1 on and a period, such as 10MiB/s, 1GiB/h"
    );
    assert_eq!(
        create(json!({"scopes": ["publish"], "quotas": {"subscriptions": 1}})),
        "field_unknown /quotas/subscriptions: unknown field \"subscriptions\"; the fields here are events, bytes, connections"
    );
}

#[test]
fn partitions_never_shrink_and_stay_when_left_out() {
    let mut installation = Installation::furnished();
    assert_eq!(
        told(installation.put(Topic, "orders", json!({"partitions": 5}))),
        "resource_invalid /partitions: the topic has 6 partitions; they may grow, never shrink"
    );
    assert_eq!(told(installation.put(Topic, "orders", json!({}))), "Unchanged");
    assert_eq!(
        told(installation.put(Topic, "orders", json!({"partitions": 1988}))),
        "TopicPut"
    );
    assert_eq!(
        told(installation.put(Topic, "one-more", json!({"partitions": 1}))),
        "limit_exceeded : the node would have 2001 partitions in all; it has at most 2000"
    );
    assert_eq!(
        told(installation.put(Bus, "one-more", json!({}))),
        "limit_exceeded : the node would have 2012 partitions in all; it has at most 2000"
    );
}

#[test]
fn the_start_of_a_subscription_is_fixed_and_stays_when_left_out() {
    let mut installation = Installation::furnished();
    let body = |start: Value| json!({"connection": "crm", "start": start});
    installation.put(Subscription, "all", body(json!("earliest"))).unwrap();
    assert_eq!(
        told(installation.put(Subscription, "all", json!({"connection": "crm"}))),
        "Unchanged"
    );
    assert_eq!(
        told(installation.put(Subscription, "all", body(json!("now")))),
        r#"resource_invalid /start: start is fixed at creation (it is "earliest"); make another subscription to start elsewhere"#
    );
    assert_eq!(
        told(installation.put(Subscription, "all", body(json!("nwo")))),
        r#"resource_invalid /start: unknown value "nwo"; did you mean "now"?"#
    );
}

#[test]
fn a_topic_must_hold_what_its_readers_still_try_whole_bus_readers_included() {
    let mut installation = Installation::furnished();
    let short = json!({"partitions": 6, "retention": {"hold": "23h"}});
    assert_eq!(
        told(installation.put(Topic, "orders", short.clone())),
        r#"resource_invalid /retention/hold: the topic would hold unsettled records for 23h, but subscription "to-crm" tries for 1d (delivery.retry.age): raise retention.hold or lower that age first"#
    );
    assert_eq!(told(installation.put(Topic, "other", short.clone())), "TopicPut");
    let whole_bus = json!({"connection": "crm", "delivery": {"retry": {"age": "23h"}}});
    assert_eq!(
        told(installation.put(Subscription, "all", whole_bus)),
        "SubscriptionCreated"
    );
    assert_eq!(
        told(installation.put(Subscription, "all", json!({"connection": "crm"}))),
        r#"resource_invalid /delivery/retry/age: age is 1d, but topic "other" holds unsettled records for 23h only: lower age, or raise the topic's retention.hold"#
    );
    let shorter = json!({"retention": {"hold": "1h"}});
    assert_eq!(
        told(installation.put(Topic, "third", shorter)),
        r#"resource_invalid /retention/hold: the topic would hold unsettled records for 1h, but subscription "all" tries for 23h (delivery.retry.age): raise retention.hold or lower that age first"#
    );
    let for_ever = json!({"partitions": 6, "retention": {"age": null}});
    assert_eq!(told(installation.put(Topic, "orders", for_ever)), "TopicPut");
    let long = json!({"connection": "crm", "topics": ["orders"], "delivery": {"retry": {"age": "366d"}}});
    assert_eq!(
        told(installation.put(Subscription, "to-crm", long)),
        "SubscriptionChanged"
    );
}

#[test]
fn what_is_in_use_is_not_deleted_and_the_users_are_named() {
    let mut installation = Installation::furnished();
    installation
        .put(EventType, "order.placed", json!({"routes": [{"topic": "orders"}]}))
        .unwrap();
    let mut told = |kind, name| told(installation.delete(kind, name));
    assert_eq!(
        told(Topic, "orders"),
        r#"in_use : topic "orders" is used by the routes of event types "order.placed": delete or change these first"#
    );
    assert_eq!(told(EventType, "order.placed"), "Other");
    assert_eq!(
        told(Topic, "orders"),
        r#"in_use : topic "orders" is used by subscriptions "to-crm": delete or change these first"#
    );
    assert_eq!(
        told(Connection, "crm"),
        r#"in_use : connection "crm" is used by subscriptions "to-crm": delete or change these first"#
    );
    assert_eq!(
        told(Topic, "events"),
        r#"in_use : topic "events" exists as long as its bus: events without a route go there"#
    );
    assert_eq!(told(Bus, "default"), r#"in_use : bus "default" always exists"#);
    assert_eq!(told(Subscription, "to-crm"), "SubscriptionDeleted");
    assert_eq!(
        told(Subscription, "to-crm"),
        r#"resource_not_found : subscription "to-crm" does not exist"#
    );
    assert_eq!(told(Connection, "crm"), "Other");
    assert_eq!(told(Topic, "orders"), "TopicDeleted");
}

#[test]
fn a_bus_goes_with_what_it_owns_once_nothing_reads_it() {
    let mut installation = Installation::new();
    installation.put(Bus, "shop", json!({})).unwrap();
    let in_shop = |kind, name: &str, action| Change {
        bus: "shop".into(),
        ..change(kind, name, action)
    };
    let connection = webhook("https://a.example");
    installation
        .change(&in_shop(Connection, "c", Action::Put(connection)))
        .unwrap();
    let subscription = json!({"connection": "c"});
    installation
        .change(&in_shop(Subscription, "s", Action::Put(subscription)))
        .unwrap();
    assert_eq!(
        told(installation.delete(Bus, "shop")),
        r#"in_use : bus "shop" is used by subscriptions "s": delete or change these first"#
    );
    installation
        .change(&in_shop(Subscription, "s", Action::Delete))
        .unwrap();
    assert_eq!(told(installation.delete(Bus, "shop")), "BusDeleted");
    assert!(
        installation.documents.keys().all(|(bus, ..)| *bus <= 1),
        "only the installation and the first bus are left"
    );
    assert_eq!(
        told(installation.change(&in_shop(Topic, "t", Action::Put(json!({}))))),
        r#"resource_not_found : bus "shop" does not exist"#
    );
    installation.put(Bus, "shop", json!({})).unwrap();
    assert_eq!(
        installation.model.buses["shop"].id, 3,
        "an internal number is never given out again"
    );
}

#[test]
fn preconditions_are_about_the_version_that_was_read() {
    let mut installation = Installation::furnished();
    let version = installation.model.buses[BUS].topics["orders"].version;
    let mut put = |name: &str, precondition| {
        let body = json!({"description": format!("{precondition:?}")});
        let result = installation.change(&Change {
            precondition,
            ..change(Topic, name, Action::Put(body))
        });
        (result.as_ref().err().map(|refusal| refusal.class), told(result))
    };
    let refused = |told: &str| (Some(crate::Class::Precondition), told.to_owned());
    assert_eq!(
        put("orders", Precondition::Absent),
        refused("already_exists : topic \"orders\" exists already, with version 2")
    );
    assert_eq!(
        put("new", Precondition::Exists),
        refused("version_conflict : topic \"new\" does not exist")
    );
    assert_eq!(
        put("new", Precondition::Version(2)),
        refused("version_conflict : topic \"new\" does not exist")
    );
    assert_eq!(put("orders", Precondition::Version(version)).1, "Other");
    assert_eq!(
        put("orders", Precondition::Version(version)),
        refused("version_conflict : topic \"orders\" has version 5, not 2; read it again and decide anew")
    );
    assert_eq!(put("orders", Precondition::Exists).1, "Other");
    assert_eq!(put("new", Precondition::Absent).1, "TopicPut");
}

#[test]
fn an_allowed_network_may_be_led_to() {
    let mut installation = Installation::new();
    installation.rules.guard.allow_networks = connector::Networks::loopback();
    let told = told(installation.put(Connection, "local", webhook("http://127.0.0.1:9000/hook")));
    assert_eq!(told, "ConnectionPut");
}

#[test]
fn batches_oauth_tls_and_handshakes_out_of_their_bounds_are_refused() {
    let batch =
        |mode: &str, batch: Value| json!({"connection": "crm", "target": {"mode": mode}, "delivery": {"batch": batch}});
    check(
        Subscription,
        &[
            (
                batch("binary", json!({"events": 2})),
                "resource_invalid /delivery/batch/events: several events go into a request only with target.mode batched, data or eventgrid",
            ),
            (
                batch("batched", json!({"events": 1_001})),
                "resource_invalid /delivery/batch/events: events is from 1 to 1000",
            ),
            (
                batch("batched", json!({"events": 2, "window": "6m"})),
                "resource_invalid /delivery/batch/window: window is from 0s to 5m",
            ),
            (
                batch("batched", json!({"window": "1s"})),
                "resource_invalid /delivery/batch/window: one event waits for no others: a window needs events of more than 1",
            ),
            (
                batch("data", json!({"events": 2, "bytes": 10})),
                "resource_invalid /delivery/batch/bytes: bytes is from 1KiB to 16MiB",
            ),
        ],
    );
    let with = |field: &str, value: Value| json!({"provider": "webhook", "config": {"url": "https://a.example", field: value}});
    let oauth = |url: &str, more: Value| {
        let mut auth =
            json!({"type": "oauth2-client-credentials", "token_url": url, "client_id": "i", "client_secret": "s"});
        auth.as_object_mut()
            .expect("an object")
            .extend(more.as_object().expect("an object").clone());
        with("auth", auth)
    };
    check(
        Connection,
        &[
            (
                oauth("https://a.example/#x", json!({})),
                "resource_invalid /config/auth/token_url: the URL has no fragment: it is never sent",
            ),
            (
                oauth("https://a.example/", json!({"scope": "a\nb"})),
                "resource_invalid /config/auth/scope: scope is 1 to 4096 bytes without control characters",
            ),
            (
                oauth("https://a.example/", json!({"token": "t"})),
                "resource_invalid /config/auth: auth of type oauth2-client-credentials takes token_url, client_id and \
                 client_secret, and scope, audience, style, method and parameters",
            ),
            (
                with("tls", json!({"certificate": "x"})),
                "resource_invalid /config/tls: certificate and key go together",
            ),
            (
                with("tls", json!({"certificate": "x", "key": "k"})),
                "resource_invalid /config/tls/certificate: failed to read the certificates: there must be 1 to 10 as PEM",
            ),
            (
                with("tls", json!({"server_name": "no name"})),
                "resource_invalid /config/tls/server_name: failed to use the server name: it is no name of a host",
            ),
            (
                with("handshake", json!({"origin": "a b"})),
                "resource_invalid /config/handshake/origin: origin is a DNS name, such as bus.example.com",
            ),
            (
                with(
                    "handshake",
                    json!({"origin": "a.example", "callback": "http://a.example/"}),
                ),
                "resource_invalid /config/handshake/callback: callback is an https URL",
            ),
            (
                with(
                    "signing",
                    json!({"style": "x-magento-signature", "secrets": ["a", "b"]}),
                ),
                "resource_invalid /config/signing/secrets: x-magento-signature has exactly one secret",
            ),
        ],
    );
    // Checks 46 and 50: a token URL is held to what a webhook's is.
    let mut installation = Installation::furnished();
    for url in [
        "http://169.254.169.254/",
        "http://[::ffff:127.0.0.1]/",
        "http://[fd00::1]/",
        "http://[64:ff9b::7f00:1]/",
        "http://10.0.0.1/",
        "ftp://a.example/",
    ] {
        let told = told(installation.put(Connection, "new", oauth(url, json!({}))));
        assert!(told.contains("/config/auth/token_url"), "{url}: {told}");
    }
}

#[test]
fn what_copies_of_dead_letters_go_to_is_in_use() {
    let mut installation = Installation::furnished();
    installation.put(Topic, "morgue", json!({})).unwrap();
    installation
        .put(Connection, "alarm", webhook("https://alarm.example/hook"))
        .unwrap();
    for (name, target) in [("a", json!({"topic": "morgue"})), ("b", json!({"connection": "alarm"}))] {
        let body = json!({"connection": "crm", "topics": ["orders"], "dead_letter": target});
        installation.put(Subscription, name, body.clone()).unwrap();
        assert_eq!(
            installation.export(Subscription, name)["dead_letter"],
            body["dead_letter"]
        );
    }
    assert_eq!(
        told(installation.delete(Topic, "morgue")),
        r#"in_use : topic "morgue" is used by subscriptions "a": delete or change these first"#
    );
    assert_eq!(
        told(installation.delete(Connection, "alarm")),
        r#"in_use : connection "alarm" is used by subscriptions "b": delete or change these first"#
    );
}
