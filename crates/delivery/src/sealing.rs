//! Sealing again after another master key became current: the task that goes on until nothing is left, also after a start in the
//! middle, and how far it has come. The task of changes writes; this one asks it for a batch at a time.

use crate::{
    Core, Error,
    changes::{Request, master_key},
    inner::Inner,
};
use control::{audit::Actor, seal::KeptIn};
use std::{
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};
use tokio::sync::{Notify, oneshot};

/// The wait after a batch that failed: nothing is lost meanwhile, both keys open.
const RETRY: Duration = Duration::from_secs(5);

/// Wakes the task, and keeps why it does not get on.
#[derive(Debug, Default)]
pub struct Sealing {
    woken: Notify,
    failure: Mutex<Option<String>>,
}

impl Sealing {
    /// There is something to do.
    pub(crate) fn wake(&self) {
        self.woken.notify_one();
    }

    fn set_failure(&self, failure: Option<String>) {
        *self.failure.lock().unwrap_or_else(PoisonError::into_inner) = failure;
    }

    fn failure(&self) -> Option<String> {
        self.failure.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

/// The master keys, and how far sealing again under the current one has come.
#[derive(Clone, Debug)]
pub struct MasterKeys {
    /// The id of the one that seals.
    pub current: String,
    /// Those that only open, the newest first, each with the number of secrets under it.
    pub earlier: Vec<(String, usize)>,
    /// Where they are kept.
    pub kept_in: KeptIn,
    /// All sealed secrets.
    pub secrets: usize,
    /// Secrets that are still to be sealed again.
    pub left: usize,
    /// What opens under no key.
    pub unreadable: Vec<String>,
    /// Why it does not get on; it is tried again.
    pub failure: Option<String>,
}

/// Seals again whatever is left, then waits for the next rotation. Ends with the core.
pub async fn run(inner: Arc<Inner>) {
    loop {
        let sealed = inner.sealer.sealed(&inner.model.load());
        if sealed.left > 0 {
            let (left, secrets) = (sealed.left, sealed.total());
            tracing::info!(left, secrets, "secrets are sealed again under the current master key");
        }
        until_none_is_left(&inner).await;
        inner.sealing.woken.notified().await;
    }
}

async fn until_none_is_left(inner: &Inner) {
    loop {
        match batch(inner).await {
            Ok(true) => {}
            Ok(false) => return inner.sealing.set_failure(None),
            Err(error) => {
                tracing::warn!(%error, "failed to seal secrets again under the new master key; trying again");
                inner.sealing.set_failure(Some(error.to_string()));
                tokio::time::sleep(RETRY).await;
            }
        }
    }
}

/// Whether there may be more.
async fn batch(inner: &Inner) -> Result<bool, Error> {
    if inner.sealer.sealed(&inner.model.load()).left == 0 {
        return Ok(false);
    }
    let (reply, done) = oneshot::channel();
    inner
        .request(Request::MasterKey(master_key::Request::Reseal(reply)))
        .await?;
    let is_more = done.await.map_err(|_| Error::Closing)??;
    inner.sealing.set_failure(None);
    Ok(is_more)
}

impl Core {
    /// The master keys and how far sealing again has come.
    pub fn master_keys(&self) -> MasterKeys {
        let sealer = &self.inner.sealer;
        let sealed = sealer.sealed(&self.inner.model.load());
        let earlier = sealer.earlier_key_ids().into_iter();
        MasterKeys {
            current: sealer.key_id(),
            earlier: earlier
                .map(|id| (id.clone(), sealed.by_key.get(&id).copied().unwrap_or(0)))
                .collect(),
            kept_in: sealer.kept_in(),
            secrets: sealed.total(),
            left: sealed.left,
            unreadable: sealed.unreadable,
            failure: self.inner.sealing.failure(),
        }
    }

    /// Makes another master key current: the one given, the one that an operator put first in the file, or a new one. Everything is
    /// sealed again afterwards, beside whatever goes on; earlier keys open until they are forgotten.
    pub async fn rotate_master_key(&self, given: Option<String>, by: Actor) -> Result<(), Error> {
        let given = given.map(master_key::Given);
        self.ask(|reply| Request::MasterKey(master_key::Request::Rotate(given, by, reply)))
            .await
    }

    /// Lets an earlier master key go, once nothing is sealed under it.
    pub async fn forget_master_key(&self, id: String, by: Actor) -> Result<(), Error> {
        self.ask(|reply| Request::MasterKey(master_key::Request::Forget(id, by, reply)))
            .await
    }

    /// The ids of the master keys that open what is stored now.
    pub fn master_keys_needed(&self) -> Vec<String> {
        let needed = control::seal::keys_needed(&self.inner.model.load());
        needed.into_iter().collect()
    }
}
