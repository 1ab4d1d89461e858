//! `/v1/audit` and `/v1/buses/{bus}/audit`: who did what. Entries are only read here; what they are written for is each handler's.

use super::{
    call::Call,
    json,
    page::{self, Page},
    problem::Problem,
    query::Query,
    routes::{CURSOR, JSON, LIMIT, Parameter, Permission, Route, Takes, Verb, content, in_json, parameter, route},
    time,
};
use axum::{body::Body, routing};
use control::{Refusal, audit::Deed, resources::Scope};
use delivery::{AuditEnd, AuditEntry, AuditFault, AuditOrder, AuditQuery};
use serde_json::{Value, json};

/// Entries that one request looks at to fill its page; then it gives what it has, and where to go on.
const LOOKED_AT_MAX: usize = 10_000;
/// Entries of one read.
const READ_MAX: usize = 500;

const BY_KEY: Parameter = parameter("key", Takes::Text, "Done with this key only.");
const BY_ACTION: Parameter = parameter(
    "action",
    Takes::Text,
    "Of this action only, such as changed, looked; one that there is not is refused.",
);
const BY_KIND: Parameter = parameter("kind", Takes::Text, "Done to this kind of thing only.");
const BY_NAME: Parameter = parameter("name", Takes::Text, "Done to the thing of this name only.");
const BY_BUS: Parameter = parameter("bus", Takes::Text, "About this bus only, also one that is gone.");
const FROM: Parameter = parameter("from", Takes::Time, "Not before this time.");
const TO: Parameter = parameter("to", Takes::Time, "Before this time.");
const ORDER: Parameter = parameter("order", Takes::Text, "`newest` first, as by default, or `oldest`.");

pub(super) const ROUTES: &[Route] = &[
    route(
        Verb::Get,
        "/v1/audit",
        "listAudit",
        Permission::Installation(Scope::Audit),
        |on| routing::on(on, list),
    )
    .summary("List the entries of the audit trail")
    .query(&[
        CURSOR, LIMIT, ORDER, BY_BUS, BY_KEY, BY_ACTION, BY_KIND, BY_NAME, FROM, TO,
    ])
    .gives(&[in_json(200, "AuditPage")])
    .problems(&["cursor_invalid", "query_invalid", "store_failed"]),
    route(
        Verb::Get,
        "/v1/buses/{bus}/audit",
        "listAuditOfBus",
        Permission::Bus(Scope::Audit),
        |on| routing::on(on, list_of_bus),
    )
    .summary("List the entries of the audit trail about a bus")
    .query(&[CURSOR, LIMIT, ORDER, BY_KEY, BY_ACTION, BY_KIND, BY_NAME, FROM, TO])
    .gives(&[in_json(200, "AuditPage")])
    .problems(&["cursor_invalid", "query_invalid", "store_failed"]),
    route(
        Verb::Post,
        "/v1/audit:verify",
        "verifyAudit",
        Permission::Installation(Scope::Audit),
        |on| routing::on(on, verify),
    )
    .summary("Verify the chain of the whole audit trail")
    .takes(&[content(JSON, "AuditVerification")])
    .gives(&[in_json(200, "AuditVerified")])
    .problems(&["audit_broken", "resource_invalid", "resource_malformed", "store_failed"]),
];

async fn list(call: Call) -> json::Result {
    page_of(&call, None).await
}

async fn list_of_bus(call: Call) -> json::Result {
    let bus = call.bus()?.id;
    page_of(&call, Some(bus)).await
}

/// What the entries of a list have in common.
struct Wanted<'q> {
    texts: [(&'static str, Option<&'q str>); 5],
    from: Option<i64>,
    to: Option<i64>,
}

impl<'q> Wanted<'q> {
    fn of(query: &'q Query<'_>) -> Result<Self, Problem> {
        let texts = [
            ("/bus", "bus"),
            ("/by/key", "key"),
            ("/action", "action"),
            ("/kind", "kind"),
            ("/name", "name"),
        ];
        if let Some(word) = query.text("action") {
            // One that nobody ever does would look like a trail without it.
            let wrong =
                |refusal: Refusal| Problem::new("query_invalid", format!("parameter \"action\": {}", refusal.detail));
            Deed::of_word(word).map_err(wrong)?;
        }
        let time = |name: &str| {
            let parse = |text: &str| text.parse::<jiff::Timestamp>().map(jiff::Timestamp::as_millisecond);
            let wrong = |_| {
                Problem::new(
                    "query_invalid",
                    format!("parameter {name:?} must be a time of RFC 3339"),
                )
            };
            query.text(name).map(parse).transpose().map_err(wrong)
        };
        Ok(Self {
            texts: texts.map(|(pointer, name)| (pointer, query.text(name))),
            from: time("from")?,
            to: time("to")?,
        })
    }

    fn has(&self, at: i64, entry: &Value) -> bool {
        self.from.is_none_or(|from| at >= from)
            && self.to.is_none_or(|to| at < to)
            && self.texts.iter().all(|(pointer, text)| {
                text.is_none_or(|text| entry.pointer(pointer).and_then(Value::as_str) == Some(text))
            })
    }
}

async fn page_of(call: &Call, bus: Option<u32>) -> json::Result {
    let query = call.query()?;
    let (limit, wanted, order) = (query.limit()?, Wanted::of(&query)?, order(&query)?);
    let mut last = page::read_cursor(query.text("cursor"))?
        .map(|seq| seq.parse::<u64>().map_err(|_| page::wrong_cursor()))
        .transpose()?;
    let (mut items, mut looked_at) = (Vec::new(), 0);
    loop {
        let entries = call.state.core.audit(read(bus, order, last)).await?;
        let is_end = entries.len() < READ_MAX;
        for entry in entries {
            last = Some(entry.seq);
            looked_at += 1;
            let value = shown(&entry);
            if wanted.has(entry.at, &value) {
                items.push(value);
            }
            if items.len() == limit || looked_at == LOOKED_AT_MAX {
                let next = last.map(|seq| page::cursor(&seq.to_string()));
                return json::ok(&Page { items, next });
            }
        }
        if is_end {
            return json::ok(&Page { items, next: None });
        }
    }
}

fn order(query: &Query<'_>) -> Result<AuditOrder, Problem> {
    match query.text("order") {
        None | Some("newest") => Ok(AuditOrder::NewestFirst),
        Some("oldest") => Ok(AuditOrder::OldestFirst),
        Some(_) => {
            let detail = "parameter \"order\" must be newest or oldest";
            Err(Problem::new("query_invalid", detail))
        }
    }
}

fn read(bus: Option<u32>, order: AuditOrder, last: Option<u64>) -> AuditQuery {
    let (after, before) = match order {
        AuditOrder::OldestFirst => (last.unwrap_or(0), u64::MAX),
        AuditOrder::NewestFirst => (0, last.unwrap_or(u64::MAX)),
    };
    AuditQuery {
        bus,
        after,
        before,
        order,
        limit: READ_MAX,
    }
}

/// An entry as it leaves: what it says, with its place in the chain.
fn shown(entry: &AuditEntry) -> Value {
    let mut value = serde_json::from_slice(&entry.body).unwrap_or_else(|_| json!({}));
    value["seq"] = entry.seq.into();
    value["at"] = time::text(entry.at).into();
    value["hash"] = hex(&entry.hash).into();
    value
}

fn hex(hash: &[u8; 32]) -> String {
    hash.iter().map(|byte| format!("{byte:02x}")).collect()
}

fn read_hex(text: &str) -> Option<[u8; 32]> {
    let is_hex = text.len() == 64 && text.bytes().all(|byte| byte.is_ascii_hexdigit());
    let pair = |at: usize| u8::from_str_radix(&text[2 * at..2 * at + 2], 16).unwrap_or_default();
    is_hex.then(|| std::array::from_fn(pair))
}

async fn verify(call: Call, body: Body) -> json::Result {
    let noted = noted(&call.document(body).await?)?;
    match call.state.core.verify_audit(noted).await {
        Ok(verified) => json::ok(&json!({
            "entries": verified.entries,
            "anchor": end(verified.anchor),
            "head": end(verified.head),
        })),
        Err(AuditFault::Store(error)) if !matches!(error, delivery::StoreError::Corrupt(_)) => {
            Err(delivery::Error::Store(error).into())
        }
        Err(fault) => {
            tracing::error!(%fault, "the audit trail does not verify");
            Err(Problem::new("audit_broken", format!("failed to {fault}")))
        }
    }
}

fn end(end: AuditEnd) -> Value {
    json!({"seq": end.seq, "hash": hex(&end.hash)})
}

/// `{}`, or `{"seq": …, "hash": …}` of an entry that somebody noted.
fn noted(body: &Value) -> Result<Option<AuditEnd>, Problem> {
    let Value::Object(body) = body else {
        return Err(Problem::new(
            "resource_malformed",
            "the body is an object, which may be empty",
        ));
    };
    if body.is_empty() {
        return Ok(None);
    }
    let seq = body.get("seq").and_then(Value::as_u64);
    let hash = body.get("hash").and_then(Value::as_str).and_then(read_hex);
    match (seq, hash, body.len()) {
        (Some(seq), Some(hash), 2) => Ok(Some(AuditEnd { seq, hash })),
        _ => {
            let detail = "the body is empty, or has seq and hash of an entry as they were shown";
            Err(Problem::new("resource_invalid", detail))
        }
    }
}
