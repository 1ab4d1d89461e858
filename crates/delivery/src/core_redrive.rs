//! The core's handle, for redrives: begin, look, pause, resume, cancel, forget.

use crate::{
    Core, Error, Redrive, RedrivePreview, ReplayState,
    changes::Request,
    redriving::{Act, Document, Handle, KIND},
    told::not_found,
};
use control::{
    Refusal,
    audit::{Actor, Deed},
    refusal::Class,
    resources::RedriveSpec,
};
use serde_json::Value;
use std::sync::Arc;

/// Dead letters that a preview shows.
const SAMPLES_MAX: usize = 5;

impl Core {
    /// Begins a redrive; without a name it gets one by its number. Its entry in the audit trail is written with it.
    pub async fn start_redrive(
        &self,
        bus: &str,
        name: Option<String>,
        spec: RedriveSpec,
        by: Actor,
    ) -> Result<Redrive, Error> {
        let document = Box::new(self.asked(bus, spec)?);
        let handle = self.ask(|reply| Request::Redrives(name, document, by, reply)).await?;
        Ok(handle.told())
    }

    /// What a redrive would do, without doing it.
    pub async fn preview_redrive(&self, bus: &str, spec: RedriveSpec) -> Result<RedrivePreview, Error> {
        let selected = self.asked(bus, spec)?.selected();
        let (dead_letters, bytes) = selected.count(&self.inner).await?;
        let samples = selected.page(&self.inner, None, SAMPLES_MAX).await?;
        Ok(RedrivePreview {
            dead_letters,
            bytes,
            samples,
        })
    }

    fn asked(&self, bus: &str, spec: RedriveSpec) -> Result<Document, Error> {
        let model = self.inner.model.load();
        let bus = model.bus(bus)?;
        let subscriptions = match &spec.subscription {
            None => bus.subscriptions.values().map(|subscription| subscription.id).collect(),
            Some(name) => {
                let missing = || Refusal::invalid("/subscription", format!("subscription {name:?} does not exist"));
                vec![bus.subscriptions.get(name).ok_or_else(missing)?.id]
            }
        };
        Ok(Document::new(
            bus.id,
            spec,
            subscriptions,
            self.inner.settings.clock.now(),
        ))
    }

    /// The redrives of a bus, oldest first: those that run, and those that are kept after their end.
    pub fn redrives(&self, bus: &str) -> Result<Vec<Redrive>, Error> {
        let model = self.inner.model.load();
        let of_bus = self.inner.redrives.of_bus(model.bus(bus)?.id);
        Ok(of_bus.iter().map(|handle| handle.told()).collect())
    }

    /// One of them.
    pub fn redrive_of(&self, bus: &str, name: &str) -> Result<Redrive, Error> {
        Ok(self.find_redrive(bus, name)?.told())
    }

    /// Holds a redrive, lets it go on, or ends it: what has gone out stays out.
    pub async fn set_redrive(&self, bus: &str, name: &str, state: ReplayState, by: Actor) -> Result<Redrive, Error> {
        let handle = self.find_redrive(bus, name)?;
        let of_it = Arc::clone(&handle);
        self.ask(|reply| Request::Redriving(of_it, Act::Set(state, by), reply))
            .await?;
        Ok(handle.told())
    }

    /// Forgets a redrive that is over.
    pub async fn forget_redrive(&self, bus: &str, name: &str, by: Actor) -> Result<(), Error> {
        let handle = self.find_redrive(bus, name)?;
        if !handle.is_over() {
            let detail = format!("redrive {name:?} is not over: cancel it first");
            return Err(Refusal::new("redrive_running", Class::InUse, detail).into());
        }
        let document = handle.document();
        let entry = self
            .inner
            .entry(by, document.bus, Deed::Deleted, (KIND, name), Value::Null);
        // Of two who forget it at once only one does.
        if !self.inner.redrives.remove(document.number) {
            return Err(not_found(format!("redrive {name:?} does not exist")).into());
        }
        let delete = vec![document.delete(), entry];
        if let Err(error) = self.inner.store.apply(document.bus, delete).await {
            self.inner.redrives.insert(handle);
            return Err(error.into());
        }
        Ok(())
    }

    fn find_redrive(&self, bus: &str, name: &str) -> Result<Arc<Handle>, Error> {
        let model = self.inner.model.load();
        self.inner.redrives.find(model.bus(bus)?.id, name)
    }
}
