//! What others change about lanes and partitions: freezing at a boundary, new rules, topics that come and go.

use super::{Place, Reader, Router};
use crate::{
    matching::{Rule, Rules, stored},
    positions::{Cursor, Mode, Saved},
};
use journal::PartitionId;
use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};
use store::SubscriptionId;

impl Router {
    pub(super) fn freeze(&mut self, subscription: SubscriptionId) {
        let Some(reader) = self.readers.get_mut(&subscription) else {
            return;
        };
        reader.frozen += 1;
        self.troubled.insert(subscription);
        for (partition, cursor) in &mut reader.cursors {
            let tail = self.tails.get(partition).copied().unwrap_or_default();
            cursor.frontier = cursor.frontier(tail);
            if cursor.mode == Mode::Following {
                cursor.read = cursor.reached(tail);
                cursor.mode = Mode::Behind;
            }
        }
    }

    pub(super) fn answer_freezes(&mut self) {
        for (subscription, reply) in std::mem::take(&mut self.freezes) {
            match self.readers.get(&subscription).is_some_and(Reader::is_scanning) {
                true => self.freezes.push((subscription, reply)),
                false => drop(reply.send(self.places(subscription))),
            }
        }
    }

    pub(super) fn places(&self, subscription: SubscriptionId) -> Vec<Place> {
        let Some(reader) = self.readers.get(&subscription) else {
            return Vec::new();
        };
        let place = |(partition, cursor): (&PartitionId, &Cursor)| {
            let tail = self.tails.get(partition).copied().unwrap_or_default();
            let standing = reader.lane.inbox.standing(stored(*partition));
            let (position, frontier) = (cursor.position(tail, standing), cursor.frontier(tail));
            Place {
                partition: *partition,
                position,
                frontier,
                floor: cursor.floor,
                saved: match cursor.saved {
                    Saved::Own(position) => position,
                    Saved::Follows => self.saved_tails.get(partition).copied().unwrap_or_default(),
                    Saved::Unknown => 0,
                },
            }
        };
        reader.cursors.iter().map(place).collect()
    }

    pub(super) fn thaw(
        &mut self,
        subscription: SubscriptionId,
        rules: Option<Arc<Rules>>,
        cursors: BTreeMap<PartitionId, Cursor>,
    ) {
        let Some(reader) = self.readers.get_mut(&subscription) else {
            return;
        };
        self.troubled.insert(subscription);
        reader.frozen = reader.frozen.saturating_sub(1);
        for (partition, cursor) in cursors {
            reader.cursors.entry(partition).or_insert(cursor);
        }
        if let Some(rules) = rules {
            self.set_rules(subscription, rules);
        }
        if self
            .readers
            .get(&subscription)
            .is_some_and(|reader| !reader.is_frozen())
        {
            self.settle(subscription);
        }
    }

    pub(super) fn set_rules(&mut self, subscription: SubscriptionId, rules: Arc<Rules>) {
        let Some(reader) = self.readers.get_mut(&subscription) else {
            return;
        };
        self.view.set_rules(subscription, &rules);
        let before = std::mem::replace(&mut reader.rules, rules);
        let what = |rule: &Rule| (rule.version, rule.topics.clone());
        if what(&before.current) == what(&reader.rules.current) {
            // The rule in force is the same; matchers know no others.
            return;
        }
        let topics = before
            .current
            .topics
            .union(&reader.rules.current.topics)
            .copied()
            .collect();
        self.follow(subscription, topics);
    }

    pub(super) fn partitions(&mut self, partitions: BTreeSet<PartitionId>, rules: Vec<(SubscriptionId, Arc<Rules>)>) {
        self.tails.retain(|partition, _| partitions.contains(partition));
        self.view.retain_unread(&partitions);
        self.rests.retain(|(partition, _), _| partitions.contains(partition));
        self.saved_tails.retain(|partition, _| partitions.contains(partition));
        self.changed.retain(|partition| partitions.contains(partition));
        for partition in &partitions {
            self.tails.entry(*partition).or_insert(0);
        }
        for (subscription, rules) in rules {
            if let Some(reader) = self.readers.get_mut(&subscription) {
                self.view.set_rules(subscription, &rules);
                reader.rules = rules;
            }
        }
        for reader in self.readers.values_mut() {
            let lane = &reader.lane;
            reader.cursors.retain(|partition, _| {
                let stays = partitions.contains(partition);
                if !stays {
                    lane.gave_up(stored(*partition), 0, u64::MAX);
                }
                stays
            });
            let topics = &reader.rules.current.topics;
            for partition in partitions
                .iter()
                .filter(|partition| topics.contains(&partition.topic.topic))
            {
                let new = Cursor::new(Mode::Following, 0, 0, Saved::Follows);
                reader.cursors.entry(*partition).or_insert(new);
            }
        }
        self.compile(self.topics());
        self.mark_changed(partitions.into_iter().collect());
    }
}
