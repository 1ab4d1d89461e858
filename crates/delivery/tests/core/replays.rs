//! Replays: what they deliver, what they leave alone, and how they survive.

use crate::support::{Received, Reply, START, World, event, fails, ok, one_partition, somebody, subscription};
use control::{
    audit::Actor,
    resources::{ReplaySpec, ResourceKind},
};
use delivery::{DeadSelection, DeliveryState, LossReason, Replay, ReplayState, Verdict};
use journal::Journal as _;
use serde_json::{Value, json};
use std::time::Duration;

fn tester() -> Actor {
    Actor::System("a test")
}

fn spec(document: Value) -> ReplaySpec {
    ReplaySpec::read(&document).unwrap()
}

/// All that there is, into the subscription `crm`.
async fn start_into_crm(world: &World, name: &str, rate: Option<&str>) {
    let mut spec = json!({"from": "earliest", "into": {"subscription": "crm"}});
    if let Some(rate) = rate {
        spec["rate"] = rate.into();
    }
    start(world, name, spec).await;
}

async fn start(world: &World, name: &str, document: Value) -> Replay {
    let started = world
        .core
        .replay("default", Some(name.to_owned()), spec(document), tester())
        .await;
    started.unwrap()
}

fn replay(world: &World, name: &str) -> Replay {
    world.core.replay_of("default", name).unwrap()
}

async fn completed(world: &World, name: &str) -> Replay {
    let is_over = |world: &World| replay(world, name).state == ReplayState::Completed;
    world.until("the end of the replay", is_over).await;
    replay(world, name)
}

fn replayed(world: &World, name: &str) -> Vec<Received> {
    let received = world.endpoint.received().into_iter();
    received
        .filter(|received| received.replay.as_deref() == Some(name))
        .collect()
}

fn delivered_ids(received: &[Received]) -> Vec<&str> {
    let delivered = received
        .iter()
        .filter(|received| received.verdict == Verdict::Delivered);
    delivered.map(|received| received.id.as_str()).collect()
}

/// Ten seconds apart, numbers 0 to `count`, half of them paid; all in one partition.
async fn history(world: &World, count: usize) {
    one_partition(world).await;
    for number in 0..count {
        let status = if number % 2 == 0 { "paid" } else { "open" };
        let data = json!({"key": number % 3, "status": status});
        world.publish_event(event(&number.to_string(), "order", data)).await;
        tokio::time::sleep(Duration::from_secs(10)).await;
    }
}

#[tokio::test(start_paused = true)]
async fn replayed_events_carry_the_name_of_their_replay_for_the_filter_and_the_transform() {
    let world = World::new().await;
    let named = json!({"eventbridge": {"replay-name": [{"exists": true}]}});
    let template = json!({"paths": {"by": "$.replay-name"}, "template": "{\"by\": <by>}"});
    let replays = json!({"filter": named, "transform": {"input_transformer": template}});
    world.subscribe("crm", replays).await;
    let others = json!({"filter": {"eventbridge": {"replay-name": [{"exists": false}]}}});
    world.subscribe("others", others).await;
    history(&world, 2).await;
    world.delivered("others", 2).await;
    // Its own filter sees events as they were received.
    let received = json!({"eventbridge": {"replay-name": [{"exists": false}]}});
    let asked = json!({"from": "earliest", "filter": received, "into": {"subscription": "crm"}});
    start(&world, "again", asked).await;
    assert_eq!(completed(&world, "again").await.counts.delivered, 2);
    let bodies: Vec<_> = replayed(&world, "again").into_iter().map(|one| one.data.0).collect();
    assert_eq!(bodies, [r#"{"by": "again"}"#; 2]);
    let received = world.endpoint.received();
    let mut live = received.iter().filter(|one| one.replay.is_none());
    assert!(
        live.all(|one| one.subscription == "others"),
        "a live event has no replay"
    );
    let spec = json!({"from": "earliest", "into": {"subscription": "crm"}});
    let part = world.core.replay_part(
        "default",
        "more.0".to_owned(),
        "more".to_owned(),
        self::spec(spec),
        tester(),
    );
    part.await.unwrap();
    completed(&world, "more.0").await;
    assert_eq!(replayed(&world, "more.0")[0].data.0, r#"{"by": "more"}"#);
    let asked = json!({"from": "earliest", "into": {"subscription": "others"}});
    start(&world, "none", asked).await;
    assert_eq!(completed(&world, "none").await.counts.matched, 0);
}

/// Check 33: exactly the matching events of a range, marked, in order, with the message id that they had; live traffic goes on.
#[tokio::test(start_paused = true)]
async fn a_replay_delivers_exactly_the_matching_events_of_its_range_marked_and_in_order() {
    let world = World::new().await;
    let paid = json!({"eventbridge": {"detail": {"status": ["paid"]}}});
    world
        .subscribe("crm", json!({"filter": paid, "delivery": {"concurrency": 1}}))
        .await;
    let began = world.clock.now();
    history(&world, 20).await;
    world.delivered("crm", 10).await;
    let time = |number: i64| control::resources::Time(began + number * 10_000).to_string();
    let some = json!({"cesql": "id <> '8'"});
    let asked = json!({"from": {"time": time(4)}, "to": {"time": time(14)}, "filter": some,
        "into": {"subscription": "crm"}});
    start(&world, "again", asked).await;
    world
        .publish_event(event("live", "order", json!({"key": 1, "status": "paid"})))
        .await;
    let replay = completed(&world, "again").await;
    let received = replayed(&world, "again");
    assert_eq!(delivered_ids(&received), ["4", "6", "10", "12"]);
    assert_eq!((replay.counts.matched, replay.counts.delivered), (4, 4));
    assert_eq!((replay.done, replay.records), (10, 10));
    let newest = replay.newest.unwrap();
    assert!(
        newest >= began + 120_000 && newest < began + 130_000,
        "it is event 12's time, the last that belongs to it: {newest} from {began}"
    );
    let all = world.endpoint.received();
    let first = all
        .iter()
        .find(|first| first.id == "4" && first.replay.is_none())
        .unwrap();
    assert_eq!(
        received[0].message_id, first.message_id,
        "a replay keeps the message id"
    );
    world.delivered("crm", 15).await;
    let live: Vec<_> = all
        .iter()
        .filter(|received| received.replay.is_none())
        .map(|received| &received.id)
        .collect();
    assert_eq!(live.len(), 11, "live traffic is neither repeated nor held up: {live:?}");

    let story = world.story("4").await.unwrap();
    assert_eq!(
        story.subscriptions[0].attempts.len(),
        1,
        "the replay's attempt is not the subscription's own"
    );
    assert_eq!(story.replays.len(), 1);
    let of_replay = &story.replays[0];
    let names = (of_replay.replay.as_str(), of_replay.subscription.as_str());
    assert_eq!((names, of_replay.state), (("again", "crm"), DeliveryState::Delivered));
    assert!(world.story("8").await.unwrap().replays.is_empty());
}

#[tokio::test(start_paused = true)]
async fn a_replay_keeps_to_its_rate_and_leaves_the_live_lane_its_own() {
    let world = World::new().await;
    world.subscribe("crm", json!({})).await;
    one_partition(&world).await;
    for number in 0..100 {
        world
            .publish_event(event(&number.to_string(), "order", json!({})))
            .await;
    }
    world.delivered("crm", 100).await;
    let began = world.clock.now();
    start_into_crm(&world, "slow", Some("5/s")).await;
    completed(&world, "slow").await;
    let received = replayed(&world, "slow");
    let last = received.iter().map(|received| received.at).max().unwrap();
    assert!(
        last - began >= 19_000 - 1_000,
        "100 events at 5/s after a burst of 5 take 19 s, not {} ms",
        last - began
    );
    for window in received.windows(11) {
        assert!(
            window[10].at - window[0].at >= 900,
            "no second sees more than twice the rate"
        );
    }
}

#[tokio::test(start_paused = true)]
async fn a_paused_replay_delivers_nothing_and_goes_on_where_it_was() {
    let mut world = World::new().await;
    world.subscribe("crm", json!({"delivery": {"concurrency": 1}})).await;
    history(&world, 40).await;
    world.delivered("crm", 40).await;
    let asked = json!({"from": "earliest", "into": {"subscription": "crm"}, "rate": "1/s"});
    start(&world, "held", asked).await;
    world.until("some", |world| replayed(world, "held").len() >= 5).await;
    world.core.pause_replay("default", "held", somebody()).await.unwrap();
    world.settle().await;
    let before = replayed(&world, "held").len();
    tokio::time::sleep(Duration::from_secs(60)).await;
    assert_eq!(replayed(&world, "held").len(), before);
    assert_eq!(replay(&world, "held").state, ReplayState::Paused);
    world.restart().await;
    tokio::time::sleep(Duration::from_secs(60)).await;
    assert_eq!(replayed(&world, "held").len(), before, "it stays paused over a restart");
    world.core.resume_replay("default", "held", somebody()).await.unwrap();
    completed(&world, "held").await;
    let received = replayed(&world, "held");
    let expected: Vec<String> = (0..40).map(|number| number.to_string()).collect();
    assert_eq!(delivered_ids(&received), expected, "in order, each once");
}

#[tokio::test(start_paused = true)]
async fn a_cancelled_replay_makes_no_attempt_any_more_not_even_of_what_it_has_parked() {
    let world = World::new().await;
    let retry = json!({"schedule": ["0s", "60s"], "age": "24h"});
    world.subscribe("crm", json!({"delivery": {"retry": retry}})).await;
    history(&world, 30).await;
    world.delivered("crm", 30).await;
    world.endpoint.script(|received| {
        if received.id == "3" && received.replay.is_some() {
            fails()
        } else {
            ok()
        }
    });
    start_into_crm(&world, "gone", Some("1/s")).await;
    world
        .until("one is parked", |world| replay(world, "gone").parked_now == 1)
        .await;
    let cancelled = world.core.cancel_replay("default", "gone", somebody()).await.unwrap();
    assert_eq!(
        (cancelled.state, cancelled.counts.discarded),
        (ReplayState::Cancelled, 1)
    );
    let before = replayed(&world, "gone").len();
    tokio::time::sleep(Duration::from_secs(600)).await;
    assert_eq!(replayed(&world, "gone").len(), before);
    assert_eq!(world.status("crm").parked, 0);
    assert!(
        world.core.cancel_replay("default", "gone", somebody()).await.is_err(),
        "it is over"
    );
    assert!(world.core.pause_replay("default", "gone", somebody()).await.is_err());
    world.core.forget_replay("default", "gone", somebody()).await.unwrap();
    assert!(world.core.replay_of("default", "gone").is_err());
    let trail = world.trail_of("replay").await;
    let told: Vec<_> = trail
        .iter()
        .filter(|entry| entry["name"] == "gone")
        .map(|entry| entry["action"].as_str().unwrap())
        .collect();
    assert_eq!(
        told,
        ["started", "cancelled", "deleted"],
        "what was refused is not in the trail"
    );
}

#[tokio::test(start_paused = true)]
async fn a_replay_survives_crashes_with_what_it_has_parked() {
    let mut world = World::new().await;
    let retry = json!({"schedule": ["0s", "30s"], "age": "24h"});
    let delivery = json!({"ordering": "key", "retry": retry});
    world.subscribe("crm", json!({"delivery": delivery})).await;
    history(&world, 60).await;
    world.delivered("crm", 60).await;
    world.endpoint.script(|received| {
        let fails_first = received.replay.is_some() && received.number == 1 && received.id.ends_with('5');
        if fails_first { fails() } else { ok() }
    });
    start_into_crm(&world, "tough", Some("2/s")).await;
    for _ in 0..8 {
        tokio::time::sleep(Duration::from_millis(4_100)).await;
        world.crash().await;
    }
    let replay = completed(&world, "tough").await;
    assert_eq!(replay.done, 60);
    let received = replayed(&world, "tough");
    let mut last = [None; 3];
    let mut seen = std::collections::BTreeSet::new();
    for id in delivered_ids(&received) {
        let number: usize = id.parse().unwrap();
        if seen.insert(number) {
            let before = last[number % 3].replace(number);
            assert!(before.is_none_or(|before| before < number), "{number} after {before:?}");
        }
    }
    assert_eq!(seen.len(), 60, "every event arrived");
    let most = (0..60).map(|number| {
        received
            .iter()
            .filter(|one| one.id == number.to_string() && one.verdict == Verdict::Delivered)
            .count()
    });
    assert!(most.max() <= Some(9), "a crash costs one repetition at most");
    assert_eq!(world.status("crm").parked, 0);
}

#[tokio::test(start_paused = true)]
async fn dead_letters_of_a_replay_are_redriven_while_it_runs_and_after_its_end() {
    let world = World::new().await;
    world.subscribe("crm", json!({})).await;
    history(&world, 10).await;
    world.delivered("crm", 10).await;
    let refused = || Reply {
        verdict: Verdict::Refused,
        ..ok()
    };
    let of_replay = |received: &Received| received.replay.is_some() && (received.id == "2" || received.id == "8");
    world
        .endpoint
        .script(move |received| if of_replay(received) { refused() } else { ok() });
    start_into_crm(&world, "picky", Some("1/s")).await;
    world.until("one is dead", |world| world.status("crm").dead == 1).await;
    world.endpoint.script(move |received| {
        if received.id == "8" && received.replay.is_some() {
            refused()
        } else {
            ok()
        }
    });
    assert_eq!(world.redrive(DeadSelection::default()).await.unwrap(), 1);
    let replay = completed(&world, "picky").await;
    assert_eq!((replay.counts.delivered, replay.counts.dead_lettered), (9, 2));
    assert_eq!(world.status("crm").dead, 1);
    world.endpoint.script(|_| ok());
    assert_eq!(world.redrive(DeadSelection::default()).await.unwrap(), 1);
    let count = |id: &str| {
        world
            .endpoint
            .delivered_ids("crm")
            .iter()
            .filter(|other| *other == id)
            .count()
    };
    world.until("the last one", |_| count("8") == 2).await;
    world.settle().await;
    assert_eq!((world.status("crm").dead, world.status("crm").parked), (0, 0));
}

/// Check 14: what expires under a replay is recorded with it; nothing else is lost, and nothing wrong is delivered.
#[tokio::test(start_paused = true)]
async fn what_retention_removes_under_a_replay_is_recorded_with_it() {
    let world = World::new().await;
    world.subscribe("crm", json!({})).await;
    let partition = one_partition(&world).await;
    for number in 0..3_000 {
        world
            .publish_event(event(&number.to_string(), "order", json!({})))
            .await;
    }
    world.delivered("crm", 3_000).await;
    start_into_crm(&world, "late", Some("50/s")).await;
    world.until("some", |world| replayed(world, "late").len() >= 200).await;
    world.journal.trim(partition, 2_500).await.unwrap();
    let replay = completed(&world, "late").await;
    let received = replayed(&world, "late");
    let numbers: Vec<u64> = delivered_ids(&received).iter().map(|id| id.parse().unwrap()).collect();
    assert_eq!(replay.losses.len(), 1, "{:?}", replay.losses);
    let loss = &replay.losses[0];
    assert_eq!(
        (loss.topic.as_str(), loss.to, loss.reason),
        ("orders", 2_500, LossReason::Expired)
    );
    let lost = loss.from..loss.to;
    assert!(
        numbers.iter().all(|number| !lost.contains(number)),
        "what is lost was not delivered"
    );
    let kept = (0..3_000).filter(|number| !lost.contains(number)).count();
    assert_eq!(numbers.len(), kept, "everything else was, once");
}

#[tokio::test(start_paused = true)]
async fn a_replay_into_a_topic_publishes_the_records_again_marked_and_in_order() {
    let mut world = World::new().await;
    history(&world, 30).await;
    world.put(ResourceKind::Topic, "again", json!({"partitions": 1})).await;
    world
        .subscribe("watch", json!({"topics": ["again"], "delivery": {"concurrency": 1}}))
        .await;
    let asked = json!({"topics": ["orders"], "from": {"offsets": {"orders": {"0": 5}}},
        "to": {"offsets": {"orders": {"0": 25}}}, "types": ["order"], "into": {"topic": "again"}, "rate": "10/s"});
    start(&world, "copy", asked).await;
    world
        .until("some", |world| replay(world, "copy").counts.published > 3)
        .await;
    world.crash().await;
    let replay = completed(&world, "copy").await;
    assert_eq!((replay.done, replay.records), (20, 20));
    let watched = |world: &World| world.endpoint.delivered_ids("watch");
    world
        .until("the copies", |world| watched(world).contains(&"24".to_owned()))
        .await;
    let mut numbers: Vec<u32> = watched(&world).iter().map(|id| id.parse().unwrap()).collect();
    numbers.dedup();
    let mut once = numbers.clone();
    once.sort_unstable();
    once.dedup();
    assert_eq!(once, (5..25).collect::<Vec<_>>());
    let story = world.story("7").await.unwrap();
    let places: Vec<_> = story
        .stored
        .iter()
        .map(|at| (at.topic.as_str(), at.replay.as_deref()))
        .collect();
    assert_eq!(places[..2], [("orders", None), ("again", Some("copy"))]);
}

#[tokio::test(start_paused = true)]
async fn a_replay_goes_to_a_subscription_of_another_bus() {
    let world = World::new().await;
    history(&world, 10).await;
    let change = |kind, bus: &str, name: &str, body| control::Change {
        bus: bus.to_owned(),
        kind,
        name: name.to_owned(),
        action: control::Action::Put(body),
        precondition: control::Precondition::Any,
        by: control::audit::Actor::System("a test"),
    };
    let connection = json!({"provider": "webhook", "config": {"url": "https://example.com/"}});
    for (kind, name, body) in [
        (ResourceKind::Bus, "lab", json!({})),
        (ResourceKind::Connection, "endpoint", connection),
        (
            ResourceKind::Subscription,
            "analysis",
            subscription(json!({"types": ["order"]})),
        ),
    ] {
        world.core.change(change(kind, "lab", name, body)).await.unwrap();
    }
    start(
        &world,
        "over",
        json!({"from": "earliest", "into": {"bus": "lab", "subscription": "analysis"}}),
    )
    .await;
    completed(&world, "over").await;
    assert_eq!(replayed(&world, "over").len(), 10);
    let story = world.story("3").await.unwrap();
    assert_eq!(
        (story.replays[0].bus.as_str(), story.replays[0].subscription.as_str()),
        ("lab", "analysis")
    );
}

#[tokio::test(start_paused = true)]
async fn a_preview_counts_and_shows_what_would_be_delivered() {
    let world = World::new().await;
    let paid = json!({"eventbridge": {"detail": {"status": ["paid"]}}});
    world.subscribe("crm", json!({"filter": paid})).await;
    history(&world, 20).await;
    world.delivered("crm", 10).await;
    let asked = spec(json!({"from": "earliest", "filter": {"cesql": "id <> '8'"}, "into": {"subscription": "crm"}}));
    let preview = world.core.preview_replay("default", asked).await.unwrap();
    assert_eq!((preview.matched, preview.records, preview.is_complete), (9, 20, true));
    assert_eq!(preview.samples.len(), 5);
    assert!(preview.first >= Some(START) && preview.first < preview.last);
    world.settle().await;
    assert_eq!(world.endpoint.received().len(), 10, "nothing was delivered");
    assert!(world.core.replays("default").unwrap().is_empty());
}

#[tokio::test(start_paused = true)]
async fn a_replay_ends_with_the_subscription_that_it_goes_to() {
    let mut world = World::new().await;
    world.subscribe("crm", json!({})).await;
    history(&world, 30).await;
    start_into_crm(&world, "doomed", Some("1/s")).await;
    world.until("some", |world| replayed(world, "doomed").len() >= 3).await;
    world.delete(ResourceKind::Subscription, "crm").await;
    let ended = replay(&world, "doomed");
    assert_eq!(ended.state, ReplayState::Failed);
    assert!(ended.reason.is_some_and(|reason| reason.contains("deleted")));
    let before = replayed(&world, "doomed").len();
    world.restart().await;
    tokio::time::sleep(Duration::from_secs(60)).await;
    assert_eq!(replayed(&world, "doomed").len(), before);
}

#[tokio::test(start_paused = true)]
async fn a_replay_that_cannot_be_is_refused_with_its_place() {
    let world = World::new().await;
    world.subscribe("crm", json!({})).await;
    let into = json!({"subscription": "crm"});
    for (document, pointer) in [
        (json!({"from": "now", "into": into}), "/from"),
        (json!({"from": "earliest", "into": {}}), "/into"),
        (
            json!({"from": "earliest", "into": {"subscription": "crm", "topic": "events"}}),
            "/into",
        ),
        (
            json!({"from": "earliest", "into": {"subscription": "cmr"}}),
            "/into/subscription",
        ),
        (
            json!({"from": "earliest", "into": {"bus": "x", "topic": "events"}}),
            "/into/bus",
        ),
        (
            json!({"from": "earliest", "topics": ["order"], "into": into}),
            "/topics/0",
        ),
        (
            json!({"from": {"offsets": {"events": {"99": 1}}}, "into": into}),
            "/from/offsets/events/99",
        ),
        (
            json!({"from": {"offsets": {"events": {"a": 1}}}, "into": into}),
            "/from/offsets/events/a",
        ),
        (json!({"from": {"time": "yesterday"}, "into": into}), "/from/time"),
        (
            json!({"from": {"time": "2199-01-01T00:00:00Z"}, "into": into}),
            "/from/time",
        ),
        (
            json!({"from": {"time": "2026-01-02T00:00:00Z"}, "to": {"time": "2026-01-02T00:00:00Z"}, "into": into}),
            "/to/time",
        ),
        (
            json!({"from": "earliest", "filter": {"cesql": "id ="}, "into": into}),
            "/filter/cesql",
        ),
        (json!({"from": "earliest", "rate": "0/s", "into": into}), "/rate"),
    ] {
        let refusal = match ReplaySpec::read(&document) {
            Err(refusal) => refusal,
            Ok(spec) => match world.core.replay("default", None, spec, tester()).await {
                Err(delivery::Error::Refused(refusal)) => refusal,
                other => panic!("{document} gave {other:?}"),
            },
        };
        assert_eq!(refusal.pointer.as_deref(), Some(pointer), "{document}: {refusal}");
    }
    for number in 0..8 {
        let name = format!("r{number}");
        world
            .core
            .change(control::Change {
                bus: "default".to_owned(),
                kind: ResourceKind::Subscription,
                name: "crm".to_owned(),
                action: control::Action::Put(subscription(json!({"enabled": false}))),
                precondition: control::Precondition::Any,
                by: control::audit::Actor::System("a test"),
            })
            .await
            .unwrap();
        world.publish(&name).await;
        start(&world, &name, json!({"from": "earliest", "into": into})).await;
    }
    let again = world
        .core
        .replay(
            "default",
            None,
            spec(json!({"from": "earliest", "into": into})),
            tester(),
        )
        .await;
    let Err(delivery::Error::Refused(refusal)) = again else {
        panic!("it is one too many")
    };
    assert_eq!(refusal.code, "limit_exceeded");
    let same = world
        .core
        .replay(
            "default",
            Some("r3".to_owned()),
            spec(json!({"from": "earliest", "into": into})),
            tester(),
        )
        .await;
    assert!(matches!(same, Err(delivery::Error::Refused(refusal)) if refusal.code == "already_exists"));
}

/// A replay into a topic is a publisher like others: the quotas of the bus hold for it, and it waits.
#[tokio::test(start_paused = true)]
async fn a_replay_into_a_topic_keeps_to_the_quotas_of_its_bus() {
    let world = World::new().await;
    one_partition(&world).await;
    world.put(ResourceKind::Topic, "again", json!({"partitions": 1})).await;
    for part in 0..3 {
        let events = (0..400).map(|id| event(&format!("{part}-{id}"), "order", json!({})));
        world.core.publish("default", events.collect()).await.unwrap();
    }
    world
        .put(ResourceKind::Bus, "default", json!({"quotas": {"events": "500/s"}}))
        .await;
    let began = std::time::Instant::now();
    let into = json!({"from": "earliest", "topics": ["orders"], "into": {"topic": "again"}, "rate": null});
    start(&world, "again", into).await;
    let is_over = |world: &World| replay(world, "again").state == ReplayState::Completed;
    // Quotas go by real time, which this test does not stop.
    while !is_over(&world) {
        tokio::time::sleep(Duration::from_millis(100)).await;
        tokio::task::yield_now().await;
    }
    let ended = replay(&world, "again");
    assert_eq!((ended.counts.published, ended.reason), (1_200, None));
    // The first append may be larger than a second's worth; what follows pays for it.
    assert!(began.elapsed() >= Duration::from_millis(300), "{:?}", began.elapsed());
    let metrics = world.core.metrics();
    let bus = metrics.buses.iter().find(|bus| bus.bus == "default").unwrap();
    assert!(bus.quota_refused > 0);
    assert_eq!((bus.replayed, bus.replays), (1_200, 0));
}

/// It went on waiting for its turn, and said so, until that came.
#[tokio::test(start_paused = true)]
async fn a_replay_that_waits_ends_at_once_with_the_topic_that_it_goes_to() {
    let world = World::new().await;
    one_partition(&world).await;
    world.put(ResourceKind::Topic, "again", json!({"partitions": 1})).await;
    for id in 0..3 {
        world.publish(&id.to_string()).await;
    }
    let into = json!({"from": "earliest", "topics": ["orders"], "into": {"topic": "again"}, "rate": "1/h"});
    start(&world, "waiting", into).await;
    world
        .until("the first", |world| replay(world, "waiting").counts.published == 1)
        .await;
    world.delete(ResourceKind::Topic, "again").await;
    tokio::time::sleep(Duration::from_millis(500)).await;
    let ended = replay(&world, "waiting");
    assert_eq!(ended.state, ReplayState::Failed);
    assert_eq!(ended.reason.as_deref(), Some("the topic that it goes to was deleted"));
}

/// What went back is read again under the filter as it is then: it is neither waited for nor counted if that does not want it
/// any more.
#[tokio::test(start_paused = true)]
async fn a_replay_ends_though_its_filter_no_longer_wants_what_went_back() {
    for opens_breaker in [false, true] {
        let world = World::new().await;
        world.subscribe("crm", json!({})).await;
        history(&world, 60).await;
        world.delivered("crm", 60).await;
        start_into_crm(&world, "narrowed", Some("5/s")).await;
        world
            .until("some", |world| replay(world, "narrowed").counts.delivered >= 10)
            .await;
        if opens_breaker {
            world.endpoint.script(|_| fails());
            world
                .until("an open breaker", |world| replay(world, "narrowed").counts.failed >= 5)
                .await;
        } else {
            let pause = subscription(json!({"enabled": false}));
            world.put(ResourceKind::Subscription, "crm", pause).await;
        }
        world.settle().await;
        let before = replay(&world, "narrowed");
        assert_eq!((before.counts.matched, before.in_flight), (60, 0));
        let narrow = subscription(json!({"filter": {"cesql": "id = '58'"}}));
        world.put(ResourceKind::Subscription, "crm", narrow).await;
        world.endpoint.script(|_| ok());
        let ended = completed(&world, "narrowed").await;
        let received = replayed(&world, "narrowed");
        assert!(delivered_ids(&received).contains(&"58"));
        assert_eq!(ended.done, 60);
        assert!(ended.counts.matched < 60, "{:?}", ended.counts);
        assert_eq!(
            ended.counts.matched, ended.counts.delivered,
            "the counts say what became of everything that belongs to it"
        );
    }
}

/// What a lane had taken and not settled is counted once, though the next lane takes it again.
#[tokio::test(start_paused = true)]
async fn a_restart_counts_nothing_of_a_replay_twice() {
    let mut world = World::new().await;
    world.subscribe("crm", json!({})).await;
    history(&world, 60).await;
    world.delivered("crm", 60).await;
    start_into_crm(&world, "again", Some("5/s")).await;
    for _ in 0..3 {
        tokio::time::sleep(Duration::from_secs(2)).await;
        world.restart().await;
    }
    let ended = completed(&world, "again").await;
    assert_eq!((ended.counts.matched, ended.counts.delivered), (60, 60));
}

/// What went back to a topic that is deleted is not waited for; what is parked has its record with it, and is delivered.
#[tokio::test(start_paused = true)]
async fn a_replay_ends_when_its_topic_is_deleted_under_it() {
    let world = World::new().await;
    let retry = json!({"schedule": ["0s", "60s"], "age": "24h"});
    world.subscribe("crm", json!({"delivery": {"retry": retry}})).await;
    history(&world, 60).await;
    world.delivered("crm", 60).await;
    world.endpoint.script(|received| match received.id.as_str() {
        "3" if received.number == 1 => fails(),
        _ => ok(),
    });
    start_into_crm(&world, "homeless", Some("5/s")).await;
    world
        .until("some", |world| replay(world, "homeless").counts.delivered >= 10)
        .await;
    assert_eq!(replay(&world, "homeless").parked_now, 1);
    let pause = subscription(json!({"enabled": false, "delivery": {"retry": retry}}));
    world.put(ResourceKind::Subscription, "crm", pause).await;
    world.settle().await;
    world.delete(ResourceKind::EventType, "order").await;
    world.delete(ResourceKind::Topic, "orders").await;
    let resume = subscription(json!({"delivery": {"retry": retry}}));
    world.put(ResourceKind::Subscription, "crm", resume).await;
    let ended = completed(&world, "homeless").await;
    assert_eq!(ended.losses.len(), 1, "{:?}", ended.losses);
    assert_eq!(ended.losses[0].reason, LossReason::Deleted);
    assert!(delivered_ids(&replayed(&world, "homeless")).contains(&"3"));
}

/// All that a completed replay leaves is a dead letter or was delivered: a line that a crash has lost makes no other end of it.
#[tokio::test(start_paused = true)]
async fn a_delivery_of_a_completed_replay_is_not_told_as_discarded_when_a_crash_loses_the_line_of_it() {
    let mut world = World::new().await;
    let retry = json!({"schedule": ["0s", "60s"], "age": "24h"});
    world.subscribe("crm", json!({"delivery": {"retry": retry}})).await;
    history(&world, 1).await;
    world.delivered("crm", 1).await;
    world.endpoint.script(|_| fails());
    start_into_crm(&world, "again", None).await;
    world
        .until("the failure", |world| replay(world, "again").parked_now == 1)
        .await;
    let history = world.history().await;
    world.endpoint.script(|_| ok());
    completed(&world, "again").await;
    world.crash_with_history(history).await;
    let story = world.story("0").await.unwrap();
    let of_replay = &story.replays[0];
    assert_eq!(
        (of_replay.attempts.len(), of_replay.state),
        (1, DeliveryState::Delivered)
    );
}

#[tokio::test(start_paused = true)]
async fn a_discarded_dead_letter_of_a_replay_is_told_as_discarded() {
    let world = World::new().await;
    let retry = json!({"schedule": ["0s"], "attempts": 1, "age": "24h"});
    world.subscribe("crm", json!({"delivery": {"retry": retry}})).await;
    history(&world, 1).await;
    world.delivered("crm", 1).await;
    world.endpoint.script(|_| fails());
    start_into_crm(&world, "again", None).await;
    completed(&world, "again").await;
    world.discard(DeadSelection::default()).await.unwrap();
    world.settle().await;
    let story = world.story("0").await.unwrap();
    assert_eq!(story.replays[0].state, DeliveryState::Discarded);
    assert_eq!(story.subscriptions[0].state, DeliveryState::Delivered);
}
