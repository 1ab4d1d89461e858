//! Filters that know no path, only what data must have somewhere: they are registered under one of these needs, and called by the
//! names and texts of data that meet it.
//!
//! The data is walked once whoever is registered, and not at all if nobody is.

use crate::hits::Hits;
use crate::index::COST_UNIT;
use crate::jsonpath::{AnyNeed, Need};
use crate::keys::{NAME_COST, SOMEWHERE_COST};
use crate::postings::{Code, Postings};
use crate::tape::{Kind, Tree};

/// Spaces of the names and the texts.
const NAMES: u32 = 0;
const TEXTS: u32 = 1;

/// Who is registered under what. Copies share what they have in common.
#[derive(Debug, Clone, Default)]
pub(crate) struct Anywhere {
    postings: Postings,
    /// How many registrations there are under names and under texts.
    names: u64,
    texts: u64,
}

impl Anywhere {
    /// How often a filter will be asked in vain, roughly, if it is registered here; none if it needs nothing.
    pub(crate) fn cost(&self, needs: &[AnyNeed]) -> Option<u64> {
        needs.iter().map(|need| self.cost_of(need)).min()
    }

    /// Registers a filter under the cheapest of its needs.
    pub(crate) fn register(&mut self, needs: &[AnyNeed], filter: u32) {
        let cheapest = needs.iter().min_by_key(|need| self.cost_of(need));
        for need in cheapest.into_iter().flatten() {
            let (space, key) = key_of(need);
            if self.postings.insert(space, key, Code::new(filter, false)) {
                *self.count(space) += 1;
            }
        }
    }

    /// Takes out all that a filter has been registered under.
    pub(crate) fn unregister(&mut self, needs: &[AnyNeed], filter: u32) {
        for need in needs.iter().flatten() {
            let (space, key) = key_of(need);
            if self.postings.remove(space, key, Code::new(filter, false)) {
                *self.count(space) -= 1;
            }
        }
    }

    /// Whether nobody is registered.
    pub(crate) fn is_empty(&self) -> bool {
        self.names + self.texts == 0
    }

    /// Looks up all that one text of a document has.
    pub(crate) fn look_up(&self, tree: &Tree<'_>, hits: &mut Hits) {
        for node in tree.nodes() {
            if self.names > 0 {
                self.call(NAMES, tree.name(node), hits);
            }
            if self.texts > 0 && tree.kind(node) == Kind::Text {
                self.call(TEXTS, tree.text(node), hits);
            }
        }
    }

    /// Bytes on the heap.
    pub(crate) fn memory(&self) -> usize {
        self.postings.memory()
    }

    fn call(&self, space: u32, key: &[u8], hits: &mut Hits) {
        hits.extend_apart(self.postings.get(space, key));
        hits.bound();
    }

    /// Of alternatives each calls.
    fn cost_of(&self, need: &AnyNeed) -> u64 {
        let costs = need.iter().map(|need| {
            let (space, key) = key_of(need);
            let registered = 1 + self.postings.count(space, key) as u64;
            let (cost, all) = match need {
                Need::Name(_) => (NAME_COST, self.names),
                Need::Text(_) => (SOMEWHERE_COST, self.texts),
            };
            COST_UNIT * cost * registered / (1 + all) * registered
        });
        costs.sum()
    }

    fn count(&mut self, space: u32) -> &mut u64 {
        match space {
            NAMES => &mut self.names,
            _ => &mut self.texts,
        }
    }
}

fn key_of(need: &Need) -> (u32, &[u8]) {
    match need {
        Need::Name(name) => (NAMES, name),
        Need::Text(text) => (TEXTS, text),
    }
}
