//! How tests come into the index and go, and what it costs to ask a filter that is called by one of them.

use std::sync::Arc;

use smallvec::SmallVec;

use super::{Excepted, Index, Profile, Route};
use crate::keys::{AFFIX_BYTES_MAX, Key, Kind, OPEN_RANGE_COST, RANGE_COST, keys_of, range_of};
use crate::operator::{Bounds, Operator};
use crate::paths::Place;
use crate::pieces::Pieces;
use crate::postings::Code;
use crate::ranges::Range;
use crate::rules::FieldTest;

/// Costs are small numbers and parts of them.
pub(crate) const COST_UNIT: u64 = 1 << 20;

/// Filters of one test that are registered anew: more of them came when nothing better was there, and it is not likely that it is now.
const FEW: usize = 4;

/// A key of its own.
type KeyBytes = SmallVec<[u8; AFFIX_BYTES_MAX]>;

/// A key that an operator is registered under.
struct BestKey {
    kind: Kind,
    length: u16,
    bytes: KeyBytes,
    settles: bool,
    group: usize,
    /// What it costs, if it was looked at.
    cost: Option<u64>,
}

impl BestKey {
    fn of(key: &Key<'_>, cost: Option<u64>) -> Self {
        Self {
            kind: key.kind,
            length: key.length(),
            bytes: SmallVec::from_slice(key.bytes),
            settles: key.settles,
            group: key.group,
            cost,
        }
    }
}

impl Index {
    /// Registers a test of a field at a place; whether a hit may leave the test unsettled.
    pub(crate) fn register(&mut self, place: Place, test: &FieldTest, filter: u32) -> bool {
        let mut unsettled = false;
        for operator in test.operators() {
            if let Some(bounds) = range_of(operator) {
                let profile = self.profile_mut(place);
                profile.ranges.insert(Range::new(bounds, Code::new(filter, true)));
                profile.range_count += 1;
                let is_fetched = profile.ranges.is_fetched();
                self.ranges_fetched |= is_fetched;
                continue;
            }
            if let Operator::AnythingBut(exceptions) = operator {
                self.profile_mut(place).excepted.insert(exceptions);
            }
            for best in self.best_keys(place, operator) {
                unsettled |= !best.settles;
                self.insert(
                    place,
                    best.kind,
                    best.length,
                    &best.bytes,
                    Code::new(filter, best.settles),
                );
            }
        }
        unsettled
    }

    /// Of each group of keys the one that it costs the least to register an operator under.
    fn best_keys(&self, place: Place, operator: &Operator) -> SmallVec<[BestKey; 1]> {
        let mut all = SmallVec::<[BestKey; 1]>::new();
        keys_of(operator, &mut |key| {
            // The first one costs nothing to compare, because usually there is no other.
            let known = all.last_mut().filter(|known| known.group == key.group);
            let Some(best) = known else {
                return all.push(BestKey::of(&key, None));
            };
            let known = best.cost.unwrap_or_else(|| self.cost_of(place, best.kind, &best.bytes));
            let cost = self.cost_of(place, key.kind, key.bytes);
            best.cost = Some(known);
            if cost < known {
                *best = BestKey::of(&key, Some(cost));
            }
        });
        all
    }

    /// Takes out all that a test has been registered under.
    pub(crate) fn unregister(&mut self, place: Place, test: &FieldTest, filter: u32) {
        for operator in test.operators() {
            if let Some(bounds) = range_of(operator) {
                self.remove_range(place, Range::new(bounds, Code::new(filter, true)));
                continue;
            }
            let mut keys = Vec::new();
            keys_of(operator, &mut |key| {
                keys.push((key.kind, key.length(), key.bytes.to_vec(), key.settles))
            });
            for (kind, length, bytes, settles) in keys {
                self.remove(place, kind, length, &bytes, Code::new(filter, settles));
            }
        }
    }

    /// The numbers of filters that are registered under a test as it is now, if they are few.
    pub(crate) fn few_registered(&self, place: Place, test: &FieldTest) -> SmallVec<[usize; FEW]> {
        let mut all = SmallVec::new();
        for operator in test.operators() {
            keys_of(operator, &mut |key| {
                let found = self.postings.get(key.kind.space(place), key.bytes);
                let codes = found.map_or(&[][..], |found| found.codes);
                all.extend(codes.iter().take(FEW + 1).map(|code| code.filter()));
            });
        }
        all.sort_unstable();
        all.dedup();
        if all.len() > FEW {
            all.clear();
        }
        all
    }

    /// How often a filter will be asked in vain, roughly, if it is registered under this test.
    pub(crate) fn cost(&self, place: Place, test: &FieldTest) -> u64 {
        let of_operator = |operator: &Operator| {
            if let Some(bounds) = range_of(operator) {
                return self.cost_of_range(place, bounds);
            }
            let (mut all, mut least, mut group) = (0u64, u64::MAX, 0);
            keys_of(operator, &mut |key| {
                if key.group != group {
                    all = all.saturating_add(least);
                    (least, group) = (u64::MAX, key.group);
                }
                least = least.min(self.cost_of(place, key.kind, key.bytes));
            });
            all.saturating_add(least)
        };
        test.operators().iter().map(of_operator).max().unwrap_or(0)
    }

    /// Values are taken to call for keys as often as filters do; of lists that are called alike the shorter one is better, because
    /// at the beginning all are.
    fn cost_of(&self, place: Place, kind: Kind, key: &[u8]) -> u64 {
        let registered = 1 + self.postings.count(kind.space(place), key) as u64;
        let profile = self.profiles.get(place.index()).and_then(Option::as_ref);
        let of_kind = 1 + profile.map_or(0, |profile| profile.count(kind));
        COST_UNIT * kind.cost() * registered / of_kind * registered
    }

    /// Numbers are taken to lie anywhere between the ends of the ranges that are there.
    fn cost_of_range(&self, place: Place, bounds: &Bounds) -> u64 {
        let Some(width) = bounds.width() else {
            return COST_UNIT * OPEN_RANGE_COST;
        };
        let profile = self.profiles.get(place.index()).and_then(Option::as_ref);
        let hull = profile.and_then(|profile| profile.ranges.width()).unwrap_or(0.0);
        let share = if hull > width { width / hull } else { 1.0 };
        #[expect(
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            reason = "a share is between 0 and 1"
        )]
        let units = (COST_UNIT as f64 * share) as u64;
        units * RANGE_COST
    }

    fn insert(&mut self, place: Place, kind: Kind, length: u16, bytes: &[u8], code: Code) {
        if !self.postings.insert(kind.space(place), bytes, code) {
            return;
        }
        let profile = self.profile_mut(place);
        Route::among(&mut profile.routes, kind, length).insert(bytes);
        if kind == Kind::Piece {
            profile.pieces.insert(bytes);
        }
        if kind == Kind::Absent
            && let Err(at) = self.absent.binary_search(&place)
        {
            Arc::make_mut(&mut self.absent).insert(at, place);
        }
        self.keep_any(place, kind);
    }

    fn remove(&mut self, place: Place, kind: Kind, length: u16, bytes: &[u8], code: Code) {
        let space = kind.space(place);
        if !self.postings.remove(space, bytes, code) {
            return;
        }
        if kind == Kind::Absent && self.postings.count(space, bytes) == 0 {
            Arc::make_mut(&mut self.absent).retain(|known| *known != place);
        }
        let profile = self.profile_mut(place);
        if let Ok(at) = profile
            .routes
            .binary_search_by_key(&(kind, length), |route| (route.kind, route.length))
        {
            profile.routes[at].count -= 1;
            if profile.routes[at].count == 0 {
                profile.routes.remove(at);
                if kind == Kind::Any {
                    profile.excepted = Excepted::default();
                }
            }
            if kind == Kind::Piece && !profile.has(Kind::Piece) {
                profile.pieces = Pieces::default();
            }
        }
        self.keep_any(place, kind);
        self.drop_profile_if_empty(place);
    }

    /// Who is registered under any value has changed.
    fn keep_any(&mut self, place: Place, kind: Kind) {
        if matches!(kind, Kind::Any | Kind::AnyText) {
            let posting = self.postings.posting(kind.space(place), &[]);
            let profile = self.profile_mut(place);
            match kind {
                Kind::Any => profile.any = posting,
                _ => profile.any_text = posting,
            }
        }
    }

    fn remove_range(&mut self, place: Place, range: Range) {
        if !matches!(self.profiles.get(place.index()), Some(Some(_))) {
            return;
        }
        let profile = self.profile_mut(place);
        profile.range_count -= usize::from(profile.ranges.remove(range));
        self.drop_profile_if_empty(place);
    }

    fn profile_mut(&mut self, place: Place) -> &mut Profile {
        while self.profiles.len() <= place.index() {
            self.profiles.push(None);
        }
        Arc::make_mut(self.profiles.get_mut(place.index()).get_or_insert_default())
    }

    fn drop_profile_if_empty(&mut self, place: Place) {
        if let Some(Some(profile)) = self.profiles.get(place.index())
            && profile.routes.is_empty()
            && profile.ranges.is_empty()
        {
            *self.profiles.get_mut(place.index()) = None;
        }
    }
}
