//! Every bound and interval of the delivery core, with its reason. Plain data: components take what they need.

use crate::{clock::Clock, trace::Tracer};
use std::time::Duration;

/// Waits below this stay in memory and hold the position; longer ones are parked. Short enough that a crash repeats
/// little, long enough that an endpoint's hiccup costs no row.
pub const MEMORY_WAIT_MAX: Duration = Duration::from_secs(10);
/// Deliveries of a lane above its position, settled or not: what a crash may repeat, and what a lane holds in memory.
pub const SPAN_EVENTS_MAX: usize = 10_000;
/// Bytes of the same.
pub const SPAN_BYTES_MAX: usize = 64 << 20;
/// Bytes that all lanes together hold in memory, so that a thousand slow lanes cost what four do.
pub const SPAN_BYTES_NODE_MAX: usize = 256 << 20;
/// Bytes that a lane may hold even when the node's bound is reached, so that no lane starves.
pub const SPAN_BYTES_LANE_MIN: usize = 256 << 10;
/// Parked deliveries of a subscription.
pub const PARKED_EVENTS_MAX: u64 = 100_000;
/// Bytes of parked deliveries of a subscription.
pub const PARKED_BYTES_MAX: u64 = 1 << 30;
/// Dead letters of a subscription.
pub const DEAD_EVENTS_MAX: u64 = 100_000;
/// Bytes of dead letters of a subscription.
pub const DEAD_BYTES_MAX: u64 = 1 << 30;
/// Catch-up scans at once: a few keep the disk busy, more only take from the live tail.
pub const CATCH_UP_SCANS_MAX: usize = 4;
/// Bytes asked of the journal in one read: large enough that a read's fixed cost vanishes, small enough that a lane's turn
/// comes soon.
pub const CHUNK_BYTES: usize = 1 << 20;
/// Parked rows loaded at once by a lane, each at most a little over 1 MiB.
pub const PARKED_PAGE: usize = 32;
/// Bytes of parked rows loaded at once, as far as their average tells.
pub const PARKED_PAGE_BYTES: u64 = 8 << 20;
/// Parked rows loaded for a probe.
pub const PARKED_PROBES: usize = 2;
/// Operations of one lane in one transaction: bounds what a store has to hold while it commits.
pub const LANE_OPERATIONS_MAX: usize = 2_000;
/// Requests of one bus that may wait for their sync.
pub const INTAKE_REQUESTS_MAX: usize = 4_096;
/// Bytes of one bus that may wait for their sync.
pub const INTAKE_BYTES_MAX: usize = 128 << 20;
/// Routes of one event that are used, the primary one included.
pub const ROUTES_MAX: usize = 8;
/// Dead letters that one redrive or discard takes in one transaction.
pub const DEAD_PAGE: usize = 500;
/// A page of dead letters ends with the one with which their records have so many bytes: what it takes in memory, and in a
/// transaction, is this and one more of the largest.
pub const DEAD_PAGE_BYTES: u64 = 16 << 20;
/// Earlier versions of a subscription that are kept for stories alone: of events that are still kept and settled.
pub const VERSIONS_TOLD: usize = 16;
/// Earlier versions of a subscription in all. Far more than anybody's unsettled events need; a change beyond it is refused, so
/// that an automaton that changes what a paused subscription matches cannot fill the store.
pub const VERSIONS_MAX: usize = 256;
/// How long attempts in flight of a deleted subscription may go on.
pub const DELETED_GRACE: Duration = Duration::from_secs(3);
/// How long retention waits for attempts in flight before it comes back later: longer than an attempt may take.
pub const IN_FLIGHT_WAIT_MAX: Duration = Duration::from_secs(10 * 60);
/// The free share of the volume, in percent, below which held data is given up.
pub const DISK_HOLD_PERCENT: u64 = 15;
/// The free share of the volume, in percent, below which publishing is refused, where the configuration does not say.
pub const DISK_PUBLISH_PERCENT: u64 = 5;
/// How long the history of attempts is kept: as long as events are held by default.
pub const ATTEMPTS_KEEP: Duration = Duration::from_secs(7 * 24 * 60 * 60);

const _: () = assert!(SPAN_BYTES_LANE_MIN < SPAN_BYTES_MAX && SPAN_BYTES_MAX < SPAN_BYTES_NODE_MAX);
const _: () = assert!(VERSIONS_TOLD < VERSIONS_MAX);
const _: () = assert!(ROUTES_MAX > 0 && CATCH_UP_SCANS_MAX > 0 && PARKED_PAGE > 0);

/// What tests and operators vary; `Default` is what production runs with.
#[derive(Clone, Debug)]
pub struct Settings {
    /// Wall time.
    pub clock: Clock,
    /// Seed of every random choice; absent: from the operating system.
    pub seed: Option<u64>,
    /// Bounds of one lane.
    pub lane: LaneBounds,
    /// Positions are saved at most this often, and only when something moved: what a crash repeats.
    pub save_interval: Duration,
    /// Positions are saved earlier when this many events were read since.
    pub save_events: u64,
    /// How often retention looks at segments.
    pub retention_interval: Duration,
    /// The free share of the volume, in percent, below which held data is given up.
    pub disk_hold_percent: u64,
    /// How long the history of attempts is kept; in whole days, today's always.
    pub attempts_keep: Duration,
    /// How long entries of the audit trail are kept.
    pub audit_keep: Duration,
    /// A router or lane with due work and a closed breaker that makes no progress for this long fails readiness.
    pub stall_after: Duration,
    /// Catch-up scans at once.
    pub catch_up_scans: usize,
    /// Bytes that all lanes together hold in memory.
    pub node_bytes: usize,
    /// Requests of one bus waiting for their sync.
    pub intake_requests: usize,
    /// Bytes of one bus waiting for their sync.
    pub intake_bytes: usize,
    /// Where spans go, if anywhere.
    pub tracer: Tracer,
    /// Whether trouble is told as events on the bus.
    pub operational_events: bool,
    /// How often the watchdog looks: a stall is told this much after readiness knows of it, at most.
    pub watch_interval: Duration,
    /// The free share of the volume, in percent, below which publishing is refused; the journal's, for the watchdog to tell of.
    pub disk_publish_percent: u64,
}

/// Bounds of one lane.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LaneBounds {
    /// Deliveries above the position.
    pub span_events: usize,
    /// Bytes of them.
    pub span_bytes: usize,
    /// Parked deliveries.
    pub parked_events: u64,
    /// Bytes of them.
    pub parked_bytes: u64,
    /// Dead letters.
    pub dead_events: u64,
    /// Bytes of them.
    pub dead_bytes: u64,
}

impl Default for LaneBounds {
    fn default() -> Self {
        Self {
            span_events: SPAN_EVENTS_MAX,
            span_bytes: SPAN_BYTES_MAX,
            parked_events: PARKED_EVENTS_MAX,
            parked_bytes: PARKED_BYTES_MAX,
            dead_events: DEAD_EVENTS_MAX,
            dead_bytes: DEAD_BYTES_MAX,
        }
    }
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            clock: Clock::system(),
            seed: None,
            lane: LaneBounds::default(),
            save_interval: Duration::from_secs(1),
            save_events: 10_000,
            retention_interval: Duration::from_secs(60),
            disk_hold_percent: DISK_HOLD_PERCENT,
            attempts_keep: ATTEMPTS_KEEP,
            audit_keep: control::audit::KEEP_DEFAULT,
            stall_after: Duration::from_secs(60),
            catch_up_scans: CATCH_UP_SCANS_MAX,
            node_bytes: SPAN_BYTES_NODE_MAX,
            intake_requests: INTAKE_REQUESTS_MAX,
            intake_bytes: INTAKE_BYTES_MAX,
            tracer: Tracer::default(),
            operational_events: true,
            watch_interval: Duration::from_secs(10),
            disk_publish_percent: DISK_PUBLISH_PERCENT,
        }
    }
}
