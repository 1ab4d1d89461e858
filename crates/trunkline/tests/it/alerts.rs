//! Dashboard and alerts against the metrics of a real server: every name and label that they use is there, and what can be
//! provoked makes its alert fire, by Prometheus' own judgement.

use crate::support::{
    eventually,
    receiver::{Receiver, Reply},
    server::Server,
};
use serde_json::{Value, json};
use std::{
    collections::{BTreeMap, BTreeSet},
    path::{Path, PathBuf},
    process::Command,
    time::Duration,
};

const LIMIT: Duration = Duration::from_secs(60);
/// Labels that Prometheus adds, and those of its own metric `up`.
const ADDED: [&str; 3] = ["instance", "job", "le"];

fn deployed(file: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../deploy").join(file)
}

async fn scrape(server: &Server) -> String {
    let answer = server.send("GET", "/metrics", &[], "").await;
    String::from_utf8(answer.bytes.to_vec()).expect("text")
}

/// Series by their names, each with its labels.
fn series(metrics: &str) -> BTreeMap<&str, BTreeSet<&str>> {
    let mut series: BTreeMap<&str, BTreeSet<&str>> = BTreeMap::new();
    for line in metrics.lines().filter(|line| !line.starts_with('#')) {
        let name = line.split(['{', ' ']).next().expect("a name");
        let inside = line.split_once('{').and_then(|(_, rest)| rest.split_once('}'));
        let pairs = inside.map_or("", |(inside, _)| inside).split(',');
        let labels = pairs.filter_map(|pair| Some(pair.split_once('=')?.0));
        series.entry(name).or_default().extend(labels);
    }
    series
}

/// Every metric of ours in an expression, with the labels that its selector names.
fn used(expression: &str) -> Vec<(String, Vec<String>)> {
    let mut used = Vec::new();
    let mut rest = expression;
    while let Some(at) = rest.find("trunkline_") {
        rest = &rest[at..];
        let end = rest
            .find(|c: char| !c.is_ascii_alphanumeric() && c != '_')
            .unwrap_or(rest.len());
        let (name, after) = rest.split_at(end);
        let selector = after
            .strip_prefix('{')
            .and_then(|inside| Some(inside.split_once('}')?.0));
        let labels = selector.unwrap_or_default().split(',').filter_map(|one| {
            let label = one.split(['=', '!']).next()?.trim();
            (!label.is_empty()).then(|| label.to_owned())
        });
        used.push((name.to_owned(), labels.collect()));
        rest = after;
    }
    used
}

/// Every text under one of these members, wherever it is.
fn texts<'a>(value: &'a Value, members: &[&str], found: &mut Vec<&'a str>) {
    match value {
        Value::Object(object) => {
            for (name, inner) in object {
                match inner {
                    Value::String(text) if members.contains(&name.as_str()) => found.push(text),
                    inner => texts(inner, members, found),
                }
            }
        }
        Value::Array(array) => array.iter().for_each(|inner| texts(inner, members, found)),
        _ => {}
    }
}

/// A server with one subscription in each of the states that alerts are about.
async fn troubled(directory: &Path) -> (Server, Receiver) {
    let receiver = Receiver::start(|delivery| match delivery.header("ce-type") {
        "fails" => Reply::Status(503),
        "gone" => Reply::Status(410),
        "refused" => Reply::Status(422),
        _ => Reply::Status(204),
    })
    .await;
    let server = Server::start(directory);
    for event_type in ["fails", "gone", "refused", "well"] {
        let policy = json!({"types": [event_type], "delivery": {"retry": {"schedule": ["0s", "10ms"]}}});
        server.subscribe(event_type, &receiver, policy).await;
    }
    (server, receiver)
}

#[tokio::test]
async fn every_metric_and_label_of_dashboard_and_alerts_is_one_of_a_real_server() {
    let directory = tempfile::tempdir().expect("a directory");
    let (server, _receiver) = troubled(directory.path()).await;
    let limited = json!({"scopes": ["administer"], "quotas": {"connections": 100}});
    let made = server.put("/v1/keys/limited", limited).await;
    let server = server.with_key(made["token"].as_str().expect("it is shown once"));
    let metrics = scrape(&server).await;
    let series = series(&metrics);
    let dashboard = std::fs::read_to_string(deployed("grafana/trunkline.json")).expect("the dashboard");
    let dashboard: Value = serde_json::from_str(&dashboard).expect("JSON");
    let mut expressions = Vec::new();
    texts(&dashboard, &["expr", "query"], &mut expressions);
    let alerts = std::fs::read_to_string(deployed("prometheus/alerts.yaml")).expect("the alerts");
    expressions.extend(alerts.lines().filter_map(|line| line.trim().strip_prefix("expr: ")));
    let used: Vec<_> = expressions.iter().flat_map(|expression| used(expression)).collect();
    assert!(
        used.len() > 60,
        "only {} uses were found: the search is broken",
        used.len()
    );
    for (name, labels) in &used {
        let there = series
            .get(name.as_str())
            .unwrap_or_else(|| panic!("no server has {name}"));
        for label in labels {
            let is_there = there.contains(label.as_str()) || ADDED.contains(&label.as_str());
            assert!(is_there, "{name} has no label {label}");
        }
    }
    // And nothing that a server has is left out of the dashboard.
    let shown: BTreeSet<&str> = used.iter().map(|(name, _)| name.as_str()).collect();
    let bytes = [
        "trunkline_queued_bytes",
        "trunkline_parked_bytes",
        "trunkline_dead_letter_bytes",
    ];
    let others = [
        "trunkline_journal_queued_requests",
        "trunkline_journal_duplicates_total",
        "trunkline_positions_checked_total",
    ];
    let left_out = series
        .keys()
        .filter(|name| !shown.contains(*name) && !bytes.contains(name) && !others.contains(name));
    assert_eq!(left_out.collect::<Vec<_>>(), Vec::<&&str>::new());
}

fn promtool(directory: &Path, arguments: &[&str]) {
    let found = Command::new("promtool").args(arguments).current_dir(directory).output();
    let found = match found {
        Ok(found) => found,
        Err(_) if std::env::var_os("TRUNKLINE_QUICK").is_some() => {
            println!("left out of the quick tier: needs promtool");
            return;
        }
        Err(error) => panic!("promtool: {error}; run `cargo xtask test`, which installs it"),
    };
    let said = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    assert!(found.status.success(), "{}{}", said(&found.stdout), said(&found.stderr));
}

#[test]
fn prometheus_accepts_the_alerts_and_their_own_tests_pass() {
    promtool(&deployed("prometheus"), &["check", "rules", "alerts.yaml"]);
    promtool(&deployed("prometheus"), &["test", "rules", "alerts_test.yaml"]);
}

/// What a server said before and during trouble, as the series that Prometheus would have kept: one minute of the first, half
/// an hour of the second.
fn recorded(before: &str, during: &str) -> Vec<Value> {
    let read = |metrics: &str| -> BTreeMap<String, String> {
        let lines = metrics.lines().filter(|line| !line.starts_with('#'));
        let pairs = lines.filter_map(|line| line.rsplit_once(' '));
        pairs
            .map(|(series, value)| (series.to_owned(), value.to_owned()))
            .collect()
    };
    let (before, during) = (read(before), read(during));
    let names: BTreeSet<&String> = before.keys().chain(during.keys()).collect();
    let one = |name: &String| {
        let first = before.get(name).map_or("_", String::as_str);
        let values = match during.get(name) {
            Some(later) => format!("{first} {later}x30"),
            None => first.to_owned(),
        };
        json!({"series": name, "values": values})
    };
    names.into_iter().map(one).collect()
}

#[tokio::test]
async fn trouble_that_is_provoked_on_a_real_server_makes_its_alerts_fire_and_no_others() {
    let directory = tempfile::tempdir().expect("a directory");
    let (server, _receiver) = troubled(directory.path()).await;
    let before = scrape(&server).await;
    for event_type in ["fails", "gone", "refused", "well"] {
        for number in 0..6 {
            server
                .publish(event_type, &format!("{event_type}-{number}"), json!({}))
                .await;
        }
    }
    let during = eventually("the trouble", LIMIT, async || {
        let metrics = scrape(&server).await;
        let states = [("fails", "backing-off"), ("gone", "paused-gone"), ("well", "running")];
        let is_there = |(name, state): &(&str, &str)| {
            let series = "trunkline_subscription_state{bus=\"default\"";
            metrics.contains(&format!("{series},subscription=\"{name}\",state=\"{state}\"}} 1"))
        };
        let dead = "trunkline_dead_lettered_events_total{bus=\"default\",subscription=\"refused\"} 6";
        (states.iter().all(is_there) && metrics.contains(dead)).then_some(metrics)
    })
    .await;
    let fires = |alert: &str, subscription: &str| {
        let labels = format!("{{alertname=\"{alert}\",subscription=\"{subscription}\"}}");
        json!({"labels": labels, "value": 1})
    };
    let firing = "count by (alertname, subscription) (ALERTS{alertstate=\"firing\",alertname!~\"TrunklineDisk.*\"})";
    let test = json!({
        "rule_files": [deployed("prometheus/alerts.yaml").canonicalize().expect("a path")],
        "evaluation_interval": "1m",
        "tests": [{
            "interval": "1m",
            "input_series": recorded(&before, &during),
            "promql_expr_test": [
                {"expr": firing, "eval_time": "0m", "exp_samples": []},
                {"expr": firing, "eval_time": "12m", "exp_samples": [
                    fires("TrunklineEndpointFailing", "fails"),
                    fires("TrunklineSubscriptionStopped", "gone"),
                    fires("TrunklineDeadLetters", "refused"),
                ]},
            ],
        }],
    });
    std::fs::write(directory.path().join("test.json"), test.to_string()).expect("written");
    promtool(directory.path(), &["test", "rules", "test.json"]);
}
