//! Spans of an event's way: its publishing, its matching, each attempt. It decides what is traced and what spans are called
//! and hang from; whoever starts the core takes the spans out and sends them somewhere. Off, it costs a comparison.
//!
//! An event with a `traceparent` continues that trace, and is traced if its flags say so. Any other one begins a trace, whose
//! id is made from its identity, and a share of those is traced. The ids of spans that others hang from are made in the same
//! way: an attempt finds its parent days later and after a restart, and nothing is kept for it. An event is never changed.

use event::{EventView, identity::unique_hash};
use journal::Position;
use std::{
    borrow::Cow,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering::Relaxed},
    },
    time::SystemTime,
};
use store::BusId;
use tokio::sync::mpsc;

/// Spans that may wait to be taken: two seconds of a busy bus at a full share.
const SPANS_WAITING_MAX: usize = 16_384;
/// The bits of a trace id that sampling looks at: those that the W3C's specification says are random.
const RANDOM_BITS: u32 = 56;

/// Where spans go, if anywhere. Cheap to clone.
#[derive(Clone, Debug, Default)]
pub struct Tracer(Option<Arc<Inner>>);

#[derive(Debug)]
struct Inner {
    spans: mpsc::Sender<Span>,
    /// Traces whose random bits lie below it are traced.
    below: u64,
    recorded: AtomicU64,
    dropped: AtomicU64,
}

/// One span. Ids are those of OpenTelemetry; none is zero.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Span {
    /// The trace.
    pub trace: u128,
    /// The span.
    pub id: u64,
    /// What it hangs from; absent: it is the first one.
    pub parent: Option<u64>,
    /// What it is, in a few words.
    pub name: &'static str,
    /// Its side of the conversation.
    pub kind: SpanKind,
    /// When it began.
    pub start: SystemTime,
    /// When it ended.
    pub end: SystemTime,
    /// What is known of it. No payloads, no secrets.
    pub attributes: Vec<(&'static str, SpanValue)>,
    /// Why it failed, if it did.
    pub error: Option<String>,
}

/// Which side of a conversation a span is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SpanKind {
    /// Neither.
    Internal,
    /// It answered somebody.
    Server,
    /// It asked somebody.
    Client,
}

/// An attribute's value.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum SpanValue {
    /// Text.
    Text(Cow<'static, str>),
    /// A number.
    Number(i64),
}

impl From<&str> for SpanValue {
    fn from(text: &str) -> Self {
        Self::Text(text.to_owned().into())
    }
}

impl From<u64> for SpanValue {
    fn from(number: u64) -> Self {
        Self::Number(i64::try_from(number).unwrap_or(i64::MAX))
    }
}

/// The trace that an event belongs to, and where in it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Context {
    trace: u128,
    /// The span of whoever published it.
    parent: Option<u64>,
    /// The span of its publishing.
    publishing: u64,
}

/// A tracer that traces a share (between 0 and 1) of the events without a trace of their own, and where its spans come out.
pub fn tracer(share: f64) -> (Tracer, mpsc::Receiver<Span>) {
    let (spans, receiver) = mpsc::channel(SPANS_WAITING_MAX);
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        clippy::cast_precision_loss,
        reason = "a share of 2^56 as near as a double comes to it"
    )]
    let below = (share.clamp(0.0, 1.0) * (1_u64 << RANDOM_BITS) as f64) as u64;
    let inner = Inner {
        spans,
        below,
        recorded: AtomicU64::new(0),
        dropped: AtomicU64::new(0),
    };
    (Tracer(Some(Arc::new(inner))), receiver)
}

impl Tracer {
    /// The time, if anything is traced: when something began.
    pub fn now(&self) -> Option<SystemTime> {
        self.0.as_ref().map(|_| SystemTime::now())
    }

    /// Whether anything is traced.
    pub fn is_on(&self) -> bool {
        self.0.is_some()
    }

    /// Spans recorded and dropped since the start.
    pub fn counts(&self) -> (u64, u64) {
        let counts = self.0.as_ref();
        counts.map_or((0, 0), |inner| {
            (inner.recorded.load(Relaxed), inner.dropped.load(Relaxed))
        })
    }

    /// Counts spans that could not be sent.
    pub fn count_dropped(&self, spans: u64) {
        if let Some(inner) = &self.0 {
            inner.dropped.fetch_add(spans, Relaxed);
        }
    }

    /// The trace of an event; absent: it is not traced.
    pub fn context(&self, bus: BusId, event: &EventView<'_>) -> Option<Context> {
        let inner = self.0.as_ref()?;
        context(
            inner.below,
            bus,
            (event.source(), event.id()),
            event.extension("traceparent"),
        )
    }

    /// Hands a span over; what does not fit is counted.
    pub fn record(&self, span: Span) {
        let Some(inner) = &self.0 else { return };
        match inner.spans.try_send(span) {
            Ok(()) => inner.recorded.fetch_add(1, Relaxed),
            Err(_) => inner.dropped.fetch_add(1, Relaxed),
        };
    }
}

fn context(below: u64, bus: BusId, identity: (&str, &str), traceparent: Option<&str>) -> Option<Context> {
    let (trace, parent) = match traceparent.and_then(parse) {
        Some((.., false)) => return None,
        Some((trace, parent, true)) => (trace, Some(parent)),
        None => {
            let trace = mixed(unique_hash(identity.0, identity.1), bus);
            let random = trace as u64 & ((1 << RANDOM_BITS) - 1);
            if random >= below {
                return None;
            }
            (trace, None)
        }
    };
    let own = mixed(unique_hash(identity.0, identity.1), bus);
    Some(Context {
        trace,
        parent,
        publishing: span_id(own, 0),
    })
}

/// Trace, span and whether it is traced, of a W3C `traceparent`.
fn parse(text: &str) -> Option<(u128, u64, bool)> {
    let mut parts = text.split('-');
    let (version, trace, span, flags) = (parts.next()?, parts.next()?, parts.next()?, parts.next()?);
    let is_known = version == "00" && parts.next().is_none() && (trace.len(), span.len(), flags.len()) == (32, 16, 2);
    let trace = u128::from_str_radix(trace, 16)
        .ok()
        .filter(|trace| is_known && *trace != 0)?;
    let span = u64::from_str_radix(span, 16).ok().filter(|span| *span != 0)?;
    Some((trace, span, u8::from_str_radix(flags, 16).ok()? & 1 == 1))
}

/// The same identity on another bus is another event.
fn mixed(hash: u128, bus: BusId) -> u128 {
    (hash ^ u128::from(bus).wrapping_mul(0x9E37_79B9_7F4A_7C15_F39C_C060_5CED_C835)).max(1)
}

/// One of many ids that come from an event's hash (SplitMix64's last step).
fn span_id(hash: u128, what: u64) -> u64 {
    let mut z = (hash as u64) ^ ((hash >> 64) as u64).rotate_left(32) ^ what.wrapping_mul(0x9E37_79B9_7F4A_7C15);
    z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
    (z ^ (z >> 31)).max(1)
}

/// When something happened: enough to tell spans of one event apart.
fn nanos(time: SystemTime) -> u64 {
    let since = time.duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
    u64::try_from(since.as_nanos()).unwrap_or(u64::MAX)
}

impl Context {
    /// The span of the event's publishing. A duplicate's hangs from the same place, under an id of its own.
    pub fn publishing(
        &self,
        bus: &str,
        position: Position,
        is_duplicate: bool,
        event: &EventView<'_>,
        start: SystemTime,
    ) -> Span {
        let mut attributes = describing(bus, event);
        attributes.extend(standing(position));
        let id = match is_duplicate {
            true => span_id(self.trace, nanos(start)),
            false => self.publishing,
        };
        attributes.push(("trunkline.duplicate", u64::from(is_duplicate).into()));
        Span {
            trace: self.trace,
            id,
            parent: self.parent,
            name: "publish",
            kind: SpanKind::Server,
            start,
            end: SystemTime::now(),
            attributes,
            error: None,
        }
    }

    /// The span of its matching: how many subscriptions want it.
    pub fn matching(&self, position: Position, matched: usize, start: SystemTime) -> Span {
        let mut attributes: Vec<_> = standing(position).into();
        attributes.push(("trunkline.matched", (matched as u64).into()));
        Span {
            trace: self.trace,
            id: span_id(
                self.trace,
                position.offset.rotate_left(24) ^ u64::from(position.partition.index) ^ nanos(start),
            ),
            parent: Some(self.publishing),
            name: "match",
            kind: SpanKind::Internal,
            start,
            end: SystemTime::now(),
            attributes,
            error: None,
        }
    }

    /// The id of an attempt's span, known before it ends.
    pub fn attempt_id(&self, subscription: u64, number: u32, start: SystemTime) -> u64 {
        span_id(
            self.trace,
            subscription.rotate_left(40) ^ u64::from(number) ^ nanos(start),
        )
    }

    /// The span of an attempt.
    pub fn attempt(&self, id: u64, start: SystemTime, outcome: &crate::Outcome) -> Span {
        let mut attributes = Vec::new();
        if let Some(status) = outcome.status {
            attributes.push(("http.response.status_code", u64::from(status).into()));
        }
        if !outcome.reason.is_empty() {
            attributes.push(("error.type", outcome.reason.as_str().into()));
        }
        let error = (outcome.verdict != crate::Verdict::Delivered).then(|| outcome.reason.clone());
        Span {
            trace: self.trace,
            id,
            parent: Some(self.publishing),
            name: "deliver",
            kind: SpanKind::Client,
            start,
            end: SystemTime::now(),
            attributes,
            error,
        }
    }

    /// The `traceparent` of a request that an attempt makes.
    pub fn traceparent(&self, attempt: u64) -> String {
        format!("00-{:032x}-{attempt:016x}-01", self.trace)
    }
}

/// What an event is.
pub fn describing(bus: &str, event: &EventView<'_>) -> Vec<(&'static str, SpanValue)> {
    vec![
        ("messaging.system", SpanValue::Text("trunkline".into())),
        ("trunkline.bus", bus.into()),
        ("cloudevents.event_id", event.id().into()),
        ("cloudevents.event_source", event.source().into()),
        ("cloudevents.event_type", event.event_type().into()),
    ]
}

/// Where it stands.
fn standing(position: Position) -> [(&'static str, SpanValue); 3] {
    let partition = position.partition;
    [
        ("trunkline.topic.id", u64::from(partition.topic.topic).into()),
        (
            "messaging.destination.partition.id",
            partition.index.to_string().as_str().into(),
        ),
        ("trunkline.offset", position.offset.into()),
    ]
}

#[cfg(test)]
mod tests {
    use super::*;

    const PARENT: &str = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";
    const ALL: u64 = 1 << RANDOM_BITS;

    #[test]
    fn an_event_with_a_trace_continues_it_if_its_flags_say_so() {
        let found = context(0, 1, ("/s", "1"), Some(PARENT)).expect("traced");
        assert_eq!(found.trace, 0x4bf9_2f35_77b3_4da6_a3ce_929d_0e0e_4736);
        assert_eq!(found.parent, Some(0x00f0_67aa_0ba9_02b7));
        assert_eq!(context(ALL, 1, ("/s", "1"), Some(&PARENT.replace("-01", "-00"))), None);
    }

    #[test]
    fn what_is_no_traceparent_is_no_trace() {
        for broken in [
            "",
            "x",
            "01-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01",
            &PARENT.replace('4', "g"),
            "00-0-0-01",
        ] {
            assert_eq!(context(0, 1, ("/s", "1"), Some(broken)), None, "{broken}");
            assert_eq!(
                context(ALL, 1, ("/s", "1"), Some(broken)).and_then(|found| found.parent),
                None
            );
        }
    }

    #[test]
    fn the_same_event_is_found_again_and_another_or_on_another_bus_is_another() {
        let of = |bus, id| context(ALL, bus, ("/s", id), None).expect("all are traced");
        assert_eq!(of(1, "1"), of(1, "1"));
        assert_ne!(of(1, "1").trace, of(2, "1").trace);
        assert_ne!(of(1, "1").publishing, of(1, "2").publishing);
        let both = ["1", "2"].map(|id| context(0, 1, ("/s", id), Some(PARENT)).expect("traced").publishing);
        assert_ne!(both[0], both[1], "events of one trace have spans of their own");
    }

    #[test]
    fn a_share_is_a_share() {
        let below = ALL / 10;
        let traced = (0..10_000).filter(|id| context(below, 1, ("/s", &id.to_string()), None).is_some());
        let count = traced.count();
        assert!((850..1_150).contains(&count), "{count}");
    }

    #[test]
    fn spans_that_nobody_takes_are_counted_and_dropped() {
        let (tracer, _spans) = tracer(1.0);
        let context = context(ALL, 1, ("/s", "1"), None).expect("traced");
        let outcome = crate::Outcome {
            verdict: crate::Verdict::Delivered,
            status: None,
            reason: String::new(),
            detail: String::new(),
            answer: bytes::Bytes::new(),
        };
        for number in 0..SPANS_WAITING_MAX + 3 {
            tracer.record(context.attempt(number as u64 + 1, SystemTime::now(), &outcome));
        }
        assert_eq!(tracer.counts(), (SPANS_WAITING_MAX as u64, 3));
    }
}
