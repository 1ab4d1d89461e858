//! The task that turns reports into events on the bus: names, the topic, the append. What it cannot publish now it tries again
//! later; it never gives up on anything but what is over its bounds.

use super::{
    gathering::{AT_ONCE_MAX, Gathered, Gathering},
    message::{Report, Subject, What},
};
use crate::{changes::Request, clock::sleep_until, inner::Inner, intake};
use control::{
    Action, Bus, Change, Model, Precondition,
    limits::{DEFAULT_BUS, OPERATIONAL_PREFIX, OPERATIONAL_TOPIC},
    resources::ResourceKind,
};
use event::{Data, Event};
use journal::{Append, Deduplicate, Health};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use smallvec::SmallVec;
use std::{
    collections::BTreeMap,
    sync::{Arc, atomic::Ordering::Relaxed},
    time::Duration,
};
use store::{Expect, Kind, Millis, Operation};
use tokio::{
    sync::{mpsc, oneshot},
    time::{Instant, timeout},
};

/// How long the first report waits for others of the same moment.
const GATHER: Duration = Duration::from_millis(100);
/// The least time between two publications.
const BETWEEN: Duration = Duration::from_secs(1);
/// How long after a failed publication it is tried again.
const AGAIN: Duration = Duration::from_secs(5);
/// How long the note of a poisoned journal may take: the store may be on the same disk.
const NOTE_WAIT_MAX: Duration = Duration::from_secs(2);
/// How long operational events are kept, and how many bytes of them.
const RETENTION: (&str, &str) = ("7d", "64MiB");

/// Publishes what is reported, until the core ends.
pub async fn run(inner: Arc<Inner>, mut reports: mpsc::Receiver<Report>) {
    let mut publisher = Publisher {
        inner,
        gathering: Gathering::default(),
        wake: None,
        not_before: Instant::now(),
        sequence: 0,
    };
    publisher.recall_poisoning().await;
    loop {
        tokio::select! {
            report = reports.recv() => match report {
                Some(report) => publisher.take(report),
                None => return,
            },
            () = sleep_until(publisher.wake), if publisher.wake.is_some() => publisher.publish().await,
        }
    }
}

struct Publisher {
    inner: Arc<Inner>,
    gathering: Gathering,
    wake: Option<Instant>,
    not_before: Instant,
    /// Makes ids unlike those of the same millisecond.
    sequence: u64,
}

impl Publisher {
    fn take(&mut self, report: Report) {
        let model = self.inner.model.load();
        let topic = model.buses.values().find(|bus| Some(bus.id) == report.bus);
        let topic = topic.and_then(|bus| bus.topics.get(OPERATIONAL_TOPIC));
        if topic.is_some_and(|topic| report.is_of_itself(topic.id)) {
            return;
        }
        drop(model);
        let now = self.inner.journal.now();
        let is_taken = self.gathering.add(report, now);
        self.count_dropped(!is_taken);
        // Sooner than what waits for its turn again, but not before the next publication may be.
        let soon = (Instant::now() + GATHER).max(self.not_before);
        self.wake = Some(self.wake.map_or(soon, |wake| wake.min(soon)));
    }

    async fn publish(&mut self) {
        let now = self.inner.journal.now();
        let mut by_bus: BTreeMap<String, Vec<Gathered>> = BTreeMap::new();
        let model = self.inner.model.load_full();
        for gathered in self.gathering.take(now) {
            match bus_of(&model, &gathered.report) {
                Some(bus) => by_bus.entry(bus.name.clone()).or_default().push(gathered),
                None => self.count_dropped(true),
            }
        }
        for (bus, all) in by_bus {
            if !self.publish_to(&bus, &all).await {
                // That bus alone waits.
                let due = now + crate::backoff::millis(AGAIN);
                for gathered in all {
                    let is_kept = self.gathering.put_back(gathered, due);
                    self.count_dropped(!is_kept);
                }
            }
        }
        self.not_before = Instant::now() + BETWEEN;
        let left = self.gathering.next().map(|due| due.saturating_sub(now).max(0));
        let next = left.map(|left| Instant::now() + Duration::from_millis(left.unsigned_abs()));
        self.wake = next.map(|next| next.max(self.not_before));
    }

    /// `false`: not now.
    async fn publish_to(&mut self, bus: &str, all: &[Gathered]) -> bool {
        debug_assert!(all.len() <= AT_ONCE_MAX, "they were taken together");
        if let Err(error) = ensure_topic(&self.inner, bus).await {
            tracing::warn!(%error, bus, "failed to make the topic of operational events; trying again");
            return false;
        }
        let model = self.inner.model.load_full();
        let Some(bus) = model.buses.get(bus) else { return true };
        let Some(topic) = bus.topics.get(OPERATIONAL_TOPIC) else {
            return false;
        };
        let mut entries = Vec::new();
        for gathered in all {
            self.sequence += 1;
            if let Some(event) = encode(&model, bus, gathered, self.sequence) {
                let destination = SmallVec::from_iter([(&**topic, None)]);
                let mut entry = intake::entry(bus.id, &event, &destination);
                entry.deduplicate = Deduplicate::No;
                entries.push(entry);
            }
        }
        if entries.is_empty() {
            return true;
        }
        let count = entries.len() as u64;
        match intake::append(&*self.inner.journal, Append { entries }).await {
            Ok(_) => {
                self.inner.reporter.counts.published.fetch_add(count, Relaxed);
                true
            }
            Err(error) => {
                tracing::debug!(%error, bus = bus.name, "failed to publish operational events; trying again");
                false
            }
        }
    }

    fn count_dropped(&self, is_dropped: bool) {
        if is_dropped {
            self.inner.reporter.counts.dropped.fetch_add(1, Relaxed);
        }
    }

    /// Tells of a journal that was poisoned when the last process ended.
    async fn recall_poisoning(&mut self) {
        let note = self.inner.store.document(0, Kind::Setting, POISONED).await;
        let Ok(Some(document)) = note else { return };
        if let Ok(Note { at, reason, .. }) = serde_json::from_slice(&document.body) {
            self.take(Report::of_node(Subject::Node, What::Poisoned(at, reason)));
        }
        let forget = Operation::DeleteDocument {
            bus: 0,
            kind: Kind::Setting,
            name: POISONED.to_owned(),
            expect: Expect::Any,
        };
        if let Err(error) = self.inner.store.apply(0, vec![forget]).await {
            tracing::warn!(%error, "failed to forget the note of a poisoned journal; it will be told of again");
        }
    }
}

/// Persisted; the name of the setting that says that the journal was poisoned.
const POISONED: &str = "poisoned";

/// Its body; persisted.
#[derive(Debug, Serialize, Deserialize)]
struct Note {
    format: u32,
    at: Millis,
    reason: String,
}

/// Notes that the journal is poisoned, for the next start to tell of: nothing can be published now. As good as the store is.
pub async fn remember_poisoning(inner: &Inner, reason: &str) {
    let note = Note {
        format: 1,
        at: inner.journal.now(),
        reason: reason.to_owned(),
    };
    let put = Operation::PutDocument {
        bus: 0,
        kind: Kind::Setting,
        name: POISONED.to_owned(),
        expect: Expect::Any,
        body: serde_json::to_vec(&note).expect("plain values become JSON").into(),
    };
    let noted = timeout(NOTE_WAIT_MAX, inner.store.apply(0, vec![put])).await;
    if !matches!(noted, Ok(Ok(_))) {
        tracing::warn!("failed to note that the journal is poisoned; the next start will not tell of it");
    }
}

fn bus_of<'a>(model: &'a Model, report: &Report) -> Option<&'a Arc<Bus>> {
    match report.bus {
        Some(id) => model.bus_by_id(id),
        None => model.buses.get(DEFAULT_BUS),
    }
}

/// Makes the topic of a bus if it is not there.
async fn ensure_topic(inner: &Inner, bus: &str) -> Result<(), crate::Error> {
    let model = inner.model.load();
    let is_there = model
        .buses
        .get(bus)
        .is_none_or(|bus| bus.topics.contains_key(OPERATIONAL_TOPIC));
    // A journal that takes nothing is asked for no topic either.
    if is_there || matches!(inner.journal.health(), Health::Poisoned { .. } | Health::Closed) {
        return Ok(());
    }
    drop(model);
    let (age, bytes) = RETENTION;
    let change = Change {
        bus: bus.to_owned(),
        kind: ResourceKind::Topic,
        name: OPERATIONAL_TOPIC.to_owned(),
        action: Action::Put(json!({"partitions": 1, "retention": {"age": age, "bytes": bytes}})),
        precondition: Precondition::Any,
        by: control::audit::Actor::System("operational events"),
    };
    let (reply, answer) = oneshot::channel();
    inner.request(Request::Change(change, reply)).await?;
    answer.await.map_err(|_| crate::Error::Closing)?.map(drop)
}

/// The event; none of a subscription that is no more.
fn encode(model: &Model, bus: &Bus, gathered: &Gathered, sequence: u64) -> Option<Event> {
    let Gathered { report, .. } = gathered;
    let mut data = report.what.data();
    data.insert("count".to_owned(), json!(gathered.count));
    data.insert("first".to_owned(), time(gathered.first).into());
    data.insert("last".to_owned(), time(gathered.last).into());
    let subject = match &report.subject {
        Subject::Subscription(id) => {
            let found = bus.subscriptions.values().find(|subscription| subscription.id == *id)?;
            data.insert("subscription".to_owned(), Value::from(found.name.as_str()));
            format!("subscriptions/{}", found.name)
        }
        Subject::Key(id) => {
            data.insert("key".to_owned(), Value::from(id.as_str()));
            format!("keys/{id}")
        }
        Subject::Mark(mark) => {
            data.insert("mark".to_owned(), Value::from(*mark));
            format!("disk/{mark}")
        }
        Subject::Node => "node".to_owned(),
    };
    if let Some(id) = report.what.topic() {
        let topic = model.buses.values().flat_map(|bus| bus.topics.values());
        let name = topic
            .into_iter()
            .find(|topic| topic.id == id)
            .map(|topic| topic.name.as_str());
        data.insert("topic".to_owned(), json!(name));
    }
    let source = match report.bus {
        Some(_) => format!("{OPERATIONAL_PREFIX}bus/{}", bus.name),
        None => format!("{OPERATIONAL_PREFIX}node"),
    };
    let id = format!("{:x}-{sequence:x}", gathered.last);
    let event = Event::builder(id, source, format!("{OPERATIONAL_PREFIX}{}", report.what.kind()))
        .subject(subject)
        .time(time(gathered.last))
        .data(Data::json(Value::Object(data).to_string()))
        .build();
    event
        .map_err(|error| tracing::warn!(%error, "an operational event is invalid"))
        .ok()
}

fn time(millis: Millis) -> String {
    jiff::Timestamp::from_millisecond(millis).map_or_else(|_| String::new(), |time| time.to_string())
}
