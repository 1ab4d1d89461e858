//! One request to a routed handler: who asks, for what. Having one means that the caller was authenticated, has the permission of the
//! route's row, and gave no query parameter but the row's.

use super::{
    State,
    auth::Peer,
    body,
    budget::Share,
    problem::Problem,
    query::Query,
    routes::{Permission, Route},
};
use crate::server::Drain;
use axum::extract::{FromRequestParts, RawPathParams};
use bytes::Bytes;
use control::{
    Model, Precondition, Principal,
    audit::{Act, Actor, Deed},
    resources::Scope,
};
use http::{HeaderName, header, request::Parts};
use serde_json::Value;
use std::{sync::Arc, time::Instant};

/// A resource's document: far above any that makes sense.
const DOCUMENT_BYTES_MAX: usize = 1 << 20;

/// A permitted request without its body.
pub(super) struct Call {
    pub(super) state: Arc<State>,
    /// The model that authentication saw.
    pub(super) model: Arc<Model>,
    principal: Principal,
    peer: Peer,
    route: &'static Route,
    parameters: Vec<(String, String)>,
    head: Parts,
}

impl FromRequestParts<Arc<State>> for Call {
    type Rejection = Problem;

    async fn from_request_parts(head: &mut Parts, state: &Arc<State>) -> Result<Self, Problem> {
        let model = state.core.model();
        let peer = head
            .extensions
            .get::<Peer>()
            .copied()
            .ok_or_else(super::auth::unauthenticated)?;
        let principal = peer.principal(&model, head)?;
        state.note_use(&principal);
        let parameters = RawPathParams::from_request_parts(head, state).await;
        let parameters = parameters.map_err(|_| Problem::new("not_found", "the path is not percent-encoded UTF-8"))?;
        let parameters = parameters
            .iter()
            .map(|(name, value)| (name.to_owned(), value.to_owned()))
            .collect();
        let route = head.extensions.get::<&'static Route>().copied();
        let call = Call {
            state: state.clone(),
            model,
            principal,
            peer,
            route: route.expect("the router puts the row of the table with every request"),
            parameters,
            head: head.clone(),
        };
        call.permits(&call.principal)?;
        if let Some(holder) = call.head.extensions.get::<Arc<control::usage::Holder>>() {
            super::hold(holder, &call.principal, call.model.buses.get(call.parameter("bus")))?;
        }
        call.query()?;
        Ok(call)
    }
}

impl Call {
    /// A parameter of the path, decoded.
    pub(super) fn parameter(&self, name: &str) -> &str {
        let found = self.parameters.iter().find(|(found, _)| found == name);
        found.map_or("", |(_, value)| value.as_str())
    }

    /// Before anything is said about what exists, so that a key of another bus learns nothing.
    fn permits(&self, principal: &Principal) -> Result<(), Problem> {
        permits(principal, self.route.permission, self.parameter("bus"))
    }

    /// Asks for what another row asks for, on a bus that the body names.
    pub(super) fn permits_on(&self, permission: Permission, bus: &str) -> Result<(), Problem> {
        permits(&self.principal, permission, bus)
    }

    /// The bus of the path, if it is there.
    pub(super) fn bus(&self) -> Result<&Arc<control::Bus>, Problem> {
        let name = self.parameter("bus");
        let unknown = || Problem::new("bus_not_found", format!("bus {:?} does not exist", super::shown(name)));
        self.model.buses.get(name).ok_or_else(unknown)
    }

    /// Whether the caller may do something on a bus: for answers that show only what the caller may see.
    pub(super) fn may(&self, bus: &str, scope: Scope) -> bool {
        control::authorize(&self.principal, bus, scope).is_ok()
    }

    /// Whether the caller would be permitted now: that may change while an answer lasts.
    pub(super) fn is_still_permitted(&self) -> bool {
        let model = self.state.core.model();
        let peer = self.head.extensions.get::<Peer>();
        let principal = peer.and_then(|peer| peer.principal(&model, &self.head).ok());
        principal.is_some_and(|principal| self.permits(&principal).is_ok())
    }

    /// The key's id; empty for a server without keys.
    pub(super) fn key_id(&self) -> &str {
        match &self.principal {
            Principal::Keyless => "",
            Principal::Key(key) => &key.id,
        }
    }

    /// Tells when the server begins to shut down.
    pub(super) fn drain(&self) -> Drain {
        self.head.extensions.get::<Drain>().cloned().unwrap_or_default()
    }

    /// The one value of a header, where it is text.
    pub(super) fn header(&self, name: &str) -> Option<&str> {
        self.head.headers.get(name)?.to_str().ok()
    }

    /// Who asks.
    pub(super) fn principal(&self) -> &Principal {
        &self.principal
    }

    /// Who asks, for the audit trail.
    pub(super) fn actor(&self) -> Actor {
        let peer = self.peer.0;
        match self.principal.key() {
            None => Actor::Keyless { peer },
            Some(key) => Actor::Key {
                id: key.id.clone(),
                peer,
            },
        }
    }

    /// What is done to a thing of the path's bus (or of the installation), for the audit trail.
    pub(super) fn act(&self, action: Deed, kind: &'static str, name: &str, details: Value) -> Act {
        let bus = self.model.buses.get(self.parameter("bus"));
        Act {
            by: self.actor(),
            action,
            bus_id: bus.map_or(0, |bus| bus.id),
            bus: bus.map_or_else(String::new, |bus| bus.name.clone()),
            kind,
            name: name.to_owned(),
            changes: Vec::new(),
            details,
        }
    }

    /// Records in the audit trail what is done, before it is done: it is durable when this returns. Whatever may refuse it has been
    /// asked by then; what is a write of the store takes its [`act`](Self::act) along instead.
    pub(super) async fn record(
        &self,
        action: Deed,
        kind: &'static str,
        name: &str,
        details: Value,
    ) -> Result<(), Problem> {
        let act = self.act(action, kind, name, details);
        Ok(self.state.core.record(&act).await?)
    }

    /// Records a look at payloads of the path's bus, before they are shown; the same look again within a minute is not.
    pub(super) async fn look(&self, kind: &'static str, name: &str, details: Value) -> Result<(), Problem> {
        let looks = &self.state.looks;
        let who = self.principal.key().map_or("", |key| key.id.as_str());
        let look = looks.number(&[
            who,
            self.route.id,
            self.parameter("bus"),
            kind,
            name,
            &details.to_string(),
        ]);
        let now = Instant::now();
        if looks.is_recorded(look, now) {
            return Ok(());
        }
        self.record(Deed::Looked, kind, name, details).await?;
        looks.remember(look, now);
        Ok(())
    }

    /// Asks for a right beyond that of the row.
    pub(super) fn require(&self, bus: &str, scope: Scope) -> Result<(), Problem> {
        Ok(control::authorize(&self.principal, bus, scope)?)
    }

    /// The query: it has no other parameters than the row.
    pub(super) fn query(&self) -> Result<Query<'_>, Problem> {
        Query::strict(&self.head.uri, self.route.query)
    }

    /// `If-Match` and `If-None-Match`.
    pub(super) fn precondition(&self) -> Result<Precondition, Problem> {
        let (is_match, is_none) = (
            self.condition(header::IF_MATCH)?,
            self.condition(header::IF_NONE_MATCH)?,
        );
        let invalid = |detail: &'static str| Err(Problem::new("precondition_invalid", detail));
        match (is_match, is_none) {
            (None, None) => Ok(Precondition::Any),
            (Some("*"), None) => Ok(Precondition::Exists),
            (None, Some("*")) => Ok(Precondition::Absent),
            (Some(tag), None) => match read_etag(tag) {
                Some(version) => Ok(Precondition::Version(version)),
                None => invalid("If-Match takes one ETag as a GET gave it, or *"),
            },
            (None, Some(_)) => invalid("If-None-Match takes * alone here"),
            (Some(_), Some(_)) => invalid("If-Match and If-None-Match exclude each other"),
        }
    }

    fn condition(&self, name: HeaderName) -> Result<Option<&str>, Problem> {
        let mut values = self.head.headers.get_all(&name).iter();
        let Some(value) = values.next() else { return Ok(None) };
        let text = value.to_str().ok().map(str::trim).filter(|_| values.next().is_none());
        text.map(Some)
            .ok_or_else(|| Problem::new("precondition_invalid", format!("the header {name} cannot be read")))
    }

    /// The body as JSON; of a filter in it, the text that was written.
    pub(super) async fn document(&self, body: axum::body::Body) -> Result<Value, Problem> {
        let (bytes, _share) = self.bytes(body, DOCUMENT_BYTES_MAX).await?;
        let malformed = |reason: String| Problem::new("resource_malformed", format!("the body is not JSON: {reason}"));
        event::json::check(&bytes).map_err(malformed)?;
        control::filters::read_document(&bytes).map_err(|error| malformed(error.to_string()))
    }

    /// The body, of so many bytes at most.
    pub(super) async fn bytes(&self, body: axum::body::Body, bytes_max: usize) -> Result<(Bytes, Share<'_>), Problem> {
        let too_large = || Problem::new("body_too_large", format!("the body takes more than {bytes_max} bytes"));
        let read = body::read(&self.state.bodies, &self.head.headers, body, bytes_max).await;
        read.map_err(|error| error.or_too_large(too_large))
    }
}

fn permits(principal: &Principal, permission: Permission, bus: &str) -> Result<(), Problem> {
    match permission {
        Permission::Open | Permission::AnyKey | Permission::Signed => Ok(()),
        Permission::Bus(scope) => Ok(control::authorize(principal, bus, scope)?),
        Permission::DefaultBus(scope) => Ok(control::authorize(principal, control::limits::DEFAULT_BUS, scope)?),
        Permission::Installation(scope) => Ok(control::authorize_installation(principal, scope)?),
    }
}

fn read_etag(tag: &str) -> Option<u64> {
    let version = tag.strip_prefix('"')?.strip_suffix('"')?;
    version
        .parse()
        .ok()
        .filter(|parsed: &u64| parsed.to_string() == version)
}
