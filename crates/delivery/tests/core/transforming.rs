//! Transforms on the way out: what the endpoint gets, and what becomes of an event that a transform cannot take.

use crate::support::{World, event, one_partition};
use delivery::DeadSelection;
use serde_json::{Value, json};

fn transformer(paths: Value, template: &str) -> Value {
    json!({"transform": {"input_transformer": {"paths": paths, "template": template}}})
}

fn bodies(world: &World) -> Vec<String> {
    let received = world.endpoint.received().into_iter();
    received
        .map(|received| String::from_utf8(received.data.0.to_vec()).unwrap())
        .collect()
}

#[tokio::test(start_paused = true)]
async fn the_endpoint_gets_what_the_transform_makes() {
    let world = World::new().await;
    let template = r#"{"sum": <total>, "by": "<aws.events.rule-name>"}"#;
    world
        .subscribe("sums", transformer(json!({"total": "$.detail.total"}), template))
        .await;
    world.publish_event(event("1", "order", json!({"total": 5}))).await;
    world.delivered("sums", 1).await;
    assert_eq!(bodies(&world), [r#"{"sum": 5, "by": "sums"}"#]);
    let received = &world.endpoint.received()[0];
    assert_eq!(
        (received.id.as_str(), received.data.1.as_deref()),
        ("1", Some("application/json"))
    );
}

#[tokio::test(start_paused = true)]
async fn a_changed_transform_is_what_the_next_try_uses() {
    let world = World::new().await;
    world.subscribe("all", json!({"transform": {"input": {"v": 1}}})).await;
    world.endpoint.script(|received| match received.number {
        1 => crate::support::fails(),
        _ => crate::support::ok(),
    });
    world.publish("1").await;
    world
        .until("a try", |world| !world.endpoint.received().is_empty())
        .await;
    let changed = crate::support::subscription(json!({"transform": {"input": {"v": 2}}}));
    world
        .put(control::resources::ResourceKind::Subscription, "all", changed)
        .await;
    world.delivered("all", 1).await;
    assert_eq!(bodies(&world), [r#"{"v":1}"#, r#"{"v":2}"#]);
}

#[tokio::test(start_paused = true)]
async fn an_event_that_the_transform_cannot_take_is_a_dead_letter_at_once_with_the_reason() {
    let world = World::new().await;
    world
        .subscribe("all", json!({"transform": {"input_path": "$.detail.total"}}))
        .await;
    world.publish_event(event("1", "order", json!({"total": 5}))).await;
    world.publish_event(event("2", "order", json!({"sum": 5}))).await;
    world.until("burial", |world| world.status("all").dead == 1).await;
    world.delivered("all", 1).await;
    world.settle().await;
    assert_eq!(bodies(&world), ["5"], "nothing is sent of the other one");
    let dead = world
        .core
        .dead_letters("default", DeadSelection::default(), None, 10)
        .await
        .unwrap();
    assert_eq!(
        (
            dead[0].event_id.as_str(),
            dead[0].delivery.reason.as_str(),
            dead[0].delivery.attempts
        ),
        ("2", "transform_path_missing", 1)
    );
    let story = world.story("2").await.unwrap();
    let attempt = &story.subscriptions[0].attempts[0];
    assert_eq!(attempt.outcome, store::AttemptOutcome::Failed);
    assert!(attempt.reason.contains("nothing at the path"), "{}", attempt.reason);
    assert_eq!(world.status("all").state, "running", "the endpoint did nothing wrong");
}

#[tokio::test(start_paused = true)]
async fn in_a_batch_only_the_events_that_cannot_be_taken_are_dead_letters() {
    let world = World::new().await;
    one_partition(&world).await;
    let batch = json!({"target": {"mode": "batched"}, "delivery": {"batch": {"events": 10}},
        "transform": {"input_path": "$.detail.n"}});
    world.subscribe("all", batch).await;
    let events = (0..10).map(|n| match n % 4 {
        0 => event(&n.to_string(), "order", json!({"other": n})),
        _ => event(&n.to_string(), "order", json!({"n": n})),
    });
    world.core.publish("default", events.collect()).await.unwrap();
    world.until("burial", |world| world.status("all").dead == 3).await;
    world.delivered("all", 7).await;
    world.settle().await;
    let mut delivered = bodies(&world);
    delivered.sort();
    assert_eq!(delivered, ["1", "2", "3", "5", "6", "7", "9"]);
}
