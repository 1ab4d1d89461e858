//! Replays: begin one (or look what it would do), list, show, pause, resume, cancel, forget.

use super::{
    answer_event,
    call::Call,
    json, numbered,
    problem::Problem,
    routes::{
        CURSOR, DRY_RUN, Gives, JSON, LIMIT, NO_CONTENT, Permission, Route, Serve, Verb, content, in_json, route,
    },
    time,
};
use axum::{body::Body, response::IntoResponse, routing};
use control::{
    Action, Bus, Change, Precondition,
    resources::{ReplaySpec, ResourceKind, Scope},
};
use delivery::{Replay, ReplayPreview, ReplaySample};
use http::StatusCode;
use serde::Serialize;
use serde_json::{Value, json, value::RawValue};

/// Whoever sees events may have them once more; what else a replay asks for depends on where it goes.
const SUBSCRIBE: Permission = Permission::Bus(Scope::Subscribe);
const READ: Permission = Permission::Bus(Scope::Read);

pub(super) const ROUTES: &[Route] = &[
    route(Verb::Post, "/v1/buses/{bus}/replays", "startReplay", SUBSCRIBE, |on| {
        routing::on(on, start)
    })
    .summary("Start a replay, or see what it would do")
    .query(&[DRY_RUN])
    .takes(&[content(JSON, "ReplayRequest")])
    .gives(&[in_json(201, "Replay"), in_json(200, "ReplayPreview")])
    .problems(&[
        "already_exists",
        "field_unknown",
        "filter_invalid",
        "filter_not_json",
        "filter_too_complex",
        "limit_exceeded",
        "name_invalid",
        "resource_invalid",
        "resource_malformed",
        "scope_missing",
        "store_failed",
        "types_invalid",
    ]),
    route(Verb::Get, "/v1/buses/{bus}/replays", "listReplays", READ, |on| {
        routing::on(on, list)
    })
    .summary("List replays, oldest first")
    .query(&[CURSOR, LIMIT])
    .gives(&[in_json(200, "ReplayPage")])
    .problems(&["cursor_invalid"]),
    route(Verb::Get, "/v1/buses/{bus}/replays/{name}", "getReplay", READ, |on| {
        routing::on(on, one)
    })
    .summary("Show a replay and how far it has come")
    .gives(REPLAY)
    .problems(&["resource_not_found"]),
    route(
        Verb::Delete,
        "/v1/buses/{bus}/replays/{name}",
        "deleteReplay",
        SUBSCRIBE,
        |on| routing::on(on, forget),
    )
    .summary("Forget a replay that is over")
    .gives(&[NO_CONTENT])
    .problems(&["replay_running", "resource_not_found", "store_failed"]),
    verb("/v1/buses/{bus}/replays/{name}:pause", "pauseReplay", |on| {
        routing::on(on, pause)
    })
    .summary("Hold a replay"),
    verb("/v1/buses/{bus}/replays/{name}:resume", "resumeReplay", |on| {
        routing::on(on, resume)
    })
    .summary("Let a replay go on"),
    verb("/v1/buses/{bus}/replays/{name}:cancel", "cancelReplay", |on| {
        routing::on(on, cancel)
    })
    .summary("End a replay: what it has parked goes"),
];

const REPLAY: &[Gives] = &[in_json(200, "Replay")];

const fn verb(path: &'static str, id: &'static str, serve: Serve) -> Route {
    route(Verb::Post, path, id, SUBSCRIBE, serve).gives(REPLAY).problems(&[
        "replay_over",
        "resource_not_found",
        "store_failed",
    ])
}

/// What is asked for beside the replay itself.
struct Asked {
    name: Option<String>,
    /// The subscription to create for it.
    create: Option<Value>,
    spec: ReplaySpec,
}

impl Asked {
    fn read(mut document: Value) -> Result<Self, Problem> {
        let name = numbered::take_name(&mut document)?;
        let into = document.get_mut("into").and_then(Value::as_object_mut);
        let create = into.and_then(|into| into.remove("create"));
        let spec = ReplaySpec::read(&document)?;
        Ok(Self { name, create, spec })
    }

    /// The change that makes the subscription.
    fn creation(&self, call: &Call, bus: &Bus) -> Option<Change> {
        Some(Change {
            bus: self.spec.into.bus.clone().unwrap_or_else(|| bus.name.clone()),
            kind: ResourceKind::Subscription,
            name: self.spec.into.subscription.clone()?,
            action: Action::Put(self.create.clone()?),
            precondition: Precondition::Absent,
            by: call.actor(),
        })
    }

    /// Whoever has events published asks for the right to publish there, and into another bus for that bus's.
    fn permitted(&self, call: &Call, bus: &Bus) -> Result<(), Problem> {
        let into = self.spec.into.bus.as_deref().unwrap_or(&bus.name);
        let scope = match self.spec.into.topic {
            Some(_) => Scope::Publish,
            None => Scope::Subscribe,
        };
        call.require(into, scope)
    }
}

async fn start(call: Call, body: Body) -> json::Result {
    let is_dry = call.query()?.flag("dry_run")?;
    let bus = call.bus()?;
    let asked = Asked::read(call.document(body).await?)?;
    asked.permitted(&call, bus)?;
    let core = &call.state.core;
    let creation = asked.creation(&call, bus);
    if asked.create.is_some() && creation.is_none() {
        let problem = Problem::new(
            "resource_invalid",
            "create makes the subscription that the replay goes to",
        );
        return Err(problem.pointer(Some("/into/create".to_owned())));
    }
    let Asked { name, spec, .. } = asked;
    if is_dry {
        call.look("replay", name.as_deref().unwrap_or_default(), spec.shown())
            .await?;
        let preview = match creation {
            Some(creation) => core.preview_replay_into_new(&bus.name, creation, spec).await?,
            None => core.preview_replay(&bus.name, spec).await?,
        };
        return json::ok(&Shown::new(bus, &preview));
    }
    let by = call.actor();
    let replay = match creation {
        Some(creation) => core.replay_into_new(&bus.name, name, creation, spec, by).await?,
        None => core.replay(&bus.name, name, spec, by).await?,
    };
    json::answer(StatusCode::CREATED, &described(&replay))
}

async fn list(call: Call) -> json::Result {
    let all = call.state.core.replays(&call.bus()?.name)?;
    numbered::page(&call, all, |replay| replay.number, described)
}

async fn one(call: Call) -> json::Result {
    let bus = call.bus()?;
    json::ok(&described(
        &call.state.core.replay_of(&bus.name, call.parameter("name"))?,
    ))
}

async fn forget(call: Call) -> json::Result {
    let bus = call.bus()?;
    call.state
        .core
        .forget_replay(&bus.name, call.parameter("name"), call.actor())
        .await?;
    Ok(StatusCode::NO_CONTENT.into_response())
}

async fn pause(call: Call) -> json::Result {
    let bus = call.bus()?;
    let paused = call
        .state
        .core
        .pause_replay(&bus.name, call.parameter("name"), call.actor())
        .await?;
    json::ok(&described(&paused))
}

async fn resume(call: Call) -> json::Result {
    let bus = call.bus()?;
    let resumed = call
        .state
        .core
        .resume_replay(&bus.name, call.parameter("name"), call.actor())
        .await?;
    json::ok(&described(&resumed))
}

async fn cancel(call: Call) -> json::Result {
    let bus = call.bus()?;
    let cancelled = call
        .state
        .core
        .cancel_replay(&bus.name, call.parameter("name"), call.actor())
        .await?;
    json::ok(&described(&cancelled))
}

/// A replay as it leaves: what was asked for, and how it stands beside it.
fn described(replay: &Replay) -> Value {
    let mut value = replay.spec.shown();
    value["name"] = replay.name.as_str().into();
    value["created"] = time::text(replay.created).into();
    let counts = &replay.counts;
    let losses: Vec<Value> = replay
        .losses
        .iter()
        .map(|loss| {
            json!({"topic": loss.topic, "partition": loss.partition, "from": loss.from, "to": loss.to,
                "reason": loss.reason})
        })
        .collect();
    value["status"] = json!({
        "state": replay.state,
        "reason": replay.reason,
        "ended": replay.ended.map(time::text),
        "newest": replay.newest.map(time::text),
        "records": {"done": replay.done, "all": replay.records},
        "matched": counts.matched, "delivered": counts.delivered, "published": counts.published,
        "dead_lettered": counts.dead_lettered, "failed": counts.failed, "parked": counts.parked,
        "discarded": counts.discarded, "in_flight": replay.in_flight, "parked_now": replay.parked_now,
        "lost": losses,
    });
    value
}

/// What a replay would do, as it leaves.
#[derive(Serialize)]
struct Shown {
    records: u64,
    looked_at: u64,
    complete: bool,
    matched: u64,
    first: Option<String>,
    last: Option<String>,
    samples: Vec<ShownSample>,
}

#[derive(Serialize)]
struct ShownSample {
    topic: String,
    partition: u32,
    offset: u64,
    received: String,
    event: Option<Box<RawValue>>,
}

impl Shown {
    fn new(bus: &Bus, preview: &ReplayPreview) -> Self {
        let name = |id: u32| {
            bus.topics
                .values()
                .find(|topic| topic.id == id)
                .map(|topic| topic.name.clone())
        };
        let sample = |sample: &ReplaySample| ShownSample {
            topic: name(sample.topic).unwrap_or_default(),
            partition: sample.partition,
            offset: sample.offset,
            received: time::text(sample.appended),
            event: answer_event(&sample.record),
        };
        Self {
            records: preview.records,
            looked_at: preview.looked_at,
            complete: preview.is_complete,
            matched: preview.matched,
            first: preview.first.map(time::text),
            last: preview.last.map(time::text),
            samples: preview.samples.iter().map(sample).collect(),
        }
    }
}
