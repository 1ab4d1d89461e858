//! A target of a rule as the subscription that it is. The target itself stands in the subscription's annotations, as it was given, so that
//! it is shown as it was put.

use super::{
    super::{asked::Asked, fault::Fault, names},
    api_destinations,
    changing::change,
    rules::Rule,
};
use control::{
    Action, Bus, Precondition, Subscription,
    resources::{Annotations, ResourceKind},
};
use delivery::RULE_ANNOTATION;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};
use std::collections::BTreeMap;

/// The annotation of a subscription that is a target: the target, as JSON.
const TARGET_ANNOTATION: &str = "eventbridge.target";
/// How long AWS waits for an API destination.
const TIMEOUT: &str = "5s";
/// Retries that a target without a policy gets, and how old its events get, by AWS.
const RETRIES_DEFAULT: i64 = 185;
const AGE_SECONDS_DEFAULT: i64 = 86_400;
const AGE_SECONDS_MIN: i64 = 60;
/// Names of one target's subscription that are tried, where others have the first ones.
const NAMES_MAX: usize = 100;

/// A target. What it has beyond these members is refused, unless it means nothing here.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(super) struct Target {
    pub id: String,
    pub arn: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    role_arn: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    input: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    input_path: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    input_transformer: Option<InputTransformer>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    retry_policy: Option<RetryPolicy>,
    /// Kept and shown. Dead letters are in Trunkline itself.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    dead_letter_config: Option<Value>,
    #[serde(flatten)]
    others: Map<String, Value>,
}

#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase")]
struct InputTransformer {
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    input_paths_map: BTreeMap<String, String>,
    input_template: String,
}

#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase")]
struct RetryPolicy {
    #[serde(default, skip_serializing_if = "Option::is_none")]
    maximum_retry_attempts: Option<i64>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    maximum_event_age_in_seconds: Option<i64>,
}

impl Target {
    /// Refuses what no target here can have.
    pub(super) fn check(&self) -> Result<(), Fault> {
        let inputs = [
            self.input.is_some(),
            self.input_path.is_some(),
            self.input_transformer.is_some(),
        ];
        if inputs.into_iter().filter(|is_given| *is_given).count() > 1 {
            return Err(Fault::validation(format!(
                "Only one of Input, InputPath, or InputTransformer must be provided for target {}.",
                self.id
            )));
        }
        if let Some((name, _)) = self.others.iter().find(|(_, value)| !is_empty(value)) {
            return Err(Fault::validation(format!(
                "Parameter {name} is not valid for target {}. Reason: targets here are API destinations, and this is not taken for them.",
                self.id
            )));
        }
        self.check_retries()
    }

    fn check_retries(&self) -> Result<(), Fault> {
        let (retries, age) = (self.retries(), self.age_seconds());
        if !(0..=RETRIES_DEFAULT).contains(&retries) {
            let rule = "Member must have a value between 0 and 185";
            return Err(Fault::constraint(
                &retries.to_string(),
                "retryPolicy.maximumRetryAttempts",
                rule,
            ));
        }
        if !(AGE_SECONDS_MIN..=AGE_SECONDS_DEFAULT).contains(&age) {
            let rule = "Member must have a value between 60 and 86400";
            return Err(Fault::constraint(
                &age.to_string(),
                "retryPolicy.maximumEventAgeInSeconds",
                rule,
            ));
        }
        Ok(())
    }

    fn retries(&self) -> i64 {
        let policy = self.retry_policy.as_ref();
        policy
            .and_then(|policy| policy.maximum_retry_attempts)
            .unwrap_or(RETRIES_DEFAULT)
    }

    fn age_seconds(&self) -> i64 {
        let policy = self.retry_policy.as_ref();
        policy
            .and_then(|policy| policy.maximum_event_age_in_seconds)
            .unwrap_or(AGE_SECONDS_DEFAULT)
    }

    /// A target without an input gets the whole event.
    fn transform(&self) -> Value {
        match (&self.input, &self.input_path, &self.input_transformer) {
            (Some(input), _, _) => json!({"input": input}),
            (_, _, Some(transformer)) => json!({"input_transformer": {
                "paths": transformer.input_paths_map,
                "template": transformer.input_template,
            }}),
            (_, path, _) => json!({"input_path": path.as_deref().unwrap_or("$")}),
        }
    }

    /// As an answer has it.
    pub(super) fn shown(&self) -> Value {
        serde_json::to_value(self).expect("plain data with string keys")
    }
}

fn is_empty(value: &Value) -> bool {
    match value {
        Value::Null => true,
        Value::Object(map) => map.values().all(is_empty),
        Value::Array(items) => items.is_empty(),
        _ => false,
    }
}

/// The target that a subscription is, and its rule.
fn of(subscription: &Subscription) -> Option<(String, Target)> {
    let annotations = &subscription.spec.annotations;
    let target = serde_json::from_str(annotations.get(TARGET_ANNOTATION)?).ok()?;
    Some((annotations.get(RULE_ANNOTATION)?.clone(), target))
}

/// Every target of a bus, with its rule.
pub(super) fn of_bus(bus: &Bus) -> Vec<(String, Target)> {
    bus.subscriptions
        .values()
        .filter_map(|subscription| of(subscription))
        .collect()
}

/// The targets of a rule, with the names of their subscriptions.
pub(super) fn of_rule(bus: &Bus, rule: &str) -> Vec<(String, Target)> {
    let targets = bus.subscriptions.values().filter_map(|subscription| {
        let (of_rule, target) = of(subscription)?;
        (of_rule == rule).then(|| (subscription.name.clone(), target))
    });
    targets.collect()
}

/// The name of the subscription that a target is or becomes.
pub(super) fn subscription_name(bus: &Bus, rule: &str, id: &str) -> Result<String, Fault> {
    let own = of_rule(bus, rule).into_iter().find(|(_, target)| target.id == id);
    if let Some((name, _)) = own {
        return Ok(name);
    }
    let first = format!("{rule}.{id}");
    let more = (2..=NAMES_MAX).map(|number| format!("{first}.{number}"));
    let mut names = std::iter::once(first.clone()).chain(more);
    let free = names.find(|name| !bus.subscriptions.contains_key(name));
    free.ok_or_else(|| super::record::exists("Subscription", &first))
}

/// Makes the subscription of a target what rule and target say.
pub(super) async fn put(
    asked: &Asked,
    (bus, rule_name): (&str, &str),
    rule: &Rule,
    target: &Target,
    subscription: &str,
) -> Result<(), Fault> {
    let reached = api_destinations::reach(asked, bus, &target.arn).await?;
    let mut annotations = Annotations::new();
    annotations.insert(RULE_ANNOTATION.to_owned(), rule_name.to_owned());
    annotations.insert(TARGET_ANNOTATION.to_owned(), target.shown().to_string());
    let body = json!({
        "description": rule.description.clone().unwrap_or_default(),
        "filter": {"eventbridge": rule.pattern},
        "transform": target.transform(),
        "connection": reached.connection,
        "target": {"mode": "data"},
        "delivery": {
            "timeout": TIMEOUT,
            "rate": format!("{}/s", reached.rate),
            "retry": {"attempts": target.retries() + 1, "age": format!("{}s", target.age_seconds())},
        },
        "annotations": annotations,
        "enabled": rule.is_enabled,
    });
    let place = (bus, subscription);
    let put = change(
        asked,
        ResourceKind::Subscription,
        place,
        Action::Put(body),
        Precondition::Any,
    )
    .await;
    put.map(drop).map_err(|fault| match fault.code() {
        "ValidationException" => {
            let message = format!(
                "Parameter of target {} is not valid. Reason: {}",
                target.id,
                fault.message()
            );
            Fault::validation(message)
        }
        _ => fault,
    })
}

/// The kind and the name in an ARN of this service: `rule/orders` are `rule` and `orders`.
pub(super) fn named_in(arn: &str) -> Option<(&str, &str)> {
    names::resource(arn)?.split_once('/')
}
