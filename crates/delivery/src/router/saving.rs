//! Saving positions: when, and what becomes of it. What is written is planned in [`crate::positions`].

use super::{AGAIN, Router, SAVE_INTERVAL_MAX, SaveDone};
use crate::{
    lane_task::apply_at_the_end,
    matching::stored,
    positions::{Cursor, LaneSave, Mode, Saved, plan_lane},
};
use journal::PartitionId;
use std::{
    collections::HashMap,
    sync::{Arc, atomic::Ordering::Relaxed},
    time::Duration,
};
use store::{Operation, Partition, SubscriptionId};
use tokio::time::Instant;

impl Router {
    pub(super) fn will_save(&mut self) {
        let wait = match self.read_since_save >= self.settings.save_events {
            true => Duration::ZERO,
            false => self.save_interval,
        };
        let at = Instant::now() + wait;
        self.save_at = Some(self.save_at.map_or(at, |other| other.min(at)));
    }

    pub(super) fn save(&mut self) {
        self.save_at = None;
        if !self.saves.is_empty() {
            self.save_wanted = true;
            return;
        }
        self.save_wanted = false;
        self.read_since_save = 0;
        let (operations, tails, lanes) = self.plan_save();
        if operations.is_empty() {
            // Lanes in trouble are looked at again, the less often the longer nothing moves.
            if self.has_trouble() {
                self.save_interval = (self.save_interval * 2).min(SAVE_INTERVAL_MAX);
                self.will_save();
            }
            return;
        }
        let store = Arc::clone(&self.store);
        self.saves.spawn(async move {
            let result = store.apply(0, operations).await.map(drop);
            SaveDone { tails, lanes, result }
        });
    }

    /// A lane with nothing unsettled, of which the store says the same, is spoken for by the tail positions, and is not looked
    /// at again before it moves: saving costs what the lanes in trouble cost, not what all do.
    pub(super) fn plan_save(&mut self) -> (Vec<Operation>, Vec<(PartitionId, u64)>, Vec<LaneSave>) {
        let (mut operations, mut tails, mut lanes) = (Vec::new(), Vec::new(), Vec::new());
        for (partition, tail) in &self.tails {
            if self.saved_tails.get(partition) != Some(tail) {
                operations.push(Operation::SaveTail {
                    partition: stored(*partition),
                    position: *tail,
                });
                tails.push((*partition, *tail));
            }
        }
        self.troubled.extend(self.unsaved.take());
        let mut looked_at = std::mem::take(&mut self.troubled);
        self.view.positions_checked.fetch_add(looked_at.len() as u64, Relaxed);
        looked_at.retain(|subscription| {
            let Some(reader) = self.readers.get(subscription) else {
                return false;
            };
            let standings = reader.lane.inbox.standings();
            let before = lanes.len();
            for (partition, cursor) in &reader.cursors {
                let tail = self.tails.get(partition).copied().unwrap_or_default();
                let place = stored(*partition);
                let standing = standings.get(&place).copied().unwrap_or_default();
                lanes.extend(plan_lane(*subscription, place, cursor, tail, standing, &mut operations));
            }
            let follows = |cursor: &Cursor| cursor.mode == Mode::Following && cursor.saved == Saved::Follows;
            !standings.is_empty() || lanes.len() > before || !reader.cursors.values().all(follows)
        });
        self.troubled = looked_at;
        (operations, tails, lanes)
    }

    pub(super) fn has_trouble(&self) -> bool {
        let troubled = self
            .troubled
            .iter()
            .filter_map(|subscription| self.readers.get(subscription));
        let mut cursors = troubled.flat_map(|reader| reader.cursors.values());
        cursors.any(|cursor| cursor.saved != Saved::Follows)
    }

    pub(super) fn saved(&mut self, done: Option<SaveDone>) {
        let Some(SaveDone { tails, lanes, result }) = done else {
            tracing::error!("a save of positions broke off; trying again");
            self.view.was_not_saved(self.settings.clock.now());
            self.save_at = Some(Instant::now() + AGAIN);
            return;
        };
        if let Err(error) = result {
            tracing::warn!(%error, "failed to save positions; trying again");
            self.view.was_not_saved(self.settings.clock.now());
            self.save_at = Some(Instant::now() + AGAIN);
            return;
        }
        self.view.was_saved();
        self.saved_tails.extend(tails);
        let mut cleared: HashMap<SubscriptionId, Vec<(Partition, u64)>> = HashMap::new();
        for save in lanes {
            let Some(reader) = self.readers.get_mut(&save.subscription) else {
                continue;
            };
            let mut cursors = reader.cursors.iter_mut();
            let Some((_, cursor)) = cursors.find(|(id, _)| stored(**id) == save.partition) else {
                continue;
            };
            cursor.saved = save.saved;
            if let Some(below) = save.cleared {
                cursor.cleared = below;
                cleared
                    .entry(save.subscription)
                    .or_default()
                    .push((save.partition, below));
            }
        }
        for (subscription, positions) in cleared {
            if let Some(reader) = self.readers.get(&subscription) {
                reader.lane.saved(positions);
            }
        }
        if std::mem::take(&mut self.save_wanted) || self.has_trouble() {
            self.will_save();
        }
    }

    /// For a copy of the store that is about to be made: what was delivered up to now is known to it.
    pub(super) async fn save_now(&mut self) {
        // One that is under way was planned before.
        self.saves_done().await;
        self.save();
        self.saves_done().await;
    }

    async fn saves_done(&mut self) {
        while let Some(saved) = self.saves.join_next().await {
            self.saved(saved.ok());
        }
    }

    pub(super) async fn save_and_end(&mut self) {
        self.saves_done().await;
        let (operations, ..) = self.plan_save();
        apply_at_the_end(&*self.store, 0, operations).await;
    }
}
