//! A subscription's transform and what it needs besides the event. Pure.

use control::{Bus, Subscription, limits::DEFAULT_BUS, resources::TargetMode};
use event::{
    EventView,
    eventbridge::{ACCOUNT_DEFAULT, REGION_DEFAULT},
};
use std::sync::Arc;
use store::Millis;
use transform::{Context, Failure, Output, Transform};

/// The annotation of a subscription that is a target of a rule: the rule's name.
pub const RULE_ANNOTATION: &str = "eventbridge.rule";
/// The annotation of such a subscription: the region of the client that put the target, as ARNs have it.
pub const REGION_ANNOTATION: &str = "eventbridge.region";

/// What becomes of a subscription's events before they are delivered.
#[derive(Clone, Debug)]
pub struct Shaping {
    transform: Arc<Transform>,
    rule_name: String,
    rule_arn: String,
    /// The rule in its ARN.
    place: String,
    /// The replay that the events come by.
    replay_name: Option<String>,
}

impl Shaping {
    /// A subscription's own, or the envelope that its target asks for; `None` if its events stay as they are.
    pub fn of(bus: &Bus, subscription: &Subscription) -> Option<Self> {
        let spec = &subscription.spec;
        let transform = match (&subscription.transform, spec.target.mode) {
            (Some(transform), _) => Arc::clone(transform),
            (None, Some(TargetMode::Envelope)) => Arc::new(Transform::whole()),
            (None, _) => return None,
        };
        let rule = spec.annotations.get(RULE_ANNOTATION);
        let shaping = Self::new(transform, &bus.name, rule.unwrap_or(&subscription.name));
        Some(match spec.annotations.get(REGION_ANNOTATION) {
            Some(region) => shaping.in_region(region),
            None => shaping,
        })
    }

    /// A transform as if a rule of this name had it.
    pub fn new(transform: Arc<Transform>, bus: &str, rule: &str) -> Self {
        let place = match bus {
            DEFAULT_BUS => rule.to_owned(),
            bus => format!("{bus}/{rule}"),
        };
        Self {
            transform,
            rule_name: rule.to_owned(),
            rule_arn: arn(REGION_DEFAULT, &place),
            place,
            replay_name: None,
        }
    }

    /// The same for events that a replay of this name brings.
    pub fn of_replay(&self, name: &str) -> Self {
        Self {
            replay_name: Some(name.to_owned()),
            ..self.clone()
        }
    }

    fn in_region(mut self, region: &str) -> Self {
        self.rule_arn = arn(region, &self.place);
        self
    }

    /// What becomes of an event.
    pub fn apply(&self, event: &EventView<'_>, appended: Millis) -> Result<Output, Failure> {
        let context = Context {
            account: ACCOUNT_DEFAULT,
            region: REGION_DEFAULT,
            accepted: appended,
            rule_name: &self.rule_name,
            rule_arn: &self.rule_arn,
            replay_name: self.replay_name.as_deref(),
        };
        self.transform.apply(event, &context)
    }
}

fn arn(region: &str, place: &str) -> String {
    format!("arn:aws:events:{region}:{ACCOUNT_DEFAULT}:rule/{place}")
}
