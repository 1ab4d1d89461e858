//! Which keys end soon, and whether somebody can still administer then.

use crate::{
    keys::administers,
    model::{Key, Model},
};
use std::{sync::Arc, time::Duration};
use store::Millis;

/// An administrator hears of the last administering key this long before it ends.
pub const LAST_KEY_WARNING: Duration = Duration::from_secs(30 * 86_400);

/// The keys in force that end within so long, the first to end first.
pub fn expiring(model: &Model, now: Millis, within: Duration) -> Vec<(Millis, Arc<Key>)> {
    let until = now.saturating_add(millis(within));
    let ends_soon = |key: &&Arc<Key>| key.not_after.is_some_and(|end| (now..=until).contains(&end));
    let mut keys: Vec<_> = model
        .keys
        .values()
        .filter(ends_soon)
        .filter_map(|key| Some((key.not_after?, key.clone())))
        .collect();
    keys.sort_by(|one, other| (one.0, &one.1.id).cmp(&(other.0, &other.1.id)));
    keys
}

/// When the last key that administers ends; `None` if one does not, or if there are no keys.
pub fn administration_ends(model: &Model) -> Option<Millis> {
    let administering = || model.keys.values().filter(|key| administers(&key.spec));
    match administering().all(|key| key.not_after.is_some()) {
        true => administering().filter_map(|key| key.not_after).max(),
        false => None,
    }
}

/// What to tell an administrator about it: nothing while it is far away.
pub fn administration_warning(model: &Model, now: Millis) -> Option<String> {
    let end = administration_ends(model)?;
    if end > now.saturating_add(millis(LAST_KEY_WARNING)) {
        return None;
    }
    let time = jiff::Timestamp::from_millisecond(end).map_or_else(|_| end.to_string(), |time| time.to_string());
    let what = if end < now { "has ended" } else { "ends" };
    Some(format!(
        "the last key that can administer {what} at {time}: make another one (with the server stopped: `trunkline key create \
         --scope administer --data-dir PATH`)"
    ))
}

fn millis(duration: Duration) -> Millis {
    i64::try_from(duration.as_millis()).unwrap_or(i64::MAX)
}
