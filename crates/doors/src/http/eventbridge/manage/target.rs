//! A target of a rule as the subscription that it is. The target itself stands in the subscription's annotations, as it was given, so that
//! it is shown as it was put.

use super::{
    super::{asked::Asked, fault::Fault, names},
    api_destinations,
    changing::{Together, together},
    reached, rules, serving,
};
use control::{
    Bus, Precondition, Subscription,
    resources::{Annotations, ResourceKind},
    transforms::unknown_placeholder,
};
use delivery::{REGION_ANNOTATION, RULE_ANNOTATION};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};
use std::{collections::BTreeMap, sync::Arc};

/// The annotation of a subscription that is a target: the target, as JSON.
const TARGET_ANNOTATION: &str = "eventbridge.target";
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
    pub role_arn: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    input: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    input_path: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    input_transformer: Option<InputTransformer>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    retry_policy: Option<RetryPolicy>,
    /// Where copies of its dead letters go, which stay in Trunkline itself.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    dead_letter_config: Option<DeadLetterConfig>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    sqs_parameters: Option<SqsParameters>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    kinesis_parameters: Option<KinesisParameters>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    http_parameters: Option<HttpParameters>,
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

#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase")]
struct DeadLetterConfig {
    #[serde(default, skip_serializing_if = "Option::is_none")]
    arn: Option<String>,
}

#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase")]
struct SqsParameters {
    #[serde(default, skip_serializing_if = "Option::is_none")]
    message_group_id: Option<String>,
}

#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase")]
struct KinesisParameters {
    partition_key_path: String,
}

#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase")]
struct HttpParameters {
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    path_parameter_values: Vec<String>,
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    header_parameters: BTreeMap<String, String>,
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    query_string_parameters: BTreeMap<String, String>,
}

impl InputTransformer {
    fn paths(&self) -> BTreeMap<String, String> {
        self.input_paths_map.clone()
    }
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
                "Parameter {name} is not valid for target {}. Reason: it is for services that targets here do not lead to.",
                self.id
            )));
        }
        if let Some(arn) = self.dead_letter_arn()
            && (serving::service(arn) != Some("sqs") || arn.ends_with(".fifo"))
        {
            return Err(Fault::validation(format!(
                "Parameter DeadLetterConfig.Arn is not valid for target {}. Reason: it is the ARN of a standard SQS queue.",
                self.id
            )));
        }
        self.check_retries()
    }

    /// The queue for copies of its dead letters.
    pub(super) fn dead_letter_arn(&self) -> Option<&str> {
        self.dead_letter_config.as_ref()?.arn.as_deref()
    }

    /// The group of its messages in a FIFO queue.
    pub(super) fn message_group(&self) -> Option<&str> {
        self.sqs_parameters.as_ref()?.message_group_id.as_deref()
    }

    /// Where the partition key stands in the event.
    pub(super) fn partition_path(&self) -> Option<&str> {
        let parameters = self.kinesis_parameters.as_ref()?;
        Some(parameters.partition_key_path.as_str())
    }

    /// The target of a webhook with its HTTP parameters.
    pub(super) fn http_target(&self) -> Value {
        let mut target = json!({"mode": "data"});
        if let Some(parameters) = &self.http_parameters {
            target["path"] = json!(parameters.path_parameter_values);
            target["headers"] = json!(parameters.header_parameters);
            target["query"] = json!(parameters.query_string_parameters);
        }
        target
    }

    /// Refuses parameters of another service than the one that the target leads to.
    pub(super) fn has_only(&self, names: &[&str]) -> Result<(), Fault> {
        let given = [
            ("SqsParameters", self.sqs_parameters.is_some()),
            ("KinesisParameters", self.kinesis_parameters.is_some()),
            ("HttpParameters", self.http_parameters.is_some()),
        ];
        let other = given
            .into_iter()
            .find(|(name, is_given)| *is_given && !names.contains(name));
        match other {
            None => Ok(()),
            Some((name, _)) => Err(Fault::validation(format!(
                "Parameter {name} is not valid for target {}. Reason: the target leads to another service.",
                self.id
            ))),
        }
    }

    /// Where copies of its dead letters go, as the subscription says it.
    fn dead_letter(&self, bus: &Bus, rule_arn: &str) -> Result<Option<Value>, Fault> {
        let Some(arn) = self.dead_letter_arn() else {
            return Ok(None);
        };
        let connection = serving::connection(bus, arn).ok_or_else(|| serving::unserved(bus, arn))?;
        let attributes = json!({"RULE_ARN": rule_arn, "TARGET_ARN": self.arn});
        let target = json!({"arn": arn, "mode": "envelope", "attributes": attributes});
        Ok(Some(json!({"connection": connection, "target": target})))
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

    /// A target without an input gets the whole event: its envelope, or itself.
    fn transform(&self, takes_envelope: bool) -> Value {
        match (&self.input, &self.input_path, &self.input_transformer) {
            (Some(input), _, _) => json!({"input": input}),
            (_, _, Some(transformer)) => json!({"input_transformer": {
                "paths": transformer.paths(),
                "template": transformer.input_template,
            }}),
            (_, Some(path), _) => json!({"input_path": path}),
            _ if takes_envelope => json!({"input_path": "$"}),
            _ => json!("raw"),
        }
    }

    /// What is wrong with it, in AWS's words where AWS has some.
    fn blamed(&self, fault: Fault) -> Fault {
        let transformer = self.input_transformer.as_ref().map(|transformer| {
            let (paths, template) = (transformer.paths(), transformer.input_template.clone());
            control::resources::InputTransformer { paths, template }
        });
        let unknown = transformer.and_then(|transformer| unknown_placeholder(&transformer));
        Fault::validation(match unknown {
            Some(name) => format!(
                "InputTemplate for target {} contains invalid placeholder {name}.",
                self.id
            ),
            None => format!(
                "Parameter of target {} is not valid. Reason: {}",
                self.id,
                fault.message()
            ),
        })
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

/// The targets of a rule, with their subscriptions.
pub(super) fn of_rule<'b>(bus: &'b Bus, rule: &str) -> Vec<(&'b Subscription, Target)> {
    let targets = bus.subscriptions.values().filter_map(|subscription| {
        let (of_rule, target) = of(subscription)?;
        (of_rule == rule).then_some((&**subscription, target))
    });
    targets.collect()
}

/// The name of the subscription that a target is or becomes.
fn subscription_name(bus: &Bus, rule: &str, id: &str) -> Result<String, Fault> {
    let own = of_rule(bus, rule).into_iter().find(|(_, target)| target.id == id);
    if let Some((subscription, _)) = own {
        return Ok(subscription.name.clone());
    }
    let first = format!("{rule}.{id}");
    let more = (2..=NAMES_MAX).map(|number| format!("{first}.{number}"));
    let mut names = std::iter::once(first.clone()).chain(more);
    let free = names.find(|name| !bus.subscriptions.contains_key(name));
    free.ok_or_else(|| super::record::exists("Subscription", &first))
}

/// Puts a target: its subscription, and what it needs on its way.
pub(super) async fn put(asked: &Asked, place: (&str, &str), target: &Target) -> Result<(), Fault> {
    resume_from_now(asked, place, &target.id).await?;
    let put = together(asked, |changes| add(asked, changes, place, target)).await;
    put.map_err(|fault| match fault.code() {
        "ValidationException" => target.blamed(fault),
        _ => fault,
    })
}

/// Makes the subscription of a target what rule and target say.
fn add(
    asked: &Asked,
    changes: &mut Together<'_>,
    (bus, rule_name): (&str, &str),
    target: &Target,
) -> Result<(), Fault> {
    let model = Arc::clone(&changes.model);
    let bus = model.bus(bus)?;
    let rule = rules::get(bus, rule_name)?;
    let subscription = subscription_name(bus, rule_name, &target.id)?;
    let reached = reached::reach(asked, changes, bus, target)?;
    let region = asked.region_of_arns();
    let annotations: Annotations = [
        (RULE_ANNOTATION, rule_name.to_owned()),
        (REGION_ANNOTATION, region.to_owned()),
        (TARGET_ANNOTATION, target.shown().to_string()),
    ]
    .map(|(name, text)| (name.to_owned(), text))
    .into();
    let mut delivery = json!({
        "retry": {"attempts": target.retries() + 1, "age": format!("{}s", target.age_seconds())},
    });
    if let Some(timeout) = reached.timeout {
        delivery["timeout"] = timeout.into();
    }
    if let Some(rate) = reached.rate {
        delivery["rate"] = format!("{rate}/s").into();
    }
    let mut body = json!({
        "description": rule.description.unwrap_or_default(),
        "filter": {"eventbridge": rule.pattern},
        "transform": target.transform(reached.takes_envelope),
        "connection": reached.connection,
        "target": reached.target,
        "delivery": delivery,
        "annotations": annotations,
        "enabled": rule.is_enabled && reached.is_active,
    });
    if let Some(copies) = target.dead_letter(bus, &rules::arn(region, &bus.name, rule_name))? {
        body["dead_letter"] = copies;
    }
    let place = (bus.name.as_str(), subscription.as_str());
    changes.put(ResourceKind::Subscription, place, body, Precondition::Any);
    Ok(())
}

/// A target whose subscription somebody has disabled goes on from now when it is put, if its rule is enabled.
async fn resume_from_now(asked: &Asked, (bus, rule): (&str, &str), id: &str) -> Result<(), Fault> {
    let model = asked.state.core.model();
    let bus = model.bus(bus)?;
    let own = of_rule(bus, rule).into_iter().find(|(_, target)| target.id == id);
    let Some((subscription, before)) = own else {
        return Ok(());
    };
    let is_held = !api_destinations::is_active(&model, bus, &before.arn);
    let resumes = rules::get(bus, rule)?.is_enabled && !subscription.spec.enabled && !is_held;
    match resumes {
        true => pass_over(asked, bus, subscription).await,
        false => Ok(()),
    }
}

/// What waits for a target is passed over: counted and recorded.
pub(super) async fn pass_over(asked: &Asked, bus: &Bus, subscription: &Subscription) -> Result<(), Fault> {
    let (bus, subscription) = (bus.name.as_str(), subscription.name.as_str());
    let skipped = asked.state.core.skip_to_now(bus, subscription, None).await?;
    tracing::info!(
        bus,
        subscription,
        events = skipped.events,
        "an enabled rule goes on from now"
    );
    Ok(())
}

/// The kind and the name in an ARN of this service: `rule/orders` are `rule` and `orders`.
pub(super) fn named_in(arn: &str) -> Option<(&str, &str)> {
    names::resource(arn)?.split_once('/')
}
