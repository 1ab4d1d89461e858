//! A subscription's transform and what it needs besides the event. Pure.

use control::{Bus, Subscription, limits::DEFAULT_BUS};
use event::{
    EventView,
    eventbridge::{ACCOUNT_DEFAULT, REGION_DEFAULT},
};
use std::sync::Arc;
use store::Millis;
use transform::{Context, Failure, Output, Transform};

/// The annotation of a subscription that is a target of a rule: the rule's name.
pub const RULE_ANNOTATION: &str = "eventbridge.rule";

/// What becomes of a subscription's events before they are delivered.
#[derive(Clone, Debug)]
pub struct Shaping {
    transform: Arc<Transform>,
    rule_name: String,
    rule_arn: String,
}

impl Shaping {
    /// A subscription's own; `None` if its events stay as they are.
    pub fn of(bus: &Bus, subscription: &Subscription) -> Option<Self> {
        let transform = Arc::clone(subscription.transform.as_ref()?);
        let rule = subscription.spec.annotations.get(RULE_ANNOTATION);
        Some(Self::new(transform, &bus.name, rule.unwrap_or(&subscription.name)))
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
            rule_arn: format!("arn:aws:events:{REGION_DEFAULT}:{ACCOUNT_DEFAULT}:rule/{place}"),
        }
    }

    /// What becomes of an event.
    pub fn apply(&self, event: &EventView<'_>, appended: Millis) -> Result<Output, Failure> {
        let context = Context {
            account: ACCOUNT_DEFAULT,
            region: REGION_DEFAULT,
            accepted: appended,
            rule_name: &self.rule_name,
            rule_arn: &self.rule_arn,
        };
        self.transform.apply(event, &context)
    }
}
