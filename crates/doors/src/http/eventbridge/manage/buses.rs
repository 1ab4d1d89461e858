//! Event buses.

use super::{
    super::{asked::Asked, fault::Fault, names},
    changing::change,
    page::{self, Paging},
    policies,
    record::{self, BUS, BusRecord, ITSELF, RULE, Tag},
};
use control::{
    Action, Bus, Precondition,
    resources::{ResourceKind, Scope},
};
use serde::Deserialize;
use serde_json::{Value, json};

/// Characters of a bus's name, by the model.
const NAME_MAX: usize = 200;

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Input {
    name: Option<String>,
    description: Option<String>,
    event_source_name: Option<Value>,
    kms_key_identifier: Option<Value>,
    #[serde(default)]
    tags: Vec<Tag>,
}

impl Input {
    fn check(&self) -> Result<(), Fault> {
        record::description(self.description.as_ref())?;
        record::refuse(
            self.event_source_name.as_ref(),
            "EventSourceName",
            "there are no partner event sources here.",
        )?;
        record::refuse(
            self.kms_key_identifier.as_ref(),
            "KmsKeyIdentifier",
            "keys of AWS KMS are not used here.",
        )
    }
}

/// `CreateEventBus`.
pub(in super::super) async fn create(asked: &Asked) -> Result<Value, Fault> {
    asked.require_installation(Scope::Administer)?;
    let input: Input = asked.input()?;
    input.check()?;
    let name = record::name(input.name.as_ref(), "name", NAME_MAX)?;
    if asked.model.buses.contains_key(name) {
        return Err(record::exists("Event bus", name));
    }
    let kept = BusRecord {
        tags: record::tagged(Default::default(), &input.tags)?,
        created: record::now(asked),
    };
    let mut annotations = Default::default();
    record::put(&mut annotations, BUS, ITSELF, &kept);
    let description = input.description.clone().unwrap_or_default();
    let body = json!({"description": description, "annotations": annotations});
    change(
        asked,
        ResourceKind::Bus,
        (name, name),
        Action::Put(body),
        Precondition::Absent,
    )
    .await?;
    Ok(with_description(
        json!({"EventBusArn": names::arn(&asked.region, names::EVENT_BUS, name)}),
        &description,
    ))
}

fn with_description(mut answer: Value, description: &str) -> Value {
    if !description.is_empty() {
        answer["Description"] = description.into();
    }
    answer
}

fn shown(asked: &Asked, bus: &Bus) -> Value {
    let mut answer = json!({"Name": bus.name, "Arn": names::arn(&asked.region, names::EVENT_BUS, &bus.name)});
    let kept: BusRecord = record::get(&bus.spec.annotations, BUS, ITSELF).unwrap_or_default();
    if kept.created > 0 {
        answer["CreationTime"] = record::seconds(kept.created).into();
    }
    if let Some(policy) = policies::of(&bus.spec.annotations) {
        answer["Policy"] = policy.to_string().into();
    }
    with_description(answer, &bus.spec.description)
}

/// `DescribeEventBus`.
pub(in super::super) async fn describe(asked: &Asked) -> Result<Value, Fault> {
    let input: Input = asked.input()?;
    Ok(shown(asked, asked.bus(input.name.as_deref(), Scope::Read)?))
}

/// `ListEventBuses`.
pub(in super::super) async fn list(asked: &Asked) -> Result<Value, Fault> {
    let paging: Paging = asked.input()?;
    let buses = asked
        .model
        .buses
        .values()
        .filter(|bus| asked.may(&bus.name, Scope::Read));
    let buses = buses.map(|bus| (bus.name.clone(), shown(asked, bus)));
    Ok(page::answer("EventBuses", paging.cut(buses.collect())?))
}

/// `UpdateEventBus`.
pub(in super::super) async fn update(asked: &Asked) -> Result<Value, Fault> {
    asked.require_installation(Scope::Administer)?;
    let input: Input = asked.input()?;
    input.check()?;
    let bus = asked.bus(input.name.as_deref(), Scope::Administer)?;
    let mut spec = bus.spec.clone();
    if let Some(description) = input.description {
        spec.description = description;
    }
    let body = serde_json::to_value(&spec).expect("plain data with string keys");
    let precondition = Precondition::Version(bus.version);
    change(
        asked,
        ResourceKind::Bus,
        (&bus.name, &bus.name),
        Action::Put(body),
        precondition,
    )
    .await?;
    let arn = names::arn(&asked.region, names::EVENT_BUS, &bus.name);
    Ok(with_description(
        json!({"Name": bus.name, "Arn": arn}),
        &spec.description,
    ))
}

/// `DeleteEventBus`. One that does not exist is as gone as one can be.
pub(in super::super) async fn delete(asked: &Asked) -> Result<Value, Fault> {
    asked.require_installation(Scope::Administer)?;
    let input: Input = asked.input()?;
    let name = record::required(input.name.as_ref(), "name")?;
    let name =
        names::bus(name).ok_or_else(|| Fault::constraint(name, "name", "Member must be a name of an event bus"))?;
    if name == names::DEFAULT_BUS {
        return Err(Fault::validation("Cannot delete event bus default."));
    }
    let Some(bus) = asked.model.buses.get(name) else {
        return Ok(json!({}));
    };
    if !record::all::<Value>(&bus.spec.annotations, RULE).is_empty() {
        return Err(Fault::validation(format!(
            "Event bus {name} can't be deleted since it has rules."
        )));
    }
    change(
        asked,
        ResourceKind::Bus,
        (name, name),
        Action::Delete,
        Precondition::Any,
    )
    .await?;
    Ok(json!({}))
}
