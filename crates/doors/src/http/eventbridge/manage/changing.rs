//! Changes on behalf of an operation, through the one way that all changes go.

use super::super::{asked::Asked, fault::Fault};
use control::{
    Action, Change, Model, Precondition,
    resources::{Annotations, ResourceKind},
};
use serde_json::json;
use std::sync::Arc;

/// How often a change of annotations is tried again because somebody else changed the bus meanwhile.
const TRIES_MAX: usize = 20;
/// The code of a change that came between.
const CONFLICT: &str = "ConcurrentModificationException";

/// Changes a resource, and gives the model after it.
pub(super) async fn change(
    asked: &Asked,
    kind: ResourceKind,
    (bus, name): (&str, &str),
    action: Action,
    precondition: Precondition,
) -> Result<Arc<Model>, Fault> {
    let change = Change {
        bus: bus.to_owned(),
        kind,
        name: name.to_owned(),
        action,
        precondition,
        by: asked.actor(),
    };
    Ok(asked.state.core.change(change).await?.model)
}

/// Changes the annotations of a bus as they are now, whoever else changes it at the same time.
pub(super) async fn annotate<T: Send>(
    asked: &Asked,
    bus: &str,
    mut edit: impl FnMut(&mut Annotations) -> Result<T, Fault> + Send,
) -> Result<T, Fault> {
    for _ in 0..TRIES_MAX {
        let model = asked.state.core.model();
        let current = model.bus(bus)?;
        let mut annotations = current.spec.annotations.clone();
        let told = edit(&mut annotations)?;
        let mut body = serde_json::to_value(&current.spec).expect("plain data with string keys");
        // Also when there is none left: what is left out stays.
        body["annotations"] = json!(annotations);
        let precondition = Precondition::Version(current.version);
        match change(asked, ResourceKind::Bus, (bus, bus), Action::Put(body), precondition).await {
            Ok(_) => return Ok(told),
            Err(fault) if fault.code() == CONFLICT => {}
            Err(fault) => return Err(fault),
        }
    }
    Err(Fault::new(
        CONFLICT,
        format!("Event bus {bus} is being changed by others; try again."),
    ))
}
