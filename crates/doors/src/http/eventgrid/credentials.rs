//! Who asks, at Event Grid's door: a key of kind `eventgrid` itself, a shared access signature made with one, or any other key as
//! at every door. One credential counts; two are refused, because readers would disagree on which one does.

use super::sas::Sas;
use crate::http::{
    State,
    auth::{self, Peer},
    problem::Problem,
};
use arc_swap::ArcSwapOption;
use control::{EventGridKeys, Model, Principal, resources::Scope};
use http::{HeaderName, header, request::Parts};
use std::sync::Arc;

const SAS_KEY: HeaderName = HeaderName::from_static("aeg-sas-key");
const SAS_TOKEN: HeaderName = HeaderName::from_static("aeg-sas-token");
/// The scheme of `Authorization` under which a token may stand instead.
const SCHEME: &str = "sharedaccesssignature ";

/// The keys of kind `eventgrid`, found anew when the model is another one.
#[derive(Default)]
pub(in crate::http) struct Keyring(ArcSwapOption<(Arc<Model>, EventGridKeys)>);

impl Keyring {
    fn of(&self, model: &Arc<Model>) -> Arc<(Arc<Model>, EventGridKeys)> {
        if let Some(known) = self.0.load_full().filter(|known| Arc::ptr_eq(&known.0, model)) {
            return known;
        }
        let found = Arc::new((model.clone(), EventGridKeys::of(model)));
        self.0.store(Some(found.clone()));
        found
    }
}

/// What a request shows.
#[derive(Debug, PartialEq, Eq)]
enum Credential<'h> {
    Key(&'h str),
    Token(&'h str),
    /// What every door takes, or nothing.
    Other,
}

impl Credential<'_> {
    fn of(head: &Parts) -> Result<Credential<'_>, Problem> {
        let (key, token) = (single(head, &SAS_KEY)?, single(head, &SAS_TOKEN)?);
        let authorization = single(head, &header::AUTHORIZATION)?;
        let shared = authorization.and_then(|text| {
            let scheme = text.get(..SCHEME.len())?;
            scheme.eq_ignore_ascii_case(SCHEME).then(|| text[SCHEME.len()..].trim())
        });
        match (key, token, shared, authorization) {
            (None, None, None, _) => Ok(Credential::Other),
            (Some(key), None, None, None) => Ok(Credential::Key(key)),
            (None, Some(token), None, None) | (None, None, Some(token), _) => Ok(Credential::Token(token)),
            _ => Err(unauthenticated("more than one credential is given; send one")),
        }
    }
}

fn single<'h>(head: &'h Parts, name: &HeaderName) -> Result<Option<&'h str>, Problem> {
    let mut values = head.headers.get_all(name).iter();
    let Some(value) = values.next() else { return Ok(None) };
    let text = value.to_str().ok().filter(|_| values.next().is_none());
    text.map(|text| Some(text.trim()))
        .ok_or_else(|| unauthenticated("a credential is given twice, or is no text"))
}

/// The one who asks, if that one may publish on the bus.
pub(super) fn permit(
    state: &State,
    model: &Arc<Model>,
    bus: &str,
    head: &Parts,
    peer: Peer,
) -> Result<Principal, Problem> {
    let credential = match model.keys.is_empty() {
        true => Credential::Other,
        false => Credential::of(head)?,
    };
    let keys = || state.event_grid_keys.of(model);
    let principal = match credential {
        Credential::Other => {
            let permitted = peer.permit(model, head, Scope::Publish, bus);
            return permitted.map_err(|problem| match problem.code() {
                "unauthenticated" => unauthenticated(
                    "this needs a key: in aeg-sas-key, signed in aeg-sas-token, or as Authorization: Bearer <key>",
                ),
                _ => problem,
            });
        }
        Credential::Key(key) => keys().1.authenticate(bus, key, auth::now())?,
        Credential::Token(token) => {
            let sas = Sas::parse(token).map_err(invalid)?;
            if !sas.is_for(bus) {
                return Err(invalid("it is for another resource"));
            }
            let now = auth::now();
            let principal = keys().1.verify(bus, sas.signed, &sas.signature, &state.sealer, now)?;
            if sas.expires < now {
                return Err(Problem::new("key_expired", "the shared access signature has expired"));
            }
            principal
        }
    };
    control::authorize(&principal, bus, Scope::Publish)?;
    Ok(principal)
}

fn invalid(reason: &'static str) -> Problem {
    Problem::new(
        "key_invalid",
        format!("the shared access signature is not valid: {reason}"),
    )
}

fn unauthenticated(detail: &'static str) -> Problem {
    Problem::new("unauthenticated", detail)
}
