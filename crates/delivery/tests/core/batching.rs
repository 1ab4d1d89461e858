//! Several deliveries in one request: when they go, what a partial failure means, and how a refused one is found.

use crate::support::{Received, World, fails, ok, one_partition};
use delivery::Verdict;
use serde_json::{Value, json};
use std::{
    collections::{BTreeMap, BTreeSet},
    sync::atomic::Ordering::Relaxed,
};

fn batched(batch: Value) -> Value {
    json!({"target": {"mode": "batched"}, "delivery": {"batch": batch}})
}

/// The ids of each request, in the order that they were made.
fn requests(world: &World) -> Vec<Vec<String>> {
    let mut requests: BTreeMap<usize, Vec<String>> = BTreeMap::new();
    for received in world.endpoint.received() {
        requests.entry(received.request).or_default().push(received.id);
    }
    requests.into_values().collect()
}

async fn publish(world: &World, ids: std::ops::Range<u32>) {
    let events = ids.map(|id| crate::support::event(&id.to_string(), "order", json!({"key": format!("k{}", id % 3)})));
    world.core.publish("default", events.collect()).await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn a_full_batch_goes_at_once_and_the_rest_when_the_window_ends() {
    let world = World::new().await;
    one_partition(&world).await;
    world
        .subscribe("all", batched(json!({"events": 4, "window": "30s"})))
        .await;
    let before = world.clock.now();
    publish(&world, 0..6).await;
    world.delivered("all", 4).await;
    assert!(world.clock.now() - before <= 20, "nothing waits for the window");
    world.delivered("all", 6).await;
    let last = world.endpoint.received().last().unwrap().at - before;
    assert!((30_000..30_010).contains(&last), "{last}");
    assert_eq!(requests(&world), [vec!["0", "1", "2", "3"], vec!["4", "5"]]);
}

#[tokio::test(start_paused = true)]
async fn a_batch_is_full_at_its_bytes_too() {
    let world = World::new().await;
    one_partition(&world).await;
    world
        .subscribe("all", batched(json!({"events": 100, "window": "1m", "bytes": 1_024})))
        .await;
    let before = world.clock.now();
    publish(&world, 0..30).await;
    world.delivered("all", 15).await;
    assert!(world.clock.now() - before < 60_000, "full ones do not wait");
    world.delivered("all", 30).await;
    let sizes: Vec<_> = requests(&world).iter().map(Vec::len).collect();
    assert!(
        sizes.len() > 2 && sizes.iter().all(|size| (1..20).contains(size)),
        "{sizes:?}"
    );
}

#[tokio::test(start_paused = true)]
async fn without_a_window_what_is_there_goes_together() {
    let world = World::new().await;
    one_partition(&world).await;
    world.subscribe("all", batched(json!({"events": 100}))).await;
    let before = world.clock.now();
    publish(&world, 0..10).await;
    world.delivered("all", 10).await;
    assert!(world.clock.now() - before <= 20);
    assert_eq!(requests(&world).len(), 1);
}

#[tokio::test(start_paused = true)]
async fn only_the_ones_that_failed_are_tried_again_each_with_its_own_count() {
    let world = World::new().await;
    one_partition(&world).await;
    world.subscribe("all", batched(json!({"events": 10}))).await;
    world
        .endpoint
        .script(|received| match (received.id.as_str(), received.number) {
            ("3" | "7", 1) | ("7", 2) => fails(),
            _ => ok(),
        });
    publish(&world, 0..10).await;
    world.delivered("all", 10).await;
    let mut numbers: BTreeMap<String, Vec<u32>> = BTreeMap::new();
    for Received { id, number, .. } in world.endpoint.received() {
        numbers.entry(id).or_default().push(number);
    }
    for (id, numbers) in numbers {
        let expected: &[u32] = match id.as_str() {
            "3" => &[1, 2],
            "7" => &[1, 2, 3],
            _ => &[1],
        };
        assert_eq!(numbers, expected, "{id}");
    }
}

#[tokio::test(start_paused = true)]
async fn the_refused_ones_of_a_batch_are_dead_letters_and_the_others_are_not() {
    let world = World::new().await;
    one_partition(&world).await;
    world.subscribe("all", batched(json!({"events": 10}))).await;
    world.endpoint.script(|received| {
        let verdict = if received.id == "4" {
            Verdict::Refused
        } else {
            Verdict::Delivered
        };
        crate::support::Reply { verdict, ..ok() }
    });
    for says_each in [true, false] {
        world.endpoint.says_each.store(says_each, Relaxed);
        let before = world.endpoint.received().len();
        let dead = world.status("all").dead;
        publish(&world, 0..10).await;
        world
            .until("a dead letter", |world| world.status("all").dead == dead + 1)
            .await;
        world.settle().await;
        let received = world.endpoint.received().split_off(before);
        let delivered = received
            .iter()
            .filter(|received| received.verdict == Verdict::Delivered);
        assert_eq!(delivered.count(), 9);
        // A refusal of several is no attempt of anybody.
        assert!(received.iter().all(|received| received.number == 1));
        let alone = received
            .iter()
            .filter(|received| received.id == "4" && received.together == 1);
        assert_eq!(alone.count(), usize::from(!says_each));
        // Deduplication would take the next round for this one.
        tokio::time::sleep(std::time::Duration::from_secs(3_600)).await;
    }
}

/// What makes requests fail as a whole, and cannot say so itself, is alone after a few attempts; the others arrive.
#[tokio::test(start_paused = true)]
async fn a_poisonous_event_does_not_take_the_others_with_it() {
    let world = World::new().await;
    one_partition(&world).await;
    let retry = json!({"schedule": ["0s", "1s"], "attempts": 8});
    let delivery = json!({"retry": retry, "batch": {"events": 16}});
    world
        .subscribe("all", json!({"target": {"mode": "batched"}, "delivery": delivery}))
        .await;
    world.endpoint.says_each.store(false, Relaxed);
    world
        .endpoint
        .script(|received| if received.id == "5" { fails() } else { ok() });
    publish(&world, 0..16).await;
    world
        .until("a dead letter", |world| world.status("all").dead == 1)
        .await;
    world.delivered("all", 15).await;
    assert!(!world.endpoint.delivered_ids("all").contains(&"5".to_owned()));
}

#[tokio::test(start_paused = true)]
async fn what_does_not_fit_goes_into_the_next_request_without_an_attempt() {
    let world = World::new().await;
    one_partition(&world).await;
    world.subscribe("all", batched(json!({"events": 10}))).await;
    world.endpoint.fits.store(4, Relaxed);
    publish(&world, 0..10).await;
    world.delivered("all", 10).await;
    assert!(
        world
            .endpoint
            .received()
            .iter()
            .all(|received| received.number == 1 && received.together <= 4)
    );
}

#[tokio::test(start_paused = true)]
async fn with_order_by_key_a_batch_holds_one_event_of_a_key_and_the_order_stays() {
    let world = World::new().await;
    one_partition(&world).await;
    let delivery = json!({"ordering": "key", "batch": {"events": 10}});
    world
        .subscribe("all", json!({"target": {"mode": "batched"}, "delivery": delivery}))
        .await;
    world.endpoint.script(|received| {
        let fails_once = received.number == 1 && received.id.len() == 1;
        if fails_once { fails() } else { ok() }
    });
    publish(&world, 0..30).await;
    world.delivered("all", 30).await;
    for request in requests(&world) {
        let keys: BTreeSet<_> = request.iter().map(|id| id.parse::<u32>().unwrap() % 3).collect();
        assert_eq!(keys.len(), request.len(), "{request:?}");
    }
    let delivered: Vec<u32> = world
        .endpoint
        .delivered_ids("all")
        .iter()
        .map(|id| id.parse().unwrap())
        .collect();
    for key in 0..3 {
        let of_key: Vec<_> = delivered.iter().filter(|id| **id % 3 == key).collect();
        assert!(of_key.is_sorted(), "{of_key:?}");
    }
}

/// A window that is open is no work that is stuck.
#[tokio::test(start_paused = true)]
async fn a_long_window_is_not_taken_for_a_stall() {
    let world = World::new().await;
    one_partition(&world).await;
    world
        .subscribe("all", batched(json!({"events": 100, "window": "5m"})))
        .await;
    world.publish("1").await;
    tokio::time::sleep(std::time::Duration::from_secs(200)).await;
    assert_eq!(world.core.readiness(), Ok(()));
    world.delivered("all", 1).await;
}
