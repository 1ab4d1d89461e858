//! Catch-up: lanes that left the tail, read to again where they want it, a few scans at once, each for everybody whose
//! position lies in its chunk. What a scan does is in [`crate::scan`].

use super::Router;
use crate::{
    matching::stored,
    positions::Mode,
    scan::{Scanned, Served, scan},
};
use journal::PartitionId;
use std::sync::{Arc, atomic::Ordering::Relaxed};
use store::SubscriptionId;

impl Router {
    pub(super) fn has_room(&mut self, subscription: SubscriptionId) {
        self.rewind(subscription);
        self.hungry.insert(subscription);
    }

    /// Takes up where a lane wants to be read to again.
    pub(super) fn rewind(&mut self, subscription: SubscriptionId) {
        let Some(reader) = self.readers.get_mut(&subscription) else {
            return;
        };
        let inbox = Arc::clone(reader.inbox());
        for partition in inbox.rewound() {
            let found = reader.cursors.iter_mut().find(|(id, _)| stored(**id) == partition);
            let Some((id, cursor)) = found.filter(|(_, cursor)| cursor.mode != Mode::Scanning) else {
                continue;
            };
            let tail = self.tails.get(id).copied().unwrap_or_default();
            let Some(from) = inbox.take_rewound(partition) else {
                continue;
            };
            cursor.frontier = cursor.frontier(tail);
            cursor.read = cursor.reached(tail).min(from).max(cursor.floor);
            cursor.mode = Mode::Behind;
            let appended = inbox.standing(partition).oldest.map(|(_, appended)| appended);
            let appended = appended.unwrap_or_else(|| self.settings.clock.now());
            self.view.set_behind(subscription, *id, Some((cursor.read, appended)));
        }
    }

    /// Starts as many scans as may run.
    pub(super) fn schedule(&mut self) {
        while !self.closing && self.scans.len() < self.settings.catch_up_scans {
            let Some((partition, served)) = self.next_scan() else {
                break;
            };
            self.scans.spawn(scan(Arc::clone(&self.journal), partition, served));
        }
        self.view.scans.store(self.scans.len() as u64, Relaxed);
    }

    /// The next hungry lane in turn, with everybody who can be served by the same chunk.
    pub(super) fn next_scan(&mut self) -> Option<(PartitionId, Vec<Served>)> {
        while !self.hungry.is_empty() {
            let next = self
                .hungry
                .range(self.last_fed + 1..)
                .next()
                .or_else(|| self.hungry.first())
                .copied()?;
            self.last_fed = next;
            let served = self
                .partition_to_scan(next)
                .map(|partition| (partition, self.serve_with(partition)));
            match served {
                Some((partition, lanes)) if !lanes.is_empty() => return Some((partition, lanes)),
                _ => self.hungry.remove(&next),
            };
        }
        None
    }

    pub(super) fn partition_to_scan(&self, subscription: SubscriptionId) -> Option<PartitionId> {
        let reader = self.readers.get(&subscription).filter(|reader| !reader.frozen)?;
        let behind = reader.cursors.iter().filter(|(_, cursor)| cursor.mode == Mode::Behind);
        // The one that is furthest behind by what it has read, so that all partitions move.
        let partition = behind
            .min_by_key(|(_, cursor)| cursor.read)
            .map(|(partition, _)| *partition)?;
        reader.inbox().wants_more().then_some(partition)
    }

    pub(super) fn serve_with(&mut self, partition: PartitionId) -> Vec<Served> {
        let mut served = Vec::new();
        for (subscription, reader) in &mut self.readers {
            let Some(cursor) = reader.cursors.get_mut(&partition) else {
                continue;
            };
            let takes_part = cursor.mode == Mode::Behind && !reader.frozen && self.hungry.contains(subscription);
            if !takes_part || !reader.lane.inbox.wants_more() {
                continue;
            }
            let tail = self.tails.get(&partition).copied().unwrap_or_default();
            cursor.mode = Mode::Scanning;
            // What it went back for may be settled by now.
            cursor.read = cursor
                .read
                .max(cursor.position(tail, reader.lane.inbox.standing(stored(partition))));
            served.push(Served {
                subscription: *subscription,
                inbox: Arc::clone(&reader.lane.inbox),
                rules: Arc::clone(&reader.rules),
                ordered: reader.ordered,
                read: cursor.read,
            });
        }
        served
    }

    pub(super) async fn scanned(&mut self, scanned: Option<Scanned>) {
        let Some(Scanned {
            partition,
            lanes,
            last_append_time,
            error,
        }) = scanned
        else {
            return self.scan_broke();
        };
        let tail = self.tails.get(&partition).copied().unwrap_or_default();
        let mut lowest = u64::MAX;
        for lane in lanes {
            let Some(reader) = self.readers.get_mut(&lane.subscription) else {
                continue;
            };
            let Some(cursor) = reader.cursors.get_mut(&partition) else {
                continue;
            };
            lowest = lowest.min(lane.read);
            cursor.read = lane.read;
            cursor.frontier = cursor.frontier.max(lane.read);
            cursor.mode = if lane.read >= tail && !reader.frozen {
                Mode::Following
            } else {
                Mode::Behind
            };
            let appended = last_append_time.unwrap_or_else(|| self.settings.clock.now());
            let behind = (cursor.mode == Mode::Behind).then_some((cursor.read, appended));
            self.view.set_behind(lane.subscription, partition, behind);
            self.hungry.insert(lane.subscription);
            self.rewind(lane.subscription);
        }
        if let Some(error) = error {
            self.scan_failed(partition, lowest, error).await;
        }
        self.save_interval = self.settings.save_interval;
        self.will_save();
        self.answer_freezes();
    }

    /// A scan that broke off tells nothing: once none is under way, nobody is being scanned for.
    pub(super) fn scan_broke(&mut self) {
        tracing::error!("a catch-up scan broke off");
        if !self.scans.is_empty() {
            return;
        }
        for (subscription, reader) in &mut self.readers {
            let scanning = reader
                .cursors
                .values_mut()
                .filter(|cursor| cursor.mode == Mode::Scanning);
            scanning.for_each(|cursor| cursor.mode = Mode::Behind);
            self.hungry.insert(*subscription);
        }
        self.answer_freezes();
    }

    pub(super) async fn scan_failed(&mut self, partition: PartitionId, from: u64, error: journal::Error) {
        match error {
            journal::Error::OutOfRange { high_water, .. } if from > high_water => {
                tracing::error!(
                    ?partition,
                    from,
                    high_water,
                    "a position lies beyond the end of its partition"
                );
                self.restart_at_end(partition, high_water);
            }
            error => self.unreadable(partition, from, error).await,
        }
    }

    /// A position that no journal of ours can have given: what is there now is all there is to follow.
    pub(super) fn restart_at_end(&mut self, partition: PartitionId, end: u64) {
        for reader in self.readers.values_mut() {
            if let Some(cursor) = reader.cursors.get_mut(&partition) {
                cursor.read = cursor.read.min(end);
            }
        }
    }
}
