//! Which filters the values of a document call for: every operator of a test is registered under what a value must have for it to
//! pass, and a value looks that up.
//!
//! A look-up costs the value and its hits, however many filters there are. Copies share what they have in common. It knows tests
//! and places, not filters: whom a hit is for, and whether it settles the test or only calls for it, is a [`Code`].

use std::net::IpAddr;
use std::sync::Arc;

use smallvec::SmallVec;

use crate::address;
use crate::chunks::Chunks;
use crate::fields::{Field, OUTSIDE, Value};
use crate::fold;
use crate::hits::Hits;
use crate::keys::{AFFIX_BYTES_MAX, Kind, OPEN_RANGE_COST, RANGE_COST, address_key, bits, keys_of, range_of};
use crate::operator::{Bounds, Operator};
use crate::paths::Place;
use crate::pieces::Pieces;
use crate::postings::{Code, Postings};
use crate::ranges::{Range, Ranges};
use crate::rules::{FieldTest, Found};
use crate::steps;

/// One kind of look-up at a place, for keys of one length (bytes, or bits of a network) where lengths matter.
#[derive(Debug, Clone, Copy)]
struct Route {
    kind: Kind,
    length: u16,
    /// How many are registered.
    count: u32,
}

/// Costs are small numbers and parts of them.
pub(crate) const COST_UNIT: u64 = 1 << 20;

/// A key of its own.
type KeyBytes = SmallVec<[u8; AFFIX_BYTES_MAX]>;

/// What is to be looked up at a place.
#[derive(Debug, Clone, Default)]
struct Profile {
    /// Sorted by kind and length.
    routes: Vec<Route>,
    ranges: Ranges,
    /// How many ranges there are.
    range_count: usize,
    pieces: Pieces,
}

/// The index.
#[derive(Debug, Clone, Default)]
pub(crate) struct Index {
    postings: Postings,
    profiles: Chunks<Option<Arc<Profile>>>,
    /// The places under whose absence somebody is registered, sorted.
    absent: Arc<Vec<Place>>,
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
                continue;
            }
            let Some((kind, length, bytes, settles)) = self.best_key(place, operator) else {
                continue;
            };
            unsettled |= !settles;
            self.insert(place, kind, length, &bytes, Code::new(filter, settles));
        }
        unsettled
    }

    /// The key that it costs the least to register an operator under.
    fn best_key(&self, place: Place, operator: &Operator) -> Option<(Kind, u16, KeyBytes, bool)> {
        let mut best: Option<(Kind, u16, KeyBytes, bool)> = None;
        let mut least = None;
        keys_of(operator, &mut |key| {
            // The first one costs nothing to compare, because usually there is no other.
            if let Some((kind, _, bytes, _)) = &best {
                let known = least.unwrap_or_else(|| self.cost_of(place, *kind, bytes));
                let cost = self.cost_of(place, key.kind, key.bytes);
                least = Some(known.min(cost));
                if cost >= known {
                    return;
                }
            }
            best = Some((key.kind, key.length(), SmallVec::from_slice(key.bytes), key.settles));
        });
        best
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

    /// How often a filter will be asked in vain, roughly, if it is registered under this test.
    pub(crate) fn cost(&self, place: Place, test: &FieldTest) -> u64 {
        let of_operator = |operator: &Operator| {
            if let Some(bounds) = range_of(operator) {
                return self.cost_of_range(place, bounds);
            }
            let mut least = u64::MAX;
            keys_of(operator, &mut |key| {
                least = least.min(self.cost_of(place, key.kind, key.bytes))
            });
            least
        };
        test.operators().iter().map(of_operator).max().unwrap_or(0)
    }

    /// Fetches the memory that a text found at a place will be looked up in, while the scan goes on.
    #[inline]
    pub(crate) fn fetch_text(&self, place: Place, text: &[u8]) {
        if !self.postings.is_large() {
            return;
        }
        let Some(Some(profile)) = self.profiles.get(place.index()) else {
            return;
        };
        let mut folded = None;
        for route in &profile.routes {
            let key = match route.kind {
                Kind::Text | Kind::Head | Kind::Tail => route.key_in(text),
                Kind::Folded | Kind::FoldedHead | Kind::FoldedTail => folded
                    .get_or_insert_with(|| fold::short(text))
                    .as_deref()
                    .and_then(|text| route.key_in(text)),
                _ => None,
            };
            if let Some(key) = key {
                self.postings.fetch(route.kind.space(place), key);
            }
        }
    }

    /// The same for a number.
    #[inline]
    pub(crate) fn fetch_number(&self, place: Place, number: f64) {
        if let Some(Some(profile)) = self.profiles.get(place.index()) {
            profile.ranges.fetch(number);
            if self.postings.is_large() && profile.has(Kind::Number) {
                self.postings.fetch(Kind::Number.space(place), &bits(number));
            }
        }
    }

    /// Looks up everything that a scan found.
    pub(crate) fn look_up(&self, found: &Found<'_, '_>, hits: &mut Hits) {
        for place in found.fields.touched() {
            if let Some(Some(profile)) = self.profiles.get(place.index()) {
                self.look_up_place(profile, *place, found, hits);
            }
        }
        for place in self.absent.iter() {
            let settled = !found.fields.is_present(*place);
            if settled || found.fields.at(*place).all(|field| field.element != OUTSIDE) {
                let posting = self.postings.get(Kind::Absent.space(*place), &[]);
                match (settled, posting) {
                    (false, Some(posting)) => hits.extend_unsettled(posting),
                    (_, posting) => hits.extend(posting),
                }
            }
        }
    }

    /// Bytes on the heap.
    pub(crate) fn memory(&self) -> usize {
        let of_profile = |profile: &Option<Arc<Profile>>| {
            profile.as_ref().map_or(0, |profile| {
                size_of::<Profile>()
                    + profile.routes.capacity() * size_of::<Route>()
                    + profile.ranges.memory()
                    + profile.pieces.memory()
            })
        };
        let profiles = self.profiles.memory() + self.profiles.iter().map(of_profile).sum::<usize>();
        self.postings.memory() + profiles + self.absent.capacity() * size_of::<Place>()
    }

    fn look_up_place(&self, profile: &Profile, place: Place, found: &Found<'_, '_>, hits: &mut Hits) {
        let mut any = false;
        hits.ranged = 0;
        for field in found.fields.at(place) {
            self.look_up_field(profile, place, field, found, hits);
            hits.bound();
            any = true;
        }
        hits.look_up_numbers(&profile.ranges);
        if any && profile.routes.iter().take(2).any(|route| route.kind == Kind::Any) {
            hits.extend(self.postings.get(Kind::Any.space(place), &[]));
        }
    }

    fn look_up_field(&self, profile: &Profile, place: Place, field: &Field, found: &Found<'_, '_>, hits: &mut Hits) {
        match found.value(field) {
            Value::Text(text) => self.look_up_text(profile, place, text, hits),
            Value::Number(_, Some(number)) => {
                if profile.has(Kind::Number) {
                    hits.extend(self.postings.get(Kind::Number.space(place), &bits(number)));
                }
                match hits.ranged > profile.range_count {
                    true => hits.numbers.push(number),
                    false => profile.ranges.stab(number, &mut |code| hits.push_range(code)),
                }
            }
            Value::Number(spelling, None) => self.look_up_if(profile, place, Kind::Spelling, spelling, hits),
            Value::True => self.look_up_if(profile, place, Kind::Word, b"t", hits),
            Value::False => self.look_up_if(profile, place, Kind::Word, b"f", hits),
            Value::Null => self.look_up_if(profile, place, Kind::Word, b"n", hits),
        }
    }

    fn look_up_if(&self, profile: &Profile, place: Place, kind: Kind, key: &[u8], hits: &mut Hits) {
        if profile.has(kind) {
            hits.extend(self.postings.get(kind.space(place), key));
        }
    }

    fn look_up_text(&self, profile: &Profile, place: Place, text: &[u8], hits: &mut Hits) {
        let mut folding = None;
        let mut address = None;
        for route in &profile.routes {
            let length = usize::from(route.length);
            let space = route.kind.space(place);
            match route.kind {
                Kind::AnyText => hits.extend(self.postings.get(space, &[])),
                Kind::Text | Kind::Head | Kind::Tail => {
                    if let Some(key) = route.key_in(text) {
                        hits.extend(self.postings.get(space, key));
                    }
                }
                Kind::Folded | Kind::FoldedHead | Kind::FoldedTail => {
                    let is_ascii = *folding.get_or_insert_with(|| fold::canonical(text, &mut hits.folded));
                    self.look_up_folded(*route, space, is_ascii, hits);
                }
                Kind::Piece => {
                    steps::take(text.len());
                    profile.pieces.find(text, length, |piece| {
                        hits.extend(self.postings.get(space, piece));
                        hits.bound();
                    });
                }
                Kind::Address | Kind::Network => {
                    if let Some(address) = *address.get_or_insert_with(|| address::parse(text)) {
                        self.look_up_address(*route, space, address, hits);
                    }
                }
                Kind::Absent | Kind::Any | Kind::Number | Kind::Spelling | Kind::Word => {}
            }
        }
    }

    /// Looks up the folded value. Where it is not ASCII, different texts may fold alike.
    fn look_up_folded(&self, route: Route, space: u32, is_ascii: bool, hits: &mut Hits) {
        let key = route.key_in(&hits.folded);
        let Some(posting) = key.and_then(|key| self.postings.get(space, key)) else {
            return;
        };
        match is_ascii {
            true => hits.extend(Some(posting)),
            false => hits.extend_unsettled(posting),
        }
    }

    fn look_up_address(&self, route: Route, space: u32, address: IpAddr, hits: &mut Hits) {
        let bits = u32::from(route.length & 0xFF);
        let key = match (route.kind, address) {
            (Kind::Network, IpAddr::V4(_)) if route.length >> 8 == 0 => address_key(address, bits),
            (Kind::Network, IpAddr::V6(_)) if route.length >> 8 == 1 => address_key(address, bits),
            (Kind::Network, _) => return,
            _ => address_key(address, u128::BITS),
        };
        hits.extend(self.postings.get(space, key.bytes()));
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
        match profile
            .routes
            .binary_search_by_key(&(kind, length), |route| (route.kind, route.length))
        {
            Ok(at) => profile.routes[at].count += 1,
            Err(at) => profile.routes.insert(at, Route { kind, length, count: 1 }),
        }
        if kind == Kind::Piece {
            profile.pieces.insert(bytes);
        }
        if kind == Kind::Absent
            && let Err(at) = self.absent.binary_search(&place)
        {
            Arc::make_mut(&mut self.absent).insert(at, place);
        }
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
            }
            if kind == Kind::Piece && !profile.has(Kind::Piece) {
                profile.pieces = Pieces::default();
            }
        }
        self.drop_profile_if_empty(place);
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

impl Route {
    /// What of a text is looked up.
    #[inline]
    fn key_in<'t>(&self, text: &'t [u8]) -> Option<&'t [u8]> {
        let length = usize::from(self.length);
        match self.kind {
            Kind::Head | Kind::FoldedHead => text.get(..length),
            Kind::Tail | Kind::FoldedTail => text.len().checked_sub(length).and_then(|from| text.get(from..)),
            _ => Some(text),
        }
    }
}

impl Profile {
    fn has(&self, kind: Kind) -> bool {
        self.routes.iter().any(|route| route.kind == kind)
    }

    /// How many are registered under keys of a kind.
    fn count(&self, kind: Kind) -> u64 {
        let routes = self.routes.iter().filter(|route| route.kind == kind);
        routes.map(|route| u64::from(route.count)).sum()
    }
}
