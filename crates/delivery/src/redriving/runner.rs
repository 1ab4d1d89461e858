//! The task of one redrive, which asks for steps as its rate allows; and the steps.

use super::{Document, Handle, KIND, STEP_MAX, document::redrive_of, lock};
use crate::{Error, ReplayState as State, changes::Request, clock::sleep_until, dead, inner::Inner, rate::Bucket};
use control::{
    Refusal,
    audit::{Actor, Deed},
    refusal::Class,
};
use serde_json::Value;
use std::{sync::Arc, time::Duration};
use store::Operation;
use tokio::{sync::oneshot, time::Instant};

/// How long after a step that failed, or had no room, the next one is tried.
const AGAIN: Duration = Duration::from_secs(1);
/// With a rate, steps are so far apart: each is a transaction.
const STEP_INTERVAL: Duration = Duration::from_millis(100);

/// What is asked of the task of changes.
#[derive(Debug)]
pub enum Act {
    /// Send out so many at most.
    Step(usize),
    /// Hold it, let it go on, end it: who asks.
    Set(State, Actor),
}

/// Begins one: the number is given, and it is saved, with its entry in the audit trail, before it does anything.
pub async fn begin(
    inner: &Arc<Inner>,
    name: Option<String>,
    mut document: Document,
    by: Actor,
) -> Result<Arc<Handle>, Error> {
    document.number = inner.redrives.next_number();
    document.name = name.unwrap_or_else(|| format!("redrive-{}", document.number));
    inner.redrives.check_room(document.bus, &document.name)?;
    (document.matched, _) = document.selected().count(inner).await?;
    let outlived = inner.redrives.outlived(document.bus, inner.settings.clock.now());
    let forgotten = outlived.iter().map(Document::delete);
    let (asked, name) = (document.spec.shown(), document.name.as_str());
    let entry = inner.entry(by, document.bus, Deed::Started, (KIND, name), asked);
    let operations = [document.put(), entry].into_iter().chain(forgotten).collect();
    inner.store.apply(document.bus, operations).await?;
    for old in outlived {
        inner.redrives.remove(old.number);
    }
    let handle = Arc::new(Handle::new(document));
    inner.redrives.insert(Arc::clone(&handle));
    start(inner, &handle);
    Ok(handle)
}

/// One step, or another state; in one transaction with what it moves.
pub async fn act(inner: &Inner, handle: &Handle, act: Act) -> Result<(), Error> {
    let mut document = handle.document();
    match act {
        Act::Set(..) if document.state.is_over() => {
            let detail = format!("redrive {:?} is over; start another one", document.name);
            Err(Refusal::new("redrive_over", Class::InUse, detail).into())
        }
        Act::Set(state, _) if document.state == state => Ok(()),
        Act::Set(state, by) => {
            let name = (KIND, document.name.as_str());
            let entry = inner.entry(by, document.bus, deed(state), name, Value::Null);
            save(inner, handle, document, state, Some(entry)).await
        }
        Act::Step(_) if document.state != State::Running => Ok(()),
        Act::Step(limit) => {
            let page = document.selected().page(inner, document.after(), limit).await?;
            let Some(last) = page.last() else {
                return save(inner, handle, document, State::Completed, None).await;
            };
            document.after = Some(dead::write_id(last.delivery.key));
            document.redriven += page.len() as u64;
            dead::send_out(inner, document.bus, page, vec![document.put()]).await?;
            handle.set(document);
            Ok(())
        }
    }
}

/// What a person does who sets this state.
fn deed(state: State) -> Deed {
    match state {
        State::Running => Deed::Resumed,
        State::Paused => Deed::Paused,
        State::Completed | State::Cancelled | State::Failed => Deed::Cancelled,
    }
}

async fn save(
    inner: &Inner,
    handle: &Handle,
    mut document: Document,
    state: State,
    entry: Option<Operation>,
) -> Result<(), Error> {
    document.state = state;
    document.ended = state.is_over().then(|| inner.settings.clock.now());
    let operations = std::iter::once(document.put()).chain(entry).collect();
    inner.store.apply(document.bus, operations).await?;
    handle.set(document);
    Ok(())
}

fn start(inner: &Arc<Inner>, handle: &Arc<Handle>) {
    let task = tokio::spawn(run(Arc::clone(inner), Arc::clone(handle)));
    *lock(&handle.task) = Some(task.abort_handle());
}

/// Until it is over, or the core ends.
async fn run(inner: Arc<Inner>, handle: Arc<Handle>) {
    let clock = inner.settings.clock;
    let mut bucket = Bucket::new(handle.document().spec.rate, clock.now());
    loop {
        let changed = handle.changed.notified();
        let document = handle.document();
        if document.state.is_over() {
            return;
        }
        if document.state == State::Paused {
            changed.await;
            continue;
        }
        let mut limit = 0;
        let mut next = Ok(());
        while limit < STEP_MAX && next.is_ok() {
            next = bucket.take(clock.now());
            limit += usize::from(next.is_ok());
        }
        if limit > 0 {
            match step(&inner, &handle, limit).await {
                Ok(()) => *lock(&handle.hindrance) = None,
                Err(Error::Closing) => return,
                Err(error) => {
                    *lock(&handle.hindrance) = Some(error.to_string());
                    next = Err(clock.now() + crate::backoff::millis(AGAIN));
                }
            }
        }
        if let Err(at) = next {
            let wait = Duration::from_millis(at.saturating_sub(clock.now()).max(0).unsigned_abs());
            sleep_until(Some(Instant::now() + wait.max(STEP_INTERVAL))).await;
        }
    }
}

async fn step(inner: &Inner, handle: &Arc<Handle>, limit: usize) -> Result<(), Error> {
    let (reply, answer) = oneshot::channel();
    let request = Request::Redriving(Arc::clone(handle), Act::Step(limit), reply);
    inner.request(request).await?;
    answer.await.map_err(|_| Error::Closing)?
}

/// What the store holds of redrives.
pub fn restore(inner: &Inner, documents: &[store::Document]) {
    for found in documents.iter().filter_map(redrive_of) {
        match found {
            Ok(document) => inner.redrives.insert(Arc::new(Handle::new(document))),
            Err(error) => tracing::error!(
                error,
                "a redrive that the store holds cannot be read; it does not go on"
            ),
        }
    }
}

/// Lets those go on that ran when the core ended.
pub fn resume_all(inner: &Arc<Inner>) {
    for handle in inner.redrives.all() {
        if !handle.is_over() {
            start(inner, &handle);
        }
    }
}
