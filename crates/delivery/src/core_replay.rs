//! The core's handle, for replays: begin, look, pause, resume, cancel, forget.

use crate::{
    Core, Error, Replay, ReplayPreview,
    changes::Request,
    inner::Inner,
    replay::{Asked, Command, Handle, KIND},
    told::not_found,
};
use control::{
    Bus, Change, Model, Refusal,
    audit::{Actor, Deed},
    refusal::Class,
    resources::ReplaySpec,
};
use serde_json::Value;
use std::sync::Arc;
use tokio::sync::oneshot;

impl Core {
    /// Begins a replay; without a name it gets one by its number. Its entry in the audit trail is written with it.
    pub async fn replay(&self, bus: &str, name: Option<String>, spec: ReplaySpec, by: Actor) -> Result<Replay, Error> {
        let asked = Asked::new(&self.inner, bus, name, spec).await?;
        self.begin_replay(asked.asked_by(by)).await
    }

    /// Begins a replay that is a part of something else, whose name its events carry.
    pub async fn replay_part(
        &self,
        bus: &str,
        name: String,
        part_of: String,
        spec: ReplaySpec,
        by: Actor,
    ) -> Result<Replay, Error> {
        let asked = Asked::new(&self.inner, bus, Some(name), spec).await?;
        self.begin_replay(asked.part_of(part_of).asked_by(by)).await
    }

    async fn begin_replay(&self, asked: Asked) -> Result<Replay, Error> {
        let handle = self.ask(|reply| Request::Replay(Box::new(asked), reply)).await?;
        Ok(self.told(&handle))
    }

    /// Begins a replay into a subscription that is made for it, if what is asked for can be.
    pub async fn replay_into_new(
        &self,
        bus: &str,
        name: Option<String>,
        creation: Change,
        spec: ReplaySpec,
        by: Actor,
    ) -> Result<Replay, Error> {
        let after = self.after(&creation)?;
        Asked::into_new(&self.inner, bus, name.clone(), &after, spec.clone()).await?;
        self.change(creation).await?;
        self.replay(bus, name, spec, by).await
    }

    /// What such a replay would do, without making the subscription.
    pub async fn preview_replay_into_new(
        &self,
        bus: &str,
        creation: Change,
        spec: ReplaySpec,
    ) -> Result<ReplayPreview, Error> {
        let asked = Asked::into_new(&self.inner, bus, None, &self.after(&creation)?, spec).await?;
        asked.preview(&self.inner).await
    }

    /// The model as it would be after a change.
    fn after(&self, change: &Change) -> Result<Model, Error> {
        let Inner {
            model,
            rules,
            sealer,
            journal,
            ..
        } = &*self.inner;
        let plan = control::plan(&model.load(), rules, sealer, change, journal.now())?;
        Ok(plan.finish.at(u64::MAX))
    }

    /// What a replay would do, without doing it.
    pub async fn preview_replay(&self, bus: &str, spec: ReplaySpec) -> Result<ReplayPreview, Error> {
        Asked::new(&self.inner, bus, None, spec)
            .await?
            .preview(&self.inner)
            .await
    }

    /// The replays of a bus, oldest first: those that run, and those that are kept after their end.
    pub fn replays(&self, bus: &str) -> Result<Vec<Replay>, Error> {
        let model = self.inner.model.load();
        let of_bus = self.inner.replays.of_bus(model.bus(bus)?.id);
        Ok(of_bus.iter().map(|handle| self.told(handle)).collect())
    }

    /// One of them.
    pub fn replay_of(&self, bus: &str, name: &str) -> Result<Replay, Error> {
        Ok(self.told(&*self.find_replay(bus, name)?))
    }

    /// Holds a replay: what is in flight ends, nothing else begins.
    pub async fn pause_replay(&self, bus: &str, name: &str, by: Actor) -> Result<Replay, Error> {
        self.command(bus, name, |reply| Command::Pause(by, reply)).await
    }

    /// Lets a replay go on, also after its endpoint was gone or a bound stopped it.
    pub async fn resume_replay(&self, bus: &str, name: &str, by: Actor) -> Result<Replay, Error> {
        self.command(bus, name, |reply| Command::Resume(by, reply)).await
    }

    /// Ends a replay: no attempt of it begins any more, what it has parked goes; its dead letters stay.
    pub async fn cancel_replay(&self, bus: &str, name: &str, by: Actor) -> Result<Replay, Error> {
        self.command(bus, name, |reply| Command::Cancel(by, reply)).await
    }

    /// Forgets a replay that is over.
    pub async fn forget_replay(&self, bus: &str, name: &str, by: Actor) -> Result<(), Error> {
        let handle = self.find_replay(bus, name)?;
        if !handle.is_over() {
            let detail = format!("replay {name:?} is not over: cancel it first");
            return Err(Refusal::new("replay_running", Class::InUse, detail).into());
        }
        let entry = self
            .inner
            .entry(by, handle.bus, Deed::Deleted, (KIND, name), Value::Null);
        let delete = vec![handle.document().delete(), entry];
        // Of two who forget it at once only one does.
        if !self.inner.replays.remove(handle.number) {
            return Err(not_found(format!("replay {name:?} does not exist")).into());
        }
        if let Err(error) = self.inner.store.apply(handle.bus, delete).await {
            self.inner.replays.insert(handle);
            return Err(error.into());
        }
        Ok(())
    }

    async fn command(
        &self,
        bus: &str,
        name: &str,
        command: impl FnOnce(oneshot::Sender<Result<(), Error>>) -> Command,
    ) -> Result<Replay, Error> {
        let handle = self.find_replay(bus, name)?;
        let is_over = || {
            let detail = format!("replay {name:?} is over; start another one");
            Error::Refused(Refusal::new("replay_over", Class::InUse, detail))
        };
        if handle.is_over() {
            return Err(is_over());
        }
        let (reply, answer) = oneshot::channel();
        handle.send(command(reply));
        // One that ended meanwhile does not answer.
        answer.await.map_err(|_| is_over())??;
        Ok(self.told(&handle))
    }

    fn find_replay(&self, bus: &str, name: &str) -> Result<Arc<Handle>, Error> {
        let model = self.inner.model.load();
        self.inner.replays.find(model.bus(bus)?.id, name)
    }

    fn told(&self, handle: &Handle) -> Replay {
        let model = self.inner.model.load();
        let bus = bus_of(&model, handle.bus);
        handle.told(|id| {
            let topics = bus.into_iter().flat_map(|bus| bus.topics.values());
            let mut named = topics.filter(|topic| topic.id == id);
            named.next().map(|topic| topic.name.clone()).unwrap_or_default()
        })
    }
}

fn bus_of(model: &Model, id: store::BusId) -> Option<&Arc<Bus>> {
    model.buses.values().find(|bus| bus.id == id)
}
