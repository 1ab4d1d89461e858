//! Where the ARN of a target leads, and what of the target's subscription follows from it: an API destination, another bus of this
//! server, or one of Amazon's services through the connection that serves the ARN.

use super::{
    super::{asked::Asked, fault::Fault, names},
    api_destinations,
    changing::{Together, together},
    serving,
    target::Target,
};
use control::{
    Action, Bus, Precondition,
    resources::{ConnectionSpec, Scope},
};
use serde_json::{Value, json};
use std::sync::Arc;

/// How long AWS waits for an API destination.
const TIMEOUT: &str = "5s";
/// Before the name of a bus in the name of the connection that leads there.
const BUS_CONNECTION: &str = "event-bus.";

/// What follows for the subscription.
pub(super) struct Reached {
    /// The connection, on the rule's bus.
    pub connection: String,
    /// Its target.
    pub target: Value,
    /// Requests per second.
    pub rate: Option<i64>,
    /// For each attempt.
    pub timeout: Option<&'static str>,
    /// Whether events may go there now: not to an API destination whose connection has no credentials any more.
    pub is_active: bool,
    /// Whether a target without an input gets the event's envelope, as all do but buses, which get the event.
    pub takes_envelope: bool,
}

/// What is not served of a target: its own ARN, or that of its dead-letter queue.
pub(super) fn unserved(asked: &Asked, bus: &str, target: &Target) -> Result<Option<Fault>, Fault> {
    let model = asked.state.core.model();
    let bus = model.bus(bus)?;
    let is_served = |arn: &str| serving::connection(bus, arn).is_some();
    let is_own_bus = |arn: &str| local_bus(asked, bus, arn).is_some();
    let arns = [Some(target.arn.as_str()), target.dead_letter_arn()];
    let of_amazon = arns.into_iter().flatten().filter(|arn| serving::service(arn).is_some());
    let missing = of_amazon.into_iter().find(|arn| !is_served(arn) && !is_own_bus(arn));
    Ok(missing.map(|arn| serving::unserved(bus, arn)))
}

/// The bus of this server that an ARN names, if targets of this one may lead there: whoever may not publish on a bus cannot tell it from
/// one that is not there.
fn local_bus(asked: &Asked, owner: &Bus, arn: &str) -> Option<String> {
    (serving::service(arn)? == "events").then_some(())?;
    let name = names::bus(arn)?;
    let is_there = asked.state.core.model().buses.contains_key(name);
    let may = owner.name == name || leads_there(owner, name) || asked.may(name, Scope::Publish);
    (is_there && may).then(|| name.to_owned())
}

/// Whether a bus has the connection already that leads to another one.
fn leads_there(owner: &Bus, other: &str) -> bool {
    let connection = owner.connections.get(&format!("{BUS_CONNECTION}{other}"));
    connection.is_some_and(|found| matches!(&found.spec, ConnectionSpec::Bus(config) if config.bus == other))
}

/// Where a target of a bus leads; what it needs on the way there is made with it.
pub(super) fn reach(asked: &Asked, changes: &mut Together<'_>, owner: &Bus, target: &Target) -> Result<Reached, Fault> {
    let Some(service) = serving::service(&target.arn) else {
        target.has_only(&["HttpParameters"])?;
        let reached = api_destinations::reach(asked, changes, owner, &target.arn)?;
        return Ok(Reached {
            connection: reached.connection,
            target: target.http_target(),
            rate: Some(reached.rate),
            timeout: Some(TIMEOUT),
            is_active: reached.is_active,
            takes_envelope: true,
        });
    };
    match serving::connection(owner, &target.arn) {
        Some(connection) => served(service, connection, target),
        None => match local_bus(asked, owner, &target.arn) {
            Some(other) => to_bus(asked, changes, (owner, &other), target),
            None => Err(serving::unserved(owner, &target.arn)),
        },
    }
}

/// One of Amazon's services.
fn served(service: &str, connection: &str, target: &Target) -> Result<Reached, Fault> {
    let mut spec = json!({"arn": target.arn});
    match service {
        "sqs" => {
            target.has_only(&["SqsParameters"])?;
            let is_fifo = target.arn.ends_with(".fifo");
            match (target.message_group(), is_fifo) {
                (Some(group), _) => spec["group_id"] = group.into(),
                (None, true) => {
                    return Err(Fault::validation(format!(
                        "Parameter(s) SqsParameters must be specified for target: {}.",
                        target.id
                    )));
                }
                (None, false) => {}
            }
        }
        "kinesis" => {
            target.has_only(&["KinesisParameters"])?;
            match target.partition_path() {
                Some(path) => spec["group_path"] = path.into(),
                // By AWS, the event's id.
                None => spec["group"] = "event".into(),
            }
        }
        _ => target.has_only(&[])?,
    }
    if let Some(role) = &target.role_arn {
        spec["role_arn"] = role.as_str().into();
    }
    let takes_envelope = service != "events";
    if takes_envelope {
        spec["mode"] = "data".into();
    }
    Ok(Reached {
        connection: connection.to_owned(),
        target: spec,
        rate: None,
        timeout: None,
        is_active: true,
        takes_envelope,
    })
}

/// Another bus of this server, through a connection that whoever may publish there makes.
fn to_bus(
    asked: &Asked,
    changes: &mut Together<'_>,
    (owner, other): (&Bus, &str),
    target: &Target,
) -> Result<Reached, Fault> {
    target.has_only(&[])?;
    if owner.name == other {
        return Err(Fault::validation(format!(
            "Parameter {} is not valid. Reason: an event bus is no target of its own rules.",
            target.arn
        )));
    }
    let connection = format!("{BUS_CONNECTION}{other}");
    if !leads_there(owner, other) {
        asked.require(other, Scope::Publish)?;
        let body = json!({"provider": "bus", "config": {"bus": other}});
        let place = (owner.name.as_str(), connection.as_str());
        changes.put_connection(place, Action::Put(body), Precondition::Absent);
    }
    Ok(Reached {
        connection,
        target: json!({}),
        rate: None,
        timeout: None,
        is_active: true,
        takes_envelope: false,
    })
}

/// The connections to other buses that targets had made, and that no subscription uses any more, go. One that cannot go now goes with a
/// later target: it leads nowhere meanwhile.
pub(super) async fn tidy(asked: &Asked, bus: &str) {
    let is_ours = |name: &str, spec: &ConnectionSpec| matches!(spec, ConnectionSpec::Bus(config) if name == format!("{BUS_CONNECTION}{}", config.bus));
    let tidied = together(asked, |changes| {
        let model = Arc::clone(&changes.model);
        let bus = model.bus(bus)?;
        let is_used = |name: &str| bus.subscriptions.values().any(|user| user.spec.uses_connection(name));
        for connection in bus.connections.values() {
            if is_ours(&connection.name, &connection.spec) && !is_used(&connection.name) {
                changes.remove_connection((&bus.name, &connection.name))?;
            }
        }
        Ok(())
    });
    if let Err(fault) = tidied.await {
        let reason = fault.message();
        tracing::warn!(
            bus,
            reason,
            "failed to remove the connections that no target uses any more"
        );
    }
}
