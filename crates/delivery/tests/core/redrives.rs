//! Edited dead letters, and redrives of a class: at a rate, held, ended, over crashes.

use crate::support::{Reply, World, event, ok, one_partition, somebody};
use control::resources::RedriveSpec;
use delivery::{DeadLetterEdit, DeadSelection, DeliveryKey, DeliveryState, ReplayState, Verdict};
use serde_json::{Value, json};
use std::time::Duration;
use store::Store as _;

fn refuses() -> Reply {
    Reply {
        verdict: Verdict::Refused,
        ..ok()
    }
}

async fn letters(world: &World) -> Vec<delivery::Dead> {
    let all = DeadSelection::default();
    world.core.dead_letters("default", all, None, 1_000).await.unwrap()
}

/// A world with dead letters of some events.
async fn with_dead(ids: impl Iterator<Item = String>, more: Value) -> World {
    let world = World::new().await;
    one_partition(&world).await;
    world.subscribe("all", more).await;
    world.endpoint.script(|_| refuses());
    let mut count = 0;
    for id in ids {
        world
            .publish_event(event(&id, "order", json!({"key": "k", "n": count})))
            .await;
        count += 1;
    }
    world
        .until("the deaths", |world| world.status("all").dead == count)
        .await;
    world
}

fn edit(key: DeliveryKey, id: &str, data: Value) -> DeadLetterEdit {
    DeadLetterEdit {
        bus: "default".to_owned(),
        key,
        event: event(id, "order", data),
        expected: None,
        by: somebody(),
    }
}

fn code(refused: Result<impl std::fmt::Debug, delivery::Error>) -> &'static str {
    match refused {
        Err(delivery::Error::Refused(refusal)) => refusal.code,
        other => panic!("it is refused: {other:?}"),
    }
}

#[tokio::test(start_paused = true)]
async fn an_edited_dead_letter_goes_out_as_it_was_edited_and_its_story_tells_both() {
    let mut world = with_dead(["1".to_owned()].into_iter(), json!({"delivery": {"ordering": "key"}})).await;
    let letter = letters(&world).await.remove(0);
    let key = letter.delivery.key;
    let edited = world
        .core
        .edit_dead_letter(edit(key, "1", json!({"key": "k", "n": "put right"})))
        .await
        .unwrap();
    assert_eq!(
        (edited.delivery.edits, edited.delivery.order),
        (1, letter.delivery.order)
    );
    assert_eq!(
        world.status("all").dead,
        1,
        "it is the same dead letter, larger or smaller"
    );
    world.restart().await;
    let story = world.story("1").await.unwrap();
    let (edits, now) = story.subscriptions[0].edited.as_ref().unwrap();
    assert_eq!((*edits, now.extension("tledited")), (1, Some("1")));
    assert_eq!(now.extension("tlorigin"), Some("orders/0/0"));
    assert!(String::from_utf8_lossy(&story.event.data().unwrap().bytes).contains("\"n\":0"));
    world.endpoint.script(|_| ok());
    world.redrive(DeadSelection::default()).await.unwrap();
    world.delivered("all", 1).await;
    world.settle().await;
    let received = world.endpoint.received();
    let (first, last) = (&received[0], received.last().unwrap());
    assert!(String::from_utf8_lossy(&last.data.0).contains("put right"), "{last:?}");
    assert_eq!(last.extensions["tlorigin"], "orders/0/0");
    assert_eq!(last.message_id, format!("{}_e1", first.message_id));
    let story = world.story("1").await.unwrap();
    let edits: Vec<_> = story.subscriptions[0]
        .attempts
        .iter()
        .map(|attempt| attempt.edits)
        .collect();
    assert_eq!(edits, [0, 1]);
    assert!(story.subscriptions[0].edited.is_none(), "it is delivered");
}

#[tokio::test(start_paused = true)]
async fn an_edit_is_refused_where_publishing_would_be_and_where_it_would_be_another_event() {
    let world = with_dead(["1".to_owned()].into_iter(), json!({})).await;
    let key = letters(&world).await[0].delivery.key;
    let edits = &world.core;
    let other = edits.edit_dead_letter(edit(key, "2", json!({}))).await;
    assert_eq!(code(other), "dead_letter_identity");
    let late = DeadLetterEdit {
        expected: Some(1),
        ..edit(key, "1", json!({}))
    };
    assert_eq!(code(edits.edit_dead_letter(late).await), "version_conflict");
    let gone = DeliveryKey { offset: 99, ..key };
    assert_eq!(
        code(edits.edit_dead_letter(edit(gone, "1", json!({}))).await),
        "resource_not_found"
    );
    let reserved = DeadLetterEdit {
        event: event("1", "io.trunkline.mine", json!({})),
        ..edit(key, "1", json!({}))
    };
    assert_eq!(code(edits.edit_dead_letter(reserved).await), "type_reserved");
    assert_eq!(letters(&world).await[0].delivery.edits, 0, "nothing has changed");
    assert_eq!(
        world.trail_of("dead-letter").await,
        Vec::<Value>::new(),
        "and nothing is said to have"
    );
}

/// It said so of every one that was asked for; and what one edit left was never what the next one found.
#[tokio::test(start_paused = true)]
async fn of_edits_that_meet_the_one_that_is_made_is_in_the_trail_and_what_it_left_the_next_one_found() {
    let world = with_dead(["1".to_owned()].into_iter(), json!({})).await;
    let key = letters(&world).await[0].delivery.key;
    for round in 0..3 {
        let edits = (0..8).map(|n| {
            world.core.edit_dead_letter(DeadLetterEdit {
                expected: Some(round),
                ..edit(key, "1", json!({"round": round, "n": n}))
            })
        });
        let edited = futures_util::future::join_all(edits).await;
        assert_eq!(edited.iter().filter(|edited| edited.is_ok()).count(), 1);
    }
    let trail = world.trail_of("dead-letter").await;
    assert_eq!(trail.len(), 3, "{trail:?}");
    for pair in trail.windows(2) {
        assert_eq!(pair[0]["details"]["after"], pair[1]["details"]["before"]);
        assert_ne!(pair[0]["details"]["after"], pair[0]["details"]["before"]);
    }
}

#[tokio::test(start_paused = true)]
async fn a_redrive_that_is_refused_leaves_no_entry_and_one_that_is_done_leaves_one() {
    let world = World::with(|settings| settings.lane.parked_events = 2).await;
    one_partition(&world).await;
    world.subscribe("all", json!({})).await;
    world.endpoint.script(|_| refuses());
    for id in 0..3 {
        world.publish(&id.to_string()).await;
    }
    world.until("the deaths", |world| world.status("all").dead == 3).await;
    assert_eq!(code(world.redrive(DeadSelection::default()).await), "limit_exceeded");
    assert_eq!(world.trail_of("dead-letters").await.len(), 0);

    let absent = spec(json!({"subscription": "absent"}));
    let start = |name: &str, spec| {
        let name = Some(name.to_owned());
        world.core.start_redrive("default", name, spec, somebody())
    };
    assert_eq!(code(start("none", absent).await), "resource_invalid");
    start("slow", spec(json!({"rate": "1/h"}))).await.unwrap();
    assert_eq!(code(start("slow", spec(json!({}))).await), "already_exists");
    let set = |state| world.core.set_redrive("default", "slow", state, somebody());
    set(ReplayState::Paused).await.unwrap();
    set(ReplayState::Paused).await.unwrap();
    set(ReplayState::Running).await.unwrap();
    assert_eq!(
        code(world.core.forget_redrive("default", "slow", somebody()).await),
        "redrive_running"
    );
    set(ReplayState::Cancelled).await.unwrap();
    for state in [ReplayState::Paused, ReplayState::Running, ReplayState::Cancelled] {
        assert_eq!(code(set(state).await), "redrive_over");
    }
    let forget = || world.core.forget_redrive("default", "slow", somebody());
    let (one, other) = futures_util::future::join(forget(), forget()).await;
    assert!(one.is_ok() != other.is_ok(), "{one:?} {other:?}");
    let trail = world.trail_of("redrive").await;
    let told: Vec<_> = trail.iter().map(|entry| entry["action"].as_str().unwrap()).collect();
    assert_eq!(told, ["started", "paused", "resumed", "cancelled", "deleted"]);
}

fn spec(document: Value) -> RedriveSpec {
    RedriveSpec::read(&document).unwrap()
}

async fn ended(world: &World, name: &str) -> delivery::Redrive {
    world
        .until("its end", |world| {
            world.core.redrive_of("default", name).unwrap().state != ReplayState::Running
        })
        .await;
    world.core.redrive_of("default", name).unwrap()
}

#[tokio::test(start_paused = true)]
async fn a_redrive_keeps_to_its_rate_its_class_and_what_was_dead_when_it_began_over_crashes() {
    let mut world = with_dead((0..40).map(|id| id.to_string()), json!({})).await;
    let preview = world
        .core
        .preview_redrive("default", spec(json!({"reason": "http_4*", "type": "order"})))
        .await
        .unwrap();
    assert_eq!((preview.dead_letters, preview.samples.len()), (40, 5));
    for none in [
        json!({"status": 500}),
        json!({"type": "refund"}),
        json!({"event": "nothing"}),
        json!({"to": "2000-01-01T00:00:00Z"}),
        json!({"from": "2100-01-01T00:00:00Z"}),
    ] {
        let preview = world.core.preview_redrive("default", spec(none.clone())).await.unwrap();
        assert_eq!(preview.dead_letters, 0, "{none}");
    }
    let begun = world.clock.now();
    let asked = spec(json!({"subscription": "all", "status": 422, "rate": "5/s"}));
    let redrive = world
        .core
        .start_redrive("default", Some("again".to_owned()), asked, somebody())
        .await
        .unwrap();
    assert_eq!((redrive.matched, redrive.state), (40, ReplayState::Running));
    for part in [10, 20, 30] {
        world
            .until("some of it", |world| {
                world.core.redrive_of("default", "again").unwrap().redriven >= part
            })
            .await;
        world.crash().await;
    }
    let redrive = ended(&world, "again").await;
    assert_eq!((redrive.redriven, redrive.state), (40, ReplayState::Completed));
    assert!(
        world.clock.now() - begun >= 4_000,
        "each start may save up a burst of a second"
    );
    world.settle().await;
    // All of them died once more, and none went out twice.
    assert_eq!(letters(&world).await.len(), 40);
    assert_eq!(world.endpoint.received().len(), 80);
}

#[tokio::test(start_paused = true)]
async fn a_redrive_is_held_goes_on_and_is_ended_and_two_do_not_meet() {
    let mut world = with_dead((0..30).map(|id| id.to_string()), json!({})).await;
    world.endpoint.script(|_| ok());
    let slow = spec(json!({"rate": "60/m"}));
    let start = |name: &str, spec: RedriveSpec| {
        world
            .core
            .start_redrive("default", Some(name.to_owned()), spec, somebody())
    };
    start("slow", slow.clone()).await.unwrap();
    assert_eq!(code(start("slow", slow.clone()).await), "already_exists");
    assert_eq!(
        code(world.core.forget_redrive("default", "slow", somebody()).await),
        "redrive_running"
    );
    world
        .core
        .set_redrive("default", "slow", ReplayState::Paused, somebody())
        .await
        .unwrap();
    let held = world.core.redrive_of("default", "slow").unwrap();
    tokio::time::sleep(Duration::from_secs(600)).await;
    assert_eq!(
        world.core.redrive_of("default", "slow").unwrap().redriven,
        held.redriven
    );
    world.crash().await;
    tokio::time::sleep(Duration::from_secs(600)).await;
    assert_eq!(
        world.core.redrive_of("default", "slow").unwrap().redriven,
        held.redriven
    );
    world
        .core
        .set_redrive("default", "slow", ReplayState::Running, somebody())
        .await
        .unwrap();
    world
        .until("some of it", |world| {
            world.core.redrive_of("default", "slow").unwrap().redriven > held.redriven
        })
        .await;
    let rest = world
        .core
        .set_redrive("default", "slow", ReplayState::Cancelled, somebody())
        .await
        .unwrap();
    assert_eq!(rest.state, ReplayState::Cancelled);
    let over = world
        .core
        .set_redrive("default", "slow", ReplayState::Running, somebody())
        .await;
    assert_eq!(code(over), "redrive_over");
    let left = letters(&world).await.len();
    assert_eq!(left as u64, 30 - rest.redriven);
    let fast = spec(json!({"rate": null}));
    for name in ["fast", "faster"] {
        world
            .core
            .start_redrive("default", Some(name.to_owned()), fast.clone(), somebody())
            .await
            .unwrap();
    }
    let both = [ended(&world, "fast").await, ended(&world, "faster").await];
    assert_eq!(both.iter().map(|one| one.redriven).sum::<u64>(), left as u64);
    world.delivered("all", 30).await;
    world.core.forget_redrive("default", "fast", somebody()).await.unwrap();
    let names: Vec<_> = world
        .core
        .redrives("default")
        .unwrap()
        .into_iter()
        .map(|one| one.name)
        .collect();
    assert_eq!(names, ["slow", "faster"]);
    let documents = world.store.documents().await.unwrap();
    let kept = documents
        .iter()
        .filter(|document| document.name.starts_with("redrive/"));
    assert_eq!(kept.count(), 2);
}

#[tokio::test(start_paused = true)]
async fn a_redrive_waits_for_room_among_what_is_parked() {
    let world = World::with(|settings| settings.lane.parked_events = 8).await;
    one_partition(&world).await;
    world.subscribe("all", json!({})).await;
    world.endpoint.script(|_| refuses());
    for id in 0..30 {
        world.publish(&id.to_string()).await;
    }
    world.until("the deaths", |world| world.status("all").dead == 30).await;
    world.endpoint.script(|_| Reply {
        delay: Duration::from_millis(500),
        ..ok()
    });
    let all = spec(json!({"rate": "4/s"}));
    world
        .core
        .start_redrive("default", Some("all".to_owned()), all, somebody())
        .await
        .unwrap();
    assert_eq!(ended(&world, "all").await.redriven, 30);
    world.delivered("all", 30).await;
}

async fn state(world: &World, id: &str) -> DeliveryState {
    world.story(id).await.unwrap().subscriptions[0].state
}

/// The line of its last attempt said 422, and the next one's was lost: nobody has discarded it.
#[tokio::test(start_paused = true)]
async fn a_dead_letter_that_was_delivered_after_all_is_not_told_as_discarded_when_a_crash_loses_the_line_of_it() {
    let mut world = with_dead(["1".to_owned()].into_iter(), json!({})).await;
    let history = world.history().await;
    world.endpoint.script(|_| ok());
    world.redrive(DeadSelection::default()).await.unwrap();
    world.delivered("all", 1).await;
    world.settle().await;
    world.crash_with_history(history).await;
    let story = world.story("1").await.unwrap();
    assert_eq!(story.subscriptions[0].attempts.len(), 1, "the line is lost");
    assert_eq!(state(&world, "1").await, DeliveryState::Delivered);
}

/// However it came to be dead, and long after the position has passed it.
#[tokio::test(start_paused = true)]
async fn what_a_person_discarded_is_told_as_discarded_for_good() {
    let attempts = json!({"delivery": {"retry": {"schedule": ["0s"], "attempts": 1, "age": "1h"}}});
    let mut world = with_dead(["0", "1", "2"].map(str::to_owned).into_iter(), attempts).await;
    world.endpoint.script(|_| crate::support::fails());
    for id in ["3", "4"] {
        world.publish_event(event(id, "order", json!({"key": "k"}))).await;
    }
    world.until("the deaths", |world| world.status("all").dead == 5).await;
    world.endpoint.script(|_| ok());
    let one = DeadSelection {
        event_id: Some("1".to_owned()),
        ..DeadSelection::default()
    };
    world.redrive(one).await.unwrap();
    world.delivered("all", 1).await;
    world.settle().await;
    assert_eq!(world.discard(DeadSelection::default()).await.unwrap(), 4);
    world.restart().await;
    world.settle().await;
    for (id, expected) in ["0", "1", "2", "3", "4"]
        .into_iter()
        .zip([true, false, true, true, true])
    {
        let is_discarded = state(&world, id).await == DeliveryState::Discarded;
        assert_eq!(is_discarded, expected, "{id}");
    }
    let ranges = world.store.ranges(world.status("all").id).await.unwrap();
    let ranges: Vec<_> = ranges
        .iter()
        .map(|range| (range.from, range.to, range.matched))
        .collect();
    assert_eq!(ranges, [(0, 1, Some(1)), (2, 5, Some(3))], "neighbours are one range");
}
