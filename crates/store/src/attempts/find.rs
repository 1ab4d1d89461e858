//! The searches, on files that the writer may be appending to. Damaged blocks are passed over and said.

use super::{
    FOUND_MAX,
    attempt::Attempt,
    days::{self, Day, DayFile, Place, day_of},
    heads::Heads,
    index::{Index, Slot},
};
use crate::{Error, Millis, SubscriptionId};
use std::path::Path;

/// An attempt is in the file of the day on which it was written: of that day, or of one after it if it ran past midnight
/// or the clock was set back meanwhile.
const DAYS_LATE_MAX: Day = 2;

pub(super) fn by_filter(
    directory: &Path,
    heads: &Heads,
    event_hash: u64,
    (from, to): (Millis, Millis),
) -> Result<Vec<Attempt>, Error> {
    let candidates = day_of(from)..=day_of(to).saturating_add(DAYS_LATE_MAX);
    let mut found = Vec::new();
    for day in days::days(directory)?
        .into_iter()
        .filter(|day| candidates.contains(day))
    {
        let Some(file) = DayFile::open(directory, day)? else {
            continue;
        };
        for (position, head) in heads.candidates((day, &file), event_hash, (from, to))? {
            let attempts = file.attempts_of(event_hash, position, &head);
            if matches!(attempts, Err(Error::Corrupt(_))) {
                // Damage, or no longer the file whose heads these are.
                heads.forget(|other| other == day);
            }
            let in_time = |attempt: &Attempt| (from..=to).contains(&attempt.started);
            found.extend(passing_over(attempts)?.into_iter().filter(in_time));
            if found.len() >= FOUND_MAX {
                break;
            }
        }
    }
    found.sort_by_key(|attempt| attempt.started);
    found.truncate(FOUND_MAX);
    Ok(found)
}

pub(super) fn trouble_of_event(directory: &Path, event_hash: u64) -> Result<Vec<Attempt>, Error> {
    let slots = Index::again(directory)?.of_event(event_hash, FOUND_MAX)?;
    at(directory, slots, |attempt| attempt.event_hash == event_hash)
}

pub(super) fn trouble_of_subscription(
    directory: &Path,
    subscription: SubscriptionId,
    from: Millis,
    to: Millis,
    limit: usize,
) -> Result<Vec<Attempt>, Error> {
    let slots = Index::again(directory)?.of_subscription(subscription, from, to, limit)?;
    at(directory, slots, |attempt| {
        attempt.subscription == subscription && (from..=to).contains(&attempt.started)
    })
}

/// Reads the attempts of the slots, in their order. Neighbours are mostly of one block, which is read once for them.
fn at(directory: &Path, slots: Vec<Slot>, wanted: impl Fn(&Attempt) -> bool) -> Result<Vec<Attempt>, Error> {
    let mut found = Vec::with_capacity(slots.len());
    let mut block: Option<(Place, Vec<Attempt>)> = None;
    for Slot { place, slot } in slots {
        if block.as_ref().is_none_or(|(read, _)| *read != place) {
            block = Some((place, block_at(directory, place)?));
        }
        let attempts = block.iter().flat_map(|(_, attempts)| attempts.get(slot));
        found.extend(attempts.filter(|attempt| wanted(attempt)).cloned());
    }
    Ok(found)
}

fn block_at(directory: &Path, place: Place) -> Result<Vec<Attempt>, Error> {
    match DayFile::open(directory, place.day)? {
        Some(file) => passing_over(file.attempts_at(place.position)),
        None => Ok(Vec::new()),
    }
}

fn passing_over(attempts: Result<Vec<Attempt>, Error>) -> Result<Vec<Attempt>, Error> {
    match attempts {
        Err(error @ Error::Corrupt(_)) => {
            tracing::warn!(%error, "a block of attempts is passed over");
            Ok(Vec::new())
        }
        other => other,
    }
}
