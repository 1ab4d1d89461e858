//! What the model keeps from one change to the next: versions, numbers, and that two plans never both happen.

use super::*;
use ResourceKind::{Subscription, Topic};

#[test]
fn two_plans_of_one_model_never_both_happen_even_when_they_touch_different_things() {
    let mut installation = Installation::furnished();
    installation.put(Topic, "free", json!({})).unwrap();
    let planned = |change| {
        plan(
            &installation.model,
            &installation.rules,
            &installation.sealer,
            &change,
            NOW,
        )
        .unwrap()
    };
    let delete = planned(change(Topic, "free", Action::Delete));
    let reader = json!({"connection": "crm", "topics": ["free"]});
    let create = planned(change(Subscription, "reader", Action::Put(reader)));
    installation.apply(delete.operations).unwrap();
    assert_eq!(
        installation.apply(create.operations),
        Err((Kind::Setting, "counters".to_owned()))
    );
}

#[test]
fn an_old_version_is_kept_when_the_new_one_matches_differently() {
    let mut installation = Installation::furnished();
    let mut put = |body: Value| {
        let effect = installation.put(Subscription, "to-crm", body).unwrap();
        let subscription = installation.model.buses[BUS].subscriptions["to-crm"].clone();
        let kept: Vec<_> = installation.model.versions.keys().copied().collect();
        (effect, subscription, kept, installation.model.clone())
    };
    let body = json!({"connection": "crm", "topics": ["orders"], "delivery": {"concurrency": 2}});
    let (effect, policy, kept, _) = put(body);
    assert_eq!((effect, kept), (Effect::SubscriptionChanged, vec![]));
    let body = json!({"connection": "crm", "topics": ["orders"], "types": ["order.*"]});
    let (_, filtered, kept, model) = put(body);
    assert_eq!((filtered.id, kept), (policy.id, vec![(policy.id, policy.version)]));
    let in_force = |version| model.subscription_version(&filtered, version).version;
    assert_eq!(
        in_force(policy.version - 1),
        policy.version,
        "an equal filter speaks for the version before it"
    );
    assert_eq!(
        (in_force(policy.version), in_force(filtered.version)),
        (policy.version, filtered.version)
    );
    assert!(model.without_version(policy.id, policy.version).versions.is_empty());
    installation.delete(Subscription, "to-crm").unwrap();
    assert!(installation.model.versions.is_empty());
    assert!(
        !installation
            .documents
            .keys()
            .any(|(_, kind, _)| *kind == Kind::SubscriptionVersion)
    );
}

#[test]
fn a_recreated_name_is_another_subscription_and_another_topic() {
    let mut installation = Installation::furnished();
    let ids = |installation: &Installation| {
        let bus = &installation.model.buses[BUS];
        (bus.topics["orders"].id, bus.subscriptions["to-crm"].id)
    };
    let before = ids(&installation);
    installation.delete(Subscription, "to-crm").unwrap();
    installation.delete(Topic, "orders").unwrap();
    installation.put(Topic, "orders", json!({})).unwrap();
    installation
        .put(
            Subscription,
            "to-crm",
            json!({"connection": "crm", "topics": ["orders"]}),
        )
        .unwrap();
    assert_eq!((before, ids(&installation)), ((2, 1), (3, 2)));
}

#[test]
fn a_difference_names_its_places_and_what_stood_there() {
    let installation = Installation::furnished();
    let body =
        json!({"connection": "crm", "topics": ["orders", "events"], "description": "new", "delivery": {"rate": "5/s"}});
    let change = change(Subscription, "to-crm", Action::Put(body));
    let (effect, differences) = crate::preview(
        &installation.model,
        &installation.rules,
        &installation.sealer,
        &change,
        NOW,
    )
    .unwrap();
    assert_eq!(effect, Effect::SubscriptionChanged);
    let shown = serde_json::to_value(differences).unwrap();
    assert_eq!(
        shown,
        json!([
            {"pointer": "/delivery/rate", "after": "5/s"},
            {"pointer": "/description", "after": "new"},
            {"pointer": "/topics/1", "after": "events"},
        ])
    );
    let (one, two) = (json!({"a/b": 1}), json!({"a/b": 2}));
    let differences = crate::diff(Some(&one), Some(&two));
    assert_eq!(
        serde_json::to_value(differences).unwrap(),
        json!([{"pointer": "/a~1b", "before": 1, "after": 2}])
    );
}

#[test]
fn everything_exported_makes_the_same_installation_again_but_for_secrets() {
    let mut installation = Installation::furnished();
    let exported = crate::export_all(&installation.model, &installation.sealer).unwrap();
    let kinds: Vec<_> = exported.iter().map(|one| one["kind"].as_str().unwrap()).collect();
    assert_eq!(kinds, ["bus", "topic", "topic", "connection", "subscription"]);
    for one in exported {
        let kind: ResourceKind = serde_json::from_value(one["kind"].clone()).unwrap();
        let name = one["name"].as_str().unwrap().to_owned();
        assert_eq!(told(installation.put(kind, &name, one)), "Unchanged");
    }
}
