//! `GET /v1/buses/{bus}/events/{id}`: when an event was received, where it is stored, which subscriptions matched it and
//! which did not, and every attempt.

use super::{
    call::Call,
    json,
    problem::Problem,
    raw_event,
    routes::{Permission, Route, Takes, Verb, in_json, parameter, route},
    time,
};
use axum::routing;
use base64::{Engine as _, engine::general_purpose::STANDARD};
use control::resources::Scope;
use delivery::{DeliveryState, ReplayStory, StoredAt, StoredAttempt, Story, SubscriptionStory};
use serde::Serialize;
use serde_json::{Value, json, value::RawValue};

pub(super) const ROUTES: &[Route] = &[route(
    Verb::Get,
    "/v1/buses/{bus}/events/{id}",
    "showEvent",
    Permission::Bus(Scope::Subscribe),
    |on| routing::on(on, show),
)
.summary("Show an event and what became of it")
.query(&[parameter(
    "source",
    Takes::Text,
    "The event's source, where the id names several.",
)])
.gives(&[in_json(200, "Story")])
.problems(&["event_ambiguous", "event_not_found"])];

async fn show(call: Call) -> json::Result {
    let query = call.query()?;
    let bus = &call.bus()?.name;
    let id = call.parameter("id");
    let story = call.state.core.story(bus, id, query.text("source")).await?;
    let missing = || {
        Problem::new(
            "event_not_found",
            format!("event {:?} is not kept on this bus", super::shown(id)),
        )
    };
    let story = story.ok_or_else(missing)?;
    call.look("event", id, json!({"source": story.event.source()})).await?;
    json::ok(&describe(&story))
}

/// A story. The event is as the encoder wrote it: its data may nest deeper than a general reader goes.
#[derive(Serialize)]
struct Told {
    event: Box<RawValue>,
    received: String,
    stored: Vec<Value>,
    subscriptions: Vec<Value>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    replays: Vec<Value>,
}

fn describe(story: &Story) -> Told {
    let stored = story.stored.iter().map(stored_at);
    Told {
        event: raw_event(&story.event.view()),
        received: time::text(story.append_time),
        stored: stored.collect(),
        subscriptions: story.subscriptions.iter().map(subscription).collect(),
        replays: story.replays.iter().map(replay).collect(),
    }
}

fn stored_at(stored: &StoredAt) -> Value {
    let (partition, offset) = (stored.position.partition.index, stored.position.offset);
    let mut value = json!({"topic": stored.topic, "partition": partition, "offset": offset});
    if let Some(replay) = &stored.replay {
        value["replay"] = replay.as_str().into();
    }
    if let Some(subscription) = &stored.dead_letter_of {
        value["dead_letter_of"] = subscription.as_str().into();
    }
    value
}

fn replay(story: &ReplayStory) -> Value {
    let mut value = json!({
        "replay": story.replay,
        "bus": story.bus,
        "subscription": story.subscription,
        "state": word(story.state),
        "attempts": story.attempts.iter().map(attempt).collect::<Vec<_>>(),
    });
    if let DeliveryState::Parked { due } = story.state {
        value["next_attempt"] = time::text(due).into();
    }
    value
}

fn subscription(story: &SubscriptionStory) -> Value {
    let mut value = json!({
        "subscription": story.subscription,
        "version": story.version,
        "matched": story.matched.is_ok(),
        "state": word(story.state),
        "attempts": story.attempts.iter().map(attempt).collect::<Vec<_>>(),
    });
    if let Err(reason) = &story.matched {
        value["reason"] = reason.as_str().into();
    }
    if let DeliveryState::Parked { due } = story.state {
        value["next_attempt"] = time::text(due).into();
    }
    if let Some((edits, event)) = &story.edited {
        // One that nests too deeply to be shown here is shown with its dead letter.
        let event: Option<Value> = serde_json::from_str(raw_event(&event.view()).get()).ok();
        value["edited"] = json!({"edits": edits, "event": event});
    }
    if let Some(copy) = &story.copy {
        value["copy"] = json!({
            "state": word(copy.state),
            "attempts": copy.attempts.iter().map(attempt).collect::<Vec<_>>(),
        });
    }
    value
}

fn word(state: DeliveryState) -> &'static str {
    match state {
        DeliveryState::NotConcerned => "not-concerned",
        DeliveryState::Pending => "pending",
        DeliveryState::Parked { .. } => "parked",
        DeliveryState::Delivered => "delivered",
        DeliveryState::DeadLettered => "dead-lettered",
        DeliveryState::Discarded => "discarded",
        DeliveryState::GivenUp => "given-up",
        DeliveryState::Skipped => "skipped",
    }
}

fn attempt(attempt: &StoredAttempt) -> Value {
    let mut value = json!({
        "number": attempt.attempt,
        "started": time::text(attempt.started),
        "duration_ms": f64::from(attempt.duration_micros) / 1000.0,
        "outcome": format!("{:?}", attempt.outcome).to_lowercase(),
    });
    if attempt.edits > 0 {
        value["edits"] = attempt.edits.into();
    }
    if let Some(status) = attempt.status {
        value["status"] = status.into();
    }
    if !attempt.reason.is_empty() {
        value["reason"] = attempt.reason.as_str().into();
    }
    if !attempt.answer.is_empty() {
        match std::str::from_utf8(&attempt.answer) {
            Ok(text) => value["answer"] = text.into(),
            Err(_) => value["answer_base64"] = STANDARD.encode(&attempt.answer).into(),
        }
    }
    value
}
