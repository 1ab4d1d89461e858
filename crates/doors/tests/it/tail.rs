//! Live tails: who sees what, from where on, slow readers, and the end.

use crate::harness::{Answer, Node, PATIENCE, event, start};
use serde_json::{Value, json};
use std::{collections::BTreeSet, time::Duration};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
    time::timeout,
};

const TAIL: &str = "/v1/buses/default/events:tail";

/// One server-sent event.
#[derive(Clone, Debug, Default, PartialEq)]
struct Sent {
    id: Option<String>,
    name: Option<String>,
    data: String,
}

impl Sent {
    fn json(&self) -> Value {
        serde_json::from_str(&self.data).unwrap_or_else(|_| panic!("no JSON: {self:?}"))
    }

    fn event_id(&self) -> String {
        self.json()["event"]["id"].as_str().expect("an event").to_owned()
    }
}

/// A client that reads only when it is asked to.
struct Reader {
    stream: TcpStream,
    text: String,
}

impl Reader {
    /// Opens a tail; it has begun when this returns.
    async fn open(node: &Node, query: &str, headers: &[&str]) -> (Reader, Sent) {
        Self::open_at(node, TAIL, query, headers).await
    }

    async fn open_at(node: &Node, path: &str, query: &str, headers: &[&str]) -> (Reader, Sent) {
        let mut stream = TcpStream::connect(node.address).await.expect("it listens");
        let headers: String = headers.iter().map(|header| format!("{header}\r\n")).collect();
        // HTTP/1.0: the body comes without chunks.
        let request = format!("GET {path}{query} HTTP/1.0\r\nhost: localhost\r\n{headers}\r\n");
        stream.write_all(request.as_bytes()).await.expect("it is open");
        let mut reader = Reader {
            stream,
            text: String::new(),
        };
        let head = reader.until("\r\n\r\n").await;
        assert!(head.contains("200 OK") && head.contains("text/event-stream"), "{head}");
        let first = reader.next().await;
        (reader, first)
    }

    async fn until(&mut self, end: &str) -> String {
        loop {
            if let Some(at) = self.text.find(end) {
                let rest = self.text.split_off(at + end.len());
                return std::mem::replace(&mut self.text, rest);
            }
            let mut buffer = [0; 16 << 10];
            let read = timeout(PATIENCE, self.stream.read(&mut buffer))
                .await
                .expect("it goes on");
            let read = read.expect("it is open");
            assert!(read > 0, "it ended after {:?}", self.text);
            self.text.push_str(std::str::from_utf8(&buffer[..read]).expect("ASCII"));
        }
    }

    async fn next(&mut self) -> Sent {
        let mut sent = Sent::default();
        for line in self.until("\n\n").await.lines() {
            match line.split_once(": ") {
                Some(("id", id)) => sent.id = Some(id.to_owned()),
                Some(("event", name)) => sent.name = Some(name.to_owned()),
                Some(("data", data)) => sent.data.push_str(data),
                _ => {}
            }
        }
        sent
    }

    async fn ids(&mut self, count: usize) -> BTreeSet<String> {
        let mut ids = BTreeSet::new();
        while ids.len() < count {
            ids.insert(self.next().await.event_id());
        }
        ids
    }
}

async fn publish(node: &Node, ids: impl IntoIterator<Item = usize>) {
    for id in ids {
        assert_eq!(node.publish(event(&id.to_string())).await.status, 200);
    }
}

fn names(ids: impl IntoIterator<Item = usize>) -> BTreeSet<String> {
    ids.into_iter().map(|id| id.to_string()).collect()
}

#[tokio::test]
async fn a_tail_shows_what_comes_after_it_began_with_its_place() {
    let node = start().await;
    publish(&node, 0..3).await;
    let (mut reader, first) = Reader::open(&node, "", &[]).await;
    assert!(first.id.is_some() && first.data.is_empty(), "{first:?}");
    publish(&node, 3..5).await;
    let sent = reader.next().await;
    let shown = sent.json();
    assert_eq!((&sent.name, &shown["topic"]), (&None, &json!("events")), "{shown}");
    assert_eq!(shown["event"]["data"]["n"], shown["event"]["id"]);
    let there = node
        .ask(
            "POST",
            "/v1/buses/default/patterns:test",
            &[],
            json!({
                "types": ["t"],
                "events": [{"stored": {"topic": "events", "partition": shown["partition"], "offset": shown["offset"]}}],
            })
            .to_string(),
        )
        .await
        .json();
    assert_eq!(there["results"][0]["id"], shown["event"]["id"], "{there}");
    assert_eq!(
        BTreeSet::from([sent.event_id(), reader.next().await.event_id()]),
        names(3..5)
    );
}

#[tokio::test]
async fn a_tail_goes_on_where_another_one_stopped_without_a_gap_or_a_repetition() {
    let node = start().await;
    let (mut reader, first) = Reader::open(&node, "", &[]).await;
    publish(&node, 0..10).await;
    let (mut seen, mut last) = (BTreeSet::new(), first.id.clone());
    for _ in 0..6 {
        let sent = reader.next().await;
        assert!(seen.insert(sent.event_id()), "{sent:?}");
        last = sent.id;
    }
    drop(reader);
    publish(&node, 10..15).await;
    let resume = format!("last-event-id: {}", last.expect("each event has one"));
    let (mut reader, _) = Reader::open(&node, "?from=earliest", &[&resume]).await;
    publish(&node, 15..17).await;
    let rest = reader.ids(11).await;
    assert!(seen.is_disjoint(&rest), "{seen:?} {rest:?}");
    seen.extend(rest);
    assert_eq!(seen, names(0..17));
    let from_start = format!("last-event-id: {}", first.id.expect("the first has one"));
    let (mut reader, _) = Reader::open(&node, "", &[&from_start]).await;
    assert_eq!(reader.ids(17).await, names(0..17), "also where nothing had come yet");
}

#[tokio::test]
async fn a_tail_begins_in_the_past_and_goes_over_into_the_present() {
    let node = start().await;
    publish(&node, 0..20).await;
    let (mut earliest, _) = Reader::open(&node, "?from=earliest", &[]).await;
    let (mut since, _) = Reader::open(&node, "?from=2020-01-01T00:00:00Z", &[]).await;
    publish(&node, 20..25).await;
    assert_eq!(earliest.ids(25).await, names(0..25));
    assert_eq!(since.ids(25).await, names(0..25));
    let (mut future, _) = Reader::open(&node, "?from=2999-01-01T00:00:00Z", &[]).await;
    publish(&node, [25]).await;
    assert_eq!(future.next().await.event_id(), "25", "a time to come is now");

    let put = node.put("/v1/buses/default/topics/one", json!({"partitions": 1})).await;
    assert_eq!(put.status, 201, "{put}");
    let route = json!({"routes": [{"topic": "one"}]});
    assert_eq!(node.put("/v1/buses/default/event-types/t", route).await.status, 201);
    publish(&node, 30..34).await;
    let (mut offset, _) = Reader::open(&node, "?topics=one&from=0:2", &[]).await;
    assert_eq!(
        [offset.next().await.event_id(), offset.next().await.event_id()],
        ["32", "33"]
    );
}

#[tokio::test]
async fn types_topics_and_filters_of_any_language_choose() {
    let node = start().await;
    let filters = [
        r#"{"eventbridge":{"detail":{"n":["7"]}}}"#,
        r#"{"cesql":"id = '7'"}"#,
        r#"{"cloudevents":[{"exact":{"id":"7"}}]}"#,
        r#"{"jsonpath":"$[?@ == '7']"}"#,
        r#"{"eventgrid":{"advancedFilters":[{"operatorType":"StringIn","key":"data.n","values":["7"]}]}}"#,
    ];
    let mut readers = Vec::new();
    for filter in filters {
        let filter: String = url::form_urlencoded::byte_serialize(filter.as_bytes()).collect();
        readers.push(Reader::open(&node, &format!("?types=t&filter={filter}"), &[]).await.0);
    }
    let (mut typed, _) = Reader::open(&node, "?types=other.*,more", &[]).await;
    publish(&node, 5..9).await;
    let mut other = event("o");
    other["type"] = "other.x".into();
    assert_eq!(node.publish(other).await.status, 200);
    for (filter, mut reader) in filters.into_iter().zip(readers) {
        assert_eq!(reader.next().await.event_id(), "7", "{filter}");
    }
    assert_eq!(typed.next().await.event_id(), "o");
}

#[tokio::test]
async fn an_event_of_several_topics_is_told_once_to_who_sees_the_whole_bus() {
    let node = start().await;
    for topic in ["first", "second"] {
        let put = node
            .put(&format!("/v1/buses/default/topics/{topic}"), json!({"partitions": 1}))
            .await;
        assert_eq!(put.status, 201, "{put}");
    }
    let (mut whole, _) = Reader::open(&node, "", &[]).await;
    let (mut second, _) = Reader::open(&node, "?topics=second", &[]).await;
    let routes = json!({"routes": [{"topic": "first"}, {"topic": "second"}]});
    assert_eq!(node.put("/v1/buses/default/event-types/t", routes).await.status, 201);
    publish(&node, 0..2).await;
    assert_eq!(second.ids(2).await, names(0..2));
    let told = [whole.next().await, whole.next().await];
    assert_eq!(
        told.map(|sent| (sent.json()["topic"].clone(), sent.event_id())),
        [(json!("first"), "0".to_owned()), (json!("first"), "1".to_owned()),]
    );
    let put = node.put("/v1/buses/default/topics/new", json!({"partitions": 1})).await;
    assert_eq!(put.status, 201, "{put}");
    let routes = json!({"routes": [{"topic": "new"}]});
    assert_eq!(node.put("/v1/buses/default/event-types/t", routes).await.status, 200);
    publish(&node, [9]).await;
    assert_eq!(
        whole.next().await.event_id(),
        "9",
        "a new topic is of the whole bus too"
    );
}

/// A slow reader's events are skipped and counted: what is shown and what is skipped are all there were.
#[tokio::test]
async fn a_reader_that_is_too_slow_is_told_how_many_it_missed() {
    /// Far more than sockets and queues hold together.
    const EVENTS: usize = 400;
    let node = start().await;
    let (mut slow, _) = Reader::open(&node, "", &[]).await;
    let data = "x".repeat(100 << 10);
    for id in 0..EVENTS {
        let event = json!({"specversion": "1.0", "id": id.to_string(), "source": "/s", "type": "t", "data": data});
        assert_eq!(node.publish(event).await.status, 200);
    }
    let (mut shown, mut skipped) = (0, 0);
    while shown + skipped < EVENTS {
        let sent = slow.next().await;
        match sent.name.as_deref() {
            Some("skipped") => {
                skipped += usize::try_from(sent.json()["skipped"].as_u64().expect("a number")).expect("few")
            }
            _ => shown += 1,
        }
    }
    assert_eq!(shown + skipped, EVENTS);
    assert!(skipped > 0 && shown > 0, "{shown} shown, {skipped} skipped");
    publish(&node, [1_000_000]).await;
    assert_eq!(slow.next().await.event_id(), "1000000", "it goes on with what comes");
}

#[tokio::test(start_paused = true)]
async fn a_tail_without_events_lasts() {
    let node = start().await;
    let (mut reader, _) = Reader::open(&node, "", &[]).await;
    for _ in 0..20 {
        assert!(reader.until("\n\n").await.starts_with(':'), "a comment");
    }
    publish(&node, [1]).await;
    assert_eq!(reader.next().await.event_id(), "1");
}

#[tokio::test(start_paused = true)]
async fn a_tail_ends_with_what_it_shows_although_nothing_comes() {
    let node = start().await;
    for (thing, query) in [("topics/letters", "?topics=letters"), ("", "")] {
        let path = format!("/v1/buses/post/{thing}");
        let path = path.trim_end_matches('/');
        assert_eq!(node.ask("PUT", "/v1/buses/post", &[], "{}").await.status, 201);
        assert_eq!(
            node.ask("PUT", "/v1/buses/post/topics/letters", &[], "{}").await.status,
            201
        );
        let mut readers = Vec::new();
        for _ in 0..2 {
            readers.push(Reader::open_at(&node, "/v1/buses/post/events:tail", query, &[]).await.0);
        }
        assert_eq!(node.ask("DELETE", path, &[], "").await.status, 204, "{path}");
        let ended = readers.remove(0).next().await;
        let expected = json!({"reason": "resource_not_found"});
        assert_eq!(
            (ended.name.as_deref(), ended.json()),
            (Some("end"), expected.clone()),
            "{path}"
        );
        // What has its name since is something else.
        assert_eq!(node.ask("PUT", path, &[], "{}").await.status, 201);
        let ended = readers.remove(0).next().await;
        assert_eq!((ended.name.as_deref(), ended.json()), (Some("end"), expected), "{path}");
        assert_eq!(node.ask("DELETE", "/v1/buses/post", &[], "").await.status, 204);
    }
}

#[tokio::test]
async fn places_are_bounded_and_given_back() {
    let node = start().await;
    let mut readers = Vec::new();
    for _ in 0..8 {
        readers.push(Reader::open(&node, "", &[]).await);
    }
    let refused = node.get(TAIL).await;
    refused.problem(429, "tails_exhausted");
    assert!(refused.header("retry-after").is_some(), "{refused}");
    drop(readers);
    let again = async {
        loop {
            let mut stream = TcpStream::connect(node.address).await.expect("it listens");
            let request = format!("GET {TAIL} HTTP/1.0\r\nhost: localhost\r\n\r\n");
            stream.write_all(request.as_bytes()).await.expect("it is open");
            let mut head = [0; 12];
            stream.read_exact(&mut head).await.expect("an answer");
            if head.ends_with(b"200") {
                return;
            }
        }
    };
    // The next comment, fifteen seconds later, would notice it as well.
    let soon = timeout(Duration::from_secs(10), again).await;
    soon.expect("a place becomes free");
}

#[tokio::test]
async fn what_is_wrongly_asked_for_is_a_problem() {
    let node = start().await;
    let ask = async |query: &str, headers: &[&str]| -> Answer {
        node.ask("GET", &format!("{TAIL}{query}"), headers, "").await
    };
    ask("?from=yesterday", &[]).await.problem(400, "query_invalid");
    ask("?from=0:x", &[]).await.problem(400, "query_invalid");
    ask("?topics=a,,b", &[]).await.problem(400, "query_invalid");
    ask("?from=0:1", &[]).await.problem(422, "resource_invalid");
    ask("?topics=events&from=99:0", &[])
        .await
        .problem(422, "resource_invalid");
    ask("?topics=absent", &[]).await.problem(404, "resource_not_found");
    ask(&format!("?types={}", "x".repeat(2_000)), &[])
        .await
        .problem(422, "types_invalid");
    ask("?filter=x", &[]).await.problem(400, "query_invalid");
    ask("?filter=%7B%22cesql%22:%22a%20=%22%7D", &[])
        .await
        .problem(422, "filter_invalid");
    ask("", &["last-event-id: nonsense!"])
        .await
        .problem(400, "cursor_invalid");
    node.get("/v1/buses/absent/events:tail")
        .await
        .problem(404, "bus_not_found");
}

#[tokio::test]
async fn a_tail_ends_with_its_key_and_with_the_server() {
    let mut node = start().await;
    let keep = json!({"scopes": ["administer", "publish"]}).to_string();
    let admin = node.ask("PUT", "/v1/keys/admin", &[], &keep).await.json();
    let admin = format!("authorization: Bearer {}", admin["token"].as_str().expect("shown once"));
    let guest = node.ask("PUT", "/v1/keys/guest", &[&admin], &keep).await.json();
    let guest = format!("authorization: Bearer {}", guest["token"].as_str().expect("shown once"));
    let (mut kept, _) = Reader::open(&node, "", &[&admin]).await;
    let (mut cut, _) = Reader::open(&node, "", &[&guest]).await;
    assert_eq!(node.ask("DELETE", "/v1/keys/guest", &[&admin], "").await.status, 204);
    let headers = [admin.as_str(), "content-type: application/cloudevents+json"];
    let body = event("1").to_string();
    assert_eq!(
        node.ask("POST", "/v1/buses/default/events", &headers, body)
            .await
            .status,
        200
    );
    let ended = cut.next().await;
    assert_eq!(
        (ended.name.as_deref(), ended.json()),
        (Some("end"), json!({"reason": "not_permitted"})),
        "and sees nothing that came since"
    );
    assert_eq!(kept.ids(1).await, names(1..2));
    let serving = node.serving.take().expect("it serves");
    serving.drain();
    let ended = kept.next().await;
    assert_eq!(
        (ended.name.as_deref(), ended.json()),
        (Some("end"), json!({"reason": "shutting_down"}))
    );
    timeout(PATIENCE, serving.close(PATIENCE))
        .await
        .expect("nothing hangs on the tail");
}
