//! Which records belong to a replay. Pure.

use crate::matching::{Sieve, copy_of};
use control::Subscription;
use event::EventView;
use journal::RecordView;
use pattern::Filter;
use std::{collections::BTreeSet, sync::Arc};
use store::Millis;

/// Asks the filters of a replay: its own, which sees events as they were received, and that of the subscription that it goes to,
/// which sees that they come by a replay.
#[derive(Debug)]
pub struct Picker {
    topics: BTreeSet<u32>,
    filter: Arc<Filter>,
    replay_name: String,
    sieve: Sieve,
}

impl Picker {
    /// One for these topics: a copy of an event whose primary record is among them is passed over.
    pub fn new(topics: BTreeSet<u32>, filter: Arc<Filter>, replay_name: &str) -> Self {
        Self {
            topics,
            filter,
            replay_name: replay_name.to_owned(),
            sieve: Sieve::default(),
        }
    }

    /// The event of a record, if it belongs to the replay.
    pub fn pick<'a>(
        &mut self,
        record: &RecordView<'a>,
        appended: Millis,
        into: Option<&Subscription>,
    ) -> Option<EventView<'a>> {
        let event = EventView::from_record(record.headers(), record.value)?;
        let sieve = &mut self.sieve;
        let name = self.replay_name.as_str();
        let belongs = into.is_none_or(|into| sieve.matches_replayed(&into.filter, &event, appended, name))
            && sieve.matches_one(&self.filter, &event, appended)
            && !copy_of(record).is_some_and(|primary| self.topics.contains(&primary));
        belongs.then_some(event)
    }
}
