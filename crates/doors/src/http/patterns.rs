//! `POST /v1/buses/{bus}/patterns:test`, `:explain` and `:lint`: a filter that is given, or a subscription's, is asked about
//! events that are given, stored, or the last ones. Nothing is delivered and nothing changes.

use super::{
    call::Call,
    json,
    problem::Problem,
    routes::{JSON, Permission, Route, Verb, content, in_json, route},
};
use axum::{body::Body, routing};
use bytes::Bytes;
use control::{
    Bus, Subscription,
    filters::read_filter,
    resources::{FilterSpec, Scope},
};
use delivery::{DataSchema, Explanation, Inquiry, RECENT_MAX, Recent, Subject};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json, value::RawValue};
use std::sync::Arc;

/// Events in one question: enough for a table, and bounded work for one request.
const EVENTS_MAX: usize = 200;
/// Bytes of a question: some events of the largest size.
pub(super) const QUESTION_BYTES_MAX: usize = 10 << 20;
/// The last events that a lint looks at unless it is told otherwise.
const LINT_EVENTS_DEFAULT: usize = 50;

/// What is wrong with a question.
const PROBLEMS: &[&str] = &[
    "event_ambiguous",
    "event_not_found",
    "field_unknown",
    "filter_invalid",
    "filter_not_json",
    "filter_too_complex",
    "resource_invalid",
    "resource_malformed",
    "resource_not_found",
    "types_invalid",
];

pub(super) const ROUTES: &[Route] = &[
    route(
        Verb::Post,
        "/v1/buses/{bus}/patterns:test",
        "testFilter",
        Permission::Bus(Scope::Subscribe),
        |on| routing::on(on, test),
    )
    .summary("Ask which events a filter matches")
    .takes(&[content(JSON, "FilterQuestion")])
    .gives(&[in_json(200, "FilterResults")])
    .problems(PROBLEMS),
    route(
        Verb::Post,
        "/v1/buses/{bus}/patterns:explain",
        "explainFilter",
        Permission::Bus(Scope::Subscribe),
        |on| routing::on(on, explain),
    )
    .summary("Ask why a filter matches or not")
    .takes(&[content(JSON, "FilterQuestion")])
    .gives(&[in_json(200, "FilterExplanations")])
    .problems(PROBLEMS),
    route(
        Verb::Post,
        "/v1/buses/{bus}/patterns:lint",
        "lintFilter",
        Permission::Bus(Scope::Subscribe),
        |on| routing::on(on, lint),
    )
    .summary("Ask what is suspicious about a filter")
    .takes(&[content(JSON, "FilterQuestion")])
    .gives(&[in_json(200, "FilterFindings")])
    .problems(PROBLEMS),
];

/// A question: which filter, and about what.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Question<'a> {
    /// A subscription whose types and filter are asked.
    subscription: Option<String>,
    /// Or types, as a subscription has them.
    types: Option<Vec<String>>,
    /// Or a filter, as a subscription has it.
    #[serde(borrow, default)]
    filter: Option<&'a RawValue>,
    /// CloudEvents, documents that are none, or `{"stored": …}`.
    #[serde(borrow, default)]
    events: Vec<&'a RawValue>,
    /// The last so many events besides: of the subscription's topics, or of the bus.
    last: Option<usize>,
    /// Of a lint: a JSON Schema of the data.
    schema: Option<Value>,
}

/// An event that the bus keeps: by its id, or by its position.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Stored {
    id: Option<String>,
    source: Option<String>,
    topic: Option<String>,
    partition: Option<u32>,
    offset: Option<u64>,
}

/// A question that was read.
struct Asked<'c> {
    bus: &'c Arc<Bus>,
    inquiry: Inquiry,
    subscription: Option<&'c Arc<Subscription>>,
    filter: Option<FilterSpec>,
    subjects: Vec<Subject>,
    /// What is known of the data.
    schema: DataSchema,
}

async fn test(call: Call, body: Body) -> json::Result {
    let asked = ask(&call, body, 0).await?;
    let mut results = Vec::new();
    for (index, subject) in asked.subjects.iter().enumerate() {
        let explanation = answer(&asked, index, subject).await?;
        results.push(result(index, subject, explanation.matched));
    }
    json::ok(&whole(results))
}

async fn explain(call: Call, body: Body) -> json::Result {
    let asked = ask(&call, body, 0).await?;
    let mut results = Vec::new();
    for (index, subject) in asked.subjects.iter().enumerate() {
        let explanation = answer(&asked, index, subject).await?;
        let mut result = result(index, subject, explanation.matched);
        if let Some(reason) = explanation.first_reason() {
            result["reason"] = reason.into();
        }
        result["explanation"] = value(&explanation)?;
        results.push(result);
    }
    json::ok(&whole(results))
}

async fn lint(call: Call, body: Body) -> json::Result {
    let asked = ask(&call, body, LINT_EVENTS_DEFAULT).await?;
    let mut findings = value(&asked.inquiry.lint(&asked.subjects, &asked.schema))?;
    if let (Some(list), Some(twin)) = (findings.as_array_mut(), twin(&asked)) {
        let message = format!("subscription {twin:?} asks for the same");
        list.push(json!({"code": "same_as_another", "severity": "note", "message": message}));
    }
    json::ok(&json!({"findings": findings, "events": asked.subjects.len(), "schema": asked.schema.origin()}))
}

/// A subscription other than the one asked about that has the same types, topics and filter.
fn twin<'c>(asked: &Asked<'c>) -> Option<&'c str> {
    let others = asked.bus.subscriptions.values();
    let same = |other: &&Arc<Subscription>| match asked.subscription {
        Some(own) => {
            let matching =
                |one: &Subscription| (one.spec.topics.clone(), one.spec.types.clone(), one.spec.filter.clone());
            own.id != other.id && matching(own) == matching(other)
        }
        None => asked.filter.is_some() && other.spec.types.is_none() && other.spec.filter == asked.filter,
    };
    others.filter(same).map(|other| other.name.as_str()).next()
}

/// Reads the question and finds what it is about.
async fn ask(call: &Call, body: Body, last_default: usize) -> Result<Asked<'_>, Problem> {
    let bus = call.bus()?;
    let (bytes, _share) = call.bytes(body, QUESTION_BYTES_MAX).await?;
    let question: Question<'_> = serde_json::from_slice(&bytes)
        .map_err(|error| Problem::new("resource_malformed", format!("the question cannot be read: {error}")))?;
    let filter = question.filter.map(|filter| read_filter(filter.get())).transpose()?;
    let subscription = subscription(bus, &question, filter.is_some())?;
    let inquiry = match subscription {
        Some(subscription) => Inquiry::of_subscription(subscription)?,
        None => Inquiry::of(question.types.as_deref(), filter.as_ref())?,
    };
    let unasked = if question.events.is_empty() { last_default } else { 0 };
    let about = About {
        subscription: question.subscription.as_deref(),
        types: question.types.as_deref(),
        events: &question.events,
        last: question.last.unwrap_or(unasked),
    };
    let subjects = about.subjects(call, bus).await?;
    let types = match subscription {
        Some(subscription) => subscription.spec.types.as_deref(),
        None => question.types.as_deref(),
    };
    let schema = match (question.schema, types) {
        (Some(schema), _) => DataSchema::Given(schema),
        (None, Some(types)) => DataSchema::of_types(bus, types),
        (None, None) => DataSchema::Unknown,
    };
    Ok(Asked {
        bus,
        inquiry,
        subscription,
        filter,
        subjects,
        schema,
    })
}

/// The events of a question.
pub(super) struct About<'q> {
    /// The subscription whose topics the last events are taken from; absent: the whole bus.
    pub subscription: Option<&'q str>,
    /// The types that are asked for instead of a subscription's.
    pub types: Option<&'q [String]>,
    /// Given ones, and references to stored ones.
    pub events: &'q [&'q RawValue],
    /// The last so many besides.
    pub last: usize,
}

impl About<'_> {
    /// Reads and finds them. A look at stored ones is recorded first.
    pub(super) async fn subjects(&self, call: &Call, bus: &Bus) -> Result<Vec<Subject>, Problem> {
        if self.events.len() > EVENTS_MAX {
            let detail = format!("a question is about at most {EVENTS_MAX} events");
            return Err(invalid("/events", detail));
        }
        let mut subjects = Vec::new();
        for (index, event) in self.events.iter().enumerate() {
            subjects.push(subject(call, bus, index, event.get()).await?);
        }
        if self.last > RECENT_MAX {
            let detail = format!("at most the last {RECENT_MAX} events can be asked about");
            return Err(invalid("/last", detail));
        }
        let is_stored = |event: &&&RawValue| event.get().contains(r#""stored""#);
        let stored = self.events.iter().filter(is_stored).count();
        if self.last > 0 || stored > 0 {
            let name = self.subscription.unwrap_or_default();
            call.look("events", name, json!({"last": self.last, "stored": stored}))
                .await?;
        }
        if self.last > 0 {
            let subscription = self.subscription.and_then(|name| bus.subscriptions.get(name));
            let types = subscription.and_then(|subscription| subscription.spec.types.as_deref());
            let wanted = Recent {
                topics: subscription.and_then(|subscription| subscription.spec.topics.as_deref()),
                types: types.or(self.types),
                last: self.last,
            };
            subjects.extend(call.state.core.recent(&bus.name, wanted).await?);
        }
        Ok(subjects)
    }
}

fn invalid(pointer: &str, detail: String) -> Problem {
    control::Refusal::invalid(pointer, detail).into()
}

/// The subscription that a question names; a question names one, or has a filter of its own.
fn subscription<'b>(
    bus: &'b Bus,
    question: &Question<'_>,
    has_filter: bool,
) -> Result<Option<&'b Arc<Subscription>>, Problem> {
    let own = has_filter || question.types.is_some();
    match &question.subscription {
        Some(_) if own => Err(invalid(
            "/subscription",
            "subscription excludes types and filter".to_owned(),
        )),
        Some(name) => {
            let missing =
                || control::Refusal::not_found(format!("subscription {:?} does not exist", super::shown(name)));
            bus.subscriptions.get(name).map(Some).ok_or_else(|| missing().into())
        }
        None if own => Ok(None),
        None => Err(invalid(
            "",
            "a question has a filter, types, or a subscription".to_owned(),
        )),
    }
}

/// One entry of `events`.
async fn subject(call: &Call, bus: &Bus, index: usize, text: &str) -> Result<Subject, Problem> {
    #[derive(Deserialize)]
    #[serde(deny_unknown_fields)]
    struct Reference {
        stored: Stored,
    }
    let pointer = format!("/events/{index}");
    if let Ok(Reference { stored }) = serde_json::from_str(text) {
        let missing = || Problem::new("event_not_found", "the event is not kept on this bus").pointer(Some(pointer));
        return find(call, bus, stored).await?.ok_or_else(missing);
    }
    let subject = Subject::read(Bytes::copy_from_slice(text.as_bytes()), call.state.journal.now());
    let subject = subject.map_err(|error| Problem::from(error).pointer(Some(pointer.clone())))?;
    if let Subject::Document(json) = &subject {
        event::json::check(json).map_err(|reason| invalid(&pointer, reason))?;
    }
    Ok(subject)
}

async fn find(call: &Call, bus: &Bus, stored: Stored) -> Result<Option<Subject>, Problem> {
    let core = &call.state.core;
    match stored {
        Stored {
            id: Some(id),
            source,
            topic: None,
            partition: None,
            offset: None,
        } => {
            let story = core.story(&bus.name, &id, source.as_deref()).await?;
            Ok(story.map(|story| Subject::Event(Box::new(story.event), story.append_time)))
        }
        Stored {
            id: None,
            source: None,
            topic: Some(topic),
            partition: Some(partition),
            offset: Some(offset),
        } => Ok(core.event_at(&bus.name, &topic, partition, offset).await?),
        _ => Err(invalid(
            "/events",
            "stored takes id, with source where the id is not enough, or topic, partition and offset".to_owned(),
        )),
    }
}

/// The answer about one subject. Filters differ in cost: other requests get their turn in between.
async fn answer(asked: &Asked<'_>, index: usize, subject: &Subject) -> Result<Explanation, Problem> {
    tokio::task::yield_now().await;
    let explained = asked.inquiry.explain(subject);
    explained.map_err(|reason| invalid(&format!("/events/{index}"), reason.to_owned()))
}

fn result(index: usize, subject: &Subject, matched: bool) -> Value {
    match subject {
        Subject::Event(event, _) => {
            json!({"index": index, "id": event.id(), "source": event.source(), "matched": matched})
        }
        Subject::Document(_) => json!({"index": index, "matched": matched}),
    }
}

fn whole(results: Vec<Value>) -> Value {
    let matched = results.iter().filter(|result| result["matched"] == true).count();
    json!({"matched": matched, "events": results.len(), "results": results})
}

fn value(from: &impl Serialize) -> Result<Value, Problem> {
    serde_json::to_value(from).map_err(|error| {
        tracing::error!(%error, "an answer could not be written as JSON");
        Problem::new("internal", "the answer could not be written as JSON")
    })
}
