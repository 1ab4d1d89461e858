//! Telling the callers of a group what became of their requests. Many are told by a task of the runtime that the journal was opened
//! in: one that wakes another from within only has to put it into a list of its own thread, and meanwhile the commit is free for the
//! next group. What they are told was decided before, and they are told it whatever becomes of that runtime.

use super::has_threads;
use crate::{
    Error,
    embedded::requests::{Outcome, QueuedRecord, Request, Requests},
};
use tokio::runtime::Handle;

/// From so many callers on, waking them from outside costs more than a task.
const MANY: usize = 16;

/// Who tells many callers.
#[derive(Debug)]
pub struct Teller(Option<Handle>);

/// What callers are to be told; they are told it at the latest when this is dropped.
struct Answers {
    requests: Vec<Request>,
    /// What they brought: a thread of the runtime, where it was made, is the best to free it.
    records: Vec<QueuedRecord>,
    /// Of every request, unless all are refused.
    outcomes: Vec<Outcome>,
    refused: Option<Error>,
}

impl Teller {
    /// The commit's own threads.
    pub fn none() -> Self {
        Self(None)
    }

    /// The runtime around, if it has threads of its own: another one may stand still until somebody waits in it.
    pub fn around() -> Self {
        Self(Handle::try_current().ok().filter(has_threads))
    }

    /// Tells these, sooner or later, what became of them; both lists are empty afterwards.
    pub fn tell(&self, requests: &mut Requests, outcomes: &mut Vec<Outcome>, refused: Option<Error>) {
        match &self.0 {
            Some(runtime) if requests.requests.len() >= MANY => {
                let answers = Answers {
                    requests: emptied(&mut requests.requests),
                    records: emptied(&mut requests.records),
                    outcomes: emptied(outcomes),
                    refused,
                };
                // A runtime that has ended drops the task at once.
                drop(runtime.spawn(async move { drop(answers) }));
            }
            _ => answer(&mut requests.requests, outcomes, refused.as_ref()),
        }
    }
}

impl Drop for Answers {
    fn drop(&mut self) {
        answer(&mut self.requests, &mut self.outcomes, self.refused.as_ref());
        self.records.clear();
    }
}

/// Takes all; as many will come again.
fn emptied<T>(list: &mut Vec<T>) -> Vec<T> {
    let next = Vec::with_capacity(list.len());
    std::mem::replace(list, next)
}

fn answer(requests: &mut Vec<Request>, outcomes: &mut Vec<Outcome>, refused: Option<&Error>) {
    let mut outcomes = outcomes.drain(..);
    for request in requests.drain(..) {
        let refused = refused.cloned().map(Err);
        let outcome = refused.or_else(|| outcomes.next());
        request.answer(outcome.expect("what is not refused has outcomes"));
    }
}
