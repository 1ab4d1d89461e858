//! Targets of rules: each is a subscription.

use super::{
    super::{asked::Asked, fault::Fault},
    changing::change,
    page::{self, Paging},
    reached,
    record::{self, NAME_MAX},
    rules,
    target::{self, Target},
};
use control::{
    Action, Precondition,
    resources::{ResourceKind, Scope},
};
use serde::Deserialize;
use serde_json::{Value, json};
use std::collections::BTreeSet;

/// Targets of a rule.
const TARGETS_MAX: usize = 5;

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Input {
    rule: Option<String>,
    event_bus_name: Option<String>,
    targets: Option<Vec<Target>>,
    ids: Option<Vec<String>>,
}

/// `PutTargets`. All are checked before any is put; one that then fails is told among the answer's failed entries.
pub(in super::super) async fn put(asked: &Asked) -> Result<Value, Fault> {
    let input: Input = asked.input()?;
    let bus = asked.bus(input.event_bus_name.as_deref(), Scope::Subscribe)?;
    let rule_name = record::required(input.rule.as_ref(), "rule")?;
    rules::get(bus, rule_name)?;
    let targets = record::required(input.targets.as_ref(), "targets")?;
    if targets.is_empty() {
        let rule = "Member must have length greater than or equal to 1";
        return Err(Fault::constraint("[]", "targets", rule));
    }
    let mut ids: BTreeSet<String> = target::of_rule(bus, rule_name)
        .into_iter()
        .map(|(_, one)| one.id)
        .collect();
    let mut given = BTreeSet::new();
    for target in targets {
        record::name(Some(&target.id), "targets.member.id", NAME_MAX)?;
        target.check()?;
        ids.insert(target.id.clone());
        if !given.insert(&target.id) {
            return Err(Fault::validation(format!("Target {} stands there twice.", target.id)));
        }
    }
    if ids.len() > TARGETS_MAX {
        return Err(record::limit());
    }
    let mut failed = Vec::new();
    for target in targets {
        // That nothing serves it is no fault of the request, and told as AWS tells of one target among others.
        if let Some(fault) = reached::unserved(asked, &bus.name, target)? {
            failed.push(failure(&target.id, &fault));
            continue;
        }
        match target::put(asked, (&bus.name, rule_name), target).await {
            Ok(()) => {}
            Err(fault) if targets.len() == 1 => return Err(fault),
            Err(fault) => failed.push(failure(&target.id, &fault)),
        }
    }
    // Where one led before may be needed no more.
    reached::tidy(asked, &bus.name).await;
    Ok(entries(failed))
}

fn failure(id: &str, fault: &Fault) -> Value {
    json!({"TargetId": id, "ErrorCode": fault.code(), "ErrorMessage": fault.message()})
}

fn entries(failed: Vec<Value>) -> Value {
    json!({"FailedEntryCount": failed.len(), "FailedEntries": failed})
}

/// `RemoveTargets`. What was not delivered to them yet is discarded.
pub(in super::super) async fn remove(asked: &Asked) -> Result<Value, Fault> {
    let input: Input = asked.input()?;
    let bus = asked.bus(input.event_bus_name.as_deref(), Scope::Subscribe)?;
    let rule = record::required(input.rule.as_ref(), "rule")?;
    rules::get(bus, rule)?;
    let targets = target::of_rule(bus, rule);
    let mut failed = Vec::new();
    for id in record::required(input.ids.as_ref(), "ids")? {
        let Some((subscription, _)) = targets.iter().find(|(_, target)| target.id == *id) else {
            let missing = Fault::not_found(format!("Rule {rule} does not have a target with id {id}."));
            failed.push(failure(id, &missing));
            continue;
        };
        let place = (bus.name.as_str(), subscription.name.as_str());
        let gone = change(
            asked,
            ResourceKind::Subscription,
            place,
            Action::Delete,
            Precondition::Any,
        )
        .await;
        if let Err(fault) = gone {
            failed.push(failure(id, &fault));
        }
    }
    reached::tidy(asked, &bus.name).await;
    Ok(entries(failed))
}

/// `ListTargetsByRule`.
pub(in super::super) async fn list(asked: &Asked) -> Result<Value, Fault> {
    let (input, paging): (Input, Paging) = (asked.input()?, asked.input()?);
    let bus = asked.bus(input.event_bus_name.as_deref(), Scope::Read)?;
    let rule = record::required(input.rule.as_ref(), "rule")?;
    rules::get(bus, rule)?;
    let targets = target::of_rule(bus, rule).into_iter();
    let targets = targets.map(|(_, target)| (target.id.clone(), target.shown()));
    Ok(page::answer("Targets", paging.cut(targets.collect())?))
}
