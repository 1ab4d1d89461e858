//! Replays of archives. One to a bus is a replay to each target of its rules, or of those that the request names.

use super::{
    super::{asked::Asked, fault::Fault, names},
    archives,
    changing::annotate,
    page::{self, Paging},
    record::{self, NAME_MAX, REPLAY, RULE},
    rules,
    target::{self, named_in},
};
use control::{
    Bus,
    resources::{ReplaySpec, Scope},
};
use delivery::ReplayState;
use event::eventbridge::time_of_epoch;
use serde::{Deserialize, Serialize};
use serde_json::{Number, Value, json};
use std::sync::Arc;

/// States of a replay, by the model.
const STATES: [&str; 6] = ["STARTING", "RUNNING", "CANCELLING", "COMPLETED", "CANCELLED", "FAILED"];

/// A replay, as it is remembered.
#[derive(Clone, Debug, Serialize, Deserialize)]
struct Replay {
    archive: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    description: Option<String>,
    from: f64,
    to: f64,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    filter_arns: Vec<String>,
    /// Trunkline's replays, one for each target.
    parts: Vec<String>,
    started: i64,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Input {
    replay_name: Option<String>,
    description: Option<String>,
    event_source_arn: Option<String>,
    event_start_time: Option<Number>,
    event_end_time: Option<Number>,
    destination: Option<Destination>,
    state: Option<String>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Destination {
    arn: String,
    #[serde(default)]
    filter_arns: Vec<String>,
}

fn invalid(parameter: &str, reason: &str) -> Fault {
    Fault::validation(format!("Parameter {parameter} is not valid. Reason: {reason}"))
}

/// `StartReplay`.
pub(in super::super) async fn start(asked: &Asked) -> Result<Value, Fault> {
    let input: Input = asked.input()?;
    record::description(input.description.as_ref())?;
    let name = record::name(input.replay_name.as_ref(), "replayName", NAME_MAX)?;
    let source = record::required(input.event_source_arn.as_ref(), "eventSourceArn")?;
    let destination = record::required(input.destination.as_ref(), "destination")?;
    let missing = |name: &str| invalid("EventSourceArn", &format!("Archive {name} does not exist."));
    let archive_name = archives::of_arn(source).ok_or_else(|| missing(source))?;
    let found = archives::find(asked, &asked.model, archive_name, Scope::Subscribe);
    let (bus, archive) = found.ok_or_else(|| missing(archive_name))?;
    if names::bus(&destination.arn) != Some(bus.name.as_str()) {
        return Err(invalid("Destination.Arn", "Cross event bus replay is not permitted."));
    }
    let (from, to) = range(asked, &input)?;
    if find(asked, name).is_ok() {
        return Err(record::exists("Replay", name));
    }
    let subscriptions = subscriptions(bus, &destination.filter_arns)?;
    let mut kept = Replay {
        archive: archive_name.to_owned(),
        description: input.description.clone(),
        from: from.seconds,
        to: to.seconds,
        filter_arns: destination.filter_arns.clone(),
        parts: Vec::new(),
        started: record::now(asked),
    };
    let mut begun = Ok(());
    for (number, subscription) in subscriptions.into_iter().enumerate() {
        let part = format!("{name}.{number}");
        let mut spec = json!({
            "from": {"time": from.text},
            "to": {"time": to.text},
            "into": {"subscription": subscription},
        });
        if let Some(pattern) = &archive.pattern {
            spec["filter"] = json!({"eventbridge": pattern});
        }
        begun = begin(asked, bus, (name, &part), &spec).await;
        if begun.is_err() {
            break;
        }
        kept.parts.push(part);
    }
    if begun.is_ok() {
        begun = annotate(asked, &bus.name, |annotations| {
            record::put(annotations, REPLAY, name, &kept);
            Ok(())
        })
        .await;
    }
    if let Err(fault) = begun {
        abandon(asked, bus, &kept.parts).await;
        return Err(fault);
    }
    Ok(json!({
        "ReplayArn": arn(asked, name),
        "State": "STARTING",
        "ReplayStartTime": record::seconds(kept.started),
    }))
}

async fn begin(asked: &Asked, bus: &Bus, (replay, part): (&str, &str), spec: &Value) -> Result<(), Fault> {
    let spec = ReplaySpec::read(spec)?;
    let core = &asked.state.core;
    core.replay_part(&bus.name, part.to_owned(), replay.to_owned(), spec, asked.actor())
        .await?;
    Ok(())
}

/// A replay that came to nothing leaves no parts that run.
async fn abandon(asked: &Asked, bus: &Bus, parts: &[String]) {
    for part in parts {
        if let Err(error) = asked.state.core.cancel_replay(&bus.name, part, asked.actor()).await {
            tracing::warn!(%error, bus = bus.name, part, "failed to cancel a part of a replay that did not begin");
        }
    }
}

fn arn(asked: &Asked, name: &str) -> String {
    names::arn(&asked.region, REPLAY, name)
}

/// A time that a request gives.
struct Time {
    seconds: f64,
    text: String,
}

fn time(given: Option<&Number>, member: &str) -> Result<Time, Fault> {
    let number = record::required(given, member)?;
    let wrong = || Fault::constraint(&number.to_string(), member, "Member must be a time since 1970");
    let text = time_of_epoch(&number.to_string()).ok_or_else(wrong)?;
    let seconds = number.as_f64().ok_or_else(wrong)?;
    Ok(Time { seconds, text })
}

/// The range that is asked for, to now at most.
fn range(asked: &Asked, input: &Input) -> Result<(Time, Time), Fault> {
    let from = time(input.event_start_time.as_ref(), "eventStartTime")?;
    let mut to = time(input.event_end_time.as_ref(), "eventEndTime")?;
    if from.seconds >= to.seconds {
        return Err(invalid("EventEndTime", "EventStartTime must be before EventEndTime."));
    }
    let now = record::seconds(record::now(asked));
    if from.seconds > now {
        return Err(invalid("EventStartTime", "it lies ahead."));
    }
    if to.seconds > now {
        to.text = time_of_epoch(&now.to_string()).unwrap_or(to.text);
    }
    Ok((from, to))
}

/// The subscriptions that a replay goes to.
fn subscriptions(bus: &Bus, filter_arns: &[String]) -> Result<Vec<String>, Fault> {
    let mut of: Vec<String> = record::all::<Value>(&bus.spec.annotations, RULE)
        .into_iter()
        .map(|(rule, _)| rule)
        .collect();
    if !filter_arns.is_empty() {
        of.clear();
        for arn in filter_arns {
            let place = named_in(arn)
                .filter(|(kind, _)| *kind == RULE)
                .map(|(_, place)| rules::place(place));
            let known = place.filter(|(of, rule)| *of == bus.name && record::has(&bus.spec.annotations, RULE, rule));
            let (_, rule) =
                known.ok_or_else(|| invalid("Destination.FilterArns", &format!("Rule {arn} does not exist.")))?;
            of.push(rule.to_owned());
        }
    }
    let targets = of.iter().flat_map(|rule| target::of_rule(bus, rule));
    Ok(targets.map(|(subscription, _)| subscription.name.clone()).collect())
}

/// A replay and its bus, if the caller may look.
fn find<'a>(asked: &'a Asked, name: &str) -> Result<(&'a Arc<Bus>, Replay), Fault> {
    let mut buses = asked
        .model
        .buses
        .values()
        .filter(|bus| asked.may(&bus.name, Scope::Read));
    let found = buses.find_map(|bus| Some((bus, record::get(&bus.spec.annotations, REPLAY, name)?)));
    found.ok_or_else(|| Fault::not_found(format!("Replay {name} does not exist.")))
}

/// How all parts stand, as one.
fn state(asked: &Asked, bus: &str, replay: &Replay) -> &'static str {
    let parts = replay
        .parts
        .iter()
        .filter_map(|part| asked.state.core.replay_of(bus, part).ok());
    let states: Vec<ReplayState> = parts.map(|part| part.state).collect();
    let any = |wanted: ReplayState| states.contains(&wanted);
    if any(ReplayState::Running) || any(ReplayState::Paused) {
        return "RUNNING";
    }
    match (any(ReplayState::Failed), any(ReplayState::Cancelled)) {
        (true, _) => "FAILED",
        (_, true) => "CANCELLED",
        _ => "COMPLETED",
    }
}

fn shown(asked: &Asked, bus: &Bus, name: &str, replay: &Replay) -> Value {
    let parts = replay.parts.iter();
    let parts: Vec<_> = parts
        .filter_map(|part| asked.state.core.replay_of(&bus.name, part).ok())
        .collect();
    let state = state(asked, &bus.name, replay);
    let ended = parts.iter().filter_map(|part| part.ended).max();
    let ended = ended.filter(|_| state != "RUNNING");
    let mut shown = json!({
        "ReplayName": name,
        "EventSourceArn": archives::arn(&asked.region, &replay.archive),
        "State": state,
        "EventStartTime": replay.from,
        "EventEndTime": replay.to,
        "ReplayStartTime": record::seconds(replay.started),
    });
    if let Some(ended) = ended {
        shown["ReplayEndTime"] = record::seconds(ended).into();
    }
    if let Some(newest) = parts.iter().filter_map(|part| part.newest).max() {
        shown["EventLastReplayedTime"] = record::seconds(newest).into();
    }
    shown
}

fn named(asked: &Asked) -> Result<(&Arc<Bus>, String, Replay), Fault> {
    let input: Input = asked.input()?;
    let name = record::required(input.replay_name.as_ref(), "replayName")?.clone();
    let (bus, replay) = find(asked, &name)?;
    Ok((bus, name, replay))
}

/// `DescribeReplay`.
pub(in super::super) async fn describe(asked: &Asked) -> Result<Value, Fault> {
    let (bus, name, replay) = named(asked)?;
    let mut answer = shown(asked, bus, &name, &replay);
    answer["ReplayArn"] = arn(asked, &name).into();
    let mut destination = json!({"Arn": names::arn(&asked.region, names::EVENT_BUS, &bus.name)});
    if !replay.filter_arns.is_empty() {
        destination["FilterArns"] = json!(replay.filter_arns);
    }
    answer["Destination"] = destination;
    if let Some(description) = replay.description {
        answer["Description"] = description.into();
    }
    Ok(answer)
}

/// `ListReplays`.
pub(in super::super) async fn list(asked: &Asked) -> Result<Value, Fault> {
    let (input, paging): (Input, Paging) = (asked.input()?, asked.input()?);
    record::one_of(input.state.as_deref(), "state", &STATES)?;
    let of = input.event_source_arn.as_deref().and_then(archives::of_arn);
    let mut all = Vec::new();
    for bus in asked
        .model
        .buses
        .values()
        .filter(|bus| asked.may(&bus.name, Scope::Read))
    {
        let replays = record::all::<Replay>(&bus.spec.annotations, REPLAY).into_iter();
        let replays = replays.filter(|(_, replay)| of.is_none_or(|of| of == replay.archive));
        let replays = replays.map(|(name, replay)| (name.clone(), shown(asked, bus, &name, &replay)));
        all.extend(replays.filter(|(_, shown)| input.state.as_ref().is_none_or(|state| shown["State"] == **state)));
    }
    Ok(page::answer("Replays", paging.cut(all)?))
}

/// `CancelReplay`: what it has parked goes.
pub(in super::super) async fn cancel(asked: &Asked) -> Result<Value, Fault> {
    let (bus, name, replay) = named(asked)?;
    asked.require(&bus.name, Scope::Subscribe)?;
    if state(asked, &bus.name, &replay) != "RUNNING" {
        let message = format!("Replay {name} is not in a valid state for this operation.");
        return Err(Fault::new("IllegalStatusException", message));
    }
    for part in &replay.parts {
        let known = asked.state.core.replay_of(&bus.name, part);
        if known.is_ok_and(|part| matches!(part.state, ReplayState::Running | ReplayState::Paused)) {
            asked.state.core.cancel_replay(&bus.name, part, asked.actor()).await?;
        }
    }
    Ok(json!({"ReplayArn": arn(asked, &name), "State": "CANCELLING"}))
}
