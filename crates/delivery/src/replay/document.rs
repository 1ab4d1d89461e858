//! What is kept of a replay: what it does, and how far it has come. One setting of the installation for each, named by its
//! number; and one that holds the next number. Persisted, keep stable.

use super::LOSSES_MAX;
use control::resources::ReplaySpec;
use journal::{PartitionId, TopicId};
use serde::{Deserialize, Serialize};
use store::{BusId, Expect, Kind, Millis, Operation, SubscriptionId};

/// The shape that this program writes.
const FORMAT: u32 = 1;
/// Persisted; the name of a replay's setting, before its number.
const PREFIX: &str = "replay/";
/// Persisted; the name of the setting with the next number.
pub const NEXT_NUMBER: &str = "replays";

/// A replay.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Document {
    format: u32,
    /// Its number, never given again.
    pub number: u32,
    /// The bus that it belongs to and reads.
    pub bus: BusId,
    /// Its name on that bus.
    pub name: String,
    /// The name of what it is a part of: a replay to a bus of EventBridge is one of ours for each target.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub part_of: Option<String>,
    /// What was asked for.
    pub spec: ReplaySpec,
    /// Where it goes.
    pub into: Into,
    /// When it was made.
    pub created: Millis,
    /// The internal numbers of the topics that it reads: a copy of an event whose primary topic is among them is passed over.
    pub topics: Vec<u32>,
    /// Where it stands in each partition.
    pub stretches: Vec<Stretch>,
    /// What became of its events so far.
    pub counts: Counts,
    /// Of those that matched, how many its lane has not settled. They are read again by whatever lane comes next, which counts them
    /// then: of a replay that is not over, the counts are kept without them.
    #[serde(skip)]
    pub unsettled: u64,
    /// When the newest event was appended that it has replayed: handed to its lane, or published.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub newest: Option<Millis>,
    /// What could not be read any more.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub losses: Vec<Loss>,
    /// Whether it runs.
    pub state: State,
    /// Why it failed, in words.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    /// When it ended.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ended: Option<Millis>,
}

/// Where a replay goes, by internal numbers: one that takes the same name later is another.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Into {
    /// A subscription.
    Subscription {
        /// Its bus.
        bus: BusId,
        /// Its number.
        id: SubscriptionId,
    },
    /// A topic.
    Topic {
        /// Its bus.
        bus: BusId,
        /// Its number.
        id: u32,
    },
}

/// A partition's part of a replay.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Stretch {
    /// The topic's internal number.
    pub topic: u32,
    /// The partition's index.
    pub partition: u32,
    /// Its first offset.
    pub from: u64,
    /// Offset after its last.
    pub to: u64,
    /// Everything below is settled, parked, dead or published.
    pub at: u64,
}

impl Stretch {
    /// The partition, of the replay's bus.
    pub fn id(&self, bus: BusId) -> PartitionId {
        let topic = TopicId { bus, topic: self.topic };
        PartitionId {
            topic,
            index: self.partition,
        }
    }
}

/// What became of a replay's events. After a crash what was under way is counted again.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Counts {
    /// Events that belong to it.
    pub matched: u64,
    /// Delivered.
    pub delivered: u64,
    /// Published to the topic.
    pub published: u64,
    /// Dead letters.
    pub dead_lettered: u64,
    /// Attempts that failed.
    pub failed: u64,
    /// Deliveries that were parked for a while.
    pub parked: u64,
    /// Parked deliveries that went when it was cancelled.
    pub discarded: u64,
}

/// A range that could not be read any more when its turn came.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Loss {
    /// The topic's internal number.
    pub topic: u32,
    /// The partition's index.
    pub partition: u32,
    /// First offset.
    pub from: u64,
    /// Offset after the last.
    pub to: u64,
    /// Why.
    pub reason: LossReason,
}

/// Why a range could not be read.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum LossReason {
    /// Retention removed it.
    Expired,
    /// Its file is broken, or the journal has lost it.
    Damaged,
    /// Its topic was deleted.
    Deleted,
}

/// Whether a replay runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum State {
    /// It does.
    Running,
    /// A person holds it.
    Paused,
    /// All of its events have ended.
    Completed,
    /// A person ended it.
    Cancelled,
    /// It cannot go on.
    Failed,
}

impl State {
    /// Whether it is over.
    pub fn is_over(self) -> bool {
        matches!(self, Self::Completed | Self::Cancelled | Self::Failed)
    }
}

impl Document {
    /// A replay that has done nothing yet.
    pub fn new(number: u32, bus: BusId, name: String, spec: ReplaySpec, into: Into, created: Millis) -> Self {
        Self {
            format: FORMAT,
            number,
            bus,
            name,
            part_of: None,
            spec,
            into,
            created,
            topics: Vec::new(),
            stretches: Vec::new(),
            counts: Counts::default(),
            unsettled: 0,
            newest: None,
            losses: Vec::new(),
            state: State::Running,
            reason: None,
            ended: None,
        }
    }

    /// The name that its events carry.
    pub fn shown_name(&self) -> &str {
        self.part_of.as_deref().unwrap_or(&self.name)
    }

    /// What it counts, but for what another lane would count once more.
    pub fn settled_counts(&self) -> Counts {
        Counts {
            matched: self.counts.matched.saturating_sub(self.unsettled),
            ..self.counts
        }
    }

    /// Its write.
    pub fn put(&self) -> Operation {
        let mut kept = self.clone();
        if !self.state.is_over() {
            kept.counts = self.settled_counts();
        }
        Operation::PutDocument {
            bus: 0,
            kind: Kind::Setting,
            name: name_of(self.number),
            expect: Expect::Any,
            body: serde_json::to_vec(&kept)
                .expect("plain data with string keys becomes JSON")
                .into(),
        }
    }

    /// The end of it.
    pub fn delete(&self) -> Operation {
        Operation::DeleteDocument {
            bus: 0,
            kind: Kind::Setting,
            name: name_of(self.number),
            expect: Expect::Any,
        }
    }

    /// Remembers a range that could not be read; one that goes on where another ended is the same.
    pub fn lost(&mut self, loss: Loss) {
        let is_full = self.losses.len() >= LOSSES_MAX;
        let of_partition = |other: &&mut Loss| (other.topic, other.partition) == (loss.topic, loss.partition);
        let last = self.losses.iter_mut().rev().find(of_partition);
        match last {
            Some(last) if is_full || (last.to >= loss.from && last.reason == loss.reason) => {
                last.to = last.to.max(loss.to);
            }
            _ => self.losses.push(loss),
        }
    }

    /// Where it stands and what lies behind it, in offsets.
    pub fn progress(&self) -> (u64, u64) {
        let done = self.stretches.iter().map(|stretch| stretch.at - stretch.from).sum();
        (
            done,
            self.stretches.iter().map(|stretch| stretch.to - stretch.from).sum(),
        )
    }
}

fn name_of(number: u32) -> String {
    format!("{PREFIX}{number}")
}

/// The replay that a document of the store holds, if it holds one; an error is one that cannot be read.
pub fn replay_of(document: &store::Document) -> Option<Result<Document, String>> {
    let is_setting = document.kind == Kind::Setting && document.bus == 0;
    document.name.strip_prefix(PREFIX).filter(|_| is_setting)?;
    let read: Result<Document, _> = serde_json::from_slice(&document.body);
    Some(match read {
        Ok(replay) if replay.format == FORMAT && replay.is_sound() => Ok(replay),
        Ok(replay) => Err(format!(
            "{}: it has format {}, or impossible offsets",
            document.name, replay.format
        )),
        Err(error) => Err(format!("{}: {error}", document.name)),
    })
}

impl Document {
    fn is_sound(&self) -> bool {
        let sound = |stretch: &Stretch| stretch.from <= stretch.at && stretch.at <= stretch.to;
        self.stretches.iter().all(sound)
    }
}

/// The setting with the next number.
#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct StoredNumber {
    format: u32,
    next: u32,
}

/// The write of the next number.
pub fn put_next(next: u32) -> Operation {
    Operation::PutDocument {
        bus: 0,
        kind: Kind::Setting,
        name: NEXT_NUMBER.to_owned(),
        expect: Expect::Any,
        body: serde_json::to_vec(&StoredNumber { format: FORMAT, next })
            .expect("two numbers become JSON")
            .into(),
    }
}

/// The next number that a document of the store holds, if it is that setting.
pub fn next_of(document: &store::Document) -> Option<u32> {
    let is_it = document.kind == Kind::Setting && document.bus == 0 && document.name == NEXT_NUMBER;
    let stored: StoredNumber = serde_json::from_slice(&document.body).ok().filter(|_| is_it)?;
    Some(stored.next)
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn document() -> Document {
        let spec = ReplaySpec::read(&json!({
            "topics": ["orders"],
            "from": {"time": "2026-01-02T03:04:05Z"},
            "to": {"offsets": {"orders": {"3": 9}}},
            "filter": {"eventbridge": {"detail": {"n": [1]}}},
            "into": {"subscription": "crm"},
            "rate": "20/s",
        }));
        let into = Into::Subscription { bus: 1, id: 8 };
        let mut document = Document::new(7, 1, "tuesday".to_owned(), spec.unwrap(), into, 1_000);
        document.topics.push(2);
        document.stretches.push(Stretch {
            topic: 2,
            partition: 3,
            from: 4,
            to: 9,
            at: 6,
        });
        document.counts.matched = 2;
        document.newest = Some(900);
        document
    }

    fn stored(operation: Operation) -> store::Document {
        let Operation::PutDocument {
            bus, kind, name, body, ..
        } = operation
        else {
            panic!("it is a write");
        };
        store::Document {
            bus,
            kind,
            name,
            version: 1,
            body,
        }
    }

    #[test]
    fn a_replay_is_read_as_it_was_written_and_written_as_ever() {
        let mut document = document();
        document.lost(Loss {
            topic: 2,
            partition: 3,
            from: 4,
            to: 5,
            reason: LossReason::Expired,
        });
        let written = stored(document.put());
        assert_eq!(written.name, "replay/7");
        let golden = r#"{"format":1,"number":7,"bus":1,"name":"tuesday","spec":{"topics":["orders"],"from":{"time":"2026-01-02T03:04:05Z"},"to":{"offsets":{"orders":{"3":9}}},"filter":{"eventbridge":"{\"detail\":{\"n\":[1]}}"},"into":{"subscription":"crm"},"rate":"20/s"},"into":{"subscription":{"bus":1,"id":8}},"created":1000,"topics":[2],"stretches":[{"topic":2,"partition":3,"from":4,"to":9,"at":6}],"counts":{"matched":2,"delivered":0,"published":0,"dead_lettered":0,"failed":0,"parked":0,"discarded":0},"newest":900,"losses":[{"topic":2,"partition":3,"from":4,"to":5,"reason":"expired"}],"state":"running"}"#;
        assert_eq!(std::str::from_utf8(&written.body).unwrap(), golden);
        let mut earlier = written.clone();
        earlier.body = golden.replace(r#","newest":900"#, "").into_bytes().into();
        let of_earlier = replay_of(&earlier).unwrap().unwrap();
        assert_eq!((of_earlier.newest, &of_earlier.stretches), (None, &document.stretches));
        assert_eq!(replay_of(&written), Some(Ok(document.clone())));
        assert_eq!(document.shown_name(), "tuesday");
        document.part_of = Some("again".to_owned());
        let part = stored(document.put());
        let golden = golden.replace(r#""tuesday","#, r#""tuesday","part_of":"again","#);
        assert_eq!(std::str::from_utf8(&part.body).unwrap(), golden);
        assert_eq!(document.shown_name(), "again");
        assert_eq!(replay_of(&part), Some(Ok(document)));
    }

    #[test]
    fn what_no_replay_can_be_is_said_and_what_is_none_is_passed_over() {
        let mut wrong = document();
        wrong.stretches[0].at = 10;
        assert!(replay_of(&stored(wrong.put())).unwrap().is_err());
        let mut other = stored(document().put());
        other.name = "gone/7".to_owned();
        assert_eq!(replay_of(&other), None);
        assert_eq!(next_of(&stored(put_next(12))), Some(12));
        assert_eq!(next_of(&stored(document().put())), None);
    }

    #[test]
    fn ranges_that_meet_are_one_and_their_number_is_bounded() {
        let mut document = document();
        let loss = |from, to| Loss {
            topic: 2,
            partition: 3,
            from,
            to,
            reason: LossReason::Damaged,
        };
        for (from, to) in [(0, 2), (2, 4), (6, 7)] {
            document.lost(loss(from, to));
        }
        assert_eq!(document.losses, [loss(0, 4), loss(6, 7)]);
        for offset in 5..5 + 2 * LOSSES_MAX as u64 {
            document.lost(loss(2 * offset, 2 * offset + 1));
        }
        assert_eq!(document.losses.len(), LOSSES_MAX);
        assert_eq!(
            document.losses.last().map(|loss| loss.to),
            Some(9 + 4 * LOSSES_MAX as u64)
        );
    }
}
