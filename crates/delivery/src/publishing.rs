//! Events on their way into a bus, from a door or from another bus: planned, admitted within the bus's bounds, appended, synced.

use crate::{PublishError, Published, inner::Inner, intake, trace::Tracer};
use event::Event;
use journal::Deduplicate;
use std::{sync::atomic::Ordering::Relaxed, time::SystemTime};

/// How often events are planned for topics of which one may be deleted before they are there.
const PLANS_MAX: usize = 4;

impl Inner {
    /// Publishes all of them or none.
    pub(crate) async fn publish(
        &self,
        bus: &str,
        events: Vec<Event>,
        deduplicate: Deduplicate,
    ) -> Result<Vec<Published>, PublishError> {
        if self.is_closing() {
            return Err(PublishError::Closing);
        }
        let mut plans = 0;
        loop {
            plans += 1;
            match self.publish_as_planned(bus, &events, deduplicate).await {
                // The model was without the topic before the journal was.
                Err(PublishError::Journal(journal::Error::UnknownPartition(_))) if plans < PLANS_MAX => {}
                published => return published,
            }
        }
    }

    async fn publish_as_planned(
        &self,
        bus: &str,
        events: &[Event],
        deduplicate: Deduplicate,
    ) -> Result<Vec<Published>, PublishError> {
        let model = self.model.load();
        let bus = model
            .buses
            .get(bus)
            .ok_or_else(|| PublishError::UnknownBus(bus.to_owned()))?;
        let gauge = self.gauge(bus.id);
        let tracer = &self.settings.tracer;
        let traced = tracer.now().map(|start| (start, bus.id, bus.name.clone()));
        let planned = intake::plan(bus, events);
        if let Err(PublishError::Rejected(rejected)) = &planned {
            gauge.counters.rejected.fetch_add(rejected.len() as u64, Relaxed);
        }
        let mut append = planned?;
        if deduplicate == Deduplicate::No {
            append
                .entries
                .iter_mut()
                .for_each(|entry| entry.deduplicate = Deduplicate::No);
        }
        if append.entries.is_empty() {
            return Ok(Vec::new());
        }
        let settings = &self.settings;
        let bytes = intake::bytes_of(&append);
        let admitted = self.within_quotas(bus, append.entries.len(), bytes);
        admitted.map_err(PublishError::Quota)?;
        drop(model);
        let ticket = gauge
            .enter(bytes, settings.intake_requests, settings.intake_bytes)
            .ok_or(PublishError::Busy)?;
        let published = intake::append(&*self.journal, append).await;
        drop(ticket);
        if let Err(PublishError::Journal(journal::Error::Poisoned { .. })) = &published {
            self.poisoned.notify_waiters();
        }
        let published = published?;
        let duplicates = published.iter().filter(|published| published.duplicate).count();
        gauge.counters.published.fetch_add(published.len() as u64, Relaxed);
        gauge.counters.duplicates.fetch_add(duplicates as u64, Relaxed);
        if let Some((start, bus, name)) = traced {
            trace_published(tracer, (bus, &name), events, &published, start);
        }
        Ok(published)
    }
}

/// The spans of a request's events, once they are durable.
fn trace_published(
    tracer: &Tracer,
    (bus, name): (store::BusId, &str),
    events: &[Event],
    published: &[Published],
    start: SystemTime,
) {
    for (event, published) in events.iter().zip(published) {
        let view = event.view();
        if let Some(context) = tracer.context(bus, &view) {
            let (position, duplicate) = (published.position, published.duplicate);
            tracer.record(context.publishing(name, position, duplicate, &view, start));
        }
    }
}
