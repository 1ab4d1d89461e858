//! Deliveries to Amazon's services as moto has them, which know nothing of Trunkline; a proxy makes the faults that moto does
//! not.

use crate::{
    sdk::installed,
    support::{eventually, script::Script, server::Server},
};
use serde_json::{Value, json};
use std::time::Duration;

/// moto, with what was made in it.
pub struct Amazon {
    script: Script,
    /// What was made.
    pub made: Value,
    /// Everything that arrived so far, by service.
    pub arrived: Value,
}

impl Amazon {
    /// Starts it.
    pub fn start(python: &str) -> Amazon {
        let script = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/sdk/moto_services.py");
        let mut script = Script::start(python, &[script]);
        Amazon {
            made: script.told(),
            arrived: json!({}),
            script,
        }
    }

    fn collect(&mut self) {
        self.script.tell("collect");
        let more = self.script.told();
        for (name, list) in more.as_object().expect("an object") {
            let all = &mut self.arrived[name];
            let mut now = all.as_array().cloned().unwrap_or_default();
            now.extend(list.as_array().expect("a list").iter().cloned());
            *all = now.into();
        }
    }

    /// Waits until so many arrived there.
    pub async fn took(&mut self, place: &str, count: usize) -> Vec<Value> {
        let what = format!("{count} at {place}");
        eventually(&what, Duration::from_secs(60), async || {
            self.collect();
            let found = self.arrived[place].as_array().cloned().unwrap_or_default();
            (found.len() >= count).then_some(found)
        })
        .await
    }

    /// A connection to it.
    pub fn connection(&self, provider: &str, more: Value) -> Value {
        let credentials =
            json!({"type": "static", "access_key_id": "AKIDEXAMPLE", "secret_access_key": "CANARY-SECRET"});
        let endpoint = format!("http://127.0.0.1:{}", self.made["port"]);
        let mut config = json!({"aws": {"region": "eu-central-1", "endpoint": endpoint, "credentials": credentials}});
        for (name, value) in more.as_object().expect("an object") {
            config[name] = value.clone();
        }
        json!({"provider": provider, "config": config})
    }
}

/// A connection, and a subscription to it.
pub async fn deliver_to(server: &Server, name: &str, connection: Value, extra: Value) {
    server
        .put(&format!("/v1/buses/default/connections/{name}"), connection)
        .await;
    let mut subscription = json!({"connection": name});
    for (field, value) in extra.as_object().expect("an object") {
        subscription[field] = value.clone();
    }
    server
        .put(&format!("/v1/buses/default/subscriptions/{name}"), subscription)
        .await;
}

/// An event whose data hold its key.
pub async fn publish_keyed(server: &Server, id: &str, key: &str, data: Value) {
    let headers = [
        ("ce-specversion", "1.0"),
        ("ce-type", "order.placed"),
        ("ce-source", "com.example.shop"),
        ("ce-time", "2026-11-21T10:00:00Z"),
        ("ce-id", id),
        ("content-type", "application/json"),
    ];
    let mut data = data;
    data["customer"] = key.into();
    let answer = server
        .send("POST", "/v1/buses/default/events", &headers, data.to_string())
        .await;
    assert!(answer.status < 300, "{} {}", answer.status, answer.json());
}

#[tokio::test]
async fn events_arrive_at_each_service_with_their_fields_and_in_the_order_of_their_key() {
    let Some(python) = installed("TRUNKLINE_PYTHON") else {
        return;
    };
    let mut amazon = Amazon::start(&python);
    let directory = tempfile::tempdir().expect("a directory");
    let server = Server::start(directory.path());
    let route = json!({"routes": [{"topic": "events", "key": "customer"}]});
    server.put("/v1/buses/default/event-types/order.placed", route).await;
    let made = amazon.made.clone();
    let data = json!({"target": {"mode": "data"}});
    let ordered = json!({"target": {"mode": "data"}, "delivery": {"ordering": "key"}});
    for (name, provider, config, extra) in [
        ("eventbridge", "eventbridge", json!({"event_bus": "orders"}), json!({})),
        ("queue", "sqs", json!({"queue": made["queue"]}), json!({})),
        ("fifo", "sqs", json!({"queue": made["fifo"]}), ordered),
        ("topic", "sns", json!({"topic": made["topic"]}), data.clone()),
        ("stream", "kinesis", json!({"stream": "orders"}), data),
    ] {
        let connection = amazon.connection(provider, config);
        deliver_to(&server, name, connection, extra).await;
        let path = format!("/v1/buses/default/connections/{name}:test");
        let said = server.send("POST", &path, &[], "").await.json();
        assert_eq!(said["ok"], true, "{name}: {said}");
    }
    for number in 0..20 {
        let key = format!("c{}", number % 2);
        publish_keyed(&server, &number.to_string(), &key, json!({"n": number})).await;
    }
    let events = amazon.took("eventbridge", 20).await;
    let first = events
        .iter()
        .find(|event| event["detail"]["n"] == 0)
        .expect("the first");
    assert_eq!(first["source"], "com.example.shop");
    assert_eq!(first["detail-type"], "order.placed");
    assert_eq!(first["detail"], json!({"n": 0, "customer": "c0"}));
    assert_eq!(first["time"], "2026-11-21T10:00:00Z");
    assert_eq!(first["resources"], json!(["trunkline:hops:1"]));
    let structured = amazon.took("queue", 20).await;
    let body = structured[0]["body"].as_str().expect("text");
    let event: Value = serde_json::from_str(body).expect("a CloudEvent");
    assert_eq!(
        (&event["type"], &event["specversion"]),
        (&json!("order.placed"), &json!("1.0"))
    );
    for place in ["topic", "stream"] {
        assert_eq!(amazon.took(place, 20).await.len(), 20, "{place}");
    }
    let in_order = amazon.took("fifo", 20).await;
    for key in ["c0", "c1"] {
        let of_key = in_order.iter().filter(|message| message["group"] == key);
        let numbers: Vec<i64> = of_key
            .map(|message| {
                let data: Value = serde_json::from_str(message["body"].as_str().expect("text")).expect("JSON");
                data["n"].as_i64().expect("a number")
            })
            .collect();
        assert!(numbers.len() == 10 && numbers.is_sorted(), "{key}: {numbers:?}");
    }
    assert!(!server.log().contains("CANARY"), "{}", server.log());
}

/// What the connection says goes before what the bus says, which goes before what the event says; a running lane takes it up.
#[tokio::test]
async fn the_source_of_entries_is_that_of_the_connection_of_the_bus_or_of_the_event() {
    let Some(python) = installed("TRUNKLINE_PYTHON") else {
        return;
    };
    let mut amazon = Amazon::start(&python);
    let directory = tempfile::tempdir().expect("a directory");
    let server = Server::start(directory.path());
    let to_bus = json!({"event_bus": "orders"});
    let own = json!({"event_bus": "orders", "source": "com.example.checkout"});
    for (name, config) in [("plain", to_bus), ("named", own)] {
        deliver_to(&server, name, amazon.connection("eventbridge", config), json!({})).await;
    }
    let mut expected = vec![];
    for (id, bus, of_plain) in [
        ("1", json!({}), "com.example.shop"),
        (
            "2",
            json!({"eventbridge": {"source": "shop.example.com"}}),
            "shop.example.com",
        ),
        ("3", json!({}), "com.example.shop"),
    ] {
        server.put("/v1/buses/default", bus.clone()).await;
        let shown = server.get("/v1/buses/default").await;
        assert_eq!(shown.get("eventbridge"), bus.get("eventbridge"), "{shown}");
        publish_keyed(&server, id, "c", json!({"n": id})).await;
        expected.extend([(id, of_plain), (id, "com.example.checkout")]);
        amazon.took("eventbridge", expected.len()).await;
    }
    let events = amazon.took("eventbridge", expected.len()).await;
    let mut sources: Vec<_> = events
        .iter()
        .map(|event| {
            let text = |value: &Value| value.as_str().expect("a text").to_owned();
            (text(&event["detail"]["n"]), text(&event["source"]))
        })
        .collect();
    sources.sort();
    expected.sort_unstable();
    let expected: Vec<_> = expected
        .iter()
        .map(|(id, source)| ((*id).to_owned(), (*source).to_owned()))
        .collect();
    assert_eq!(sources, expected);
}

/// Each fault of the request as a whole is tried again; of a batch, only the entries that failed.
#[tokio::test]
async fn faults_are_tried_again_and_of_a_batch_only_the_entries_that_failed() {
    let Some(python) = installed("TRUNKLINE_PYTHON") else {
        return;
    };
    let mut amazon = Amazon::start(&python);
    let directory = tempfile::tempdir().expect("a directory");
    let server = Server::start(directory.path());
    let connection = amazon.connection("eventbridge", json!({"event_bus": "orders"}));
    let delivery =
        json!({"concurrency": 1, "retry": {"schedule": ["0s", "100ms"]}, "batch": {"events": 10, "window": "500ms"}});
    deliver_to(&server, "eventbridge", connection, json!({"delivery": delivery})).await;
    for (number, fault) in ["reset", "error", "throttled", "expired"].into_iter().enumerate() {
        publish_keyed(&server, fault, "c", json!({"n": number, "fault": fault})).await;
        let events = amazon.took("eventbridge", number + 1).await;
        assert_eq!(events.last().expect("one")["detail"]["n"], number);
    }
    amazon.arrived["requests"] = json!([]);
    for number in 10..20 {
        let data = json!({"n": number, "fail_once": number == 13, "fail": number == 17});
        publish_keyed(&server, &number.to_string(), "c", data).await;
    }
    let events = amazon.took("eventbridge", 4 + 9).await;
    assert!(events.iter().any(|event| event["detail"]["n"] == 13), "{events:?}");
    let requests = amazon.arrived["requests"].as_array().expect("a list").clone();
    let times = |wanted: i64| {
        let details = requests
            .iter()
            .flat_map(|request| request["details"].as_array().into_iter().flatten());
        details.filter(|detail| detail["n"] == wanted).count()
    };
    assert_eq!((times(12), times(13), times(17)), (1, 2, 1), "{requests:?}");
    let path = "/v1/buses/default/dead-letters";
    let dead = eventually("a dead letter", Duration::from_secs(30), async || {
        let page = server.get(path).await;
        page["items"]
            .as_array()
            .filter(|items| items.len() == 1)
            .map(|items| items[0].clone())
    })
    .await;
    assert_eq!(
        (&dead["event_id"], &dead["reason"]),
        (&json!("17"), &json!("aws_MalformedDetail")),
        "{dead}"
    );
}

/// A dry run sends nothing and shows the request in the event's story; a connection's test says what is missing.
#[tokio::test]
async fn a_dry_run_is_seen_in_the_story_and_a_test_says_what_is_missing() {
    let Some(python) = installed("TRUNKLINE_PYTHON") else {
        return;
    };
    let mut amazon = Amazon::start(&python);
    let directory = tempfile::tempdir().expect("a directory");
    let server = Server::start(directory.path());
    let mut connection = amazon.connection("eventbridge", json!({"event_bus": "orders"}));
    connection["dry_run"] = true.into();
    deliver_to(&server, "dry", connection, json!({})).await;
    let hook = json!({"provider": "webhook", "dry_run": true, "config": {"url": "http://127.0.0.1:1/hook", "auth": {"type": "bearer", "token": "CANARY-TOKEN"}}});
    deliver_to(&server, "hook", hook, json!({})).await;
    publish_keyed(&server, "1", "c", json!({"n": 1})).await;
    let attempts = eventually("both attempts", Duration::from_secs(30), async || {
        let story = server.get("/v1/buses/default/events/1").await;
        let text = story.to_string();
        (text.matches("dry_run").count() >= 2).then_some(text)
    })
    .await;
    for shown in [
        "AWSEvents.PutEvents",
        "AWS4-HMAC-SHA256 ***",
        "POST http://127.0.0.1:1/hook",
        "Bearer ***",
    ] {
        assert!(attempts.contains(shown), "{shown} in {attempts}");
    }
    assert!(!attempts.contains("CANARY"), "{attempts}");
    amazon.collect();
    assert_eq!(amazon.arrived["requests"], json!([]));
    let shown = server.get("/v1/buses/default/connections/dry").await;
    assert_eq!(shown["dry_run"], true);
    // Not Lambda: moto takes every name of a function.
    for (name, provider, config, code) in [
        ("no-bus", "eventbridge", json!({"event_bus": "nowhere"}), "missing"),
        (
            "no-queue",
            "sqs",
            json!({"queue": "http://127.0.0.1/123456789012/nowhere"}),
            "missing",
        ),
        (
            "no-topic",
            "sns",
            json!({"topic": "arn:aws:sns:eu-central-1:123456789012:nowhere"}),
            "missing",
        ),
        ("no-stream", "kinesis", json!({"stream": "nowhere"}), "missing"),
    ] {
        let path = format!("/v1/buses/default/connections/{name}");
        server.put(&path, amazon.connection(provider, config)).await;
        let said = server.send("POST", &format!("{path}:test"), &[], "").await.json();
        let last = said["steps"]
            .as_array()
            .and_then(|steps| steps.last())
            .expect("steps")
            .clone();
        assert_eq!(
            (&said["ok"], &last["code"]),
            (&json!(false), &json!(code)),
            "{name}: {said}"
        );
    }
}

/// From bus to bus through Trunkline's own door, which verifies every signature; a loop of two buses ends by the count of hops.
#[tokio::test]
async fn events_go_from_bus_to_bus_and_a_loop_of_buses_ends() {
    let directory = tempfile::tempdir().expect("a directory");
    let allowed = [("TRUNKLINE_ALLOW_NETWORKS", "127.0.0.0/8")];
    let server = Server::start_with(directory.path(), &["--listen", "127.0.0.1:0"], &allowed);
    let admin = server
        .put("/v1/keys/admin", json!({"scopes": ["publish", "administer"]}))
        .await;
    let server = server.with_key(admin["token"].as_str().expect("it is shown once"));
    server.put("/v1/buses/other", json!({})).await;
    let key = server
        .put("/v1/keys/hop", json!({"scopes": ["publish"], "signing": "aws"}))
        .await;
    let credentials = json!({"type": "static", "access_key_id": "hop", "secret_access_key": key["secret"]});
    let aws = json!({"region": "eu-central-1", "endpoint": server.url(), "credentials": credentials});
    for (from, to) in [("default", "other"), ("other", "default")] {
        let connection = json!({"provider": "eventbridge", "config": {"aws": aws, "event_bus": to}});
        server.put(&format!("/v1/buses/{from}/connections/c"), connection).await;
        let path = format!("/v1/buses/{from}/subscriptions/on");
        server
            .put(&path, json!({"connection": "c", "types": ["order.*"]}))
            .await;
    }
    publish_keyed(&server, "1", "c", json!({"n": 1})).await;
    let dead = eventually("the end of the loop", Duration::from_secs(60), async || {
        let page = server.get("/v1/buses/default/dead-letters").await;
        let items = page["items"].as_array().expect("a list").clone();
        (!items.is_empty()).then_some(items)
    })
    .await;
    assert_eq!(
        (dead.len(), &dead[0]["reason"]),
        (1, &json!("too_many_hops")),
        "{dead:?}"
    );
    let path = format!(
        "/v1/buses/default/dead-letters/{}",
        dead[0]["id"].as_str().expect("an id")
    );
    let event = &server.get(&path).await["event"];
    assert_eq!(
        (&event["trunklinehops"], &event["type"]),
        (&json!("16"), &json!("order.placed")),
        "{event}"
    );
    assert_eq!(event["data"], json!({"n": 1, "customer": "c"}));
    assert_eq!(event.get("awsresources"), None, "{event}");
}
