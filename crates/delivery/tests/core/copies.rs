//! Copies of dead letters: to a connection, to a topic, and what becomes of them while their target is down.

use crate::support::{Received, Reply, World, fails, ok, one_partition};
use control::resources::ResourceKind;
use delivery::{DeadSelection, DeliveryState, Verdict};
use serde_json::json;
use std::{
    collections::BTreeMap,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicUsize, Ordering::Relaxed},
    },
    time::Duration,
};

const HOUR: Duration = Duration::from_secs(3_600);

fn refuses() -> Reply {
    Reply {
        verdict: Verdict::Refused,
        ..ok()
    }
}

/// A connection besides the endpoint's, to the same endpoint.
async fn connect(world: &World, name: &str) {
    let webhook = json!({"provider": "webhook", "config": {"url": "https://example.com/"}});
    world.put(ResourceKind::Connection, name, webhook).await;
}

async fn dead(world: &World, subscription: &str) -> Vec<delivery::Dead> {
    let selection = DeadSelection {
        subscription: Some(subscription.to_owned()),
        ..DeadSelection::default()
    };
    world
        .core
        .dead_letters("default", selection, None, 1_000)
        .await
        .unwrap()
}

fn delivered_by(world: &World, connection: &str) -> Vec<Received> {
    let received = world.endpoint.received().into_iter();
    received
        .filter(|one| one.connection == connection && one.verdict == Verdict::Delivered)
        .collect()
}

fn waiting(world: &World, subscription: &str) -> u64 {
    world.status(subscription).copies.map_or(0, |copies| copies.waiting)
}

#[tokio::test(start_paused = true)]
async fn copies_wait_for_a_target_that_is_down_for_an_hour_over_a_crash_a_redrive_and_a_discard() {
    let mut world = World::new().await;
    connect(&world, "morgue").await;
    world
        .subscribe("all", json!({"dead_letter": {"connection": "morgue"}}))
        .await;
    let (is_up, asked) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicUsize::new(0)));
    let (up, count) = (Arc::clone(&is_up), Arc::clone(&asked));
    world
        .endpoint
        .script(move |received| match received.connection.as_str() {
            "morgue" => {
                count.fetch_add(1, Relaxed);
                if up.load(Relaxed) { ok() } else { fails() }
            }
            _ => refuses(),
        });
    for id in 0..20 {
        world.publish(&id.to_string()).await;
    }
    world.until("the copies", |world| waiting(world, "all") == 20).await;
    tokio::time::sleep(HOUR / 2).await;
    world.crash().await;
    world
        .until("the copies are remembered", |world| waiting(world, "all") == 20)
        .await;
    let letters = dead(&world, "all").await;
    assert_eq!(letters.len(), 20);
    let one = |index: usize| DeadSelection {
        key: Some(letters[index].delivery.key),
        ..DeadSelection::default()
    };
    // One is discarded, one dies once more: that is another death, with a copy of its own.
    assert_eq!(world.discard(one(0)).await.unwrap(), 1);
    assert_eq!(world.redrive(one(1)).await.unwrap(), 1);
    world
        .until("the second death", |world| waiting(world, "all") == 21)
        .await;
    tokio::time::sleep(HOUR / 2).await;
    assert!(delivered_by(&world, "morgue").is_empty());
    assert_eq!(dead(&world, "all").await.len(), 19);
    assert!(asked.load(Relaxed) < 500, "a breaker spares it: {asked:?}");
    is_up.store(true, Relaxed);
    world.until("all copies", |world| waiting(world, "all") == 0).await;
    world.settle().await;
    let copies = delivered_by(&world, "morgue");
    let mut by_id: BTreeMap<&str, u32> = BTreeMap::new();
    copies.iter().for_each(|copy| *by_id.entry(&copy.id).or_default() += 1);
    let twice = letters[1].event_id.as_str();
    assert_eq!(by_id.len(), 20);
    assert!(
        by_id
            .iter()
            .all(|(id, times)| *times == if *id == twice { 2 } else { 1 }),
        "{by_id:?}"
    );
    let extensions = &copies[0].extensions;
    assert_eq!(extensions["tldeadsubscription"], "all");
    assert_eq!(copies[0].data.0.as_ref(), b"{}");
    assert_eq!(
        (
            extensions["tldeadreason"].as_str(),
            extensions["tldeadattempts"].as_str()
        ),
        ("http_422", "1")
    );
    assert_eq!(dead(&world, "all").await.len(), 19, "dead letters stay where they are");
    let story = world.story(&copies[5].id).await.unwrap();
    assert_eq!(
        story.subscriptions[0].copy.as_ref().unwrap().state,
        DeliveryState::Delivered
    );
    assert_eq!(story.subscriptions[0].state, DeliveryState::DeadLettered);
    assert!(story.replays.is_empty(), "copies are no replay: {:?}", story.replays);
}

#[tokio::test(start_paused = true)]
async fn copies_go_to_a_topic_for_those_that_read_it_and_for_nobody_twice() {
    let world = World::new().await;
    one_partition(&world).await;
    world.put(ResourceKind::Topic, "dead", json!({"partitions": 1})).await;
    world
        .subscribe("all", json!({"topics": ["orders"], "dead_letter": {"topic": "dead"}}))
        .await;
    world.subscribe("whole-bus", json!({})).await;
    world.subscribe("autopsy", json!({"topics": ["dead"]})).await;
    world.endpoint.script(|received| match received.subscription.as_str() {
        "all" => refuses(),
        _ => ok(),
    });
    for id in 0..3 {
        world.publish(&id.to_string()).await;
    }
    world.delivered("autopsy", 3).await;
    world.settle().await;
    assert_eq!(
        world.endpoint.delivered_ids("whole-bus"),
        ["0", "1", "2"],
        "each event once"
    );
    let received = world.endpoint.received();
    let copy = received.iter().find(|one| one.subscription == "autopsy").unwrap();
    assert_eq!(copy.extensions["tldeadsubscription"], "all");
    let story = world.story("1").await.unwrap();
    let stored: Vec<_> = story
        .stored
        .iter()
        .map(|at| (at.topic.as_str(), at.dead_letter_of.as_deref()))
        .collect();
    assert_eq!(stored, [("orders", None), ("dead", Some("all"))]);
    assert_eq!(world.status("all").copies.unwrap().delivered, 3);
    assert_eq!(waiting(&world, "all"), 0);
}

#[tokio::test(start_paused = true)]
async fn a_dead_letter_of_a_copy_stays_where_it_is() {
    let world = World::new().await;
    one_partition(&world).await;
    connect(&world, "morgue").await;
    for topic in ["dead", "deader"] {
        world.put(ResourceKind::Topic, topic, json!({"partitions": 1})).await;
    }
    world
        .subscribe("all", json!({"topics": ["orders"], "dead_letter": {"topic": "dead"}}))
        .await;
    world
        .subscribe(
            "of-copies",
            json!({"topics": ["dead"], "dead_letter": {"topic": "deader"}}),
        )
        .await;
    world
        .subscribe(
            "circle",
            json!({"topics": ["deader"], "dead_letter": {"topic": "dead"}}),
        )
        .await;
    world
        .subscribe(
            "refused",
            json!({"topics": ["orders"], "dead_letter": {"connection": "morgue"}}),
        )
        .await;
    world.endpoint.script(|_| refuses());
    world.publish("1").await;
    for (subscription, count) in [("all", 1), ("of-copies", 1), ("refused", 2)] {
        world
            .until("the deaths", |world| world.status(subscription).dead == count)
            .await;
    }
    tokio::time::sleep(HOUR).await;
    assert_eq!(world.status("of-copies").dead, 1);
    assert_eq!(world.status("circle").dead, 0);
    assert_eq!((world.status("refused").dead, waiting(&world, "refused")), (2, 0));
    assert_eq!(world.endpoint.received().len(), 4);
    let letters = dead(&world, "refused").await;
    assert!(letters.iter().any(|letter| letter.delivery.key.replay == u32::MAX));
    // It can be sent out once more, to where copies go.
    world.endpoint.script(|_| ok());
    assert_eq!(
        world
            .redrive(DeadSelection {
                key: Some(letters[0].delivery.key),
                ..DeadSelection::default()
            })
            .await
            .unwrap(),
        1
    );
    world.settle().await;
    let delivered = delivered_by(&world, "morgue");
    assert_eq!(delivered.len(), 1, "{:?}", world.endpoint.received());
    assert_ne!(
        Some(&delivered[0].message_id),
        world
            .endpoint
            .received()
            .iter()
            .find(|one| one.connection == "endpoint")
            .map(|one| &one.message_id)
    );
}

#[tokio::test(start_paused = true)]
async fn copies_that_nobody_takes_stop_the_lane_at_their_bound_and_it_goes_on_when_they_go() {
    let world = World::with(|settings| settings.lane.dead_events = 10).await;
    connect(&world, "morgue").await;
    world
        .subscribe(
            "all",
            json!({"dead_letter": {"connection": "morgue"}, "delivery": {"concurrency": 1}}),
        )
        .await;
    let is_up = Arc::new(AtomicBool::new(false));
    let up = Arc::clone(&is_up);
    world
        .endpoint
        .script(move |received| match received.connection.as_str() {
            "morgue" if up.load(Relaxed) => ok(),
            "morgue" => fails(),
            _ => refuses(),
        });
    for id in 0..30 {
        world.publish(&id.to_string()).await;
    }
    let all = DeadSelection::default;
    world
        .until("the bound", |world| world.status("all").state == "stopped")
        .await;
    assert_eq!(world.discard(all()).await.unwrap(), 10);
    tokio::time::sleep(HOUR).await;
    assert_eq!(world.status("all").state, "stopped", "their copies wait still");
    is_up.store(true, Relaxed);
    for _ in 0..3 {
        world.until("the copies go", |world| waiting(world, "all") == 0).await;
        world.settle().await;
        world.discard(all()).await.unwrap();
    }
    world
        .until("all copies", |world| delivered_by(world, "morgue").len() == 30)
        .await;
}

#[tokio::test(start_paused = true)]
async fn copies_begin_with_a_change_wait_when_the_target_is_taken_away_and_go_with_the_subscription() {
    let mut world = World::new().await;
    connect(&world, "morgue").await;
    world.subscribe("all", json!({})).await;
    world.endpoint.script(|received| match received.connection.as_str() {
        "morgue" => fails(),
        _ => refuses(),
    });
    world.publish("1").await;
    world.until("a death", |world| world.status("all").dead == 1).await;
    assert!(world.status("all").copies.is_none());
    world
        .subscribe("all", json!({"dead_letter": {"connection": "morgue"}}))
        .await;
    world.publish("2").await;
    world.until("a copy", |world| waiting(world, "all") == 1).await;
    world.subscribe("all", json!({})).await;
    world.restart().await;
    world
        .until("it waits", |world| {
            world
                .status("all")
                .copies
                .is_some_and(|copies| copies.state == "stopped")
        })
        .await;
    world
        .subscribe("all", json!({"dead_letter": {"connection": "morgue"}}))
        .await;
    world.endpoint.script(|_| ok());
    world
        .until("the copy", |world| delivered_by(world, "morgue").len() == 1)
        .await;
    world.delete(ResourceKind::Subscription, "all").await;
    world.crash().await;
    assert!(world.core.status("default").is_empty());
}
