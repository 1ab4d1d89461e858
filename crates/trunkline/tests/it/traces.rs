//! Spans as a collector gets them, read by OpenTelemetry's own messages.

use crate::support::{
    eventually,
    receiver::{Receiver, Reply},
    server::Server,
};
use serde_json::{Value, json};
use std::{
    io::{BufRead, BufReader},
    process::{Child, Command, Stdio},
    sync::{Arc, Mutex},
    time::Duration,
};

const LIMIT: Duration = Duration::from_secs(60);
const TRACE: &str = "4bf92f3577b34da6a3ce929d0e0e4736";
const PARENT: &str = "00f067aa0ba902b7";

/// A running collector, and the spans it got.
struct Collector {
    child: Child,
    endpoint: String,
    spans: Arc<Mutex<Vec<Value>>>,
}

impl Collector {
    fn start(python: &str) -> Self {
        let script = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/otlp/collector.py");
        let mut child = Command::new(python)
            .arg(script)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .expect("python starts");
        let mut lines = BufReader::new(child.stdout.take().expect("piped")).lines();
        let port = lines.next().expect("a line").expect("text");
        let spans: Arc<Mutex<Vec<Value>>> = Arc::default();
        let kept = spans.clone();
        std::thread::spawn(move || {
            for line in lines.map_while(Result::ok) {
                let span = serde_json::from_str(&line).expect("JSON");
                kept.lock().expect("no holder panics").push(span);
            }
        });
        Self {
            child,
            endpoint: format!("http://127.0.0.1:{port}"),
            spans,
        }
    }

    /// The spans of an event, the first to begin first.
    fn of(&self, event: &str) -> Vec<Value> {
        let spans = self.spans.lock().expect("no holder panics").clone();
        let named = |span: &&Value| span["attributes"]["cloudevents.event_id"] == event;
        let traces: Vec<Value> = spans.iter().filter(named).map(|span| span["trace"].clone()).collect();
        let mut found: Vec<Value> = spans
            .into_iter()
            .filter(|span| traces.contains(&span["trace"]))
            .collect();
        found.sort_by_key(|span| span["start"].as_u64());
        found
    }
}

impl Drop for Collector {
    fn drop(&mut self) {
        self.child.kill().expect("it runs");
        self.child.wait().expect("it ends");
    }
}

async fn publish(server: &Server, id: &str, traceparent: Option<&str>) {
    let mut headers = vec![
        ("ce-specversion", "1.0"),
        ("ce-id", id),
        ("ce-source", "/shop"),
        ("ce-type", "order"),
        ("content-type", "application/json"),
    ];
    headers.extend(traceparent.map(|text| ("traceparent", text)));
    let answer = server.send("POST", "/v1/buses/default/events", &headers, "{}").await;
    assert_eq!(answer.status, 200);
}

#[tokio::test]
async fn publishing_matching_and_every_attempt_are_spans_of_the_publishers_trace() {
    let Some(python) = crate::sdk::installed("TRUNKLINE_PYTHON") else {
        return;
    };
    let collector = Collector::start(&python);
    let directory = tempfile::tempdir().expect("a directory");
    let mut fails = true;
    let receiver = Receiver::start(move |delivery| match delivery.header("ce-id") {
        "traced" if std::mem::take(&mut fails) => Reply::Status(503),
        _ => Reply::Status(204),
    })
    .await;
    let environment = [
        ("TRUNKLINE_OTLP_ENDPOINT", collector.endpoint.as_str()),
        ("TRUNKLINE_OTLP_HEADERS", "x-tenant=shop%201"),
        ("TRUNKLINE_OTLP_SAMPLE", "100%"),
    ];
    let server = Server::start_with(directory.path(), &["--listen", "127.0.0.1:0"], &environment);
    let retry = json!({"delivery": {"retry": {"schedule": ["0s", "10ms"]}}});
    server.subscribe("sink", &receiver, retry).await;
    publish(&server, "traced", Some(&format!("00-{TRACE}-{PARENT}-01"))).await;
    publish(
        &server,
        "untraced",
        Some(&format!("00-{}-{PARENT}-00", TRACE.replace('4', "5"))),
    )
    .await;
    publish(&server, "own", None).await;

    let spans = eventually("the spans", LIMIT, async || {
        Some(collector.of("traced")).filter(|spans| spans.len() == 4)
    })
    .await;
    let shown: Vec<_> = spans
        .iter()
        .map(|span| {
            (
                span["name"].as_str().expect("text"),
                span["kind"].as_i64(),
                span["status"].as_i64(),
            )
        })
        .collect();
    let named = |name: &str| spans.iter().filter(|span| span["name"] == name).collect::<Vec<_>>();
    let (publish, matched, attempts) = (named("publish")[0], named("match")[0], named("deliver"));
    assert_eq!(
        (publish["kind"].as_i64(), publish["parent"].as_str()),
        (Some(2), Some(PARENT)),
        "{shown:?}"
    );
    assert!(
        spans
            .iter()
            .all(|span| span["trace"] == TRACE && span["service"] == "trunkline")
    );
    assert_eq!(publish["attributes"]["cloudevents.event_type"], "order");
    assert_eq!(publish["attributes"]["messaging.system"], "trunkline");
    assert_eq!(
        (&matched["parent"], &matched["attributes"]["trunkline.matched"]),
        (&publish["span"], &json!(1))
    );
    assert_eq!(attempts.len(), 2);
    for (attempt, (number, status, code)) in attempts.iter().zip([(1, 503, 2), (2, 204, 0)]) {
        assert_eq!(attempt["parent"], publish["span"]);
        let attributes = &attempt["attributes"];
        assert_eq!(
            (
                &attributes["trunkline.attempt"],
                &attributes["http.response.status_code"],
                &attempt["status"]
            ),
            (&json!(number), &json!(status), &json!(code))
        );
        assert_eq!(attributes["trunkline.subscription"], "sink");
    }
    assert_eq!(attempts[0]["message"], "http_503");
    let own = eventually("the trace of its own", LIMIT, async || {
        Some(collector.of("own")).filter(|spans| spans.len() == 3)
    })
    .await;
    assert_eq!(own[0]["parent"], "");
    assert_ne!(own[0]["trace"], TRACE);
    assert_eq!(collector.of("untraced"), Vec::<Value>::new());
    let ids: std::collections::BTreeSet<String> =
        spans.iter().chain(&own).map(|span| span["span"].to_string()).collect();
    assert_eq!(ids.len(), 7, "every span has an id of its own");
}

/// A collector that is gone costs spans, and nobody else anything.
#[tokio::test]
async fn a_collector_that_is_not_there_costs_its_spans_and_they_are_counted() {
    let directory = tempfile::tempdir().expect("a directory");
    let receiver = Receiver::start(|_| Reply::Status(204)).await;
    let environment = [
        ("OTEL_EXPORTER_OTLP_ENDPOINT", "http://127.0.0.1:1"),
        ("TRUNKLINE_OTLP_SAMPLE", "100%"),
    ];
    let server = Server::start_with(directory.path(), &["--listen", "127.0.0.1:0"], &environment);
    server.subscribe("sink", &receiver, json!({})).await;
    for number in 0..20 {
        publish(&server, &number.to_string(), None).await;
    }
    eventually("everything arrives", LIMIT, async || {
        (server.status("sink").await["since_start"]["delivered"] == 20).then_some(())
    })
    .await;
    let figure = |metrics: &str, name: &str| -> f64 {
        let line = metrics
            .lines()
            .find_map(|line| line.strip_prefix(name)?.strip_prefix(' '));
        line.expect("the metric").parse().expect("a number")
    };
    eventually("the drops are counted", LIMIT, async || {
        let metrics = server.send("GET", "/metrics", &[], "").await;
        let metrics = String::from_utf8(metrics.bytes.to_vec()).expect("text");
        let (spans, dropped) = (
            figure(&metrics, "trunkline_spans_total"),
            figure(&metrics, "trunkline_spans_dropped_total"),
        );
        (spans == 60.0 && dropped == 60.0).then_some(())
    })
    .await;
}

#[test]
fn an_endpoint_or_a_share_that_is_none_is_refused_at_the_start() {
    let directory = tempfile::tempdir().expect("a directory");
    for (variable, value, said) in [
        ("TRUNKLINE_OTLP_ENDPOINT", "ftp://collector", "otlp.endpoint"),
        ("TRUNKLINE_OTLP_SAMPLE", "lots", "is not a percentage"),
    ] {
        let log = Server::try_start(directory.path(), &["--listen", "127.0.0.1:0"], &[(variable, value)]);
        let log = log.err().expect("it does not start");
        assert!(log.contains(said), "{log}");
    }
}
