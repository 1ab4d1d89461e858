//! Another master key, as the task of changes carries it out: nothing is being sealed while the keys change, and what is sealed again
//! goes between other changes, a bounded transaction at a time.

use super::Changes;
use crate::{Error, inner::Inner};
use control::counted;
use control::{
    Class, Refusal,
    audit::{Act, Actor, Deed},
    documents::INSTALLATION,
    seal::{self, RESEAL_DOCUMENTS_MAX},
};
use serde_json::{Value, json};
use std::sync::Arc;
use tokio::sync::oneshot;

/// The kind of thing in the audit trail.
const KIND: &str = "master-key";

/// What is asked.
#[derive(Debug)]
pub enum Request {
    /// Another one becomes current: the one given, or one of the server's choice.
    Rotate(Option<Given>, Actor, oneshot::Sender<Result<(), Error>>),
    /// Seal the next few documents again; whether anything was left to do.
    Reseal(oneshot::Sender<Result<bool, Error>>),
    /// Let an earlier one go.
    Forget(String, Actor, oneshot::Sender<Result<(), Error>>),
}

/// A master key's text: shown by nothing.
pub struct Given(pub(crate) String);

impl std::fmt::Debug for Given {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.write_str("Given")
    }
}

impl Changes {
    /// Whoever asked may have gone; what is asked is done all the same.
    pub(super) async fn serve_master_key(&mut self, request: Request) {
        match request {
            Request::Rotate(given, by, reply) => drop(reply.send(self.rotate(given, by).await)),
            Request::Reseal(reply) => drop(reply.send(self.reseal().await)),
            Request::Forget(id, by, reply) => drop(reply.send(self.forget_key(id, by).await)),
        }
    }

    async fn rotate(&self, given: Option<Given>, by: Actor) -> Result<(), Error> {
        let sealer = self.inner.sealer.clone();
        let left = sealer.sealed(&self.inner.model.load()).left;
        if left > 0 {
            let detail = format!(
                "{} still to be sealed again under master key {}: rotate when that is done",
                counted(left as u64, "secret"),
                sealer.key_id()
            );
            return Err(Refusal::new("master_key_rotating", Class::InUse, detail).into());
        }
        let earlier = sealer.key_id();
        let drawing = sealer.clone();
        let next = blocking(move || drawing.next_key(given.as_ref().map(|given| given.0.as_str()))).await?;
        self.record(by, Deed::Rotated, next.id(), json!({"before": earlier}))
            .await?;
        tracing::info!(
            before = earlier,
            after = next.id(),
            "another master key becomes current"
        );
        blocking(move || sealer.adopt(&next)).await?;
        self.inner.sealing.wake();
        Ok(())
    }

    async fn reseal(&self) -> Result<bool, Error> {
        let Inner {
            sealer, model, store, ..
        } = &*self.inner;
        let resealed = sealer.reseal(&model.load(), RESEAL_DOCUMENTS_MAX);
        let Some(resealed) = resealed.map_err(Refusal::from)? else {
            return Ok(false);
        };
        let mut operations = resealed.plan.operations;
        if resealed.is_last {
            operations.push(self.entry(
                Actor::System("master key"),
                Deed::Resealed,
                sealer.key_id(),
                Value::Null,
            ));
        }
        let revision = store.apply(INSTALLATION, operations).await?;
        model.store(Arc::new(resealed.plan.finish.at(revision)));
        Ok(!resealed.is_last)
    }

    /// No change is under way here, so that nothing can come to be sealed under it any more.
    async fn forget_key(&self, id: String, by: Actor) -> Result<(), Error> {
        let sealer = self.inner.sealer.clone();
        if !sealer.earlier_key_ids().contains(&id) {
            let detail = match id == sealer.key_id() {
                true => format!("master key {id:?} is the current one: rotate first"),
                false => format!("there is no earlier master key {id:?}"),
            };
            return Err(Refusal::new("master_key_unknown", Class::NotFound, detail).into());
        }
        let sealed = sealer.sealed(&self.inner.model.load());
        if sealed.left > 0 {
            let detail = format!(
                "{} still to be sealed again: forget earlier keys when that is done",
                counted(sealed.left as u64, "secret")
            );
            return Err(Refusal::new("master_key_rotating", Class::InUse, detail).into());
        }
        let trying = sealer.clone();
        blocking(move || trying.can_forget()).await?;
        self.record(by, Deed::Forgotten, id.clone(), Value::Null).await?;
        tracing::info!(key = id, "an earlier master key is forgotten");
        blocking(move || sealer.forget(&id)).await
    }

    async fn record(&self, by: Actor, action: Deed, id: String, details: Value) -> Result<(), Error> {
        let entry = self.entry(by, action, id, details);
        self.inner.store.apply(INSTALLATION, vec![entry]).await?;
        Ok(())
    }

    fn entry(&self, by: Actor, action: Deed, id: String, details: Value) -> store::Operation {
        let act = Act {
            by,
            action,
            bus_id: INSTALLATION,
            bus: String::new(),
            kind: KIND,
            name: id,
            changes: Vec::new(),
            details,
        };
        act.operation(self.inner.journal.now())
    }
}

/// Reading and writing the key's file waits for a disk.
async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, seal::Error> + Send + 'static,
) -> Result<T, Error> {
    let done = tokio::task::spawn_blocking(work).await;
    let done = done.expect("reading and writing a file does not panic");
    done.map_err(|error| Error::Refused(refusal(error)))
}

fn refusal(error: seal::Error) -> Refusal {
    let (code, class) = match &error {
        seal::Error::MasterKeyFile { .. } | seal::Error::MasterKeyExposed(_) | seal::Error::Random => {
            ("master_key_unwritten", Class::Internal)
        }
        _ => ("master_key_invalid", Class::Invalid),
    };
    Refusal::new(code, class, format!("failed to {error}"))
}
