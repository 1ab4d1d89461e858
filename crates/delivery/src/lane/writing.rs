//! The way of a lane's rows into the store and back: one transaction at a time, tried again as it was until it succeeds.

use super::{Action, Lane};
use crate::{
    pending::{NEVER, Pending},
    settings::LANE_OPERATIONS_MAX,
};
use store::{Document, Expect, Kind, Millis, Operation, Parked, SubscriptionId};

/// How long after a failed store call the next one is made.
pub(super) const STORE_AGAIN_MILLIS: Millis = 1_000;

/// Operations of one delivery, and what is true once they are durable.
#[derive(Debug)]
pub(super) struct Write {
    pub(super) operations: Vec<Operation>,
    pub(super) done: Done,
    pub(super) pending: Pending,
    /// The copy of a dead letter that is written with it.
    pub(super) copy: Option<Parked>,
}

#[derive(Clone, Copy, Debug)]
pub(super) enum Done {
    /// It has a parked row.
    Parked { due: Millis },
    /// It has a dead row, and none that is parked.
    Buried,
    /// Its parked row is gone.
    Unparked,
}

impl Lane {
    /// Whether something is on its way to the store, or has to go there.
    pub(super) fn has_writes(&self) -> bool {
        self.is_writing() || !self.writes.is_empty() || self.is_gone_unsaved()
    }

    /// That an endpoint is gone is kept for the subscription; a replay that meets it waits for a person.
    fn is_gone_unsaved(&self) -> bool {
        !self.is_replay() && self.is_gone() != self.gone_saved
    }

    fn is_writing(&self) -> bool {
        !self.writing.is_empty() || self.gone_writing.is_some()
    }

    /// Begins a transaction with what has gathered, unless one is under way.
    pub(super) fn flush(&mut self, now: Millis) {
        if self.is_writing() || self.write_again.is_some_and(|at| now < at) {
            return;
        }
        self.write_again = None;
        let mut operations = Vec::new();
        if self.is_gone_unsaved() {
            self.gone_writing = Some(self.is_gone());
            operations.push(gone_operation(self.config.subscription, self.is_gone()));
        }
        let mut count = 0;
        while count < LANE_OPERATIONS_MAX
            && let Some(write) = self.writes.pop_front()
        {
            count += write.operations.len();
            self.writing.push(write);
        }
        let writing = self.writing.iter();
        operations.extend(writing.flat_map(|write| write.operations.iter().cloned()));
        if !operations.is_empty() {
            self.actions.push(Action::Apply(operations));
        }
    }

    pub(super) fn written(&mut self, result: Result<(), store::Error>, now: Millis) {
        let writing = std::mem::take(&mut self.writing);
        let gone = self.gone_writing.take();
        match result {
            Ok(()) => {
                self.gone_saved = gone.unwrap_or(self.gone_saved);
                writing.into_iter().for_each(|write| self.done(write));
            }
            Err(_) => {
                // Nothing was changed, and nothing is forgotten: the same operations are tried again, in order.
                writing
                    .into_iter()
                    .rev()
                    .for_each(|write| self.writes.push_front(write));
                self.write_again = Some(now + STORE_AGAIN_MILLIS);
            }
        }
    }

    fn done(&mut self, write: Write) {
        let Write {
            done, pending, copy, ..
        } = write;
        self.effects.copied.extend(copy);
        if self.loading {
            self.stale.insert(pending.key);
        }
        self.loaded.remove(&pending.key);
        if !pending.is_live() {
            self.loaded_bytes -= pending.record.len();
        }
        if pending.is_live() {
            if let Some(window) = self.windows.get_mut(&pending.key.partition) {
                window.mark(pending.key.offset);
            }
            self.settle(pending.key);
        }
        match done {
            // The one it waited for may have ended while this row was on its way.
            Done::Parked { due: NEVER } => self.wake_head(pending.order, None),
            Done::Parked { due } => {
                self.expect_parked(due);
                self.wake_head(pending.order, Some(pending.key));
            }
            Done::Buried | Done::Unparked if !pending.is_live() => self.row_gone(&pending),
            Done::Buried | Done::Unparked => {}
        }
    }
}

/// Persisted; the name of the setting that says that a subscription's endpoint is gone, before its number.
const GONE: &str = "gone/";

/// The name of that setting.
pub fn gone_name(subscription: SubscriptionId) -> String {
    format!("{GONE}{subscription}")
}

/// The subscription whose endpoint a document says is gone, if it says so.
pub fn gone_subscription(document: &Document) -> Option<SubscriptionId> {
    let is_setting = document.kind == Kind::Setting;
    document.name.strip_prefix(GONE).filter(|_| is_setting)?.parse().ok()
}

fn gone_operation(subscription: SubscriptionId, is_gone: bool) -> Operation {
    let (bus, kind, name, expect) = (0, Kind::Setting, gone_name(subscription), Expect::Any);
    match is_gone {
        true => Operation::PutDocument {
            bus,
            kind,
            name,
            expect,
            body: bytes::Bytes::from_static(br#"{"format":1}"#),
        },
        false => Operation::DeleteDocument {
            bus,
            kind,
            name,
            expect,
        },
    }
}
