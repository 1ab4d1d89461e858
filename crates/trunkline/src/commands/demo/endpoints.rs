//! The endpoints of the demo: one that takes everything, one that goes down and comes back, one that refuses what it cannot
//! read until it is repaired, and the narrator's ear. They remember which orders they took.

use super::shop::total;
use crate::exit::{Code, Failure};
use axum::{
    Router,
    body::Bytes,
    extract::{Path, State},
    http::StatusCode,
    routing::post,
};
use serde_json::Value;
use std::{
    collections::BTreeSet,
    net::SocketAddr,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, Ordering::Relaxed},
    },
};
use tokio::{net::TcpListener, sync::mpsc};

/// Orders above it break the fraud check, until somebody repairs it.
const TOO_LARGE_ABOVE: u64 = 900;

/// Something that the bus told of itself, in plain words.
pub struct Told(pub String);

/// The endpoints.
pub struct Endpoints {
    address: SocketAddr,
    state: Arc<Endpoint>,
}

struct Endpoint {
    billing_is_down: AtomicBool,
    fraud_check_is_repaired: AtomicBool,
    took: Mutex<Took>,
    // Bounded in fact: operational events are.
    told: mpsc::UnboundedSender<Told>,
}

/// Numbers of the orders that each took.
#[derive(Default)]
struct Took {
    crm: BTreeSet<u64>,
    billing: BTreeSet<u64>,
    fraud_check: BTreeSet<u64>,
}

impl Endpoints {
    /// Listens on a free port of this machine.
    pub async fn start() -> Result<(Self, mpsc::UnboundedReceiver<Told>), Failure> {
        let failed = |error: std::io::Error| Failure::new(Code::Failed, format!("cannot listen: {error}"));
        let listener = TcpListener::bind(("127.0.0.1", 0)).await.map_err(failed)?;
        let address = listener.local_addr().map_err(failed)?;
        let (told, receiver) = mpsc::unbounded_channel();
        let state = Arc::new(Endpoint {
            billing_is_down: AtomicBool::new(false),
            fraud_check_is_repaired: AtomicBool::new(false),
            took: Mutex::default(),
            told,
        });
        let router = Router::new().route("/{name}", post(take)).with_state(state.clone());
        // It ends with the process: the demo is all that it does.
        tokio::spawn(async move { axum::serve(listener, router).await });
        Ok((Self { address, state }, receiver))
    }

    /// Where they listen.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Whether billing answers 503.
    pub fn set_billing_down(&self, is_down: bool) {
        self.state.billing_is_down.store(is_down, Relaxed);
    }

    /// From now on the fraud check takes every order.
    pub fn repair_fraud_check(&self) {
        self.state.fraud_check_is_repaired.store(true, Relaxed);
    }

    /// Whether all orders arrived, and all large ones at the fraud check.
    pub fn have(&self, all: u64, large: u64) -> bool {
        let took = self.state.took();
        let counts = [took.crm.len(), took.billing.len(), took.fraud_check.len()].map(|count| count as u64);
        counts == [all, all, large]
    }

    /// In words.
    pub fn counts(&self) -> String {
        let took = self.state.took();
        let (crm, billing, fraud_check) = (took.crm.len(), took.billing.len(), took.fraud_check.len());
        format!("{crm} at crm, {billing} at billing, {fraud_check} at fraud-check")
    }
}

impl Endpoint {
    fn took(&self) -> MutexGuard<'_, Took> {
        self.took.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn answer(&self, name: &str, body: &Value) -> StatusCode {
        let number = body["number"].as_u64().unwrap_or_default();
        let mut took = self.took();
        match name {
            "crm" => took.crm.insert(number),
            "billing" if self.billing_is_down.load(Relaxed) => return StatusCode::SERVICE_UNAVAILABLE,
            "billing" => took.billing.insert(number),
            "fraud-check" if total(number) > TOO_LARGE_ABOVE && !self.fraud_check_is_repaired.load(Relaxed) => {
                return StatusCode::UNPROCESSABLE_ENTITY;
            }
            "fraud-check" => took.fraud_check.insert(number),
            _ => return StatusCode::NOT_FOUND,
        };
        StatusCode::NO_CONTENT
    }
}

async fn take(
    State(state): State<Arc<Endpoint>>,
    Path(name): Path<String>,
    headers: axum::http::HeaderMap,
    body: Bytes,
) -> StatusCode {
    let Ok(body) = serde_json::from_slice::<Value>(&body) else {
        return StatusCode::BAD_REQUEST;
    };
    if name != "narrator" {
        return state.answer(&name, &body);
    }
    let kind = headers
        .get("ce-type")
        .and_then(|kind| kind.to_str().ok())
        .unwrap_or_default();
    // Whoever listened may have gone.
    let _ = state.told.send(Told(in_words(kind, &body)));
    StatusCode::NO_CONTENT
}

/// An operational event, for somebody who sees one for the first time.
fn in_words(kind: &str, data: &Value) -> String {
    let text = |member: &str| data[member].as_str().unwrap_or_default().to_owned();
    let (subscription, count) = (text("subscription"), data["count"].as_u64().unwrap_or_default());
    let meaning = match kind {
        "io.trunkline.breaker.opened" => format!(
            "{subscription} keeps failing ({}): attempts stop, its events wait in the journal, a probe now and then asks whether it is back",
            text("reason")
        ),
        "io.trunkline.breaker.closed" => format!("{subscription} answers again: it catches up"),
        "io.trunkline.delivery.dead-lettered" => {
            let reasons = data["reasons"].as_object().into_iter().flatten();
            let reasons: Vec<&str> = reasons.map(|(reason, _)| reason.as_str()).collect();
            format!(
                "{subscription} refused {count} of its events ({}): they are dead letters, kept until somebody looks",
                reasons.join(", ")
            )
        }
        "io.trunkline.disk.low" => format!("only {} % of the disk is free", data["free_percent"]),
        _ => data.to_string(),
    };
    format!("the bus says {kind}: {meaning}")
}
