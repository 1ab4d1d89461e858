//! Redrives: dead letters of a class, sent out again at a rate, beside everything else. Each has a number that is never given
//! again, and a document that says how far it has come, written in one transaction with the dead letters that it moves; so no
//! crash sends one out twice, or leaves one out. What happens to them afterwards is their lanes' business.
//!
//! Its steps are taken by the task of changes, one by one, so that nothing else moves a dead letter meanwhile.

mod document;
mod runner;

pub use document::Document;
pub use runner::{Act, act, begin, restore, resume_all};

use crate::{Error, ReplayState as State, backoff::millis, told::not_found};
use control::{Refusal, refusal::Class, resources::RedriveSpec};
use std::{
    collections::BTreeMap,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicU32, Ordering::Relaxed},
    },
    time::Duration,
};
use store::{BusId, Millis};
use tokio::{sync::Notify, task::AbortHandle};

/// The kind of thing in the audit trail.
pub const KIND: &str = "redrive";
/// Redrives of a bus that may run or be paused at once: they take turns with all other changes.
pub const RUNNING_BUS_MAX: usize = 4;
/// The same, of all buses together.
pub const RUNNING_NODE_MAX: usize = 32;
/// Redrives of a bus that are kept after their end; the oldest go first.
pub const ENDED_KEPT_MAX: usize = 100;
/// How long one is kept after its end.
pub const ENDED_KEPT: Duration = Duration::from_secs(30 * 24 * 60 * 60);
/// Dead letters of one step: others wait for it.
pub const STEP_MAX: usize = 100;

const _: () = assert!(RUNNING_BUS_MAX <= RUNNING_NODE_MAX && STEP_MAX <= crate::settings::DEAD_PAGE);

/// A redrive, as it stands.
#[derive(Clone, Debug)]
pub struct Redrive {
    /// Its number, never given again.
    pub number: u32,
    /// Its name.
    pub name: String,
    /// What was asked for.
    pub spec: RedriveSpec,
    /// When it was made.
    pub created: Millis,
    /// Whether it runs.
    pub state: State,
    /// Why it does not go on, in words.
    pub reason: Option<String>,
    /// When it ended.
    pub ended: Option<Millis>,
    /// How many dead letters there were when it began.
    pub matched: u64,
    /// How many went out again.
    pub redriven: u64,
}

/// What a redrive would do.
#[derive(Clone, Debug, Default)]
pub struct RedrivePreview {
    /// How many dead letters there are.
    pub dead_letters: u64,
    /// Bytes of their records.
    pub bytes: u64,
    /// The first of them.
    pub samples: Vec<store::Dead>,
}

/// What others hold of a redrive.
#[derive(Debug)]
pub struct Handle {
    document: Mutex<Document>,
    /// Why it does not go on at the moment.
    hindrance: Mutex<Option<String>>,
    /// Its state changed.
    changed: Notify,
    task: Mutex<Option<AbortHandle>>,
}

impl Handle {
    /// One without a task.
    pub fn new(document: Document) -> Self {
        Self {
            document: Mutex::new(document),
            hindrance: Mutex::default(),
            changed: Notify::new(),
            task: Mutex::default(),
        }
    }

    /// What is kept of it.
    pub fn document(&self) -> Document {
        lock(&self.document).clone()
    }

    /// Whether it is over.
    pub fn is_over(&self) -> bool {
        lock(&self.document).state.is_over()
    }

    /// How it stands.
    pub fn told(&self) -> Redrive {
        let document = self.document();
        Redrive {
            number: document.number,
            name: document.name,
            spec: document.spec,
            created: document.created,
            state: document.state,
            reason: lock(&self.hindrance).clone().filter(|_| !document.state.is_over()),
            ended: document.ended,
            matched: document.matched,
            redriven: document.redriven,
        }
    }

    /// Ends its task at once; what it has done is saved.
    pub fn abort(&self) {
        if let Some(task) = lock(&self.task).as_ref() {
            task.abort();
        }
    }

    fn set(&self, document: Document) {
        *lock(&self.document) = document;
        self.changed.notify_waiters();
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// All redrives: those that run, and those that are kept after their end.
#[derive(Debug, Default)]
pub struct Registry {
    redrives: Mutex<BTreeMap<u32, Arc<Handle>>>,
    next: AtomicU32,
}

impl Registry {
    /// The next number.
    pub fn next_number(&self) -> u32 {
        self.next.load(Relaxed).max(1)
    }

    /// Knows one.
    pub fn insert(&self, handle: Arc<Handle>) {
        let number = handle.document().number;
        self.number_from(number.saturating_add(1));
        lock(&self.redrives).insert(number, handle);
    }

    /// Knows it no more; whether it did.
    pub fn remove(&self, number: u32) -> bool {
        lock(&self.redrives).remove(&number).is_some()
    }

    /// All, oldest first.
    pub fn all(&self) -> Vec<Arc<Handle>> {
        lock(&self.redrives).values().cloned().collect()
    }

    /// Those of a bus, oldest first.
    pub fn of_bus(&self, bus: BusId) -> Vec<Arc<Handle>> {
        let all = self.all().into_iter();
        all.filter(|redrive| lock(&redrive.document).bus == bus).collect()
    }

    /// One by its name.
    pub fn find(&self, bus: BusId, name: &str) -> Result<Arc<Handle>, Error> {
        let missing = || not_found(format!("redrive {name:?} does not exist"));
        let found = self
            .of_bus(bus)
            .into_iter()
            .find(|redrive| lock(&redrive.document).name == name);
        Ok(found.ok_or_else(missing)?)
    }

    fn number_from(&self, next: u32) {
        self.next.fetch_max(next.max(1), Relaxed);
    }

    /// Refuses one more of this name, or beyond the bounds.
    fn check_room(&self, bus: BusId, name: &str) -> Result<(), Refusal> {
        let of_bus = self.of_bus(bus);
        if of_bus.iter().any(|redrive| lock(&redrive.document).name == name) {
            let detail = format!("redrive {name:?} exists already; take another name, or delete it when it is over");
            return Err(Refusal::new("already_exists", Class::Precondition, detail));
        }
        let running = |redrives: &[Arc<Handle>]| redrives.iter().filter(|redrive| !redrive.is_over()).count();
        match (running(&of_bus), running(&self.all())) {
            (of_bus, _) if of_bus >= RUNNING_BUS_MAX => Err(Refusal::limit(format!(
                "{RUNNING_BUS_MAX} redrives of this bus run or are paused already; wait, or cancel one"
            ))),
            (_, all) if all >= RUNNING_NODE_MAX => Err(Refusal::limit(format!(
                "{RUNNING_NODE_MAX} redrives run or are paused already; wait, or cancel one"
            ))),
            _ => Ok(()),
        }
    }

    /// Those of a bus that are kept too long after their end, or are too many.
    fn outlived(&self, bus: BusId, now: Millis) -> Vec<Document> {
        let mut ended: Vec<Document> = self.of_bus(bus).iter().map(|redrive| redrive.document()).collect();
        ended.retain(|document| document.ended.is_some());
        ended.sort_by_key(|document| (document.ended, document.number));
        let surplus = ended.len().saturating_sub(ENDED_KEPT_MAX);
        let oldest = now.saturating_sub(millis(ENDED_KEPT));
        let old = ended.into_iter().enumerate();
        old.filter(|(index, document)| *index < surplus || document.ended.is_some_and(|at| at < oldest))
            .map(|(_, document)| document)
            .collect()
    }
}
