//! Identity, routes and topics over HTTP: duplicates, also after a restart and a kill; events of several topics; keys.

use crate::support::{
    receiver::Receiver,
    server::{Answer, Server},
};
use serde_json::{Value, json};
use std::{collections::HashSet, sync::Arc};

/// Connections that publish the same event at once.
const CLIENTS: usize = 32;

async fn place(server: &Server, id: &str) -> (Value, bool) {
    let mut receipt = server.publish("a.type", id, json!({"n": 1})).await;
    let duplicate = receipt["duplicate"] == true;
    receipt.as_object_mut().expect("an object").remove("duplicate");
    (receipt, duplicate)
}

#[tokio::test]
async fn a_duplicate_gets_the_first_ones_place_also_after_a_restart_and_a_kill() {
    let directory = tempfile::tempdir().expect("a directory");
    let server = Server::start(directory.path());
    let (first, duplicate) = place(&server, "1").await;
    assert!(!duplicate);
    assert_eq!(place(&server, "1").await, (first.clone(), true));
    server.kill();
    let server = Server::start(directory.path());
    assert_eq!(place(&server, "1").await, (first.clone(), true), "after a kill");
    assert_eq!(server.stop(), Some(0));
    let server = Server::start(directory.path());
    assert_eq!(place(&server, "1").await, (first.clone(), true), "after a restart");

    let headers = [
        ("ce-specversion", "1.0"),
        ("ce-type", "a.type"),
        ("ce-source", "/another"),
        ("ce-id", "1"),
    ];
    let other = server.send("POST", "/v1/buses/default/events", &headers, "").await;
    assert_eq!(other.json()["duplicate"], Value::Null, "identity is source and id");
    assert_eq!(
        server.send("GET", "/v1/buses/default/events/1", &[], "").await.status,
        409
    );
    let story = server.get("/v1/buses/default/events/1?source=%2Fanother").await;
    assert_eq!(story["stored"].as_array().map(Vec::len), Some(1));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_same_event_from_many_connections_at_once_is_one_record() {
    let directory = tempfile::tempdir().expect("a directory");
    let receiver = Receiver::healthy().await;
    let server = Arc::new(Server::start(directory.path()));
    server.subscribe("sink", &receiver, json!({})).await;
    for round in 0..20 {
        let id = format!("round-{round}");
        let clients: Vec<_> = (0..CLIENTS)
            .map(|_| {
                let (server, id) = (server.clone(), id.clone());
                tokio::spawn(async move { place(&server, &id).await })
            })
            .collect();
        let mut places = HashSet::new();
        let mut firsts = 0;
        for client in clients {
            let (place, duplicate) = client.await.expect("a client ends well");
            places.insert(place.to_string());
            firsts += usize::from(!duplicate);
        }
        assert_eq!((places.len(), firsts), (1, 1), "{places:?}");
    }
    server.publish("a.type", "last", json!({})).await;
    let taken = receiver.took(21).await;
    assert_eq!(taken.len(), 21, "a duplicate was delivered");
}

/// The type `order.placed` goes to three topics.
async fn declare_routes(server: &Server) {
    let bus = "/v1/buses/default";
    for topic in ["orders", "billing", "audit"] {
        server
            .put(&format!("{bus}/topics/{topic}"), json!({"partitions": 12}))
            .await;
    }
    let routes = json!({"routes": [{"topic": "orders", "key": "order.id"}, {"topic": "billing"}, {"topic": "audit"}]});
    server.put(&format!("{bus}/event-types/order.placed"), routes).await;
    let disabled = json!({"routes": [{"topic": "orders", "enabled": false}]});
    server.put(&format!("{bus}/event-types/order.dropped"), disabled).await;
}

#[tokio::test]
async fn an_event_of_several_topics_reaches_a_whole_bus_subscription_once_and_each_topic_s_own() {
    let directory = tempfile::tempdir().expect("a directory");
    let (whole, pair, one) = (
        Receiver::healthy().await,
        Receiver::healthy().await,
        Receiver::healthy().await,
    );
    let server = Server::start(directory.path());
    declare_routes(&server).await;
    server.subscribe("whole", &whole, json!({})).await;
    let topics = json!({"topics": ["billing", "audit"]});
    server.subscribe("pair", &pair, topics).await;
    server.subscribe("one", &one, json!({"topics": ["orders"]})).await;
    for number in 0..50 {
        let data = json!({"order": {"id": number}});
        server.publish("order.placed", &number.to_string(), data).await;
    }
    assert_eq!(one.took(50).await.len(), 50);
    // What comes after them has arrived when they would have, too.
    server.publish("other", "last", json!({})).await;
    assert_eq!(whole.took(51).await.len(), 51, "a copy was delivered to the whole bus");
    let seen = pair.took(50).await;
    let ids: HashSet<_> = seen.iter().map(|delivery| delivery.header("ce-id")).collect();
    assert_eq!(ids.len(), 50);
}

#[tokio::test]
async fn keys_choose_the_partition_that_kafka_would() {
    let directory = tempfile::tempdir().expect("a directory");
    let server = Server::start(directory.path());
    declare_routes(&server).await;
    // Golden values of Kafka's own partitioner for twelve partitions.
    for (key, partition) in [("a", 4), ("abc", 3), ("abcd", 8), ("caf\u{e9}", 6)] {
        for copy in 0..2 {
            let data = json!({"order": {"id": key}});
            let receipt = server.publish("order.placed", &format!("{key}-{copy}"), data).await;
            assert_eq!(receipt["topic"], "orders");
            assert_eq!(receipt["partition"], partition, "{key}");
        }
    }
}

#[tokio::test]
async fn a_type_without_an_enabled_route_is_refused_and_takes_its_batch_with_it() {
    let directory = tempfile::tempdir().expect("a directory");
    let server = Server::start(directory.path());
    declare_routes(&server).await;
    let event =
        |id: &str, event_type: &str| json!({"specversion": "1.0", "id": id, "source": "/t", "type": event_type});
    let single = post(&server, "", "cloudevents", &event("1", "order.dropped")).await;
    assert_eq!(
        (single.status, single.json()["code"].as_str()),
        (422, Some("type_disabled"))
    );

    let batch = json!([event("2", "order.placed"), event("3", "order.dropped")]);
    let refused = post(&server, "", "cloudevents-batch", &batch).await;
    assert!((400..500).contains(&refused.status), "{}", refused.json());
    assert_eq!(refused.json()["errors"][0]["index"], 1, "{}", refused.json());
    assert_eq!(
        server.send("GET", "/v1/buses/default/events/2", &[], "").await.status,
        404
    );

    let partial = post(&server, "?partial=true", "cloudevents-batch", &batch).await;
    assert_eq!(partial.status, 200, "{}", partial.json());
    assert_eq!(partial.json()["events"][0]["id"], "2");
    server.get("/v1/buses/default/events/2").await;
    assert_eq!(
        server.send("GET", "/v1/buses/default/events/3", &[], "").await.status,
        404
    );
}

async fn post(server: &Server, query: &str, format: &str, body: &Value) -> Answer {
    let content_type = format!("application/{format}+json");
    let headers = [("content-type", content_type.as_str())];
    let path = format!("/v1/buses/default/events{query}");
    server.send("POST", &path, &headers, body.to_string()).await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_event_of_several_topics_is_in_all_of_them_or_in_none_whenever_the_process_is_killed() {
    let directory = tempfile::tempdir().expect("a directory");
    let mut sent = Vec::new();
    for round in 0..5 {
        let server = Arc::new(Server::start(directory.path()));
        if round == 0 {
            declare_routes(&server).await;
        }
        let clients: Vec<_> = (0..8)
            .map(|client| tokio::spawn(publish_until_killed(server.clone(), format!("{round}-{client}"))))
            .collect();
        tokio::time::sleep(std::time::Duration::from_millis(100 + 37 * round)).await;
        server.signal("KILL");
        for client in clients {
            sent.extend(client.await.expect("a client ends well"));
        }
    }
    let server = Server::start(directory.path());
    let mut unacknowledged = 0;
    for (id, acknowledged) in sent {
        let story = server
            .send("GET", &format!("/v1/buses/default/events/{id}"), &[], "")
            .await;
        let topics: HashSet<_> = match story.json()["stored"].as_array() {
            Some(stored) => stored.iter().map(|place| place["topic"].to_string()).collect(),
            None => HashSet::new(),
        };
        match topics.len() {
            3 => {}
            0 => assert!(!acknowledged, "{id} was acknowledged and is gone"),
            _ => panic!("{id} is in {topics:?} only"),
        }
        unacknowledged += usize::from(!acknowledged);
    }
    assert!(unacknowledged > 0, "no request was in flight at any kill");
}

/// Ids with whether they were acknowledged.
async fn publish_until_killed(server: Arc<Server>, client: String) -> Vec<(String, bool)> {
    let mut sent = Vec::new();
    for number in 0.. {
        let id = format!("{client}-{number}");
        let headers = [
            ("ce-specversion", "1.0"),
            ("ce-type", "order.placed"),
            ("ce-source", "/all"),
            ("ce-id", id.as_str()),
        ];
        let answer = server.try_send("POST", "/v1/buses/default/events", &headers, "").await;
        let acknowledged = answer.as_ref().is_ok_and(|answer| answer.status == 200);
        sent.push((id, acknowledged));
        if answer.is_err() {
            break;
        }
    }
    sent
}
