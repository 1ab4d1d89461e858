//! How many may look on at once: each tail costs a task, some memory and a share of the hub.

use super::RETRY_FULL;
use crate::http::{State, call::Call, problem::Problem};
use std::{
    collections::HashMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

/// On the node: with what waits for each, some hundred megabytes at the very worst.
const TAILS_MAX: usize = 64;
/// Of one bus, so that no bus keeps others out.
const TAILS_PER_BUS_MAX: usize = 16;
/// Of one key, so that a program that forgets its tails keeps out itself.
const TAILS_PER_KEY_MAX: usize = 8;

/// The tails that are open.
#[derive(Default)]
pub(in crate::http) struct Slots(Mutex<Open>);

#[derive(Default)]
struct Open {
    tails: usize,
    by_bus: HashMap<String, usize>,
    by_key: HashMap<String, usize>,
}

/// A place, until it is dropped.
pub(super) struct Slot {
    state: Arc<State>,
    bus: String,
    key: String,
}

impl Slot {
    /// A place for a caller at a bus.
    pub(super) fn take(call: &Call) -> Result<Slot, Problem> {
        let (bus, key) = (call.bus()?.name.clone(), call.key_id().to_owned());
        let mut open = call.state.tails.lock();
        let count = |counts: &HashMap<String, usize>, name: &str| counts.get(name).copied().unwrap_or_default();
        let bounds = [
            (open.tails, TAILS_MAX, "the node"),
            (count(&open.by_bus, &bus), TAILS_PER_BUS_MAX, "the bus"),
            (count(&open.by_key, &key), TAILS_PER_KEY_MAX, "the key"),
        ];
        if let Some((_, max, whose)) = bounds.iter().find(|(tails, max, _)| tails >= max) {
            let detail = format!("{whose} has {max} live tails open, which is the limit");
            return Err(Problem::new("tails_exhausted", detail).retry_after(RETRY_FULL));
        }
        open.tails += 1;
        *open.by_bus.entry(bus.clone()).or_default() += 1;
        *open.by_key.entry(key.clone()).or_default() += 1;
        drop(open);
        let state = Arc::clone(&call.state);
        Ok(Slot { state, bus, key })
    }
}

impl Drop for Slot {
    fn drop(&mut self) {
        let mut open = self.state.tails.lock();
        open.tails -= 1;
        leave(&mut open.by_bus, &self.bus);
        leave(&mut open.by_key, &self.key);
    }
}

fn leave(counts: &mut HashMap<String, usize>, name: &str) {
    if let Some(count) = counts.get_mut(name) {
        *count -= 1;
        if *count == 0 {
            counts.remove(name);
        }
    }
}

impl Slots {
    fn lock(&self) -> MutexGuard<'_, Open> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
