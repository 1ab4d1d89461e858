//! Topics that come, grow and go: in the journal before anybody can publish to them, and read before that.

use super::Changes;
use crate::{
    Error,
    restore::{all_partitions, rules},
    router::{Message, Place},
};
use control::{Bus, Model, Plan};
use journal::{PartitionId, TopicId};
use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};
use store::{Operation, SubscriptionId};
use tokio::sync::oneshot;

impl Changes {
    /// A topic is in the journal before anybody can publish to it, and read before that.
    pub(super) async fn put_topics(&mut self, plan: Plan, after: &Model) -> Result<(), Error> {
        let known = all_partitions(&self.inner.model.load());
        let mut made = Vec::new();
        for (topic, partitions) in topics(after) {
            let is_new = !known.contains(&PartitionId { topic, index: 0 });
            if let Err(error) = self.inner.journal.create_topic(topic, partitions).await {
                self.unmake(made).await;
                return Err(error.into());
            }
            if is_new {
                made.push(topic);
            }
        }
        let revision = match self.inner.store.apply(0, plan.operations).await {
            Ok(revision) => revision,
            Err(error) => {
                self.unmake(made).await;
                return Err(error.into());
            }
        };
        let model = Arc::new(plan.finish.at(revision));
        self.announce_partitions(&model).await?;
        self.inner.model.store(model);
        Ok(())
    }

    async fn unmake(&self, topics: Vec<TopicId>) {
        for topic in topics {
            if let Err(error) = self.inner.journal.delete_topic(topic).await {
                // The next start drops what the store does not know.
                tracing::warn!(%error, ?topic, "failed to remove a topic that could not be saved");
            }
        }
    }

    async fn announce_partitions(&self, model: &Model) -> Result<(), Error> {
        let (done, announced) = oneshot::channel();
        let mut all_rules = Vec::new();
        for bus in model.buses.values() {
            for subscription in bus.subscriptions.values() {
                let rules = rules(model, bus, subscription, &self.boundaries);
                all_rules.push((subscription.id, Arc::new(rules)));
            }
        }
        let partitions = all_partitions(model);
        self.inner
            .tell_router(Message::Partitions {
                partitions,
                rules: all_rules,
                done,
            })
            .await?;
        announced.await.map_err(|_| Error::Closing)
    }

    pub(super) async fn delete_topics(&mut self, plan: Plan, after: &Model) -> Result<(), Error> {
        let left: BTreeSet<TopicId> = topics(after).map(|(topic, _)| topic).collect();
        let before = self.inner.model.load_full();
        let gone: Vec<TopicId> = topics(&before)
            .map(|(topic, _)| topic)
            .filter(|topic| !left.contains(topic))
            .collect();
        let is_gone = |place: &Place| gone.contains(&place.partition.topic);
        let places = self.inner.places().await?.into_iter();
        let losers: Vec<SubscriptionId> = places
            .filter(|(_, places)| places.iter().any(is_gone))
            .map(|(subscription, _)| subscription)
            .collect();
        let mut operations = plan.operations;
        for subscription in &losers {
            let mut of_gone = self.inner.freeze(*subscription).await?;
            of_gone.retain(is_gone);
            operations.extend(self.discarded(*subscription, &of_gone));
        }
        operations.extend(gone.iter().map(|topic| Operation::ForgetTopic(topic.topic)));
        let applied = self.inner.store.apply(0, operations).await;
        if let Ok(revision) = &applied {
            let model = Arc::new(plan.finish.at(*revision));
            self.inner.model.store(Arc::clone(&model));
            self.announce_partitions(&model).await?;
            self.inner.replays.lose_topics(&gone);
        }
        for subscription in losers {
            let (rules, cursors) = (None, BTreeMap::new());
            let thaw = Message::Thaw {
                subscription,
                rules,
                cursors,
            };
            self.inner.tell_router(thaw).await?;
        }
        applied?;
        self.unmake(gone).await;
        Ok(())
    }
}

fn topics(model: &Model) -> impl Iterator<Item = (TopicId, u32)> + '_ {
    let of_bus = |bus: &Arc<Bus>| {
        let topic = |topic: &Arc<control::Topic>| {
            (
                TopicId {
                    bus: bus.id,
                    topic: topic.id,
                },
                topic.spec.partitions,
            )
        };
        bus.topics.values().map(topic).collect::<Vec<_>>()
    };
    model.buses.values().flat_map(of_bus)
}
