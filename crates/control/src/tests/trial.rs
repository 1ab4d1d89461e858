//! What a list of changes would do, tried one after the other on a copy of the model.

use super::*;
use crate::trial::{Trial, try_all};

fn list() -> Vec<Change> {
    let put = |kind, name, body| change(kind, name, Action::Put(body));
    vec![
        put(ResourceKind::Topic, "orders", json!({"partitions": 3})),
        put(ResourceKind::Connection, "crm", webhook("https://crm.example.com/hook")),
        put(
            ResourceKind::Subscription,
            "to-crm",
            json!({"topics": ["orders"], "connection": "crm"}),
        ),
    ]
}

fn tried(installation: &Installation, changes: &[Change]) -> Result<Vec<Trial>, (usize, Refusal)> {
    let Installation {
        model, sealer, rules, ..
    } = installation;
    try_all(model, rules, sealer, changes, NOW)
}

#[test]
fn each_change_meets_what_those_before_it_would_leave() {
    let installation = Installation::new();
    let before = format!("{:?}", installation.model);
    let trials = tried(&installation, &[list(), list()].concat()).unwrap();
    let effects: Vec<_> = trials
        .iter()
        .map(|trial| (trial.effect.clone(), trial.existed))
        .collect();
    let made = [Effect::TopicPut, Effect::ConnectionPut, Effect::SubscriptionCreated].map(|effect| (effect, false));
    assert_eq!(effects[..3], made);
    assert_eq!(effects[3..], [(); 3].map(|()| (Effect::Unchanged, true)));
    assert!(trials[3..].iter().all(|trial| trial.changes.is_empty()));
    assert_eq!(format!("{:?}", installation.model), before, "nothing is changed");
}

#[test]
fn a_list_does_what_its_changes_do_one_by_one() {
    let mut installation = Installation::furnished();
    let filter = json!({"eventbridge": {"detail": {"status": ["paid"]}}});
    let put = |kind, name, body| change(kind, name, Action::Put(body));
    let changes = [
        put(ResourceKind::Topic, "orders", json!({"partitions": 9})),
        put(
            ResourceKind::Subscription,
            "to-crm",
            json!({"topics": ["orders"], "connection": "crm", "filter": filter}),
        ),
        change(ResourceKind::Subscription, "to-crm", Action::Delete),
        change(ResourceKind::Topic, "orders", Action::Delete),
    ];
    let trials = tried(&installation, &changes).unwrap();
    for (change, trial) in changes.iter().zip(trials) {
        assert_eq!(installation.change(change), Ok(trial.effect));
    }
}

#[test]
fn the_first_that_would_be_refused_is_named() {
    let installation = Installation::new();
    let mut changes = list();
    changes.remove(1);
    let (index, refusal) = tried(&installation, &changes).unwrap_err();
    assert_eq!((index, refusal.pointer.as_deref()), (1, Some("/connection")));
    let partitions = |count: u32| change(ResourceKind::Topic, "orders", Action::Put(json!({"partitions": count})));
    let (index, refusal) = tried(&installation, &[partitions(4), partitions(2)]).unwrap_err();
    assert_eq!((index, refusal.pointer.as_deref()), (1, Some("/partitions")));
}
