//! Which filters the values of a document call for: every operator of a test is registered under what a value must have for it to
//! pass, and a value looks that up.
//!
//! A look-up costs the value and its hits, however many filters there are. Copies share what they have in common. It knows tests
//! and places, not filters: whom a hit is for, and whether it settles the test or only calls for it, is a [`Code`].

use std::net::IpAddr;
use std::sync::Arc;

use crate::address;
use crate::chunks::Chunks;
use crate::few::{Ends, Few};
use crate::fields::{Field, OUTSIDE, Value};
use crate::fold;
use crate::hits::Hits;
use crate::keys::{AddressKey, Kind, address_key, bits};
use crate::paths::Place;
use crate::pieces::Pieces;
use crate::postings::{Posting, Postings};
use crate::ranges::Ranges;
use crate::rules::Found;
use crate::steps;

mod excepted;
mod fetching;
mod registering;

use excepted::{Excepted, Told};
pub(crate) use registering::COST_UNIT;

/// One kind of look-up at a place, for keys of one length (bytes, or bits of a network) where lengths matter.
#[derive(Debug, Clone, Copy)]
struct Route {
    kind: Kind,
    length: u16,
    /// How many are registered.
    count: u32,
    few: Few,
}

/// What is to be looked up at a place.
#[derive(Debug, Clone, Default)]
struct Profile {
    /// Sorted by kind and length.
    routes: Vec<Route>,
    /// Who is registered under any value, and under any text: most fields that call for somebody so call for him every time.
    any: Option<Posting>,
    any_text: Option<Posting>,
    /// What those except who are registered under any value.
    excepted: Excepted,
    ranges: Ranges,
    /// How many ranges there are.
    range_count: usize,
    pieces: Pieces,
}

/// A text that is looked up at a place, with what was made of it for that, once somebody needed it.
struct Asked<'t, Folded> {
    profile: &'t Profile,
    place: Place,
    text: &'t [u8],
    folded: Option<Folded>,
    address: Option<Option<IpAddr>>,
}

impl<'t, Folded> Asked<'t, Folded> {
    fn new(profile: &'t Profile, place: Place, text: &'t [u8]) -> Self {
        Self {
            profile,
            place,
            text,
            folded: None,
            address: None,
        }
    }

    /// The address that the text is.
    fn address(&mut self) -> Option<IpAddr> {
        *self.address.get_or_insert_with(|| address::parse(self.text))
    }
}

/// The index.
#[derive(Debug, Clone, Default)]
pub(crate) struct Index {
    postings: Postings,
    profiles: Chunks<Option<Arc<Profile>>>,
    /// The places under whose absence somebody is registered, sorted.
    absent: Arc<Vec<Place>>,
    /// There are or were so many ranges at a place that one is fetched ahead.
    ranges_fetched: bool,
}

impl Index {
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
                    + profile.excepted.memory()
                    + profile.ranges.memory()
                    + profile.pieces.memory()
            })
        };
        let profiles = self.profiles.memory() + self.profiles.iter().map(of_profile).sum::<usize>();
        self.postings.memory() + profiles + self.absent.capacity() * size_of::<Place>()
    }

    fn look_up_place(&self, profile: &Profile, place: Place, found: &Found<'_, '_>, hits: &mut Hits) {
        if profile.is_more_than_any() {
            hits.ranged = 0;
            for field in found.fields.at(place).filter(|field| !field.is_vain) {
                self.look_up_field(profile, place, field, found, hits);
                hits.bound();
            }
            hits.look_up_numbers(&profile.ranges);
        }
        if let Some(posting) = &profile.any {
            let codes = self.postings.codes(posting);
            match profile.excepted.tell(found, place) {
                Told::Nobodys => hits.extend_settled(codes),
                // The one that is not settled has the only test with exceptions.
                Told::Only if matches!(codes.codes, [only] if !only.is_settled()) => {}
                Told::Only | Told::Perhaps => hits.extend(Some(codes)),
            }
        }
    }

    fn look_up_field(&self, profile: &Profile, place: Place, field: &Field, found: &Found<'_, '_>, hits: &mut Hits) {
        match found.value(field) {
            Value::Text(text) => self.look_up_text(profile, place, text, found.ends(field), hits),
            Value::Number(_, Some(number)) => {
                if profile.may_have_number(number) {
                    hits.extend(self.postings.get(Kind::Number.space(place), &bits(number)));
                }
                match hits.ranged > profile.range_count {
                    true => hits.numbers.push(number),
                    false => profile
                        .ranges
                        .stab(number, field.leaf, &mut |code| hits.push_range(code)),
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

    fn look_up_text(&self, profile: &Profile, place: Place, text: &[u8], ends: Ends, hits: &mut Hits) {
        let mut asked = Asked::new(profile, place, text);
        for route in profile.routes.iter().filter(|route| route.may_have(ends)) {
            match route.kind {
                Kind::Text | Kind::Head | Kind::Tail => {
                    if let Some(key) = route.key_in(text) {
                        hits.extend(self.postings.get(route.kind.space(place), key));
                    }
                }
                Kind::AnyText => {
                    if let Some(posting) = &profile.any_text {
                        hits.extend(Some(self.postings.codes(posting)));
                    }
                }
                Kind::Absent | Kind::Any | Kind::Number | Kind::Spelling | Kind::Word => {}
                _ => self.look_up_made(route, &mut asked, hits),
            }
        }
    }

    /// Looks up keys that must be made of the text first. Whether the text as fold writes it, which lies with the hits, is ASCII,
    /// is known once it is written.
    #[inline(never)]
    fn look_up_made(&self, route: &Route, asked: &mut Asked<'_, bool>, hits: &mut Hits) {
        let (text, space) = (asked.text, route.kind.space(asked.place));
        match route.kind {
            Kind::Folded | Kind::FoldedHead | Kind::FoldedTail => {
                let write = || fold::canonical(text, &mut hits.folded);
                let is_ascii = *asked.folded.get_or_insert_with(write);
                self.look_up_folded(route, space, is_ascii, hits);
            }
            Kind::Address | Kind::Network => {
                if let Some(address) = asked.address() {
                    self.look_up_address(route, space, address, hits);
                }
            }
            _ => {
                steps::take(text.len());
                asked.profile.pieces.find(text, usize::from(route.length), |piece| {
                    hits.extend(self.postings.get(space, piece));
                    hits.bound();
                });
            }
        }
    }

    /// Looks up the folded value. Where it is not ASCII, different texts may fold alike.
    fn look_up_folded(&self, route: &Route, space: u32, is_ascii: bool, hits: &mut Hits) {
        let key = route.key_in(&hits.folded);
        let Some(posting) = key.and_then(|key| self.postings.get(space, key)) else {
            return;
        };
        match is_ascii {
            true => hits.extend(Some(posting)),
            false => hits.extend_unsettled(posting),
        }
    }

    fn look_up_address(&self, route: &Route, space: u32, address: IpAddr, hits: &mut Hits) {
        if let Some(key) = route.key_of(address) {
            hits.extend(self.postings.get(space, key.bytes()));
        }
    }
}

impl Route {
    fn new(kind: Kind, length: u16) -> Self {
        let few = Few::of(kind, length);
        Self {
            kind,
            length,
            count: 0,
            few,
        }
    }

    /// The one of a kind and a length among these, which are sorted; a new one if there is none.
    fn among(routes: &mut Vec<Route>, kind: Kind, length: u16) -> &mut Self {
        let known = routes.binary_search_by_key(&(kind, length), |route| (route.kind, route.length));
        let at = known.unwrap_or_else(|at| {
            routes.insert(at, Route::new(kind, length));
            at
        });
        &mut routes[at]
    }

    /// One more is registered, under this key.
    fn insert(&mut self, key: &[u8]) {
        self.count += 1;
        self.few.insert(key);
    }

    /// Whether a text with these ends may have one of the keys.
    #[inline]
    fn may_have(&self, ends: Ends) -> bool {
        self.few.may_have(ends)
    }

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

    /// What of an address is looked up.
    fn key_of(&self, address: IpAddr) -> Option<AddressKey> {
        let bits = u32::from(self.length & 0xFF);
        match (self.kind, address) {
            (Kind::Network, IpAddr::V4(_)) if self.length >> 8 == 0 => Some(address_key(address, bits)),
            (Kind::Network, IpAddr::V6(_)) if self.length >> 8 == 1 => Some(address_key(address, bits)),
            (Kind::Network, _) => None,
            _ => Some(address_key(address, u128::BITS)),
        }
    }
}

impl Profile {
    /// Whether anybody is registered under something else than any value.
    #[inline]
    fn is_more_than_any(&self) -> bool {
        self.routes.len() > usize::from(self.any.is_some()) || self.range_count > 0
    }

    fn has(&self, kind: Kind) -> bool {
        self.routes.iter().any(|route| route.kind == kind)
    }

    /// Whether somebody may be registered under a number by itself.
    #[inline]
    fn may_have_number(&self, number: f64) -> bool {
        let route = self.routes.iter().find(|route| route.kind == Kind::Number);
        route.is_some_and(|route| route.may_have(Ends::of(&bits(number))))
    }

    /// How many are registered under keys of a kind.
    fn count(&self, kind: Kind) -> u64 {
        let routes = self.routes.iter().filter(|route| route.kind == kind);
        routes.map(|route| u64::from(route.count)).sum()
    }
}
