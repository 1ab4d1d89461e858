//! Changes of several resources that are one: one transaction and one model after it, or nothing at all.

use super::{Changes, find, subscriptions::Turn};
use crate::{Error, restore::all_partitions};
use control::{Action, Change, Effect, Model, Plans, Refusal, resources::ResourceKind};
use std::sync::Arc;
use store::{LaneRow, Operation};
use tokio::sync::oneshot;

/// Where the outcome goes.
pub type Reply = oneshot::Sender<Result<Arc<Model>, Error>>;

/// What delivery has to save with a change, and to do after it.
#[derive(Debug)]
enum Beside {
    Nothing,
    /// A subscription that comes, where it begins.
    Begins(Vec<LaneRow>),
    /// A subscription that changes.
    Turns(Turn),
}

impl Changes {
    /// Carries all of them out, or none.
    pub(super) async fn change_all(&mut self, changes: &[Change]) -> Result<Arc<Model>, Error> {
        for change in changes {
            if change.kind == ResourceKind::Subscription && matches!(change.action, Action::Put(_)) {
                self.make_room_for_version(change).await?;
            }
        }
        let plans = self.plan_all(changes)?;
        let before = self.inner.model.load_full();
        // The same plans once more, for a look at what will be: only the versions are not known yet.
        let after = self.plan_all(changes)?.finish.at(u64::MAX);
        let steps: Vec<_> = changes.iter().zip(plans.effects.iter().cloned()).collect();
        for (change, effect) in &steps {
            is_simple(effect, &before, &after)?;
            self.start_concerned(effect, change).await?;
        }
        let mut beside = Vec::with_capacity(steps.len());
        let written = self.write_all(&steps, plans, (&before, &after), &mut beside).await;
        if let Err(error) = written {
            for one in beside {
                if let Beside::Turns(turn) = one {
                    self.unturned(turn).await?;
                }
            }
            return Err(error);
        }
        for ((change, effect), beside) in steps.into_iter().zip(beside) {
            match (effect, beside) {
                (_, Beside::Begins(rows)) => self.begin(change, rows).await?,
                (_, Beside::Turns(turn)) => self.turned(change, turn).await?,
                (Effect::ConnectionPut, _) => self.reconnect(change),
                (Effect::BusDefaultsPut, _) => self.reconnect_bus(change),
                _ => {}
            }
        }
        Ok(self.inner.model.load_full())
    }

    fn plan_all(&self, changes: &[Change]) -> Result<Plans, Error> {
        let inner = &self.inner;
        let (model, now) = (inner.model.load(), inner.journal.now());
        Ok(control::plan_all(&model, &inner.rules, &inner.sealer, changes, now)?)
    }

    /// One transaction, then the model is published. What lanes wait for is in `beside`, also after an error.
    async fn write_all(
        &self,
        steps: &[(&Change, Effect)],
        plans: Plans,
        (before, after): (&Model, &Model),
        beside: &mut Vec<Beside>,
    ) -> Result<(), Error> {
        let mut operations = plans.operations;
        if operations.is_empty() {
            return Ok(());
        }
        for (change, effect) in steps {
            if *effect != Effect::Unchanged {
                operations.push(self.audited(change, before, after));
            }
            let one = match effect {
                Effect::SubscriptionCreated => {
                    let (bus, subscription) = find(after, change)?;
                    Beside::Begins(self.first_rows(&bus, &subscription).await?)
                }
                Effect::SubscriptionChanged => Beside::Turns(self.turn(change, after).await?),
                _ => Beside::Nothing,
            };
            operations.extend(one.operations());
            beside.push(one);
        }
        let of_first = steps.first().and_then(|(change, _)| before.buses.get(&change.bus));
        let revision = self
            .inner
            .store
            .apply(of_first.map_or(0, |bus| bus.id), operations)
            .await?;
        self.inner.model.store(Arc::new(plans.finish.at(revision)));
        Ok(())
    }
}

impl Beside {
    fn operations(&self) -> Vec<Operation> {
        match self {
            Self::Nothing => Vec::new(),
            Self::Begins(rows) => rows.iter().map(|row| Operation::SaveLane(*row)).collect(),
            Self::Turns(turn) => turn.operations(),
        }
    }
}

/// What has steps of its own (a partition, a topic or a bus that comes or goes, a subscription that goes) is no part of several.
fn is_simple(effect: &Effect, before: &Model, after: &Model) -> Result<(), Error> {
    let is_simple = match effect {
        Effect::Unchanged
        | Effect::Other
        | Effect::ConnectionPut
        | Effect::BusDefaultsPut
        | Effect::SubscriptionCreated
        | Effect::SubscriptionChanged => true,
        Effect::TopicPut => all_partitions(before) == all_partitions(after),
        Effect::BusCreated | Effect::BusDeleted | Effect::TopicDeleted | Effect::SubscriptionDeleted => false,
    };
    match is_simple {
        true => Ok(()),
        false => Err(Refusal::invalid("", format!("{effect:?} is carried out by itself")).into()),
    }
}
