//! What subscriptions have beyond other resources: a status, pausing and resuming.

use super::{Target, change, read};
use crate::http::{call::Call, json, problem::Problem};
use control::{Action, Precondition, resources::ResourceKind};
use delivery::{Error, LaneCounters, SubscriptionStatus};
use serde_json::{Value, json};

/// How often a change is planned anew because somebody else changed the subscription meanwhile.
const TRIES_MAX: usize = 4;

/// How a subscription is doing; `None` before its lane runs.
pub(super) fn status(call: &Call, bus: &str, name: &str) -> Option<Value> {
    call.state.core.status_of(bus, name).as_ref().map(describe)
}

fn describe(status: &SubscriptionStatus) -> Value {
    let LaneCounters {
        matched,
        delivered,
        failed,
        retried,
        parked,
        dead_lettered,
        given_up,
    } = status.counters;
    json!({
        "state": status.state,
        "reason": status.reason,
        "lag": {"events": status.lag_events, "seconds": status.lag_seconds},
        "in_flight": status.in_flight,
        "parked": status.parked,
        "dead_letters": status.dead,
        "since_start": {
            "matched": matched, "delivered": delivered, "failed": failed, "retried": retried, "parked": parked,
            "dead_lettered": dead_lettered, "given_up": given_up,
        },
    })
}

/// `POST …/subscriptions/{name}:pause` and `:resume`.
pub(super) async fn act(call: Call) -> json::Result {
    call.query(&[])?;
    let bus = call.bus()?.name.clone();
    let (name, action) = call
        .parameter("name")
        .rsplit_once(':')
        .unwrap_or((call.parameter("name"), ""));
    let target = Target {
        kind: ResourceKind::Subscription,
        bus: &bus,
        name,
    };
    match action {
        "pause" => enable(&call, &target, false).await?,
        "resume" => {
            enable(&call, &target, true).await?;
            call.state.core.resume(&bus, name).await?;
        }
        _ => {
            let detail = "a subscription takes POST as {name}:pause and {name}:resume";
            return Err(Problem::new("not_found", detail));
        }
    }
    let model = call.state.core.model();
    let value = read::shown(&call, &model, &target)?;
    Ok(json::with_etag(json::ok(&value)?, read::version(&model, &target)))
}

/// Sets `enabled` of the document, and nothing else of it.
async fn enable(call: &Call, target: &Target<'_>, enabled: bool) -> Result<(), Problem> {
    let mut last = None;
    for _ in 0..TRIES_MAX {
        let model = call.state.core.model();
        let mut document = control::export(&model, &call.state.sealer, target.kind, target.bus, target.name)?;
        document["enabled"] = enabled.into();
        let precondition = Precondition::Version(read::version(&model, target));
        match call
            .state
            .core
            .change(change::change(target, Action::Put(document), precondition))
            .await
        {
            Ok(_) => return Ok(()),
            Err(Error::Refused(refusal)) if refusal.class == control::Class::Precondition => last = Some(refusal),
            Err(error) => return Err(error.into()),
        }
    }
    Err(last.map_or_else(|| Problem::new("internal", "the change was not tried"), Problem::from))
}
