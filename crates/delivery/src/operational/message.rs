//! What is reported, and what becomes of several reports of the same. Pure data; names and texts of the event come from here,
//! and `docs/observability.md` has them all.

use journal::PartitionId;
use serde_json::{Map, Value, json};
use std::collections::BTreeMap;
use store::{BusId, Dead, Operation, RangeReason, SubscriptionId};

/// Dead letters that an event names; the others are counted.
const EXAMPLES_MAX: usize = 10;
/// Reasons that an event counts by themselves; the others are counted together.
const REASONS_MAX: usize = 20;

/// A report.
#[derive(Clone, Debug)]
pub struct Report {
    /// Whose business it is; absent: the node's.
    pub bus: Option<BusId>,
    /// What it is about.
    pub subject: Subject,
    /// What happened.
    pub what: What,
}

/// What a report is about.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Subject {
    /// A subscription, by its number.
    Subscription(SubscriptionId),
    /// A key, by its id.
    Key(String),
    /// The node.
    Node,
    /// A mark of the disk.
    Mark(&'static str),
}

/// What happened.
#[derive(Clone, Debug)]
pub enum What {
    /// An endpoint keeps failing; the reason of the last failure.
    BreakerOpened(String),
    /// It answers again.
    BreakerClosed,
    /// A lane stopped for good: its state and why.
    LaneStopped(&'static str, String),
    /// It goes on.
    LaneResumed,
    /// Deliveries became dead letters.
    DeadLettered(Burials),
    /// A range will never be delivered.
    GaveUp(GaveUp),
    /// A sync failed; told at the next start, because nothing could be published then. When, and why.
    Poisoned(i64, String),
    /// A key will expire then.
    KeyExpiring(String),
    /// A key has expired.
    KeyExpired(String),
    /// Free space is below a mark: percent free, and of the mark.
    DiskLow(u64, u64),
    /// It is above the mark again.
    DiskRecovered(u64, u64),
    /// The wall clock is too far ahead to be believed.
    ClockAlarm,
    /// It is believed again.
    ClockRecovered,
    /// No progress, and where.
    Stalled(String),
    /// Progress again.
    Recovered,
}

/// A range that a subscription lost.
#[derive(Clone, Debug)]
pub struct GaveUp {
    /// Where.
    pub partition: PartitionId,
    /// First offset.
    pub from: u64,
    /// Offset after the last.
    pub to: u64,
    /// Events in it that it wanted; unknown where they cannot be read.
    pub matched: Option<u64>,
    /// Why.
    pub reason: RangeReason,
}

/// Dead letters of one subscription: how many for which reason, and some by name.
#[derive(Clone, Debug, Default)]
pub struct Burials {
    count: u64,
    reasons: BTreeMap<String, u64>,
    examples: Vec<Value>,
    /// By topic, so that those of operational events can be told apart.
    topics: BTreeMap<u32, u64>,
}

impl Burials {
    /// The dead letters among operations of the store.
    pub fn of(operations: &[Operation]) -> Self {
        let mut burials = Self::default();
        for operation in operations {
            if let Operation::Bury(dead) = operation {
                burials.add(dead);
            }
        }
        burials
    }

    fn add(&mut self, dead: &Dead) {
        self.count += 1;
        *self.topics.entry(dead.delivery.key.partition.topic).or_default() += 1;
        self.count_reason(&dead.delivery.reason, 1);
        if self.examples.len() < EXAMPLES_MAX {
            self.examples
                .push(json!({"id": dead.event_id, "source": dead.event_source, "type": dead.event_type}));
        }
    }

    fn count_reason(&mut self, reason: &str, count: u64) {
        let has_room = self.reasons.len() < REASONS_MAX || self.reasons.contains_key(reason);
        let name = if has_room { reason } else { "other" };
        *self.reasons.entry(name.to_owned()).or_default() += count;
    }

    fn merge(&mut self, other: Self) {
        self.count += other.count;
        for (reason, count) in other.reasons {
            self.count_reason(&reason, count);
        }
        for (topic, count) in other.topics {
            *self.topics.entry(topic).or_default() += count;
        }
        let room = EXAMPLES_MAX.saturating_sub(self.examples.len());
        self.examples.extend(other.examples.into_iter().take(room));
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.count == 0
    }

    /// Whether all of them lay in this topic.
    fn are_all_of(&self, topic: u32) -> bool {
        self.topics.keys().all(|found| *found == topic)
    }
}

/// What a change of a lane's state says: what it leaves, then what it enters.
pub fn turns((before, after): (&'static str, &'static str), reason: &str, failure: &str) -> Vec<What> {
    let mut turns = Vec::new();
    match before {
        "backing-off" if after == "running" => turns.push(What::BreakerClosed),
        "stopped" | "paused-gone" if !is_stopped(after) => turns.push(What::LaneResumed),
        _ => {}
    }
    match after {
        "backing-off" => turns.push(What::BreakerOpened(failure.to_owned())),
        "stopped" | "paused-gone" => turns.push(What::LaneStopped(after, reason.to_owned())),
        _ => {}
    }
    turns
}

fn is_stopped(state: &str) -> bool {
    matches!(state, "stopped" | "paused-gone")
}

impl Report {
    /// About a subscription.
    pub fn of_subscription(bus: BusId, subscription: SubscriptionId, what: What) -> Self {
        Self {
            bus: Some(bus),
            subject: Subject::Subscription(subscription),
            what,
        }
    }

    /// About the node.
    pub fn of_node(subject: Subject, what: What) -> Self {
        let bus = None;
        Self { bus, subject, what }
    }

    /// Whether it tells of nothing but trouble with operational events, which lie in this topic: no event of an event.
    pub fn is_of_itself(&self, topic: u32) -> bool {
        match &self.what {
            What::DeadLettered(burials) => burials.are_all_of(topic),
            What::GaveUp(loss) => loss.partition.topic.topic == topic,
            _ => false,
        }
    }
}

impl What {
    /// The event's type, without its prefix.
    pub fn kind(&self) -> &'static str {
        match self {
            Self::BreakerOpened(_) => "breaker.opened",
            Self::BreakerClosed => "breaker.closed",
            Self::LaneStopped(..) => "lane.stopped",
            Self::LaneResumed => "lane.resumed",
            Self::DeadLettered(_) => "delivery.dead-lettered",
            Self::GaveUp(loss) if loss.reason == RangeReason::Damaged => "delivery.damaged",
            Self::GaveUp(_) => "delivery.expired",
            Self::Poisoned(..) => "journal.poisoned",
            Self::KeyExpiring(_) => "key.expiring",
            Self::KeyExpired(_) => "key.expired",
            Self::DiskLow(..) => "disk.low",
            Self::DiskRecovered(..) => "disk.recovered",
            Self::ClockAlarm => "clock.alarmed",
            Self::ClockRecovered => "clock.recovered",
            Self::Stalled(_) => "node.stalled",
            Self::Recovered => "node.recovered",
        }
    }

    /// How many occurrences it stands for.
    pub fn count(&self) -> u64 {
        match self {
            Self::DeadLettered(burials) => burials.count,
            _ => 1,
        }
    }

    /// Takes in a later one of the same kind.
    pub fn merge(&mut self, later: Self) {
        match (self, later) {
            (Self::DeadLettered(burials), Self::DeadLettered(more)) => burials.merge(more),
            (Self::GaveUp(loss), Self::GaveUp(more)) => {
                let sum = loss.matched.zip(more.matched).map(|(one, other)| one + other);
                *loss = GaveUp { matched: sum, ..more };
            }
            (this, later) => *this = later,
        }
    }

    /// What the event's data says besides the counts.
    pub fn data(&self) -> Map<String, Value> {
        let value = match self {
            Self::BreakerOpened(reason) => json!({"reason": reason}),
            Self::LaneStopped(state, reason) => json!({"state": state, "reason": reason}),
            Self::DeadLettered(burials) => json!({"reasons": burials.reasons, "events": burials.examples}),
            Self::GaveUp(loss) => json!({
                "partition": loss.partition.index, "from": loss.from, "to": loss.to, "matched": loss.matched,
            }),
            Self::Poisoned(_, reason) | Self::Stalled(reason) => json!({"reason": reason}),
            Self::KeyExpiring(not_after) | Self::KeyExpired(not_after) => json!({"not_after": not_after}),
            Self::DiskLow(free, mark) | Self::DiskRecovered(free, mark) => {
                json!({"free_percent": free, "mark_percent": mark})
            }
            Self::BreakerClosed | Self::LaneResumed | Self::ClockAlarm | Self::ClockRecovered | Self::Recovered => {
                json!({})
            }
        };
        match value {
            Value::Object(data) => data,
            _ => Map::new(),
        }
    }

    /// The topic that it is about, by its number.
    pub fn topic(&self) -> Option<u32> {
        match self {
            Self::GaveUp(loss) => Some(loss.partition.topic.topic),
            _ => None,
        }
    }
}
