//! Trouble told as operational events on the bus.

use crate::support::{Reply, World, event, fails, ok, one_partition, somebody};
use control::{Action, Change, Precondition, resources::ResourceKind};
use delivery::{PublishError, Recent, Subject, Verdict};
use serde_json::{Value, json};
use std::time::Duration;
use store::{Expect, Kind, Operation, Store as _};

const PREFIX: &str = "io.trunkline.";

/// What was told on a bus: types without their prefix, and data, the first one first.
async fn told(world: &World, bus: &str) -> Vec<(String, Value)> {
    let topic = ["trunkline".to_owned()];
    let wanted = Recent {
        topics: Some(&topic),
        types: None,
        last: 100,
    };
    let recent = world.core.recent(bus, wanted).await.unwrap();
    let read = |subject: &Subject| match subject {
        Subject::Event(event, appended) => {
            let data = &event.data().unwrap().bytes;
            let kind = event.event_type().strip_prefix(PREFIX).unwrap().to_owned();
            assert!(event.source().starts_with(PREFIX), "{}", event.source());
            let sequence = u64::from_str_radix(event.id().split_once('-').unwrap().1, 16).unwrap();
            (*appended, sequence, (kind, serde_json::from_slice(data).unwrap()))
        }
        Subject::Document(_) => panic!("no event"),
    };
    let mut told: Vec<_> = recent.iter().map(read).collect();
    told.sort_by_key(|(appended, sequence, _)| (*appended, *sequence));
    told.into_iter().map(|(.., event)| event).collect()
}

fn kinds(told: &[(String, Value)]) -> Vec<&str> {
    told.iter().map(|(kind, _)| kind.as_str()).collect()
}

fn has_topic(world: &World) -> bool {
    world.core.model().buses["default"].topics.contains_key("trunkline")
}

#[tokio::test(start_paused = true)]
async fn a_bus_without_trouble_has_no_topic_for_it() {
    let world = World::new().await;
    world.subscribe("all", json!({})).await;
    world.publish("1").await;
    world.delivered("all", 1).await;
    tokio::time::sleep(Duration::from_secs(600)).await;
    assert!(!has_topic(&world));
    assert_eq!(world.core.metrics().operational_events, 0);
}

#[tokio::test(start_paused = true)]
async fn a_breaker_that_opens_and_closes_is_told_to_whom_asks_by_type_and_to_nobody_else() {
    let world = World::new().await;
    world.subscribe("shop", json!({"types": ["order"]})).await;
    world.subscribe("everything", json!({})).await;
    world.subscribe("ops", json!({"types": ["io.trunkline.*"]})).await;
    world.endpoint.script(|received| match received.subscription.as_str() {
        "shop" => fails(),
        _ => ok(),
    });
    for id in 0..10 {
        world.publish(&id.to_string()).await;
    }
    world.delivered("ops", 1).await;
    world.endpoint.script(|_| ok());
    world.delivered("shop", 10).await;
    world.delivered("ops", 2).await;
    let told = told(&world, "default").await;
    assert_eq!(kinds(&told), ["breaker.opened", "breaker.closed"]);
    let opened = &told[0].1;
    assert_eq!(
        (&opened["subscription"], &opened["reason"], &opened["count"]),
        (&json!("shop"), &json!("http_503"), &json!(1))
    );
    world.settle().await;
    assert_eq!(world.endpoint.delivered_ids("everything").len(), 10, "orders alone");
    assert_eq!(world.core.metrics().operational_events, 2);
}

#[tokio::test(start_paused = true)]
async fn a_flood_of_dead_letters_is_a_few_events_that_count_them_all() {
    let world = World::new().await;
    world.subscribe("shop", json!({"types": ["order"]})).await;
    world.endpoint.script(|_| Reply {
        verdict: Verdict::Refused,
        ..ok()
    });
    for id in 0..500 {
        world.publish(&id.to_string()).await;
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    tokio::time::sleep(Duration::from_secs(20)).await;
    let told = told(&world, "default").await;
    assert!((2..=5).contains(&told.len()), "{told:?}");
    assert!(told.iter().all(|(kind, _)| kind == "delivery.dead-lettered"));
    let sum = |member: &str| -> u64 { told.iter().filter_map(|(_, data)| data.pointer(member)?.as_u64()).sum() };
    assert_eq!((sum("/count"), sum("/reasons/http_422")), (500, 500));
    assert_eq!(
        told[0].1["events"][0],
        json!({"id": "0", "source": "/shop", "type": "order"})
    );
}

/// What has been told and waits for its turn again keeps nothing new waiting.
#[tokio::test(start_paused = true)]
async fn something_new_is_told_at_once_while_something_old_waits_for_its_turn() {
    let world = World::new().await;
    world.subscribe("refuses", json!({"types": ["order"]})).await;
    world.subscribe("fails", json!({"types": ["parcel"]})).await;
    world.endpoint.script(|received| match received.subscription.as_str() {
        "fails" => fails(),
        _ => Reply {
            verdict: Verdict::Refused,
            ..ok()
        },
    });
    for id in 0..30 {
        world.publish(&id.to_string()).await;
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    for id in 30..40 {
        world.publish_event(event(&id.to_string(), "parcel", json!({}))).await;
    }
    world
        .until("the breaker", |world| world.status("fails").state == "backing-off")
        .await;
    tokio::time::sleep(Duration::from_millis(1_500)).await;
    let told = told(&world, "default").await;
    assert_eq!(kinds(&told), ["delivery.dead-lettered", "breaker.opened"]);
    let reason = world.status("fails").reason.expect("it does not run");
    let last = told[1].1["reason"].as_str().expect("what the last attempt failed with");
    assert_eq!(reason, format!("the endpoint keeps failing: {last}"));
}

#[tokio::test(start_paused = true)]
async fn the_last_events_of_a_bus_are_those_that_a_subscription_would_read() {
    let world = World::new().await;
    world.subscribe("refuses", json!({"types": ["order"]})).await;
    world.endpoint.script(|_| Reply {
        verdict: Verdict::Refused,
        ..ok()
    });
    world.publish("1").await;
    tokio::time::sleep(Duration::from_secs(2)).await;
    assert_eq!(kinds(&told(&world, "default").await), ["delivery.dead-lettered"]);
    let ours = ["io.trunkline.*".to_owned()];
    for (types, count) in [(None, 1), (Some(&ours[..]), 2)] {
        let wanted = Recent {
            topics: None,
            types,
            last: 100,
        };
        let recent = world.core.recent("default", wanted).await.expect("the bus is there");
        assert_eq!(recent.len(), count, "{types:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn an_operational_event_that_becomes_a_dead_letter_raises_no_further_one() {
    let world = World::new().await;
    world.subscribe("shop", json!({"types": ["order"]})).await;
    world.subscribe("ops", json!({"types": ["io.trunkline.*"]})).await;
    world.endpoint.script(|_| Reply {
        verdict: Verdict::Refused,
        ..ok()
    });
    world.publish("1").await;
    world.until("both deaths", |world| world.status("ops").dead == 1).await;
    tokio::time::sleep(Duration::from_secs(3_600)).await;
    assert_eq!(kinds(&told(&world, "default").await), ["delivery.dead-lettered"]);
    assert_eq!(world.status("ops").dead, 1);
}

#[tokio::test(start_paused = true)]
async fn an_endpoint_of_operational_events_that_is_down_tells_so_within_bounds() {
    let world = World::new().await;
    world.subscribe("shop", json!({"types": ["order"]})).await;
    world.subscribe("ops", json!({"types": ["io.trunkline.*"]})).await;
    world.endpoint.script(|_| fails());
    for id in 0..10 {
        world.publish(&id.to_string()).await;
    }
    tokio::time::sleep(Duration::from_secs(12 * 3_600)).await;
    let count = world.core.metrics().operational_events;
    assert!(
        count <= 20,
        "{count} events in twelve hours of two endpoints that are down"
    );
}

#[tokio::test(start_paused = true)]
async fn a_lane_that_stops_and_goes_on_and_what_was_damaged_is_told() {
    let world = World::new().await;
    let partition = one_partition(&world).await;
    for id in 0..10 {
        world.publish_event(event(&id.to_string(), "order", json!({}))).await;
    }
    world.journal.inject_damage(partition, 3, 6, "a test");
    world.endpoint.script(|received| match received.id.as_str() {
        "8" => Reply {
            verdict: Verdict::Gone,
            ..ok()
        },
        _ => ok(),
    });
    world.subscribe("late", json!({"start": "earliest"})).await;
    world
        .until("the pause", |world| world.status("late").state == "paused-gone")
        .await;
    world.endpoint.script(|_| ok());
    world.settle().await;
    world.core.resume("default", "late").await.unwrap();
    world.delivered("late", 7).await;
    world.settle().await;
    let mut told = told(&world, "default").await;
    // The lane reads on to the one that stops it while the range is recorded.
    told[..2].sort_by(|one, other| one.0.cmp(&other.0));
    assert_eq!(kinds(&told), ["delivery.damaged", "lane.stopped", "lane.resumed"]);
    let damaged = &told[0].1;
    assert_eq!(
        (&damaged["topic"], &damaged["from"], &damaged["to"], &damaged["matched"]),
        (&json!("orders"), &json!(3), &json!(6), &Value::Null)
    );
    assert_eq!(told[1].1["state"], "paused-gone");
}

#[tokio::test(start_paused = true)]
async fn a_stall_is_told_when_it_is_over_at_the_latest() {
    let world = World::new().await;
    world.subscribe("all", json!({})).await;
    for _ in 0..100 {
        world.store.fail_next(store::Error::OutOfSpace);
    }
    world.publish("1").await;
    world.until("the stall", |world| world.core.readiness().is_err()).await;
    world
        .until("its end", |world| world.core.readiness().is_ok() && has_topic(world))
        .await;
    tokio::time::sleep(Duration::from_secs(30)).await;
    let told = told(&world, "default").await;
    assert_eq!(kinds(&told), ["node.stalled", "node.recovered"]);
    assert!(
        told[0].1["reason"]
            .as_str()
            .unwrap()
            .contains("positions cannot be saved")
    );
}

#[tokio::test(start_paused = true)]
async fn a_journal_that_was_poisoned_is_told_of_once_by_the_next_start() {
    let mut world = World::new().await;
    let note = Operation::PutDocument {
        bus: 0,
        kind: Kind::Setting,
        name: "poisoned".to_owned(),
        expect: Expect::Any,
        // What a release has written stays readable.
        body: br#"{"format":1,"at":1800000000000,"reason":"fdatasync: Input/output error"}"#
            .as_slice()
            .into(),
    };
    world.store.apply(0, vec![note]).await.unwrap();
    for _ in 0..2 {
        world.crash().await;
        world.settle().await;
    }
    let told = told(&world, "default").await;
    assert_eq!(kinds(&told), ["journal.poisoned"]);
    assert_eq!(told[0].1["reason"], "fdatasync: Input/output error");
}

#[tokio::test(start_paused = true)]
async fn what_cannot_be_published_now_is_told_when_there_is_space_again() {
    let world = World::new().await;
    world.subscribe("all", json!({})).await;
    world.endpoint.script(|_| fails());
    for id in 0..5 {
        world.publish(&id.to_string()).await;
    }
    world
        .journal
        .set_health(journal::Health::OutOfSpace { free: 0, needed: 1 });
    tokio::time::sleep(Duration::from_secs(60)).await;
    assert_eq!(world.core.metrics().operational_events, 0);
    world.journal.set_health(journal::Health::Serving);
    tokio::time::sleep(Duration::from_secs(60)).await;
    assert!(kinds(&told(&world, "default").await).contains(&"breaker.opened"));
    assert_eq!(world.core.metrics().operational_events_dropped, 0);
}

#[tokio::test(start_paused = true)]
async fn nobody_else_may_publish_under_their_names() {
    let world = World::new().await;
    for (source, event_type, code) in [
        ("/shop", "io.trunkline.breaker.opened", "type_reserved"),
        ("io.trunkline.node", "order", "source_reserved"),
    ] {
        let forged = event::Event::builder("1", source, event_type).build().unwrap();
        let refused = world.core.publish("default", vec![forged]).await.unwrap_err();
        assert!(
            matches!(&refused, PublishError::Rejected(all) if all[0].code == code),
            "{refused:?}"
        );
    }
    let near = event::Event::builder("1", "/shop", "io.trunklines").build().unwrap();
    world.core.publish("default", vec![near]).await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn each_bus_hears_of_its_own_trouble() {
    let world = World::new().await;
    with_other_bus(&world, json!({})).await;
    world.endpoint.script(|_| Reply {
        verdict: Verdict::Refused,
        ..ok()
    });
    publish_to_other(&world).await;
    world.settle().await;
    assert_eq!(kinds(&told(&world, "other").await), ["delivery.dead-lettered"]);
    assert!(!has_topic(&world));
}

/// A second bus, with a subscription to the endpoint.
async fn with_other_bus(world: &World, bus: Value) {
    for (kind, name, body) in [
        (ResourceKind::Bus, "other", bus),
        (
            ResourceKind::Connection,
            "endpoint",
            json!({"provider": "webhook", "config": {"url": "https://example.com/"}}),
        ),
        (ResourceKind::Subscription, "theirs", json!({"connection": "endpoint"})),
    ] {
        let change = Change {
            bus: "other".to_owned(),
            kind,
            name: name.to_owned(),
            action: Action::Put(body),
            precondition: Precondition::Any,
            by: somebody(),
        };
        world.core.change(change).await.unwrap();
    }
}

async fn publish_to_other(world: &World) {
    let event = event("1", "order", json!({}));
    world.core.publish("other", vec![event]).await.unwrap();
}

/// It was told nothing, and every other bus waited with it.
#[tokio::test(start_paused = true)]
async fn a_bus_at_its_quota_of_partitions_is_told_of_its_trouble_all_the_same() {
    let world = World::new().await;
    let default_topic = control::limits::PARTITIONS_DEFAULT;
    with_other_bus(&world, json!({"quotas": {"partitions": default_topic}})).await;
    world.endpoint.script(|_| Reply {
        verdict: Verdict::Refused,
        ..ok()
    });
    publish_to_other(&world).await;
    world.settle().await;
    assert_eq!(kinds(&told(&world, "other").await), ["delivery.dead-lettered"]);
    let bus = &world.core.model().buses["other"];
    let partitions: u32 = bus.topics.values().map(|topic| topic.spec.partitions).sum();
    assert_eq!(partitions, default_topic + 1);
}

#[tokio::test(start_paused = true)]
async fn a_disk_that_fills_up_and_a_clock_that_jumps_are_told_on_the_bus_default() {
    let world = World::new().await;
    let space = |free| journal::DiskSpace { total: 1_000, free };
    world.journal.set_disk_space(space(140));
    world.journal.raise_clock_alarm();
    tokio::time::sleep(Duration::from_secs(15)).await;
    world.journal.set_disk_space(space(500));
    tokio::time::sleep(Duration::from_secs(15)).await;
    let told = told(&world, "default").await;
    assert_eq!(kinds(&told), ["clock.alarmed", "disk.low", "disk.recovered"]);
    assert_eq!(
        (
            &told[1].1["mark"],
            &told[1].1["free_percent"],
            &told[1].1["mark_percent"]
        ),
        (&json!("hold"), &json!(14), &json!(15))
    );
}
