//! Following the journal's tail: each changed partition is read once for all lanes that follow it, and a lane without room
//! leaves it. Those that left are [`super::catch_up`]'s.

use super::{Reader, Router};
use crate::{
    matching::copy_of,
    positions::{Cursor, Mode},
    scan::Kept,
    settings::CHUNK_BYTES,
};
use event::EventView;
use journal::{Chunk, PartitionId, Position};
use std::{sync::atomic::Ordering::Relaxed, time::SystemTime};

impl Router {
    pub(super) fn mark_changed(&mut self, partitions: Vec<PartitionId>) {
        let now = self.settings.clock.now();
        for partition in partitions {
            if self.tails.contains_key(&partition) && !self.changed.contains(&partition) {
                self.changed.push_back(partition);
                self.view.is_unread(partition, None, now);
            }
        }
    }

    pub(super) fn try_again(&mut self) {
        let partitions = self.again.take().map(|(_, partitions)| partitions).unwrap_or_default();
        self.mark_changed(partitions);
    }

    /// Reads one chunk at the tail.
    pub(super) async fn advance(&mut self) {
        let Some(partition) = self.changed.pop_front() else {
            return;
        };
        let Some(from) = self
            .tails
            .get(&partition)
            .copied()
            .filter(|_| !self.recording.contains(&partition))
        else {
            // It is marked again when the range is recorded.
            return;
        };
        if !self.is_followed(partition) {
            // Nobody listens here: scans will read it, once for all.
            let end = self.journal.bounds(partition).map_or(from, |bounds| bounds.high_water);
            return self.reached(partition, end.max(from), true);
        }
        match self.journal.read(partition, from, CHUNK_BYTES).await {
            Ok(chunk) => {
                self.route(partition, from, &chunk);
                let is_end = chunk.next >= chunk.high_water;
                self.reached(partition, chunk.next, is_end);
                if !is_end {
                    self.changed.push_back(partition);
                    tokio::task::yield_now().await;
                }
            }
            Err(error) => self.tail_unreadable(partition, from, error),
        }
    }

    fn is_followed(&self, partition: PartitionId) -> bool {
        let follows = |reader: &Reader| {
            reader
                .cursors
                .get(&partition)
                .is_some_and(|cursor| cursor.mode == Mode::Following)
        };
        self.readers.values().any(follows)
    }

    fn reached(&mut self, partition: PartitionId, tail: u64, is_end: bool) {
        let before = self.tails.insert(partition, tail).unwrap_or_default();
        self.view.set_tail(partition, tail);
        let more = (!is_end).then(|| self.settings.clock.now());
        self.view.was_read(partition, None, more);
        self.read_since_save += tail.saturating_sub(before);
        if tail != before {
            self.save_interval = self.settings.save_interval;
            self.will_save();
        }
    }

    fn route(&mut self, partition: PartitionId, from: u64, chunk: &Chunk) {
        let Some(matcher) = self.matchers.get(&partition.topic.topic) else {
            return;
        };
        let mut looked_at = 0;
        for batch in &chunk.batches {
            for record in journal::records(batch).filter(|record| record.offset >= from) {
                looked_at += 1;
                let Some(event) = EventView::from_record(record.headers(), record.value) else {
                    continue;
                };
                let traced = self.settings.tracer.context(partition.topic.bus, &event);
                let traced = traced.map(|context| (context, SystemTime::now()));
                let matched = self.sieve.matches(matcher, &event, batch.append_time);
                if let Some((context, start)) = traced {
                    let offset = record.offset;
                    let span = context.matching(Position { partition, offset }, matched.len(), start);
                    self.settings.tracer.record(span);
                }
                let mut kept = Kept::default();
                for subscription in matched {
                    let Some(reader) = self.readers.get_mut(subscription) else {
                        continue;
                    };
                    let wants = |cursor: &Cursor| cursor.mode == Mode::Following && record.offset >= cursor.read;
                    if !reader.cursors.get(&partition).is_some_and(wants) {
                        continue;
                    }
                    let rule = &reader.rules.current;
                    if copy_of(&record).is_some_and(|primary| rule.topics.contains(&primary)) {
                        continue;
                    }
                    if reader.batch.is_empty() {
                        self.touched.push(*subscription);
                    }
                    let fed = kept.fed(partition, &record, batch.append_time, rule.version);
                    reader.batch.push(fed);
                }
            }
        }
        self.view.routed.fetch_add(looked_at, Relaxed);
        self.hand_over(partition);
    }

    /// Gives each lane what matched; one without room leaves the tail.
    fn hand_over(&mut self, partition: PartitionId) {
        for subscription in std::mem::take(&mut self.touched) {
            let Some(reader) = self.readers.get_mut(&subscription) else {
                continue;
            };
            let mut batch = std::mem::take(&mut reader.batch);
            reader.lane.inbox.push(&mut batch);
            if let Some(refused) = batch.first() {
                let (offset, appended) = (refused.offset, refused.appended);
                leave_tail(reader, partition, offset);
                self.troubled.insert(subscription);
                self.view.set_behind(subscription, partition, Some((offset, appended)));
                self.hungry.insert(subscription);
            }
            batch.clear();
            reader.batch = batch;
        }
    }
}

fn leave_tail(reader: &mut Reader, partition: PartitionId, read: u64) {
    if let Some(cursor) = reader.cursors.get_mut(&partition) {
        // What lies between was handed over or not wanted; the frontier is what the tail has reached.
        *cursor = Cursor {
            mode: Mode::Behind,
            read,
            frontier: cursor.frontier.max(read),
            wanted: Some(read),
            ..*cursor
        };
    }
}
