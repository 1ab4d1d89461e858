//! An operation that is asked for, other than publishing: who asks, its input, and the ways to the model that operations need.

use super::{fault::Fault, identity::Caller, names, operations::Right, reading};
use crate::http::{State, auth::Peer};
use bytes::Bytes;
use control::{Bus, Model, audit::Actor, resources::Scope};
use serde::de::DeserializeOwned;
use std::sync::Arc;

/// A verified request.
pub(super) struct Asked {
    /// What the door shares.
    pub(super) state: Arc<State>,
    /// The model that authentication saw.
    pub(super) model: Arc<Model>,
    /// The region that the client is configured for; ARNs in answers have it.
    pub(super) region: String,
    caller: Caller,
    peer: Peer,
    body: Bytes,
}

impl Asked {
    pub(super) fn new(state: Arc<State>, model: Arc<Model>, caller: Caller, peer: Peer, body: Bytes) -> Self {
        Self {
            state,
            model,
            region: caller.region.clone(),
            caller,
            peer,
            body,
        }
    }

    /// The input. Members that are not known are ignored, as AWS does; an empty body is an empty input.
    pub(super) fn input<T: DeserializeOwned>(&self) -> Result<T, Fault> {
        let body = if self.body.trim_ascii().is_empty() {
            b"{}"
        } else {
            &self.body[..]
        };
        reading::input(body)
    }

    /// The region of ARNs that outlive the request: the configured one, or the client's.
    pub(super) fn region_of_arns(&self) -> &str {
        let configured = self.state.eventbridge.settings.region.as_deref();
        configured.unwrap_or(&self.region)
    }

    /// Refuses a caller who may do this nowhere. On which bus, the operation asks when it knows.
    pub(super) fn admit(&self, right: Right) -> Result<(), Fault> {
        match right {
            Right::AnyKey | Right::Bus(_) => Ok(()),
            Right::SomeBus(scope) if self.model.buses.keys().any(|bus| self.may(bus, scope)) => Ok(()),
            Right::SomeBus(scope) => self.require(names::DEFAULT_BUS, scope),
            Right::Installation(scope) => self.require_installation(scope),
        }
    }

    /// Refuses a caller who may not do this on a bus, whether the bus exists or not.
    pub(super) fn require(&self, bus: &str, scope: Scope) -> Result<(), Fault> {
        Ok(control::authorize(&self.caller.principal, bus, scope)?)
    }

    /// Refuses a caller who may not do this to the installation.
    pub(super) fn require_installation(&self, scope: Scope) -> Result<(), Fault> {
        Ok(control::authorize_installation(&self.caller.principal, scope)?)
    }

    /// Whether the caller may do something on a bus: for lists that show only what the caller may see.
    pub(super) fn may(&self, bus: &str, scope: Scope) -> bool {
        control::authorize(&self.caller.principal, bus, scope).is_ok()
    }

    /// The bus that a request names (none: `default`), if the caller may do this there and it exists.
    pub(super) fn bus(&self, named: Option<&str>, scope: Scope) -> Result<&Arc<Bus>, Fault> {
        let named = named.unwrap_or(names::DEFAULT_BUS);
        let wrong = || Fault::constraint(named, "eventBusName", "Member must be a name or an ARN of an event bus");
        let name = names::bus(named).ok_or_else(wrong)?;
        self.require(name, scope)?;
        let missing = || Fault::not_found(format!("Event bus {name} does not exist."));
        self.model.buses.get(name).ok_or_else(missing)
    }

    /// Who asks, for the audit trail.
    pub(super) fn actor(&self) -> Actor {
        let peer = self.peer.0;
        match self.caller.principal.key() {
            None => Actor::Keyless { peer },
            Some(key) => Actor::Key {
                id: key.id.clone(),
                peer,
            },
        }
    }
}
