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

/// How far, in offsets, one chunk is taken to reach: lanes that stand further on are not kept waiting for it.
const CHUNK_REACH: u64 = 4_096;

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
            self.troubled.insert(subscription);
            cursor.frontier = cursor.frontier(tail);
            cursor.read = cursor.reached(tail).min(from).max(cursor.floor);
            cursor.wanted = Some(from);
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
            let now = self.settings.clock.now();
            for lane in &served {
                self.view.is_unread(partition, Some(lane.subscription), now);
            }
            self.scans.spawn(scan(Arc::clone(&self.journal), partition, served));
        }
        self.view.scans.store(self.scans.len() as u64, Relaxed);
    }

    /// The next hungry lane in turn, with everybody who can be served by the same chunk.
    fn next_scan(&mut self) -> Option<(PartitionId, Vec<Served>)> {
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
                .map(|partition| (partition, self.serve_with(partition, next)));
            match served {
                Some((partition, lanes)) if !lanes.is_empty() => return Some((partition, lanes)),
                _ => {
                    self.hungry.remove(&next);
                    if self
                        .readers
                        .get(&next)
                        .is_some_and(|reader| !reader.inbox().wants_more())
                    {
                        self.view.forget_unread(next);
                    }
                }
            }
        }
        None
    }

    fn partition_to_scan(&self, subscription: SubscriptionId) -> Option<PartitionId> {
        let reader = self.readers.get(&subscription).filter(|reader| !reader.is_frozen())?;
        let mut behind = reader
            .cursors
            .iter()
            .filter(|(partition, cursor)| cursor.mode == Mode::Behind && !self.is_resting(**partition, subscription))
            .peekable();
        behind.peek()?;
        // Without room it is read for until it meets something that it wants: what it does not want is no lag.
        let has_room = reader.inbox().wants_more();
        // The one that is furthest behind by what it has read, so that all partitions move.
        behind
            .filter(|(_, cursor)| has_room || !cursor.is_wanted())
            .min_by_key(|(_, cursor)| cursor.read)
            .map(|(partition, _)| *partition)
    }

    /// The lane whose turn it is, and those that its chunk may serve as well.
    fn serve_with(&mut self, partition: PartitionId, leader: SubscriptionId) -> Vec<Served> {
        let tail = self.tails.get(&partition).copied().unwrap_or_default();
        let mut served = Vec::new();
        served.extend(self.serve(partition, leader, tail, None));
        let Some(from) = served.first().map(|leader: &Served| leader.read) else {
            return served;
        };
        let others: Vec<_> = self.hungry.iter().copied().filter(|other| *other != leader).collect();
        for other in others {
            served.extend(self.serve(partition, other, tail, Some(from)));
        }
        served
    }

    /// Takes a lane into a scan, if it is behind here, has room, and stands within reach of the one that leads.
    fn serve(
        &mut self,
        partition: PartitionId,
        subscription: SubscriptionId,
        tail: u64,
        leader: Option<u64>,
    ) -> Option<Served> {
        if self.is_resting(partition, subscription) {
            return None;
        }
        let reader = self
            .readers
            .get_mut(&subscription)
            .filter(|reader| !reader.is_frozen())?;
        let cursor = reader.cursors.get_mut(&partition)?;
        if cursor.mode != Mode::Behind {
            return None;
        }
        // What it went back for may be settled by now.
        let standing = reader.lane.inbox.standing(stored(partition));
        let read = cursor.read.max(cursor.position(tail, standing));
        let is_near = leader.is_none_or(|from| (from..from.saturating_add(CHUNK_REACH)).contains(&read));
        let is_wanted = cursor.wanted == Some(read);
        if !is_near || (is_wanted && !reader.lane.inbox.wants_more()) {
            return None;
        }
        (cursor.read, cursor.mode) = (read, Mode::Scanning);
        Some(Served {
            subscription,
            inbox: Arc::clone(&reader.lane.inbox),
            rules: Arc::clone(&reader.rules),
            read,
            refused: None,
        })
    }

    pub(super) fn scanned(&mut self, scanned: Option<Scanned>) {
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
        let from = lanes.iter().map(|lane| lane.read).min().unwrap_or_default();
        let mut stuck = Vec::new();
        for lane in lanes {
            match error.is_some() {
                true if lane.read == from => stuck.push(lane.subscription),
                true => self.view.was_read(partition, Some(lane.subscription), None),
                false => {
                    self.rests.remove(&(partition, lane.subscription));
                    self.view.was_read(partition, Some(lane.subscription), None);
                }
            }
            self.troubled.insert(lane.subscription);
            let Some(reader) = self.readers.get_mut(&lane.subscription) else {
                continue;
            };
            let Some(cursor) = reader.cursors.get_mut(&partition) else {
                continue;
            };
            if lane.refused.is_some() {
                cursor.wanted = Some(lane.read);
            }
            cursor.read = lane.read;
            cursor.frontier = cursor.frontier.max(lane.read);
            cursor.mode = Mode::Behind;
            if reader.frozen == 0 {
                cursor.settle(tail, reader.rules.boundary(stored(partition)));
            }
            let appended = lane.refused.or(last_append_time);
            let appended = appended.unwrap_or_else(|| self.settings.clock.now());
            let behind = (cursor.mode == Mode::Behind).then_some((cursor.read, appended));
            self.view.set_behind(lane.subscription, partition, behind);
            self.hungry.insert(lane.subscription);
            self.rewind(lane.subscription);
        }
        if let Some(error) = error {
            self.scan_failed(partition, from, error, stuck);
        }
        self.save_interval = self.settings.save_interval;
        self.will_save();
        self.answer_freezes();
    }

    /// A scan that broke off tells nothing: once none is under way, nobody is being scanned for.
    fn scan_broke(&mut self) {
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

    /// What is gone is given up; anything else is tried again by the lanes that stand there, after a rest.
    fn scan_failed(&mut self, partition: PartitionId, from: u64, error: journal::Error, stuck: Vec<SubscriptionId>) {
        if let Some(error) = self.unreadable(partition, from, error) {
            tracing::warn!(%error, ?partition, from, "failed to read for lanes that are behind; trying again");
            for subscription in stuck {
                self.rest(partition, subscription);
            }
        }
    }
}
