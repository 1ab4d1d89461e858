//! From an event to its records: routes, keys, partitions, encoding, and the bound of what a bus may have in flight. It knows
//! no protocol, and what happens to an event afterwards is not its business.

use crate::{PublishError, Published, Rejected, metrics::BusCounters, settings::ROUTES_MAX};
use control::{
    Bus, Refusal, Topic,
    refusal::Class,
    resources::{Route, UnknownTypes},
};
use event::{Event, identity, record_binding};
use journal::{Append, Deduplicate, EncodedRecord, Entry, Identity, Journal, PartitionId, RecordView, Role, TopicId};
use smallvec::SmallVec;
use std::sync::{
    Arc,
    atomic::{AtomicUsize, Ordering::Relaxed},
};
use store::BusId;

/// The topic of events that have no route. Every bus has it.
pub const DEFAULT_TOPIC: &str = "events";

/// One bus's intake: what it has in flight, and its counters.
#[derive(Debug, Default)]
pub struct Gauge {
    /// Requests waiting for their sync.
    pub requests: AtomicUsize,
    /// Bytes waiting for their sync.
    pub bytes: AtomicUsize,
    /// Counters.
    pub counters: BusCounters,
}

/// A request's share of the bound, given back when dropped.
#[derive(Debug)]
pub struct Ticket {
    gauge: Arc<Gauge>,
    bytes: usize,
}

impl Gauge {
    /// Takes a request in, or not: too much is in flight.
    pub fn enter(self: &Arc<Self>, bytes: usize, requests_max: usize, bytes_max: usize) -> Option<Ticket> {
        let requests = self.requests.fetch_add(1, Relaxed);
        let before = self.bytes.fetch_add(bytes, Relaxed);
        let ticket = Ticket {
            gauge: Arc::clone(self),
            bytes,
        };
        // A request larger than the bound may go alone.
        let fits = requests < requests_max && (before == 0 || before.saturating_add(bytes) <= bytes_max);
        if !fits {
            self.counters.busy.fetch_add(1, Relaxed);
        }
        fits.then_some(ticket)
    }
}

impl Drop for Ticket {
    fn drop(&mut self) {
        self.gauge.requests.fetch_sub(1, Relaxed);
        self.gauge.bytes.fetch_sub(self.bytes, Relaxed);
    }
}

/// Where one event goes: the primary topic first, each with the key's path.
pub type Destinations<'a> = SmallVec<[(&'a Topic, Option<&'a str>); 2]>;

/// Plans the append of a request: all events, or what is wrong with some of them.
pub fn plan(bus: &Bus, events: &[Event]) -> Result<Append, PublishError> {
    let mut rejected = Vec::new();
    let mut entries = Vec::with_capacity(events.len());
    for (index, event) in events.iter().enumerate() {
        match routes(bus, event) {
            Ok(destinations) => entries.push(entry(bus.id, event, &destinations)),
            Err((code, detail)) => rejected.push(Rejected { index, code, detail }),
        }
    }
    match rejected.is_empty() {
        true => Ok(Append { entries }),
        false => Err(PublishError::Rejected(rejected)),
    }
}

/// Refuses an event that the bus would not take if it were published.
pub fn check(bus: &Bus, event: &Event) -> Result<(), Refusal> {
    match routes(bus, event) {
        Ok(_) => Ok(()),
        Err((code, detail)) => Err(Refusal::new(code, Class::Invalid, detail)),
    }
}

/// Encoded bytes of a request.
pub fn bytes_of(append: &Append) -> usize {
    append
        .entries
        .iter()
        .flat_map(|entry| &entry.records)
        .map(|(_, record)| record.len())
        .sum()
}

/// Appends and waits for the sync.
pub async fn append(journal: &dyn Journal, append: Append) -> Result<Vec<Published>, PublishError> {
    let appended = journal.append(append)?.await?;
    let published = appended.into_iter().map(|appended| Published {
        position: appended.position,
        append_time: appended.append_time,
        duplicate: appended.duplicate,
    });
    Ok(published.collect())
}

fn routes<'a>(bus: &'a Bus, event: &Event) -> Result<Destinations<'a>, (&'static str, String)> {
    if let Some(refused) = crate::operational::reserved(event) {
        return Err(refused);
    }
    let Some(event_type) = bus.event_types.get(event.event_type()) else {
        return match bus.spec.unknown_types {
            UnknownTypes::Accept => default_topic(bus),
            UnknownTypes::Refuse => Err((
                "type_unknown",
                format!("type {:?} is not in the catalogue of this bus", event.event_type()),
            )),
        };
    };
    let routes = &event_type.spec.routes;
    if routes.is_empty() {
        return default_topic(bus);
    }
    let enabled: Destinations<'_> = routes
        .iter()
        .filter(|route| route.enabled)
        .take(ROUTES_MAX)
        .filter_map(|route| destination(bus, route))
        .collect();
    match enabled.is_empty() {
        true => Err((
            "type_disabled",
            format!("every route of type {:?} is disabled", event.event_type()),
        )),
        false => Ok(enabled),
    }
}

fn destination<'a>(bus: &'a Bus, route: &'a Route) -> Option<(&'a Topic, Option<&'a str>)> {
    let topic = bus.topics.get(&route.topic)?;
    Some((topic, route.key.as_deref()))
}

fn default_topic(bus: &Bus) -> Result<Destinations<'_>, (&'static str, String)> {
    let missing = || ("topic_missing", format!("this bus has no topic {DEFAULT_TOPIC:?}"));
    let topic = bus.topics.get(DEFAULT_TOPIC).ok_or_else(missing)?;
    Ok(SmallVec::from_iter([(&**topic, None)]))
}

/// The records of an event.
pub fn entry(bus: BusId, event: &Event, destinations: &Destinations<'_>) -> Entry {
    let mut headers = record_binding::record_headers(event);
    let value = event.data().map(|data| data.bytes.as_ref());
    let mut records = Vec::with_capacity(destinations.len());
    for (place, (topic, path)) in destinations.iter().enumerate() {
        if place == 1 {
            headers.push(
                record_binding::COPY_HEADER,
                destinations[0].0.id.to_string().into_bytes(),
            );
        }
        let key = path.and_then(|path| identity::key_at_path(event.data()?, path));
        let partition = partition(bus, topic, event, key.as_deref());
        records.push((
            partition,
            EncodedRecord::new(key.as_deref().map(str::as_bytes), value, headers.iter()),
        ));
    }
    Entry {
        identity: Some(identity_of(event.source(), event.id())),
        deduplicate: Deduplicate::Yes,
        records,
    }
}

fn partition(bus: BusId, topic: &Topic, event: &Event, key: Option<&str>) -> PartitionId {
    let partitions = topic.spec.partitions.max(1);
    let index = match key {
        Some(key) => identity::partition_for_key(key.as_bytes(), partitions),
        None => identity::partition_for_identity(event.source(), event.id(), partitions),
    };
    PartitionId {
        topic: TopicId { bus, topic: topic.id },
        index,
    }
}

/// What an event is found and deduplicated by.
pub fn identity_of(source: &str, id: &str) -> Identity {
    Identity {
        lookup: identity::lookup_hash(id),
        unique: identity::unique_hash(source, id),
    }
}

/// The identity of a stored record, for the journal to rebuild its indexes by: that of the event in it, and whether it is a
/// copy on a secondary topic.
pub fn identify(_topic: TopicId, record: &RecordView<'_>) -> Option<(Identity, Role)> {
    let event = event::EventView::from_record(record.headers(), record.value)?;
    let is_copy = |(name, _): (&str, _)| name == record_binding::COPY_HEADER;
    let role = match record.headers().any(is_copy) {
        true => Role::Copy,
        false => Role::Primary,
    };
    Some((identity_of(event.source(), event.id()), role))
}
