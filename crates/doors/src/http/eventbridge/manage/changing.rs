//! Changes on behalf of an operation, through the one way that all changes go. What an operation changes in several resources is one
//! change: all of it is written, or nothing.

use super::super::{asked::Asked, fault::Fault};
use control::{
    Action, Bus, Change, Model, Precondition, Subscription,
    resources::{Annotations, ResourceKind},
};
use serde_json::{Value, json};
use std::{
    collections::{BTreeMap, btree_map::Entry},
    sync::Arc,
};

/// How often a change is planned again because somebody else changed the same things meanwhile.
const TRIES_MAX: usize = 20;

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

/// What an operation changes, on the model as it is now.
pub(super) struct Together<'a> {
    asked: &'a Asked,
    /// The model that all of it is decided on.
    pub model: Arc<Model>,
    annotations: BTreeMap<String, Annotations>,
    changes: Vec<Change>,
}

impl<'a> Together<'a> {
    fn new(asked: &'a Asked) -> Self {
        Self {
            asked,
            model: asked.state.core.model(),
            annotations: BTreeMap::new(),
            changes: Vec::new(),
        }
    }

    /// The annotations of a bus, to be changed.
    pub fn annotations(&mut self, bus: &str) -> Result<&mut Annotations, Fault> {
        match self.annotations.entry(bus.to_owned()) {
            Entry::Occupied(found) => Ok(found.into_mut()),
            Entry::Vacant(place) => Ok(place.insert(self.model.bus(bus)?.spec.annotations.clone())),
        }
    }

    /// Makes or replaces a resource.
    pub fn put(&mut self, kind: ResourceKind, place: (&str, &str), body: Value, precondition: Precondition) {
        self.add(kind, place, Action::Put(body), precondition);
    }

    /// Makes or replaces a connection.
    pub fn put_connection(&mut self, place: (&str, &str), action: Action, precondition: Precondition) {
        self.add(ResourceKind::Connection, place, action, precondition);
    }

    /// Removes a connection, if it is there.
    pub fn remove_connection(&mut self, (bus, name): (&str, &str)) -> Result<(), Fault> {
        if self.model.bus(bus)?.connections.contains_key(name) {
            let kind = ResourceKind::Connection;
            self.add(kind, (bus, name), Action::Delete, Precondition::Exists);
        }
        Ok(())
    }

    /// Changes a subscription as it is now, and nothing of it that `edit` does not.
    pub fn edit(&mut self, bus: &Bus, subscription: &Subscription, edit: impl FnOnce(&mut Value)) {
        let mut body = serde_json::to_value(&subscription.spec).expect("plain data with string keys");
        edit(&mut body);
        let precondition = Precondition::Version(subscription.version);
        let place = (bus.name.as_str(), subscription.name.as_str());
        self.put(ResourceKind::Subscription, place, body, precondition);
    }

    fn add(&mut self, kind: ResourceKind, (bus, name): (&str, &str), action: Action, precondition: Precondition) {
        self.changes.push(Change {
            bus: bus.to_owned(),
            kind,
            name: name.to_owned(),
            action,
            precondition,
            by: self.asked.actor(),
        });
    }

    fn changes(mut self) -> Result<Vec<Change>, Fault> {
        for (bus, annotations) in std::mem::take(&mut self.annotations) {
            let current = self.model.bus(&bus)?;
            let mut body = serde_json::to_value(&current.spec).expect("plain data with string keys");
            // Also when there is none left: what is left out stays.
            body["annotations"] = json!(annotations);
            let precondition = Precondition::Version(current.version);
            self.put(ResourceKind::Bus, (&bus, &bus), body, precondition);
        }
        Ok(self.changes)
    }
}

/// Carries out what `edit` asks for on the model as it is now, whoever else changes the same things at the same time: all of it, or
/// nothing. The operations of this door go one after the other, so that what one decides by is so when it is carried out.
pub(super) async fn together<T: Send>(
    asked: &Asked,
    mut edit: impl FnMut(&mut Together<'_>) -> Result<T, Fault> + Send,
) -> Result<T, Fault> {
    let _one_at_a_time = asked.state.eventbridge.managing.lock().await;
    let mut tries = 1;
    loop {
        let mut together = Together::new(asked);
        let told = edit(&mut together)?;
        match asked.state.core.change_all(together.changes()?).await {
            Ok(_) => return Ok(told),
            Err(delivery::Error::Refused(refusal)) if refusal.code == "version_conflict" && tries < TRIES_MAX => {
                tries += 1;
            }
            Err(error) => return Err(error.into()),
        }
    }
}

/// Changes the annotations of a bus as they are now, whoever else changes it at the same time.
pub(super) async fn annotate<T: Send>(
    asked: &Asked,
    bus: &str,
    mut edit: impl FnMut(&mut Annotations) -> Result<T, Fault> + Send,
) -> Result<T, Fault> {
    together(asked, |together| edit(together.annotations(bus)?)).await
}
