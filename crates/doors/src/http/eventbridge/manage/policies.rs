//! The resource policy of an event bus: kept and shown as it was put. It opens nothing: an installation is one account, and what a key may
//! do, its scopes say. So a policy that lets everybody in lets nobody in who has no key for it.

use super::{
    super::{asked::Asked, fault::Fault, names},
    changing::annotate,
    record::{self, ITSELF, POLICY},
};
use control::resources::{Annotations, Scope};
use serde::Deserialize;
use serde_json::{Value, json};

/// Bytes of a policy, as AWS says.
const POLICY_BYTES_MAX: usize = 10_240;
/// Characters of a statement's id.
const STATEMENT_ID_MAX: usize = 64;
const VERSION: &str = "2012-10-17";

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Input {
    event_bus_name: Option<String>,
    action: Option<String>,
    principal: Option<String>,
    statement_id: Option<String>,
    condition: Option<Condition>,
    policy: Option<String>,
    #[serde(default)]
    remove_all_permissions: bool,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Condition {
    #[serde(rename = "Type")]
    kind: String,
    key: String,
    value: String,
}

/// The policy of a bus, if it has one.
pub(super) fn of(annotations: &Annotations) -> Option<Value> {
    record::get(annotations, POLICY, ITSELF)
}

/// `PutPermission`.
pub(in super::super) async fn put(asked: &Asked) -> Result<Value, Fault> {
    let input: Input = asked.input()?;
    let bus = asked.bus(input.event_bus_name.as_deref(), Scope::Manage)?;
    if let Some(policy) = &input.policy {
        if input.action.is_some() || input.principal.is_some() || input.statement_id.is_some() {
            return Err(Fault::validation(
                "Parameter Policy is not valid. Reason: it is given whole, without Action, Principal and StatementId.",
            ));
        }
        let policy = whole(policy)?;
        return keep(asked, &bus.name, |_| Ok(policy.clone())).await;
    }
    let arn = names::arn(asked.region_of_arns(), names::EVENT_BUS, &bus.name);
    let statement = statement(&input, &arn)?;
    keep(asked, &bus.name, |policy| {
        let mut policy = policy.unwrap_or_else(|| json!({"Version": VERSION, "Statement": []}));
        let mut statements = statements(&policy);
        statements.retain(|one| one["Sid"] != statement["Sid"]);
        statements.push(statement.clone());
        policy["Statement"] = statements.into();
        Ok(policy)
    })
    .await
}

/// Changes the policy of a bus as it is now, within its bound.
async fn keep(
    asked: &Asked,
    bus: &str,
    mut edit: impl FnMut(Option<Value>) -> Result<Value, Fault> + Send,
) -> Result<Value, Fault> {
    annotate(asked, bus, |annotations| {
        let policy = edit(of(annotations))?;
        bounded(policy.to_string().len())?;
        record::put(annotations, POLICY, ITSELF, &policy);
        Ok(())
    })
    .await?;
    Ok(json!({}))
}

/// Refuses a policy of so many bytes if that is too many.
fn bounded(bytes: usize) -> Result<(), Fault> {
    if bytes > POLICY_BYTES_MAX {
        let message = format!("The event bus policy has more than {POLICY_BYTES_MAX} bytes.");
        return Err(Fault::new("PolicyLengthExceededException", message));
    }
    Ok(())
}

/// A policy has one statement, or a list of them.
fn statements(policy: &Value) -> Vec<Value> {
    match &policy["Statement"] {
        Value::Array(list) => list.clone(),
        Value::Null => Vec::new(),
        one => vec![one.clone()],
    }
}

/// A policy that is given whole: what can be wrong with it here is its shape.
fn whole(text: &str) -> Result<Value, Fault> {
    let wrong = |reason: &str| Fault::validation(format!("Parameter Policy is not valid. Reason: {reason}"));
    bounded(text.len())?;
    let policy: Value = serde_json::from_str(text).map_err(|error| wrong(&format!("it is no JSON: {error}")))?;
    let statements = statements(&policy);
    if !policy.is_object() || statements.is_empty() {
        return Err(wrong("it is an object with at least one Statement."));
    }
    for statement in &statements {
        let is_effect = matches!(statement["Effect"].as_str(), Some("Allow" | "Deny"));
        let has = |name: &str| statement.get(name).is_some() || statement.get(format!("Not{name}")).is_some();
        if !is_effect || !has("Principal") || !has("Action") {
            return Err(wrong("a statement has Effect (Allow or Deny), Principal and Action."));
        }
    }
    Ok(policy)
}

fn statement(input: &Input, bus_arn: &str) -> Result<Value, Fault> {
    let missing = || Fault::validation("Parameter(s) Action, Principal and StatementId, or Policy, must be specified.");
    let (action, principal) = (input.action.as_deref(), input.principal.as_deref());
    let id = input.statement_id.as_deref().ok_or_else(missing)?;
    let (action, principal) = (action.ok_or_else(missing)?, principal.ok_or_else(missing)?);
    let is_word = |text: &str| !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_alphabetic());
    if !action.strip_prefix("events:").is_some_and(is_word) {
        let rule = "Member must satisfy regular expression pattern: events:[a-zA-Z]+";
        return Err(Fault::constraint(action, "action", rule));
    }
    let is_account = principal.len() == 12 && principal.bytes().all(|byte| byte.is_ascii_digit());
    if principal != "*" && !is_account {
        let rule = "Member must satisfy regular expression pattern: (\\d{12}|\\*)";
        return Err(Fault::constraint(principal, "principal", rule));
    }
    let legal = |byte: u8| byte.is_ascii_alphanumeric() || b"_-".contains(&byte);
    if !(1..=STATEMENT_ID_MAX).contains(&id.len()) || !id.bytes().all(legal) {
        let rule = "Member must satisfy regular expression pattern: [a-zA-Z0-9-_]+, and have at most 64 characters";
        return Err(Fault::constraint(id, "statementId", rule));
    }
    let who = match is_account {
        true => json!({"AWS": format!("arn:aws:iam::{principal}:root")}),
        false => "*".into(),
    };
    let mut statement = json!({
        "Sid": id, "Effect": "Allow", "Principal": who, "Action": action, "Resource": bus_arn,
    });
    if let Some(condition) = &input.condition {
        condition.check(is_account)?;
        statement["Condition"] = json!({&condition.kind: {&condition.key: condition.value}});
    }
    Ok(statement)
}

impl Condition {
    fn check(&self, is_of_an_account: bool) -> Result<(), Fault> {
        let wrong = |reason: &str| {
            Err(Fault::validation(format!(
                "Parameter Condition is not valid. Reason: {reason}"
            )))
        };
        match (self.kind.as_str(), self.key.as_str(), is_of_an_account) {
            ("StringEquals", "aws:PrincipalOrgID", false) => Ok(()),
            ("StringEquals", "aws:PrincipalOrgID", true) => wrong("it needs the Principal *."),
            _ => wrong("Type is StringEquals and Key is aws:PrincipalOrgID."),
        }
    }
}

/// `RemovePermission`.
pub(in super::super) async fn remove(asked: &Asked) -> Result<Value, Fault> {
    let input: Input = asked.input()?;
    let bus = asked.bus(input.event_bus_name.as_deref(), Scope::Manage)?;
    annotate(asked, &bus.name, |annotations| {
        let Some(mut policy) = of(annotations) else {
            return match input.remove_all_permissions {
                true => Ok(()),
                false => Err(Fault::not_found("EventBus does not have a policy.")),
            };
        };
        let mut left = statements(&policy);
        if input.remove_all_permissions {
            left.clear();
        } else {
            let id = record::required(input.statement_id.as_ref(), "statementId")?;
            let before = left.len();
            left.retain(|one| one["Sid"] != id.as_str());
            if left.len() == before {
                return Err(Fault::not_found("Statement with the provided id does not exist."));
            }
        }
        match left.is_empty() {
            true => drop(record::remove(annotations, POLICY, ITSELF)),
            false => {
                policy["Statement"] = left.into();
                record::put(annotations, POLICY, ITSELF, &policy);
            }
        }
        Ok(())
    })
    .await?;
    Ok(json!({}))
}
