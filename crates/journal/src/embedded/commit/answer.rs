//! Telling the callers of a group what became of their requests. Many are told by a task of the runtime that the journal was opened
//! in: one that wakes another from within only has to put it into a list of its own thread, and meanwhile the commit is free for the
//! next group. What they are told was decided before, and they are told it whatever becomes of that runtime.

use super::has_threads;
use crate::embedded::requests::{Outcome, Request};
use tokio::runtime::Handle;

/// From so many callers on, waking them from outside costs more than a task.
const MANY: usize = 16;

/// Who tells many callers.
#[derive(Debug)]
pub struct Teller(Option<Handle>);

/// What callers are to be told; they are told it at the latest when this is dropped.
struct Answers(Vec<(Request, Outcome)>);

impl Teller {
    /// The commit's own threads.
    pub fn none() -> Self {
        Self(None)
    }

    /// The runtime around, if it has threads of its own: another one may stand still until somebody waits in it.
    pub fn around() -> Self {
        Self(Handle::try_current().ok().filter(has_threads))
    }

    /// Tells these, sooner or later.
    pub fn tell(&self, answers: impl ExactSizeIterator<Item = (Request, Outcome)>) {
        match &self.0 {
            Some(runtime) if answers.len() >= MANY => {
                let answers = Answers(answers.collect());
                // A runtime that has ended drops the task at once.
                drop(runtime.spawn(async move { drop(answers) }));
            }
            _ => answers.for_each(|(request, outcome)| request.answer(outcome)),
        }
    }
}

impl Drop for Answers {
    fn drop(&mut self) {
        for (request, outcome) in self.0.drain(..) {
            request.answer(outcome);
        }
    }
}
