//! Several changes that are one: what they write together is what each would write, and one that is refused refuses all.

use super::*;
use ResourceKind::{Bus, Connection, Subscription, Topic};

impl Installation {
    fn all(&mut self, changes: &[Change]) -> Result<Vec<Effect>, Refusal> {
        let plans = plan_all(&self.model, &self.rules, &self.sealer, changes, NOW)?;
        if !plans.operations.is_empty() {
            let revision = self.apply(plans.operations).unwrap();
            self.model = plans.finish.at(revision);
        }
        assert_eq!(format!("{:?}", self.model), format!("{:?}", self.loaded()));
        Ok(plans.effects)
    }
}

fn put(kind: ResourceKind, name: &str, body: Value) -> Change {
    change(kind, name, Action::Put(body))
}

#[test]
fn changes_see_what_those_before_them_make_and_are_written_at_one_revision() {
    let mut installation = Installation::furnished();
    let body = json!({"connection": "crm", "filter": {"eventbridge": {"source": ["a"]}}});
    installation.put(Subscription, "there", body).unwrap();
    let changes = [
        put(Bus, BUS, json!({"annotations": {"a": "b"}})),
        put(Connection, "new", webhook("https://new.example.com/")),
        put(Subscription, "first", json!({"connection": "new"})),
        put(Subscription, "second", json!({"connection": "new"})),
        put(
            Subscription,
            "there",
            json!({"connection": "new", "filter": {"eventbridge": {"source": ["b"]}}}),
        ),
        put(Topic, "events", json!({})),
    ];
    let effects = installation.all(&changes).unwrap();
    assert_eq!(
        effects,
        [
            Effect::Other,
            Effect::ConnectionPut,
            Effect::SubscriptionCreated,
            Effect::SubscriptionCreated,
            Effect::SubscriptionChanged,
            Effect::Unchanged
        ]
    );
    let bus = &installation.model.buses[BUS];
    let [first, second] = ["first", "second"].map(|name| bus.subscriptions.get(name).unwrap().clone());
    assert_ne!(first.id, second.id, "each has a number of its own");
    assert_eq!((first.version, bus.version), (second.version, second.version));
    assert_eq!(installation.model.versions.len(), 1, "what it matched before is kept");
    let nothing = installation.all(&changes[..2]).unwrap();
    assert_eq!(nothing, [Effect::Unchanged, Effect::Unchanged]);
}

#[test]
fn one_change_that_is_refused_refuses_all() {
    let mut installation = Installation::furnished();
    let before = format!("{:?}", installation.model);
    let good = put(Connection, "new", webhook("https://new.example.com/"));
    let bad = put(Subscription, "s", json!({"connection": "none"}));
    for (changes, says) in [
        ([good.clone(), bad], "\"none\" does not exist"),
        ([good.clone(), good], "changed twice"),
    ] {
        let refusal = installation.all(&changes).unwrap_err();
        assert!(refusal.detail.contains(says), "{refusal}");
        assert_eq!(format!("{:?}", installation.model), before);
    }
}

/// Whatever became of what a subscription needs: it can be disabled, and not be changed into something else that does not fit.
#[test]
fn a_subscription_can_always_be_disabled() {
    let mut installation = Installation::furnished();
    let queues = |serves: &str| {
        let credentials = json!({"type": "static", "access_key_id": "AKID", "secret_access_key": "secret"});
        json!({"provider": serves, "config": {"aws": {"region": "eu-west-1", "credentials": credentials}}})
    };
    installation.put(Connection, "dead", queues("aws")).unwrap();
    let arn = "arn:aws:sqs:eu-west-1:123456789012:dead";
    let body = |enabled: bool, source: &str| {
        json!({"connection": "crm", "enabled": enabled, "filter": {"eventbridge": {"source": [source]}},
            "dead_letter": {"connection": "dead", "target": {"arn": arn}}})
    };
    installation.put(Subscription, "s", body(true, "a")).unwrap();
    installation
        .put(Connection, "dead", webhook("https://dead.example.com/"))
        .unwrap();
    installation.put(Subscription, "s", body(true, "b")).unwrap_err();
    installation.put(Subscription, "s", body(false, "b")).unwrap_err();
    let effect = installation.put(Subscription, "s", body(false, "a"));
    assert_eq!(effect, Ok(Effect::SubscriptionChanged));
}
