//! `GET /metrics`: the core's counters in the Prometheus text format. They need `manage` on everything, because they name
//! buses and subscriptions. Nothing is scanned for them.

use super::{
    call::Call,
    problem::Problem,
    routes::{Gives, Permission, Route, Verb, content, route},
};
use axum::{
    response::{IntoResponse, Response},
    routing,
};
use control::resources::Scope;
use delivery::{BusMetrics, CopiesStatus, KeyMetrics, Metrics, SubscriptionMetrics};
use http::header;
use std::fmt::{Display, Write};

pub(super) const PATH: &str = "/metrics";

/// With more subscriptions than this, those that have never had anything show their state and their lag alone: the text stays
/// one that can be fetched every few seconds, and no collector has to keep series that say nothing.
const SUBSCRIPTIONS_WHOLE_MAX: usize = 1_000;

pub(super) const ROUTES: &[Route] = &[route(
    Verb::Get,
    PATH,
    "metrics",
    Permission::Installation(Scope::Read),
    |on| routing::on(on, show),
)
.summary("Metrics as Prometheus text")
.gives(&[Gives {
    status: 200,
    content: Some(content("text/plain", "Text")),
}])];

async fn show(call: Call) -> Result<Response, Problem> {
    let ready = call.state.core.readiness().is_ok();
    let text = render(&call.state.core.metrics(), ready);
    Ok((
        [(header::CONTENT_TYPE, "text/plain; version=0.0.4; charset=utf-8")],
        text,
    )
        .into_response())
}

/// What a metric is, in the format's words.
#[derive(Clone, Copy)]
enum Kind {
    Counter,
    Gauge,
}

/// A text in the making. Names get the prefix `trunkline_`.
#[derive(Default)]
struct Exposition(String);

impl Exposition {
    fn head(&mut self, name: &str, kind: &str, help: &str) {
        writeln!(self.0, "# HELP trunkline_{name} {help}\n# TYPE trunkline_{name} {kind}").expect("a String takes all");
    }

    fn sample(&mut self, name: &str, labels: &[(&str, &str)], value: impl Display) {
        write!(self.0, "trunkline_{name}").expect("a String takes all");
        for (at, (label, text)) in labels.iter().enumerate() {
            let open = if at == 0 { '{' } else { ',' };
            write!(self.0, "{open}{label}=\"{}\"", escaped(text)).expect("a String takes all");
        }
        let close = if labels.is_empty() { "" } else { "}" };
        writeln!(self.0, "{close} {value}").expect("a String takes all");
    }

    fn single(&mut self, name: &str, kind: Kind, help: &str, value: impl Display) {
        self.head(name, kind.word(), help);
        self.sample(name, &[], value);
    }

    fn family<T>(
        &mut self,
        (name, kind, help): (&str, Kind, &str),
        of: &[T],
        labels: impl Fn(&T) -> Vec<(&'static str, &str)>,
        value: impl Fn(&T) -> f64,
    ) {
        if of.is_empty() {
            return;
        }
        self.head(name, kind.word(), help);
        for one in of {
            self.sample(name, &labels(one), value(one));
        }
    }
}

impl Kind {
    fn word(self) -> &'static str {
        match self {
            Kind::Counter => "counter",
            Kind::Gauge => "gauge",
        }
    }
}

fn escaped(label: &str) -> String {
    label.replace('\\', "\\\\").replace('"', "\\\"").replace('\n', "\\n")
}

#[expect(clippy::cast_precision_loss, reason = "Prometheus has floats only")]
fn float(count: u64) -> f64 {
    count as f64
}

fn render(metrics: &Metrics, ready: bool) -> String {
    let mut text = Exposition::default();
    text.single(
        "ready",
        Kind::Gauge,
        "Whether the node should get traffic, as /readyz says.",
        u8::from(ready),
    );
    buses(&mut text, &metrics.buses);
    keys(&mut text, &metrics.keys);
    subscriptions(&mut text, &metrics.subscriptions);
    core(&mut text, metrics);
    operational(&mut text, metrics);
    journal(&mut text, &metrics.journal);
    text.0
}

/// A family's name, kind, help and value.
type Family<T> = (&'static str, Kind, &'static str, fn(&T) -> f64);

fn buses(text: &mut Exposition, buses: &[BusMetrics]) {
    const FAMILIES: &[Family<BusMetrics>] = &[
        (
            "published_events_total",
            Kind::Counter,
            "Events taken, duplicates included.",
            |bus| float(bus.published),
        ),
        (
            "duplicate_events_total",
            Kind::Counter,
            "Events taken that were there already.",
            |bus| float(bus.duplicates),
        ),
        (
            "rejected_events_total",
            Kind::Counter,
            "Events refused by a rule of the bus.",
            |bus| float(bus.rejected),
        ),
        (
            "busy_requests_total",
            Kind::Counter,
            "Requests refused because too much was in flight.",
            |bus| float(bus.busy),
        ),
        (
            "quota_refused_requests_total",
            Kind::Counter,
            "Requests refused because a quota of the bus was used up.",
            |bus| float(bus.quota_refused),
        ),
        (
            "intake_requests",
            Kind::Gauge,
            "Requests waiting for their sync.",
            |bus| float(bus.intake_requests),
        ),
        ("intake_bytes", Kind::Gauge, "Bytes waiting for their sync.", |bus| {
            float(bus.intake_bytes)
        }),
        (
            "replayed_events_total",
            Kind::Counter,
            "Events that replays delivered, or published once more.",
            |bus| float(bus.replayed),
        ),
        ("replays", Kind::Gauge, "Replays that run or are paused.", |bus| {
            float(bus.replays)
        }),
        (
            "redrives",
            Kind::Gauge,
            "Redrives of dead letters that run or are paused.",
            |bus| float(bus.redrives),
        ),
    ];
    for (name, kind, help, value) in FAMILIES {
        text.family((name, *kind, help), buses, |bus| vec![("bus", bus.bus.as_str())], value);
    }
}

fn keys(text: &mut Exposition, keys: &[KeyMetrics]) {
    const FAMILIES: &[Family<KeyMetrics>] = &[
        (
            "key_quota_refused_requests_total",
            Kind::Counter,
            "Requests refused because a quota of the key was used up; of keys with quotas.",
            |key| float(key.quota_refused),
        ),
        (
            "key_connections",
            Kind::Gauge,
            "Connections that are open with the key; of keys with quotas.",
            |key| float(key.connections),
        ),
    ];
    for (name, kind, help, value) in FAMILIES {
        text.family((name, *kind, help), keys, |key| vec![("key", key.key.as_str())], value);
    }
}

fn subscriptions(text: &mut Exposition, subscriptions: &[SubscriptionMetrics]) {
    type S = SubscriptionMetrics;
    const FAMILIES: &[Family<S>] = &[
        ("matched_events_total", Kind::Counter, "Events that matched.", |s| {
            float(s.status.counters.matched)
        }),
        (
            "delivered_events_total",
            Kind::Counter,
            "Deliveries that ended delivered.",
            |s| float(s.status.counters.delivered),
        ),
        ("failed_attempts_total", Kind::Counter, "Attempts that failed.", |s| {
            float(s.status.counters.failed)
        }),
        (
            "retried_attempts_total",
            Kind::Counter,
            "Attempts that were not the first.",
            |s| float(s.status.counters.retried),
        ),
        ("parked_events_total", Kind::Counter, "Deliveries parked.", |s| {
            float(s.status.counters.parked)
        }),
        (
            "dead_lettered_events_total",
            Kind::Counter,
            "Deliveries dead-lettered.",
            |s| float(s.status.counters.dead_lettered),
        ),
        (
            "given_up_events_total",
            Kind::Counter,
            "Events given up by retention or damage.",
            |s| float(s.status.counters.given_up),
        ),
        (
            "skipped_events_total",
            Kind::Counter,
            "Events that a person skipped, to go on from a later one.",
            |s| float(s.status.counters.skipped),
        ),
        (
            "redriven_dead_letters_total",
            Kind::Counter,
            "Dead letters that were sent out again.",
            |s| float(s.status.counters.redriven),
        ),
        (
            "discarded_dead_letters_total",
            Kind::Counter,
            "Dead letters that a person discarded.",
            |s| float(s.status.counters.discarded),
        ),
        (
            "dead_letter_copies_total",
            Kind::Counter,
            "Copies of dead letters that were delivered.",
            |s| copies(s, |copies| copies.delivered),
        ),
        (
            "dead_letter_copies_waiting",
            Kind::Gauge,
            "Copies of dead letters that wait for their target.",
            |s| copies(s, |copies| copies.waiting),
        ),
        (
            "lag_events",
            Kind::Gauge,
            "Records between the position and the end; an estimate.",
            |s| float(s.status.lag_events),
        ),
        ("lag_seconds", Kind::Gauge, "Age of the oldest unsettled record.", |s| {
            s.status.lag_seconds
        }),
        ("in_flight_deliveries", Kind::Gauge, "Deliveries in flight.", |s| {
            float(s.status.in_flight)
        }),
        (
            "queued_events",
            Kind::Gauge,
            "Records handed to the lane and not settled.",
            |s| float(s.queued),
        ),
        (
            "queued_bytes",
            Kind::Gauge,
            "Bytes of records handed to the lane and not settled.",
            |s| float(s.queued_bytes),
        ),
        (
            "parked_deliveries",
            Kind::Gauge,
            "Deliveries that wait in the store.",
            |s| float(s.status.parked),
        ),
        (
            "parked_bytes",
            Kind::Gauge,
            "Bytes of deliveries that wait in the store.",
            |s| float(s.parked_bytes),
        ),
        ("dead_letters", Kind::Gauge, "Dead letters.", |s| float(s.status.dead)),
        ("dead_letter_bytes", Kind::Gauge, "Bytes of dead letters.", |s| {
            float(s.dead_bytes)
        }),
    ];
    fn labels(s: &S) -> Vec<(&'static str, &str)> {
        vec![("bus", s.bus.as_str()), ("subscription", s.subscription.as_str())]
    }
    let are_many = subscriptions.len() > SUBSCRIPTIONS_WHOLE_MAX;
    let told: Vec<&S> = subscriptions.iter().filter(|s| !are_many || !is_idle(s)).collect();
    for (name, kind, help, value) in FAMILIES {
        match *name {
            "lag_events" => text.family((name, *kind, help), subscriptions, labels, value),
            _ => text.family((name, *kind, help), &told, |s| labels(s), |s| value(s)),
        }
    }
    if !subscriptions.is_empty() {
        text.head(
            "subscription_state",
            "gauge",
            "1 for the state that the subscription is in.",
        );
    }
    for s in subscriptions {
        let labels = [
            ("bus", s.bus.as_str()),
            ("subscription", s.subscription.as_str()),
            ("state", s.status.state),
        ];
        text.sample("subscription_state", &labels, 1);
    }
}

/// A figure of the copies of its dead letters; 0 where nobody wants any.
fn copies(s: &SubscriptionMetrics, of: fn(&CopiesStatus) -> u64) -> f64 {
    float(s.status.copies.as_ref().map_or(0, of))
}

/// Whether a subscription has had nothing since the start and has nothing now.
fn is_idle(s: &SubscriptionMetrics) -> bool {
    let counters = &s.status.counters;
    let counted = [
        counters.matched,
        counters.failed,
        counters.given_up,
        counters.skipped,
        s.status.parked,
        s.status.dead,
    ];
    counted.iter().all(|count| *count == 0) && s.status.lag_events == 0
}

fn core(text: &mut Exposition, metrics: &Metrics) {
    text.single(
        "lanes_bytes",
        Kind::Gauge,
        "Bytes that lanes hold in memory.",
        metrics.lanes_bytes,
    );
    text.single(
        "routed_records_total",
        Kind::Counter,
        "Records that the router has looked at.",
        metrics.routed,
    );
    text.single(
        "positions_checked_total",
        Kind::Counter,
        "Lanes that were looked at to save positions: those that had moved or were in trouble.",
        metrics.positions_checked,
    );
    text.single(
        "catch_up_scans",
        Kind::Gauge,
        "Catch-up scans under way.",
        metrics.catch_up_scans,
    );
    let help = "Attempts that did not get into the history because its writer was behind.";
    text.single(
        "unrecorded_attempts_total",
        Kind::Counter,
        help,
        metrics.attempts_unrecorded,
    );
}

fn operational(text: &mut Exposition, metrics: &Metrics) {
    let help = "Operational events published: each may stand for many occurrences.";
    text.single(
        "operational_events_total",
        Kind::Counter,
        help,
        metrics.operational_events,
    );
    let help = "Operational events dropped, because too many waited.";
    text.single(
        "operational_events_dropped_total",
        Kind::Counter,
        help,
        metrics.operational_events_dropped,
    );
    let spans: [(&str, &str, u64); 2] = [
        ("spans_total", "Spans recorded to be exported.", metrics.spans),
        (
            "spans_dropped_total",
            "Spans that could not be exported.",
            metrics.spans_dropped,
        ),
    ];
    for (name, help, value) in spans {
        text.single(name, Kind::Counter, help, value);
    }
    let help = "Keys that expire within 7 days.";
    text.single("keys_expiring", Kind::Gauge, help, metrics.keys_expiring);
    let help = "Bytes free on the volume of the journal.";
    text.single("disk_free_bytes", Kind::Gauge, help, metrics.disk.free);
    let help = "Bytes of the volume of the journal.";
    text.single("disk_total_bytes", Kind::Gauge, help, metrics.disk.total);
}

fn journal(text: &mut Exposition, stats: &journal::Stats) {
    use Kind::{Counter, Gauge};
    let figures: [(&str, Kind, &str, u64); 11] = [
        ("journal_records_total", Counter, "Records made durable.", stats.records),
        (
            "journal_bytes_total",
            Counter,
            "Bytes of records made durable.",
            stats.bytes,
        ),
        (
            "journal_duplicates_total",
            Counter,
            "Duplicates dropped.",
            stats.duplicates,
        ),
        (
            "journal_queued_requests",
            Gauge,
            "Requests waiting for the commit thread.",
            stats.queued,
        ),
        (
            "journal_queued_bytes",
            Gauge,
            "Bytes waiting for the commit thread.",
            stats.queued_bytes,
        ),
        (
            "journal_unflushed_bytes",
            Gauge,
            "Bytes durable but not yet in segments.",
            stats.unflushed_bytes,
        ),
        (
            "journal_write_ahead_bytes",
            Gauge,
            "Bytes of write-ahead files in use.",
            stats.write_ahead_bytes,
        ),
        (
            "journal_identities",
            Gauge,
            "Entries of the deduplication map.",
            stats.identities,
        ),
        ("journal_damaged_ranges", Gauge, "Damaged ranges known.", stats.damaged),
        (
            "clock_alarm",
            Gauge,
            "1 while the wall clock is too far ahead to be believed: see /v1/clock.",
            u64::from(stats.clock_alarm),
        ),
        ("journal_syncs_total", Counter, "Frames synced.", stats.syncs),
    ];
    for (name, kind, help, value) in figures {
        text.single(name, kind, help, value);
    }
    let name = "journal_sync_seconds";
    text.head(name, "histogram", "How long a sync took.");
    let mut below = 0;
    for (bound, count) in stats.sync_histogram.iter().filter(|(bound, _)| bound.is_finite()) {
        below += count;
        text.sample(&format!("{name}_bucket"), &[("le", &bound.to_string())], below);
    }
    text.sample(&format!("{name}_bucket"), &[("le", "+Inf")], stats.syncs);
    text.sample(&format!("{name}_sum"), &[], stats.sync_seconds);
    text.sample(&format!("{name}_count"), &[], stats.syncs);
}

/// A metric, for the documentation.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Described {
    /// Its whole name.
    pub name: String,
    /// `counter`, `gauge` or `histogram`.
    pub kind: String,
    /// Its labels, in order.
    pub labels: Vec<String>,
    /// What it is.
    pub help: String,
}

/// Every metric that there can be, in the order in which they come: read from the text of a bus with one subscription, so that
/// nothing is left out.
pub fn reference() -> Vec<Described> {
    let sample = Metrics {
        buses: vec![BusMetrics::default()],
        keys: vec![KeyMetrics::default()],
        subscriptions: vec![SubscriptionMetrics::default()],
        ..Metrics::default()
    };
    let text = render(&sample, true);
    let mut described: Vec<Described> = Vec::new();
    for line in text.lines() {
        if let Some((name, help)) = line.strip_prefix("# HELP ").and_then(|rest| rest.split_once(' ')) {
            described.push(Described {
                name: name.to_owned(),
                kind: String::new(),
                labels: Vec::new(),
                help: help.to_owned(),
            });
        } else if let Some(last) = described.last_mut() {
            match line.strip_prefix("# TYPE ").and_then(|rest| rest.split_once(' ')) {
                Some((_, kind)) => kind.clone_into(&mut last.kind),
                None if last.labels.is_empty() => last.labels = labels_of(line),
                None => {}
            }
        }
    }
    described
}

fn labels_of(sample: &str) -> Vec<String> {
    let inside = sample.split_once('{').and_then(|(_, rest)| rest.split_once('}'));
    let pairs = inside.map_or("", |(inside, _)| inside).split(',');
    let names = pairs.filter_map(|pair| pair.split_once('='));
    names.map(|(name, _)| name.to_owned()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn histograms_are_cumulative_and_labels_escaped() {
        let stats = journal::Stats {
            syncs: 6,
            sync_seconds: 0.5,
            sync_histogram: vec![(0.001, 2), (0.01, 3), (f64::INFINITY, 1)],
            ..journal::Stats::default()
        };
        let bus = BusMetrics {
            bus: "a\"\\\nb".to_owned(),
            published: 7,
            ..BusMetrics::default()
        };
        let text = render(
            &Metrics {
                buses: vec![bus],
                journal: stats,
                ..Metrics::default()
            },
            true,
        );
        for line in [
            "trunkline_ready 1",
            "trunkline_published_events_total{bus=\"a\\\"\\\\\\nb\"} 7",
            "# TYPE trunkline_journal_sync_seconds histogram",
            "trunkline_journal_sync_seconds_bucket{le=\"0.001\"} 2",
            "trunkline_journal_sync_seconds_bucket{le=\"0.01\"} 5",
            "trunkline_journal_sync_seconds_bucket{le=\"+Inf\"} 6",
            "trunkline_journal_sync_seconds_count 6",
        ] {
            assert!(text.lines().any(|found| found == line), "{line} is not in\n{text}");
        }
    }
}
