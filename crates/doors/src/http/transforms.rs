//! `POST /v1/buses/{bus}/transforms:test`: what a transform that is given, or a subscription's, makes of events that are given,
//! stored, or the last ones. Nothing is delivered and nothing changes.

use super::{
    call::Call,
    json, patterns,
    problem::Problem,
    routes::{JSON, Permission, Route, Verb, content, in_json, route},
};
use axum::{body::Body, routing};
use control::{Bus, Refusal, resources::Scope, transforms};
use delivery::{Shaping, Subject};
use serde::Deserialize;
use serde_json::{Value, json, value::RawValue};

/// Bytes of all outputs of one answer: some events of the largest size.
const OUTPUTS_BYTES_MAX: usize = 10 << 20;
/// What a rule is called that nobody has saved yet.
const UNNAMED: &str = "unnamed";

pub(super) const ROUTES: &[Route] = &[route(
    Verb::Post,
    "/v1/buses/{bus}/transforms:test",
    "testTransform",
    Permission::Bus(Scope::Subscribe),
    |on| routing::on(on, test),
)
.summary("Ask what a transform makes of events")
.takes(&[content(JSON, "TransformQuestion")])
.gives(&[in_json(200, "TransformResults")])
.problems(&[
    "event_ambiguous",
    "event_not_found",
    "field_unknown",
    "resource_invalid",
    "resource_malformed",
    "resource_not_found",
    "transform_invalid",
])];

/// A question: which transform, and about what.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Question<'a> {
    /// A subscription whose transform is asked.
    subscription: Option<String>,
    /// Or a transform, as a subscription has it.
    #[serde(borrow, default)]
    transform: Option<&'a RawValue>,
    /// CloudEvents, or `{"stored": …}`.
    #[serde(borrow, default)]
    events: Vec<&'a RawValue>,
    /// The last so many events besides: of the subscription's topics, or of the bus.
    last: Option<usize>,
}

async fn test(call: Call, body: Body) -> json::Result {
    let bus = call.bus()?;
    let (bytes, _share) = call.bytes(body, patterns::QUESTION_BYTES_MAX).await?;
    let question: Question<'_> = serde_json::from_slice(&bytes)
        .map_err(|error| Problem::new("resource_malformed", format!("the question cannot be read: {error}")))?;
    let shaping = shaping(bus, &question)?;
    let about = patterns::About {
        subscription: question.subscription.as_deref(),
        types: None,
        events: &question.events,
        last: question.last.unwrap_or(0),
    };
    let mut room = OUTPUTS_BYTES_MAX;
    let mut results = Vec::new();
    for (index, subject) in about.subjects(&call, bus).await?.iter().enumerate() {
        // Events differ in size: other requests get their turn in between.
        tokio::task::yield_now().await;
        results.push(result(index, subject, shaping.as_ref(), &mut room)?);
    }
    json::ok(&json!({"events": results.len(), "results": results}))
}

/// The transform that a question is about; `None`: events stay as they are.
fn shaping(bus: &Bus, question: &Question<'_>) -> Result<Option<Shaping>, Problem> {
    match (&question.subscription, question.transform) {
        (Some(name), None) => {
            let missing = || Refusal::not_found(format!("subscription {:?} does not exist", super::shown(name)));
            let subscription = bus.subscriptions.get(name).ok_or_else(missing)?;
            Ok(Shaping::of(bus, subscription))
        }
        (None, Some(transform)) => {
            let compiled = transforms::compile(&transforms::read_transform(transform.get())?)?;
            Ok(compiled.map(|compiled| Shaping::new(compiled, &bus.name, UNNAMED)))
        }
        _ => Err(Refusal::invalid("", "a question has either a transform or a subscription").into()),
    }
}

fn result(index: usize, subject: &Subject, shaping: Option<&Shaping>, room: &mut usize) -> Result<Value, Problem> {
    let pointer = format!("/events/{index}");
    let Subject::Event(event, appended) = subject else {
        return Err(Refusal::invalid(pointer, "a transform is asked about events, and this is none").into());
    };
    let view = event.view();
    let output = shaping.map(|shaping| shaping.apply(&view, *appended)).transpose();
    let mut result = json!({"index": index, "id": event.id(), "source": event.source()});
    match output {
        Ok(output) => {
            let changed = output
                .as_ref()
                .map_or_else(|| view.clone(), |output| output.event(&view));
            let data = changed.data().unwrap_or_default();
            *room = room.checked_sub(data.len()).ok_or_else(|| {
                let detail = format!("the outputs have more than {OUTPUTS_BYTES_MAX} bytes: ask about fewer events");
                Problem::from(Refusal::invalid(pointer, detail))
            })?;
            result["content_type"] = changed.data_content_type().into();
            result["output"] = String::from_utf8_lossy(data).into();
        }
        Err(failure) => {
            result["error"] = json!({"code": failure.code, "detail": failure.message});
        }
    }
    Ok(result)
}
