//! Edited dead letters, redrives, exports and imports, and a subscription that resumes from now, through the door.

use crate::harness::{Answer, Node, event, start};
use crate::keys::{create, with};
use serde_json::{Value, json};
use std::sync::atomic::Ordering;

const LETTERS: &str = "/v1/buses/default/dead-letters";
const REDRIVES: &str = "/v1/buses/default/redrives";

/// A node with dead letters of subscription `s`.
async fn with_dead(ids: &[&str]) -> (Node, Vec<Value>) {
    let node = start().await;
    node.endpoint.status.store(422, Ordering::Relaxed);
    node.subscribe("s", json!({})).await;
    for id in ids {
        assert_eq!(node.publish(event(id)).await.status, 200);
    }
    let list = node
        .until(LETTERS, |list| {
            list["items"].as_array().map(Vec::len) == Some(ids.len())
        })
        .await;
    let letters = list["items"].as_array().expect("a list").clone();
    (node, letters)
}

async fn post(node: &Node, path: &str, body: impl ToString) -> Answer {
    node.ask("POST", path, &["content-type: application/json"], body.to_string())
        .await
}

async fn put(node: &Node, path: &str, body: &Value, more: &[&str]) -> Answer {
    let headers: Vec<&str> = more.iter().copied().chain(["content-type: application/json"]).collect();
    node.ask("PUT", path, &headers, body.to_string()).await
}

/// The text of a body that came in chunks.
fn unchunked(body: &[u8]) -> String {
    let (mut rest, mut text) = (body, Vec::new());
    loop {
        let end = rest.windows(2).position(|pair| pair == b"\r\n").expect("a length");
        let length = std::str::from_utf8(&rest[..end]).expect("digits");
        let length = usize::from_str_radix(length, 16).expect("a number");
        if length == 0 {
            return String::from_utf8(text).expect("text");
        }
        text.extend(&rest[end + 2..end + 2 + length]);
        rest = &rest[end + 4 + length..];
    }
}

#[tokio::test]
async fn a_dead_letter_is_edited_at_the_version_that_was_seen_and_what_was_received_stays() {
    let (node, letters) = with_dead(&["a"]).await;
    let path = format!("{LETTERS}/{}", letters[0]["id"].as_str().expect("an id"));
    let seen = node.get(&path).await;
    assert_eq!(seen.header("etag"), Some("\"0\""));
    let mut edited = seen.json()["event"].clone();
    edited["data"] = json!({"n": "put right"});
    let answer = put(&node, &format!("{path}/event"), &edited, &["if-match: \"0\""]).await;
    assert_eq!(answer.status, 200, "{answer}");
    let letter = answer.json();
    assert_eq!(
        (&letter["edits"], &letter["event"]["data"]),
        (&json!(1), &edited["data"])
    );
    assert_eq!(letter["original"]["data"], json!({"n": "a"}));
    assert_eq!(letter["event"]["tledited"], json!("1"));
    put(&node, &format!("{path}/event"), &edited, &["if-match: \"0\""])
        .await
        .problem(412, "version_conflict");
    let mut other = edited.clone();
    other["id"] = json!("another");
    put(&node, &format!("{path}/event"), &other, &[])
        .await
        .problem(422, "dead_letter_identity");
    let mut broken = edited.clone();
    broken["source"] = json!("");
    let refused = put(&node, &format!("{path}/event"), &broken, &[]).await;
    assert_eq!(refused.status, 400, "{refused}");
    let story = node.get("/v1/buses/default/events/a").await.json();
    assert_eq!(story["event"]["data"], json!({"n": "a"}));
    assert_eq!(story["subscriptions"][0]["edited"]["event"]["data"], edited["data"]);
    let trail = node.get("/v1/audit?order=newest&limit=1000").await.json();
    let entries = trail["items"].as_array().expect("a list");
    let mut edits = entries.iter().filter(|entry| entry["action"] == "edited");
    let edit = edits.next().expect("it is in the trail");
    assert_eq!(edits.next(), None, "those that were refused are not");
    let text = edit.to_string();
    assert!(text.contains("sha256:") && !text.contains("put right"), "{text}");
    node.endpoint.status.store(200, Ordering::Relaxed);
    assert_eq!(
        post(&node, &format!("{LETTERS}:redrive"), json!({"all": true}))
            .await
            .json()["redriven"],
        1
    );
    let story = node
        .until("/v1/buses/default/events/a", |story| {
            story["subscriptions"][0]["state"] == "delivered"
        })
        .await;
    let attempts = story["subscriptions"][0]["attempts"].as_array().expect("a list");
    assert_eq!(attempts.last().expect("the last")["edits"], json!(1));
}

/// 500 of the largest would be half a gigabyte: pages end with their bytes, and none is passed over or counted twice.
#[tokio::test]
async fn large_dead_letters_come_in_pages_of_few_and_all_of_them_are_moved() {
    const LETTERS_MADE: usize = 40;
    let (node, _) = with_dead(&[]).await;
    for number in 0..LETTERS_MADE {
        let mut event = event(&format!("large-{number}"));
        event["data"] = json!({"padding": "x".repeat(1_000_000)});
        assert_eq!(node.publish(event).await.status, 200);
    }
    let dead = |path: &str, wanted: usize| {
        let (path, node) = (path.to_owned(), &node);
        async move {
            node.until(&path, |shown| shown["status"]["dead_letters"] == json!(wanted))
                .await
        }
    };
    dead("/v1/buses/default/subscriptions/s", LETTERS_MADE).await;
    let (mut listed, mut pages, mut path) = (Vec::new(), 0, format!("{LETTERS}?limit=500"));
    loop {
        let page = node.get(&path).await.json();
        pages += 1;
        for item in page["items"].as_array().expect("a list") {
            listed.push(item["event_id"].as_str().expect("an id").to_owned());
        }
        let Some(next) = page["next"].as_str() else { break };
        path = format!("{LETTERS}?limit=500&cursor={next}");
    }
    assert!(pages > 2, "{LETTERS_MADE} MB came in {pages} pages");
    listed.sort_unstable();
    listed.dedup();
    assert_eq!(listed.len(), LETTERS_MADE);
    let exported = unchunked(&node.get(&format!("{LETTERS}:export")).await.body);
    assert_eq!(exported.lines().count(), LETTERS_MADE + 1);

    node.endpoint.status.store(200, Ordering::Relaxed);
    let one = post(
        &node,
        &format!("{LETTERS}:discard"),
        json!({"ids": [id_of(&node, "large-0").await]}),
    )
    .await;
    assert_eq!(one.json()["discarded"], 1, "{one}");
    let rest = post(&node, &format!("{LETTERS}:redrive"), json!({"all": true})).await;
    assert_eq!(rest.json()["redriven"], LETTERS_MADE - 1, "{rest}");
    dead("/v1/buses/default/subscriptions/s", 0).await;
}

async fn id_of(node: &Node, event: &str) -> Value {
    node.get(&format!("{LETTERS}?event={event}")).await.json()["items"][0]["id"].clone()
}

#[tokio::test]
async fn who_may_not_publish_an_event_may_not_make_one_of_a_dead_letter() {
    let (node, letters) = with_dead(&["a"]).await;
    let id = letters[0]["id"].as_str().expect("an id");
    let all = json!({"scopes": ["administer", "subscribe", "publish"]});
    let admin = create(&node, "admin", all, None).await;
    let admin = Some(admin.as_str());
    let seen = with(&node, "GET", &format!("{LETTERS}/{id}"), admin, "").await.json();
    let looks = create(&node, "looks", json!({"scopes": ["subscribe"]}), admin).await;
    let others = json!({"scopes": ["subscribe", "publish"], "publish": {"types": ["other.*"]}});
    let others = create(&node, "others", others, admin).await;
    let body = seen["event"].to_string();
    let path = format!("{LETTERS}/{id}/event");
    with(&node, "PUT", &path, Some(&looks), &body)
        .await
        .problem(403, "scope_missing");
    with(&node, "PUT", &path, Some(&others), &body)
        .await
        .problem(403, "event_not_permitted");
    let lines = with(&node, "GET", &format!("{LETTERS}:export"), Some(&looks), "").await;
    let lines = unchunked(&lines.body);
    with(&node, "POST", &format!("{LETTERS}:import"), Some(&looks), &lines)
        .await
        .problem(403, "scope_missing");
    assert_eq!(with(&node, "PUT", &path, admin, &body).await.status, 200);
}

#[tokio::test]
async fn a_redrive_is_looked_at_started_held_ended_and_forgotten() {
    let (node, _) = with_dead(&["a", "b", "c"]).await;
    let asked = json!({"name": "again", "subscription": "s", "reason": "http_4*", "rate": "1/m"});
    let preview = post(&node, &format!("{REDRIVES}?dry_run=true"), asked.clone()).await;
    assert_eq!(preview.status, 200, "{preview}");
    let preview = preview.json();
    assert_eq!(preview["dead_letters"], json!(3));
    assert!(preview["samples"][0]["event"]["id"].is_string(), "{preview}");
    assert_eq!(node.get(REDRIVES).await.json()["items"], json!([]));
    let started = post(&node, REDRIVES, asked.clone()).await;
    assert_eq!(started.status, 201, "{started}");
    post(&node, REDRIVES, asked).await.problem(412, "already_exists");
    let path = format!("{REDRIVES}/again");
    let verb = async |verb: &str| post(&node, &format!("{path}:{verb}"), "").await;
    assert_eq!(verb("pause").await.json()["status"]["state"], json!("paused"));
    assert_eq!(verb("resume").await.json()["status"]["state"], json!("running"));
    node.ask("DELETE", &path, &[], "").await.problem(409, "redrive_running");
    assert_eq!(verb("cancel").await.json()["status"]["state"], json!("cancelled"));
    verb("resume").await.problem(409, "redrive_over");
    assert_eq!(node.ask("DELETE", &path, &[], "").await.status, 204);
    node.get(&path).await.problem(404, "resource_not_found");
    for (wrong, status, code) in [
        (json!({"subscription": "absent"}), 422, "resource_invalid"),
        (json!({"status": 99}), 422, "resource_invalid"),
        (json!({"status": 503, "reason": "dns"}), 422, "resource_invalid"),
        (
            json!({"from": "2026-01-02T00:00:00Z", "to": "2026-01-01T00:00:00Z"}),
            422,
            "resource_invalid",
        ),
        (json!({"rat": "1/s"}), 422, "field_unknown"),
    ] {
        post(&node, REDRIVES, wrong).await.problem(status, code);
    }
    let trail = node.get("/v1/audit?kind=redrive&order=oldest").await.json();
    let entries = trail["items"].as_array().expect("a list").iter();
    let told: Vec<_> = entries.filter_map(|entry| entry["action"].as_str()).collect();
    assert_eq!(
        told,
        ["looked", "started", "paused", "resumed", "cancelled", "deleted"],
        "what was refused is not in the trail"
    );
}

#[tokio::test]
async fn what_is_exported_is_imported_once_here_and_elsewhere_and_a_damaged_line_is_named() {
    let (node, letters) = with_dead(&["a", "b", "c"]).await;
    let id = letters[0]["id"].as_str().expect("an id");
    let mut edited = node.get(&format!("{LETTERS}/{id}")).await.json()["event"].clone();
    edited["data"] = json!(["put right"]);
    assert_eq!(
        put(&node, &format!("{LETTERS}/{id}/event"), &edited, &[]).await.status,
        200
    );
    let exported = node.get(&format!("{LETTERS}:export?subscription=s")).await;
    assert_eq!(exported.header("content-type"), Some("application/x-ndjson"));
    let exported = unchunked(&exported.body);
    assert_eq!(exported.lines().count(), 4);
    assert_eq!(exported.lines().last(), Some(r#"{"end":3}"#));
    let import = async |node: &Node, query: &str, body: &str| {
        let answer = post(node, &format!("{LETTERS}:import{query}"), body).await;
        assert_eq!(answer.status, 200, "{answer}");
        let told = answer.json();
        (
            told["imported"].as_u64().expect("a number"),
            told["present"].as_u64().expect("a number"),
        )
    };
    assert_eq!(import(&node, "", &exported).await, (0, 3), "they were never away");

    let other = start().await;
    other.subscribe("t", json!({})).await;
    let unknown = post(&other, &format!("{LETTERS}:import"), &exported).await;
    let unknown = unknown.problem(422, "dead_letter_line_invalid");
    assert!(
        unknown["detail"]
            .as_str()
            .is_some_and(|detail| detail.starts_with("line 1: subscription \"s\""))
    );
    let mut lines: Vec<&str> = exported.lines().collect();
    let cut = &lines[1][..lines[1].len() - 9];
    lines[1] = cut;
    let damaged = post(
        &other,
        &format!("{LETTERS}:import?subscription=t&first_line=41"),
        lines.join("\n"),
    )
    .await;
    let damaged = damaged.problem(422, "dead_letter_line_invalid");
    assert!(
        damaged["detail"]
            .as_str()
            .is_some_and(|detail| detail.starts_with("line 42: ")),
        "{damaged}"
    );
    assert_eq!(
        other.get(LETTERS).await.json()["items"],
        json!([]),
        "nothing is half done"
    );
    assert_eq!(import(&other, "?subscription=t&dry_run=true", &exported).await, (3, 0));
    assert_eq!(other.get(LETTERS).await.json()["items"], json!([]));
    assert_eq!(import(&other, "?subscription=t", &exported).await, (3, 0));
    assert_eq!(import(&other, "?subscription=t", &exported).await, (0, 3));
    let there = other.get(LETTERS).await.json();
    let there = there["items"].as_array().expect("a list");
    for letter in &letters {
        let id = &letter["event_id"];
        let same = there
            .iter()
            .find(|other| other["event_id"] == *id)
            .expect("it is there");
        for field in [
            "event_source",
            "event_type",
            "reason",
            "detail",
            "attempts",
            "received",
            "died",
        ] {
            assert_eq!(same[field], letter[field], "{field}");
        }
    }
    let id_there = there.iter().find(|one| one["edits"] == 1).expect("the edited one")["id"].clone();
    let whole = other
        .get(&format!("{LETTERS}/{}", id_there.as_str().expect("an id")))
        .await
        .json();
    assert_eq!(whole["event"]["data"], edited["data"]);
    assert_eq!(whole["original"]["data"]["n"], letters[0]["event_id"]);
    assert_eq!(
        post(&other, &format!("{LETTERS}:redrive"), json!({"all": true}))
            .await
            .json()["redriven"],
        3
    );
    other
        .until("/v1/buses/default/subscriptions/t", |t| {
            t["status"]["since_start"]["delivered"] == 3
        })
        .await;
    // What an installation has lost comes back.
    assert_eq!(
        post(&node, &format!("{LETTERS}:discard"), json!({"all": true}))
            .await
            .json()["discarded"],
        3
    );
    assert_eq!(import(&node, "", &exported).await, (3, 0));
}

#[tokio::test]
async fn a_paused_subscription_resumes_from_now_and_says_what_it_skipped() {
    let node = start().await;
    node.subscribe("s", json!({})).await;
    let path = "/v1/buses/default/subscriptions/s";
    assert_eq!(post(&node, &format!("{path}:pause"), "").await.status, 200);
    for id in ["a", "b"] {
        assert_eq!(node.publish(event(id)).await.status, 200);
    }
    post(&node, &format!("{path}:resume?from=yesterday"), "")
        .await
        .problem(400, "query_invalid");
    post(&node, "/v1/buses/default/subscriptions/absent:resume?from=now", "")
        .await
        .problem(404, "resource_not_found");
    let resumed = post(&node, &format!("{path}:resume?from=now"), "").await;
    assert_eq!(resumed.status, 200, "{resumed}");
    let skipped = resumed.json()["status"]["skipped"].clone();
    assert_eq!((&skipped["events"], &skipped["parked"]), (&json!(2), &json!(0)));
    assert_eq!(node.publish(event("c")).await.status, 200);
    node.until(path, |s| s["status"]["since_start"]["delivered"] == 1).await;
    let status = node.get(path).await.json()["status"].clone();
    assert_eq!(status["since_start"]["skipped"], json!(2));
    let story = node.get("/v1/buses/default/events/a").await.json();
    assert_eq!(story["subscriptions"][0]["state"], json!("skipped"));
}
