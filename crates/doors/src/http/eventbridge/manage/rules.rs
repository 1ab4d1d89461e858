//! Rules. A rule is an annotation of its bus; what it does, its targets do, and they are subscriptions.

use super::{
    super::{asked::Asked, fault::Fault, names, test_event_pattern::invalid_pattern},
    api_destinations,
    changing::{Together, together},
    page::{self, Paging},
    record::{self, NAME_MAX, RULE, Tag, Tags},
    target,
};
use control::{
    Bus,
    filters::{FilterText, compile_filter},
    resources::{Dialect, FilterSpec, Scope},
};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use std::{collections::BTreeMap, sync::Arc};

/// Rules of a bus, as AWS allows unless asked for more.
const RULES_MAX: usize = 300;
/// Characters of a pattern, by the model.
const PATTERN_MAX: usize = 4_096;
const ENABLED: &str = "ENABLED";
const DISABLED: &str = "DISABLED";

/// A rule, as it is remembered.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(super) struct Rule {
    pub pattern: String,
    pub is_enabled: bool,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub description: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub role_arn: Option<String>,
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub tags: Tags,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Input {
    name: Option<String>,
    event_bus_name: Option<String>,
    event_pattern: Option<String>,
    schedule_expression: Option<String>,
    state: Option<String>,
    description: Option<String>,
    role_arn: Option<String>,
    #[serde(default)]
    tags: Vec<Tag>,
}

/// The ARN of a rule. Those of the default bus do not name it.
pub(super) fn arn(region: &str, bus: &str, rule: &str) -> String {
    let place = match bus {
        names::DEFAULT_BUS => rule.to_owned(),
        bus => format!("{bus}/{rule}"),
    };
    names::arn(region, RULE, &place)
}

/// The bus and the name of a rule, of what its ARN says behind `rule/`.
pub(super) fn place(text: &str) -> (&str, &str) {
    text.rsplit_once('/').unwrap_or((names::DEFAULT_BUS, text))
}

/// A rule that is there.
pub(super) fn get(bus: &Bus, name: &str) -> Result<Rule, Fault> {
    let missing = || Fault::not_found(format!("Rule {name} does not exist on EventBus {}.", bus.name));
    record::get(&bus.spec.annotations, RULE, name).ok_or_else(missing)
}

/// `PutRule`.
pub(in super::super) async fn put(asked: &Asked) -> Result<Value, Fault> {
    let input: Input = asked.input()?;
    let bus = asked.bus(input.event_bus_name.as_deref(), Scope::Subscribe)?;
    let name = record::name(input.name.as_ref(), "name", NAME_MAX)?;
    record::description(input.description.as_ref())?;
    let pattern = pattern(&input)?;
    let is_enabled = is_enabled(input.state.as_deref())?;
    if is_enabled {
        pass_over(asked, &bus.name, name).await?;
    }
    together(asked, |changes| {
        let annotations = changes.annotations(&bus.name)?;
        let before: Option<Rule> = record::get(annotations, RULE, name);
        if before.is_none() && record::all::<Value>(annotations, RULE).len() >= RULES_MAX {
            return Err(record::limit());
        }
        let rule = Rule {
            pattern: pattern.to_owned(),
            is_enabled,
            description: input.description.clone(),
            role_arn: input.role_arn.clone(),
            tags: match before {
                Some(before) => before.tags,
                None => record::tagged(Tags::new(), &input.tags)?,
            },
        };
        record::put(annotations, RULE, name, &rule);
        renew_targets(changes, &bus.name, name, &rule)
    })
    .await?;
    Ok(json!({"RuleArn": arn(&asked.region, &bus.name, name)}))
}

/// What a rule matches. Schedules are none of it yet.
fn pattern(input: &Input) -> Result<&str, Fault> {
    if input.schedule_expression.as_ref().is_some_and(|text| !text.is_empty()) {
        let message =
            "Parameter ScheduleExpression is not valid. Reason: schedules are not built yet; rules match events.";
        return Err(Fault::validation(message));
    }
    let pattern = input.event_pattern.as_deref().filter(|text| !text.is_empty());
    let missing = || Fault::validation("Parameter(s) EventPattern or ScheduleExpression must be specified.");
    let pattern = pattern.ok_or_else(missing)?;
    check_pattern(pattern)?;
    Ok(pattern)
}

/// Whether a pattern can be saved.
pub(super) fn check_pattern(pattern: &str) -> Result<(), Fault> {
    if pattern.chars().count() > PATTERN_MAX {
        let rule = "Member must have length less than or equal to 4096";
        return Err(Fault::constraint(pattern, "eventPattern", rule));
    }
    let filter = FilterSpec::EventBridge(FilterText::new(pattern), Dialect::Standard);
    compile_filter(&filter).map(drop).map_err(invalid_pattern)
}

fn is_enabled(state: Option<&str>) -> Result<bool, Fault> {
    record::one_of(state, "state", &[ENABLED, DISABLED])?;
    Ok(state != Some(DISABLED))
}

/// The targets of a rule do what it says now. What else they are stays: whether they can be reached is nobody's question here.
fn renew_targets(changes: &mut Together<'_>, bus: &str, name: &str, rule: &Rule) -> Result<(), Fault> {
    let model = Arc::clone(&changes.model);
    let bus = model.bus(bus)?;
    for (subscription, target) in target::of_rule(bus, name) {
        let is_enabled = rule.is_enabled && api_destinations::is_active(&model, bus, &target.arn);
        changes.edit(bus, subscription, |body| {
            body["filter"] = json!({"eventbridge": rule.pattern});
            body["description"] = rule.description.clone().unwrap_or_default().into();
            body["enabled"] = is_enabled.into();
        });
    }
    Ok(())
}

/// What matched while a rule was disabled is passed over when it is enabled, as AWS drops it: counted and recorded. What a target has
/// because its API destination is inactive stays, as long as the rule is enabled.
async fn pass_over(asked: &Asked, bus: &str, name: &str) -> Result<(), Fault> {
    let model = asked.state.core.model();
    let bus = model.bus(bus)?;
    let Some(rule) = record::get::<Rule>(&bus.spec.annotations, RULE, name) else {
        return Ok(());
    };
    for (subscription, target) in target::of_rule(bus, name) {
        let is_held = !api_destinations::is_active(&model, bus, &target.arn);
        let is_disabled = !rule.is_enabled || (!subscription.spec.enabled && !is_held);
        if is_disabled {
            target::pass_over(asked, bus, subscription).await?;
        }
    }
    Ok(())
}

fn shown(asked: &Asked, bus: &str, name: &str, rule: &Rule) -> Value {
    let mut shown = json!({
        "Name": name,
        "Arn": arn(&asked.region, bus, name),
        "EventPattern": rule.pattern,
        "State": if rule.is_enabled { ENABLED } else { DISABLED },
        "EventBusName": bus,
    });
    if let Some(description) = &rule.description {
        shown["Description"] = description.as_str().into();
    }
    if let Some(role) = &rule.role_arn {
        shown["RoleArn"] = role.as_str().into();
    }
    shown
}

/// The rule that a request names, and its bus.
fn named<'a>(asked: &'a Asked, input: &'a Input, scope: Scope) -> Result<(&'a Arc<Bus>, &'a str, Rule), Fault> {
    let bus = asked.bus(input.event_bus_name.as_deref(), scope)?;
    let name = record::required(input.name.as_ref(), "name")?;
    Ok((bus, name, get(bus, name)?))
}

/// `DescribeRule`.
pub(in super::super) async fn describe(asked: &Asked) -> Result<Value, Fault> {
    let input: Input = asked.input()?;
    let (bus, name, rule) = named(asked, &input, Scope::Read)?;
    let mut answer = shown(asked, &bus.name, name, &rule);
    answer["CreatedBy"] = event::eventbridge::ACCOUNT_DEFAULT.into();
    Ok(answer)
}

/// `ListRules`.
pub(in super::super) async fn list(asked: &Asked) -> Result<Value, Fault> {
    let (input, paging): (Input, Paging) = (asked.input()?, asked.input()?);
    let bus = asked.bus(input.event_bus_name.as_deref(), Scope::Read)?;
    let rules = record::all::<Rule>(&bus.spec.annotations, RULE).into_iter();
    let rules = rules.map(|(name, rule)| (name.clone(), shown(asked, &bus.name, &name, &rule)));
    Ok(page::answer("Rules", paging.cut(rules.collect())?))
}

/// `ListRuleNamesByTarget`.
pub(in super::super) async fn list_names_by_target(asked: &Asked) -> Result<Value, Fault> {
    #[derive(Deserialize)]
    #[serde(rename_all = "PascalCase")]
    struct ByTarget {
        target_arn: Option<String>,
        event_bus_name: Option<String>,
    }
    let (input, paging): (ByTarget, Paging) = (asked.input()?, asked.input()?);
    let bus = asked.bus(input.event_bus_name.as_deref(), Scope::Read)?;
    let arn = record::required(input.target_arn.as_ref(), "targetArn")?;
    let names = target::of_bus(bus).into_iter().filter(|(_, target)| target.arn == *arn);
    let names: std::collections::BTreeSet<String> = names.map(|(rule, _)| rule).collect();
    let names = names.into_iter().map(|name| (name.clone(), name)).collect();
    Ok(page::answer("RuleNames", paging.cut(names)?))
}

/// `EnableRule`.
pub(in super::super) async fn enable(asked: &Asked) -> Result<Value, Fault> {
    switch(asked, true).await
}

/// `DisableRule`. What matches meanwhile is passed over when the rule is enabled.
pub(in super::super) async fn disable(asked: &Asked) -> Result<Value, Fault> {
    switch(asked, false).await
}

async fn switch(asked: &Asked, is_enabled: bool) -> Result<Value, Fault> {
    let input: Input = asked.input()?;
    let (bus, name, _) = named(asked, &input, Scope::Subscribe)?;
    if is_enabled {
        pass_over(asked, &bus.name, name).await?;
    }
    together(asked, |changes| {
        let annotations = changes.annotations(&bus.name)?;
        let missing = || Fault::not_found(format!("Rule {name} does not exist on EventBus {}.", bus.name));
        let before: Rule = record::get(annotations, RULE, name).ok_or_else(missing)?;
        let rule = Rule { is_enabled, ..before };
        record::put(annotations, RULE, name, &rule);
        renew_targets(changes, &bus.name, name, &rule)
    })
    .await?;
    Ok(json!({}))
}

/// `DeleteRule`. One that does not exist is as gone as one can be.
pub(in super::super) async fn delete(asked: &Asked) -> Result<Value, Fault> {
    let input: Input = asked.input()?;
    let bus = asked.bus(input.event_bus_name.as_deref(), Scope::Subscribe)?;
    let name = record::required(input.name.as_ref(), "name")?;
    together(asked, |changes| {
        if !target::of_rule(changes.model.bus(&bus.name)?, name).is_empty() {
            return Err(Fault::validation("Rule can't be deleted since it has targets."));
        }
        record::remove(changes.annotations(&bus.name)?, RULE, name);
        Ok(())
    })
    .await?;
    Ok(json!({}))
}
