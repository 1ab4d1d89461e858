//! Changes of several resources that are one, while events flow.

use crate::support::{Reply, World, change, event, ok, subscription};
use control::{Action, resources::ResourceKind};
use serde_json::{Value, json};
use std::time::Duration;

fn wanting(types: &str) -> Value {
    subscription(json!({"types": [types]}))
}

async fn publish_both(world: &World, round: usize) {
    for kind in ["a", "b"] {
        world
            .publish_event(event(&format!("{kind}{round}"), kind, json!({})))
            .await;
    }
}

#[tokio::test(start_paused = true)]
async fn all_of_them_happen_or_none_and_events_flow_on_either_way() {
    let mut world = World::new().await;
    for name in ["one", "other"] {
        world.subscribe(name, json!({"types": ["a"]})).await;
    }
    let changes = [
        (ResourceKind::Subscription, "one", wanting("b")),
        (ResourceKind::Subscription, "other", wanting("b")),
        (ResourceKind::Subscription, "third", wanting("b")),
        (ResourceKind::Bus, "default", json!({"description": "new"})),
    ];
    world.store.fail_next(store::Error::OutOfSpace);
    let failed = world.put_all(&changes).await;
    assert!(matches!(failed, Err(delivery::Error::Store(_))), "{failed:?}");
    publish_both(&world, 1).await;
    world.settle().await;
    for name in ["one", "other"] {
        assert_eq!(world.endpoint.delivered_ids(name), ["a1"], "{name} is as it was");
    }
    assert_eq!(world.core.model().buses["default"].spec.description, "");

    world.put_all(&changes).await.unwrap();
    publish_both(&world, 2).await;
    world.settle().await;
    for (name, ids) in [
        ("one", ["a1", "b2"].as_slice()),
        ("other", &["a1", "b2"]),
        ("third", &["b2"]),
    ] {
        assert_eq!(world.endpoint.delivered_ids(name), ids, "{name}");
    }
    world.crash().await;
    publish_both(&world, 3).await;
    world.settle().await;
    for name in ["one", "other", "third"] {
        assert_eq!(
            world.endpoint.delivered_ids(name).last().map(String::as_str),
            Some("b3")
        );
    }
    assert_eq!(world.core.model().buses["default"].spec.description, "new");
}

#[tokio::test(start_paused = true)]
async fn what_comes_or_goes_in_steps_is_no_part_of_them() {
    let world = World::new().await;
    world.subscribe("one", json!({})).await;
    for refused in [
        change(ResourceKind::Topic, "new", Action::Put(json!({}))),
        change(ResourceKind::Bus, "new", Action::Put(json!({}))),
        change(ResourceKind::Subscription, "one", Action::Delete),
    ] {
        let good = change(ResourceKind::Subscription, "other", Action::Put(wanting("a")));
        let answer = world.core.change_all(vec![good, refused]).await;
        assert!(matches!(answer, Err(delivery::Error::Refused(_))), "{answer:?}");
        assert_eq!(world.core.status("default").len(), 1);
    }
}

/// A change that is asked for while a subscription of it goes is decided when that is gone.
#[tokio::test(start_paused = true)]
async fn they_wait_for_a_subscription_that_is_about_to_go() {
    let world = World::new().await;
    world.subscribe("gone", json!({})).await;
    world.endpoint.script(|_| Reply {
        delay: Duration::from_secs(60),
        ..ok()
    });
    world.publish("1").await;
    world.settle().await;
    let changes = [(ResourceKind::Subscription, "gone", wanting("b"))];
    let id = world.status("gone").id;
    let delete = world.delete(ResourceKind::Subscription, "gone");
    let (_, put) = tokio::join!(biased; delete, world.put_all(&changes));
    put.unwrap();
    assert_ne!(world.status("gone").id, id, "it is another one");
}
