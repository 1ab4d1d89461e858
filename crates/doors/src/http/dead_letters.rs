//! Dead letters: list, read, send out again, discard.

pub(super) mod edit;
pub(super) mod transfer;

use super::{
    answer_event,
    call::Call,
    json,
    page::{self, Page},
    problem::Problem,
    query::{self, Query},
    routes::{CURSOR, JSON, LIMIT, Parameter, Permission, Route, Takes, Verb, content, in_json, parameter, route},
    time,
};
use axum::{body::Body, routing};
use bytes::Bytes;
use control::{
    Bus,
    audit::Deed,
    resources::{Scope, Time},
};
use delivery::{Dead, DeadSelection, DeliveryKey, dead_letter_id as write_id, dead_letter_key as read_id};
use journal::EncodedRecord;
use serde::{Deserialize, Serialize};
use serde_json::{json, value::RawValue};

/// Ids in one selection.
const IDS_MAX: usize = 1_000;

pub(super) const ROUTES: &[Route] = &[
    route(
        Verb::Get,
        "/v1/buses/{bus}/dead-letters",
        "listDeadLetters",
        Permission::Bus(Scope::Read),
        |on| routing::on(on, list),
    )
    .summary("List dead letters")
    .query(&[
        CURSOR,
        LIMIT,
        OF_SUBSCRIPTION,
        OF_REASON,
        OF_EVENT,
        OF_TYPE,
        DIED_FROM,
        DIED_TO,
    ])
    .gives(&[in_json(200, "DeadLetterPage")])
    .problems(&["cursor_invalid", "resource_not_found"]),
    route(
        Verb::Get,
        "/v1/buses/{bus}/dead-letters/{id}",
        "showDeadLetter",
        SUBSCRIBE,
        |on| routing::on(on, one),
    )
    .summary("Show a dead letter with its event")
    .gives(&[in_json(200, "DeadLetter")])
    .problems(&["dead_letter_not_found"]),
    route(
        Verb::Post,
        "/v1/buses/{bus}/dead-letters:redrive",
        "redriveDeadLetters",
        SUBSCRIBE,
        |on| routing::on(on, redrive),
    )
    .summary("Deliver dead letters again")
    .takes(&[content(JSON, "DeadLetterSelection")])
    .gives(&[in_json(200, "Redriven")])
    .problems(SELECTION_PROBLEMS),
    route(
        Verb::Post,
        "/v1/buses/{bus}/dead-letters:discard",
        "discardDeadLetters",
        SUBSCRIBE,
        |on| routing::on(on, discard),
    )
    .summary("Give dead letters up for good")
    .takes(&[content(JSON, "DeadLetterSelection")])
    .gives(&[in_json(200, "Discarded")])
    .problems(SELECTION_PROBLEMS),
];

pub(super) const SUBSCRIBE: Permission = Permission::Bus(Scope::Subscribe);

const OF_SUBSCRIPTION: Parameter = parameter("subscription", Takes::Text, "Of this subscription only.");
const OF_REASON: Parameter = parameter(
    "reason",
    Takes::Text,
    "That died of this reason only; with `*` at its end, of all that begin so.",
);
const OF_EVENT: Parameter = parameter("event", Takes::Text, "Of events with this id only.");
const OF_TYPE: Parameter = parameter("type", Takes::Text, "Of events of this type only.");
const DIED_FROM: Parameter = parameter("from", Takes::Text, "That died then (RFC 3339) or later only.");
const DIED_TO: Parameter = parameter("to", Takes::Text, "That died before then only.");

/// What narrows dead letters in a query.
const SELECTION: &[Parameter] = &[OF_SUBSCRIPTION, OF_REASON, OF_EVENT, OF_TYPE, DIED_FROM, DIED_TO];

/// What is wrong with a selection.
const SELECTION_PROBLEMS: &[&str] = &[
    "dead_letter_not_found",
    "resource_invalid",
    "resource_malformed",
    "resource_not_found",
];

/// A dead letter as it leaves.
#[derive(Serialize)]
pub(super) struct Letter<'a> {
    id: String,
    subscription: &'a str,
    event_id: &'a str,
    event_source: &'a str,
    event_type: &'a str,
    reason: &'a str,
    detail: &'a str,
    attempts: u32,
    received: String,
    died: String,
    edits: u32,
    #[serde(skip_serializing_if = "Option::is_none")]
    event: Option<Box<RawValue>>,
    /// What was received, of one that was edited.
    #[serde(skip_serializing_if = "Option::is_none")]
    original: Option<Box<RawValue>>,
}

impl<'a> Letter<'a> {
    pub(super) fn new(bus: &'a Bus, dead: &'a Dead, event: Option<Box<RawValue>>) -> Self {
        let number = dead.delivery.key.subscription;
        let subscription = bus.subscriptions.values().find(|found| found.id == number);
        Letter {
            id: write_id(dead.delivery.key),
            subscription: subscription.map_or("", |found| found.name.as_str()),
            event_id: &dead.event_id,
            event_source: &dead.event_source,
            event_type: &dead.event_type,
            reason: &dead.delivery.reason,
            detail: &dead.detail,
            attempts: dead.delivery.attempts,
            received: time::text(dead.delivery.appended),
            died: time::text(dead.delivery.due),
            edits: dead.delivery.edits,
            original: original(&dead.delivery.record).filter(|_| event.is_some()),
            event,
        }
    }
}

/// The event that was received, of a record that was edited.
fn original(record: &Bytes) -> Option<Box<RawValue>> {
    let record = EncodedRecord::from_bytes(record.clone())?;
    let original = delivery::original_of(&record.view(0, 0)).map(Bytes::copy_from_slice)?;
    answer_event(&original)
}

async fn list(call: Call) -> json::Result {
    let query = call.query()?;
    let bus = call.bus()?;
    let limit = query.limit()?;
    let after = page::read_cursor(query.text("cursor"))?;
    let after = after
        .map(|id| read_id(&id).ok_or_else(page::wrong_cursor))
        .transpose()?;
    let selection = Selection::of_query(bus, &query)?;
    // One more than is shown tells whether there is another page.
    let mut dead = call
        .state
        .core
        .dead_letters(&bus.name, selection, after, limit + 1)
        .await?;
    let more = dead.len() > limit || delivery::dead_page_is_cut(&dead);
    dead.truncate(limit);
    let next = dead
        .last()
        .filter(|_| more)
        .map(|last| page::cursor(&write_id(last.delivery.key)));
    json::ok(&Page {
        items: dead.iter().map(|dead| Letter::new(bus, dead, None)).collect(),
        next,
    })
}

/// A time of the query.
fn at(query: &Query<'_>, name: &str) -> Result<Option<i64>, Problem> {
    let Some(text) = query.text(name) else { return Ok(None) };
    let time = Time::parse(text).map_err(|form| query::wrong(format!("parameter {name:?}: {form}")))?;
    Ok(Some(time.0))
}

/// A subscription's name, if the bus has it: a misspelt filter must not look like an empty list.
fn known(bus: &Bus, name: &str) -> Result<String, Problem> {
    let unknown = || {
        Problem::new(
            "resource_not_found",
            format!("subscription {:?} does not exist", super::shown(name)),
        )
    };
    bus.subscriptions
        .get(name)
        .map(|found| found.name.clone())
        .ok_or_else(unknown)
}

async fn one(call: Call) -> json::Result {
    let bus = call.bus()?;
    let key = own_key(bus, call.parameter("id"))?;
    let selection = DeadSelection {
        key: Some(key),
        ..DeadSelection::default()
    };
    let dead = call.state.core.dead_letters(&bus.name, selection, None, 1).await?;
    let dead = dead.first().ok_or_else(|| missing(call.parameter("id")))?;
    let details = json!({"event": dead.event_id, "source": dead.event_source});
    call.look("dead-letter", call.parameter("id"), details).await?;
    let shown = json::ok(&Letter::new(bus, dead, answer_event(&dead.delivery.record)))?;
    Ok(json::with_etag(shown, u64::from(dead.delivery.edits)))
}

/// The key of an id, of a subscription of this bus.
fn own_key(bus: &Bus, id: &str) -> Result<DeliveryKey, Problem> {
    let is_own = |key: &DeliveryKey| bus.subscriptions.values().any(|found| found.id == key.subscription);
    read_id(id).filter(is_own).ok_or_else(|| missing(id))
}

fn missing(id: &str) -> Problem {
    Problem::new(
        "dead_letter_not_found",
        format!("dead letter {:?} does not exist", super::shown(id)),
    )
}

/// Which dead letters to act on. At least one member, so that an empty body does not mean all of them.
#[derive(Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
struct Selection {
    subscription: Option<String>,
    reason: Option<String>,
    event: Option<String>,
    #[serde(rename = "type")]
    event_type: Option<String>,
    from: Option<Time>,
    to: Option<Time>,
    ids: Option<Vec<String>>,
    all: bool,
}

/// What to do with the selected.
#[derive(Clone, Copy)]
enum Act {
    Redrive,
    Discard,
}

async fn redrive(call: Call, body: Body) -> json::Result {
    let count = act(&call, body, Act::Redrive).await?;
    json::ok(&json!({"redriven": count}))
}

async fn discard(call: Call, body: Body) -> json::Result {
    let count = act(&call, body, Act::Discard).await?;
    json::ok(&json!({"discarded": count}))
}

async fn act(call: &Call, body: Body, act: Act) -> Result<u64, Problem> {
    let bus = call.bus()?;
    let document = call.document(body).await?;
    let details = document.clone();
    let selection: Selection = serde_json::from_value(document)
        .map_err(|error| Problem::new("resource_malformed", format!("the selection cannot be read: {error}")))?;
    let selections = selection.resolve(bus)?;
    let told = |action| call.act(action, "dead-letters", "", details);
    let core = &call.state.core;
    Ok(match act {
        Act::Redrive => core.redrive(&bus.name, selections, &told(Deed::Redriven)).await?,
        Act::Discard => core.discard(&bus.name, selections, &told(Deed::Discarded)).await?,
    })
}

impl Selection {
    /// What a query selects.
    fn of_query(bus: &Bus, query: &Query<'_>) -> Result<DeadSelection, Problem> {
        let text = |name: &str| query.text(name).map(str::to_owned);
        Ok(DeadSelection {
            subscription: query.text("subscription").map(|name| known(bus, name)).transpose()?,
            reason: text("reason"),
            event_id: text("event"),
            event_type: text("type"),
            died_from: at(query, "from")?,
            died_to: at(query, "to")?,
            key: None,
        })
    }

    /// One selection, or one for each id.
    fn resolve(self, bus: &Bus) -> Result<Vec<DeadSelection>, Problem> {
        let invalid = |detail: String| Problem::new("resource_invalid", detail);
        let Selection {
            subscription,
            reason,
            event,
            event_type,
            from,
            to,
            ids,
            all,
        } = self;
        let of_event = event.is_some() || event_type.is_some() || ids.is_some();
        let of_death = reason.is_some() || from.is_some() || to.is_some();
        let is_narrow = subscription.is_some() || of_event || of_death;
        if is_narrow == all {
            let detail =
                "the selection takes \"all\": true, or some of subscription, reason, event, type, from, to, ids";
            return Err(invalid(detail.to_owned()));
        }
        let subscription = subscription.map(|name| known(bus, &name)).transpose()?;
        let base = DeadSelection {
            subscription,
            reason,
            event_id: event,
            event_type,
            died_from: from.map(|from| from.0),
            died_to: to.map(|to| to.0),
            key: None,
        };
        let Some(ids) = ids else { return Ok(vec![base]) };
        if ids.len() > IDS_MAX {
            return Err(invalid(format!(
                "the selection has {} ids; the limit is {IDS_MAX}",
                ids.len()
            )));
        }
        let of = |id: &String| {
            Ok(DeadSelection {
                key: Some(own_key(bus, id)?),
                ..base.clone()
            })
        };
        ids.iter().map(of).collect()
    }
}
