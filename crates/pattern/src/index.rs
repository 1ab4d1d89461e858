//! Which filters the values of a document call for: every operator of a test is registered under what a value must have for it to
//! pass, and a value looks that up.
//!
//! A look-up costs the value and its hits, however many filters there are. Copies share what they have in common. It knows tests
//! and places, not filters: whom a hit is for, and whether it settles the test or only calls for it, is a [`Code`].

use std::collections::HashSet;
use std::net::IpAddr;
use std::sync::Arc;

use foldhash::fast::RandomState;
use smallvec::SmallVec;

use crate::address::{self, Network};
use crate::chunks::Chunks;
use crate::fields::{Field, OUTSIDE, Value};
use crate::fold;
use crate::operator::{Bounds, Operator};
use crate::paths::Place;
use crate::pieces::{PIECE_BYTES_MAX, Pieces};
use crate::ranges::{Range, Ranges};
use crate::rules::{FieldTest, Found};
use crate::steps;
use crate::table::Table;
use crate::wildcard::Wildcard;

/// Bytes of a head or tail that filters are registered under; it bounds the look-ups that a value costs.
const AFFIX_BYTES_MAX: usize = 32;

/// Hits beyond which repeated ones are dropped while a document is looked up, so that one value's many pieces cannot make the
/// list long.
const HITS_UNSORTED_MAX: usize = 4_096;

/// Codes of a posting that is taken as often as a document calls for it; of a longer one it is remembered that it was taken.
const REPEATED_MAX: usize = 16;

/// How often a list is called, roughly, against one for an exact value.
const AFFIX_FREQUENCY: usize = 4;
const RANGE_FREQUENCY: usize = 16;
const PRESENCE_FREQUENCY: usize = 32;

/// Whom a hit is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Code(u32);

impl Code {
    pub(crate) fn new(filter: u32, settled: bool) -> Self {
        Self(filter << 1 | u32::from(!settled))
    }

    pub(crate) fn filter(self) -> usize {
        (self.0 >> 1) as usize
    }

    /// Whether the test that was registered passes for sure.
    pub(crate) fn is_settled(self) -> bool {
        self.0 & 1 == 0
    }

    fn unsettled(self) -> Self {
        Self(self.0 | 1)
    }
}

/// The filters registered under one key, sorted.
#[derive(Debug, Clone, Default)]
enum Posting {
    #[default]
    Nobody,
    One(Code),
    Many(Arc<Vec<Code>>),
}

impl Posting {
    fn codes(&self) -> &[Code] {
        match self {
            Posting::Nobody => &[],
            Posting::One(code) => std::slice::from_ref(code),
            Posting::Many(codes) => codes,
        }
    }

    /// Whether it was not there yet.
    fn insert(&mut self, code: Code) -> bool {
        match self {
            Posting::Nobody => *self = Posting::One(code),
            Posting::One(known) if *known == code => return false,
            Posting::One(known) => *self = Posting::Many(Arc::new(vec![code.min(*known), code.max(*known)])),
            Posting::Many(codes) => {
                let Err(at) = codes.binary_search(&code) else {
                    return false;
                };
                Arc::make_mut(codes).insert(at, code);
            }
        }
        true
    }

    /// Whether it was there.
    fn remove(&mut self, code: Code) -> bool {
        let Ok(at) = self.codes().binary_search(&code) else {
            return false;
        };
        match self {
            Posting::Many(codes) if codes.len() > 2 => drop(Arc::make_mut(codes).remove(at)),
            Posting::Many(codes) => *self = Posting::One(codes[1 - at]),
            _ => *self = Posting::Nobody,
        }
        true
    }

    fn memory(&self) -> usize {
        match self {
            Posting::Many(codes) => size_of::<Vec<Code>>() + codes.capacity() * size_of::<Code>(),
            _ => 0,
        }
    }
}

/// What a value is looked up by.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Kind {
    /// The field is absent.
    Absent,
    /// Whatever the value is.
    Any,
    AnyText,
    Text,
    Head,
    Tail,
    /// As [`fold::canonical`] writes it, like the two that follow.
    Folded,
    FoldedHead,
    FoldedTail,
    Piece,
    /// An address, however it is written.
    Address,
    /// The number of bits, and an address with no others.
    Network,
    /// The bits of a number that can be compared.
    Number,
    /// A number that cannot.
    Spelling,
    /// `true`, `false` or `null`.
    Word,
}

impl Kind {
    const BITS: u32 = 4;

    fn space(self, place: Place) -> u32 {
        place.0 << Self::BITS | self as u32
    }

    /// How often a list of this kind is called, roughly.
    fn frequency(self) -> usize {
        match self {
            Kind::Head | Kind::Tail | Kind::FoldedHead | Kind::FoldedTail | Kind::Piece | Kind::Network => {
                AFFIX_FREQUENCY
            }
            Kind::Any | Kind::AnyText | Kind::Absent => PRESENCE_FREQUENCY,
            _ => 1,
        }
    }
}

/// One kind of look-up at a place, for keys of one length (bytes, or bits of a network) where lengths matter.
#[derive(Debug, Clone, Copy)]
struct Route {
    kind: Kind,
    length: u16,
    /// How many are registered.
    count: u32,
}

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

/// A key that an operator can be registered under.
struct Key<'k> {
    kind: Kind,
    bytes: &'k [u8],
    /// Whether a value with this key passes for sure.
    settles: bool,
}

impl Key<'_> {
    fn length(&self) -> u16 {
        match self.kind {
            Kind::Head | Kind::Tail | Kind::FoldedHead | Kind::FoldedTail | Kind::Piece => {
                u16::try_from(self.bytes.len()).expect("keys of these kinds are bounded")
            }
            Kind::Network => u16::from(self.bytes[0]) | u16::from(self.bytes.len() > V4_KEY_BYTES) << 8,
            _ => 0,
        }
    }
}

/// The index.
#[derive(Debug, Clone, Default)]
pub(crate) struct Index {
    postings: Table<Posting>,
    profiles: Chunks<Option<Arc<Profile>>>,
    /// The places under whose absence somebody is registered, sorted.
    absent: Arc<Vec<Place>>,
}

/// Memory of look-ups, reused.
#[derive(Debug, Default)]
pub(crate) struct Hits {
    pub(crate) codes: Vec<Code>,
    /// How many there were when they were last sorted.
    sorted: usize,
    /// The value as fold writes it.
    folded: Vec<u8>,
    /// Long postings that were taken: a document may call for one at each of its bytes.
    taken: HashSet<usize, RandomState>,
    /// Ranges that numbers of one place were found in, as often as they were.
    ranged: usize,
    /// Numbers of that place that are still to be looked up, all together.
    numbers: Vec<f64>,
}

impl Hits {
    pub(crate) fn clear(&mut self) {
        self.codes.clear();
        self.sorted = 0;
        if !self.taken.is_empty() {
            self.taken.clear();
        }
    }

    /// Sorts, and drops what is there twice.
    pub(crate) fn sort(&mut self) {
        if self.codes.len() > 1 {
            if !self.codes.is_sorted() {
                self.codes.sort_unstable();
            }
            self.codes.dedup();
        }
        self.sorted = self.codes.len();
    }

    #[inline]
    fn extend(&mut self, posting: Option<&Posting>) {
        steps::take(1);
        if let Some(posting) = posting
            && (posting.codes().len() <= REPEATED_MAX || self.taken.insert(std::ptr::from_ref(posting).addr()))
        {
            self.push(posting);
        }
    }

    /// The same of tests that a hit does not settle.
    fn extend_unsettled(&mut self, posting: &Posting) {
        steps::take(1);
        // A posting is no text: the next address is nobody's.
        if posting.codes().len() <= REPEATED_MAX || self.taken.insert(std::ptr::from_ref(posting).addr() + 1) {
            let from = self.codes.len();
            self.push(posting);
            self.codes[from..].iter_mut().for_each(|code| *code = code.unsettled());
        }
    }

    fn push_range(&mut self, code: u32) {
        steps::take(1);
        self.ranged += 1;
        self.codes.push(Code(code));
    }

    /// Looks up the numbers that were put off, because those before were in more ranges than there are: each range once.
    fn look_up_numbers(&mut self, ranges: &Ranges) {
        if self.numbers.is_empty() {
            return;
        }
        self.numbers.sort_unstable_by(f64::total_cmp);
        steps::take(self.numbers.len());
        let numbers = std::mem::take(&mut self.numbers);
        ranges.stab_any(&numbers, &mut |code| self.push_range(code));
        self.numbers = numbers;
        self.numbers.clear();
        self.bound();
    }

    #[inline]
    fn push(&mut self, posting: &Posting) {
        steps::take(posting.codes().len());
        self.codes.extend_from_slice(posting.codes());
    }

    fn bound(&mut self) {
        if self.codes.len() > HITS_UNSORTED_MAX + 2 * self.sorted {
            self.sort();
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
                profile.ranges.insert(Range::new(bounds, Code::new(filter, true).0));
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
                self.remove_range(place, Range::new(bounds, Code::new(filter, true).0));
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

    /// How many filters will be asked in vain, roughly, if one more is registered under this test. Among tests that cost the same,
    /// more of a key is better.
    pub(crate) fn cost(&self, place: Place, test: &FieldTest) -> usize {
        let of_operator = |operator: &Operator| {
            if range_of(operator).is_some() {
                return RANGE_FREQUENCY;
            }
            let mut least = usize::MAX;
            keys_of(operator, &mut |key| {
                least = least.min(self.cost_of(place, key.kind, key.bytes))
            });
            least
        };
        test.operators().iter().map(of_operator).max().unwrap_or(0)
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
        self.postings.memory(&Posting::memory) + profiles + self.absent.capacity() * size_of::<Place>()
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
                Kind::Text => hits.extend(self.postings.get(space, text)),
                Kind::AnyText => hits.extend(self.postings.get(space, &[])),
                Kind::Head => {
                    if let Some(head) = text.get(..length) {
                        hits.extend(self.postings.get(space, head));
                    }
                }
                Kind::Tail => {
                    if let Some(tail) = text.len().checked_sub(length).and_then(|from| text.get(from..)) {
                        hits.extend(self.postings.get(space, tail));
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
        let folded = &hits.folded;
        let length = usize::from(route.length);
        let key = match route.kind {
            Kind::FoldedHead => folded.get(..length),
            Kind::FoldedTail => folded.len().checked_sub(length).and_then(|from| folded.get(from..)),
            _ => Some(&folded[..]),
        };
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

    fn cost_of(&self, place: Place, kind: Kind, key: &[u8]) -> usize {
        let length = self
            .postings
            .get(kind.space(place), key)
            .map_or(0, |posting| posting.codes().len());
        kind.frequency() * (1 + length)
    }

    fn insert(&mut self, place: Place, kind: Kind, length: u16, bytes: &[u8], code: Code) {
        if !self.postings.entry(kind.space(place), bytes).insert(code) {
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
        let is_there = |posting: &Posting| posting.codes().binary_search(&code).is_ok();
        if !self.postings.get(space, bytes).is_some_and(is_there) {
            return;
        }
        let posting = self.postings.entry(space, bytes);
        posting.remove(code);
        if posting.codes().is_empty() {
            self.postings.remove(space, bytes);
            if kind == Kind::Absent {
                Arc::make_mut(&mut self.absent).retain(|known| *known != place);
            }
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

impl Profile {
    fn has(&self, kind: Kind) -> bool {
        self.routes.iter().any(|route| route.kind == kind)
    }
}

/// The range that a numeric test of more than one number is.
fn range_of(operator: &Operator) -> Option<&Bounds> {
    match operator {
        Operator::Numeric(bounds) if bounds.only().is_none() => Some(bounds),
        _ => None,
    }
}

/// Tells of the keys that an operator can be registered under; any one of them will do.
fn keys_of(operator: &Operator, tell: &mut dyn FnMut(Key<'_>)) {
    let mut one = |kind: Kind, bytes: &[u8], settles: bool| tell(Key { kind, bytes, settles });
    match operator {
        Operator::Text(text) => one(Kind::Text, text, true),
        Operator::Address(_, address) => one(Kind::Address, address_key(*address, u128::BITS).bytes(), true),
        Operator::Number(_, Some(number)) => one(Kind::Number, &bits(*number), true),
        Operator::Number(spelling, None) => one(Kind::Spelling, spelling, true),
        Operator::True => one(Kind::Word, b"t", true),
        Operator::False => one(Kind::Word, b"f", true),
        Operator::Null => one(Kind::Word, b"n", true),
        Operator::Prefix(head) => affix(Kind::Head, head, true, tell),
        Operator::Suffix(tail) => affix(Kind::Tail, tail, true, tell),
        Operator::PrefixFolded(text) => folded(Kind::FoldedHead, text, tell),
        Operator::SuffixFolded(text) => folded(Kind::FoldedTail, text, tell),
        Operator::Folded(text) => folded(Kind::Folded, text, tell),
        Operator::Wildcard(wildcard) => keys_of_wildcard(wildcard, tell),
        Operator::Numeric(bounds) => {
            if let Some(number) = bounds.only() {
                one(Kind::Number, &bits(number), true);
            }
        }
        Operator::Cidr(_, network) => one(Kind::Network, network_key(network).bytes(), true),
        Operator::Exists => one(Kind::Any, &[], true),
        Operator::Absent => one(Kind::Absent, &[], true),
        Operator::AnythingBut(_) => one(Kind::Any, &[], false),
        Operator::Extended(_) => one(Kind::AnyText, &[], false),
    }
}

fn affix(kind: Kind, text: &[u8], settles: bool, tell: &mut dyn FnMut(Key<'_>)) {
    let length = text.len().min(AFFIX_BYTES_MAX);
    let (kind, bytes) = match kind {
        _ if text.is_empty() => (Kind::AnyText, text),
        Kind::Tail | Kind::FoldedTail => (kind, &text[text.len() - length..]),
        _ => (kind, &text[..length]),
    };
    let settles = settles && length == text.len();
    tell(Key { kind, bytes, settles });
}

fn folded(kind: Kind, text: &fold::Folded, tell: &mut dyn FnMut(Key<'_>)) {
    let mut bytes = Vec::new();
    let is_ascii = fold::canonical(text.text(), &mut bytes);
    match kind {
        _ if !text.is_regular() => tell(Key {
            kind: Kind::AnyText,
            bytes: &[],
            settles: false,
        }),
        Kind::Folded => tell(Key {
            kind,
            bytes: &bytes,
            settles: is_ascii,
        }),
        _ => affix(kind, &bytes, is_ascii, tell),
    }
}

fn keys_of_wildcard(wildcard: &Wildcard, tell: &mut dyn FnMut(Key<'_>)) {
    let (head, tail) = (wildcard.head(), wildcard.tail());
    if !wildcard.has_star() {
        return tell(Key {
            kind: Kind::Text,
            bytes: head,
            settles: true,
        });
    }
    let no_middle = wildcard.middle().next().is_none();
    if !head.is_empty() {
        affix(Kind::Head, head, no_middle && tail.is_empty(), tell);
    }
    if !tail.is_empty() {
        affix(Kind::Tail, tail, no_middle && head.is_empty(), tell);
    }
    if !head.is_empty() || !tail.is_empty() {
        return;
    }
    let Some(longest) = wildcard.middle().max_by_key(|piece| piece.len()) else {
        return tell(Key {
            kind: Kind::AnyText,
            bytes: &[],
            settles: true,
        });
    };
    for bytes in longest.windows(longest.len().min(PIECE_BYTES_MAX)) {
        tell(Key {
            kind: Kind::Piece,
            bytes,
            settles: no_middle,
        });
    }
}

/// Bytes of the key of an IPv4 address.
const V4_KEY_BYTES: usize = 5;

/// A number of bits and an address.
struct AddressKey {
    bytes: [u8; 17],
    length: usize,
}

impl AddressKey {
    fn bytes(&self) -> &[u8] {
        &self.bytes[..self.length]
    }
}

/// The key of an address' first bits.
fn address_key(address: IpAddr, bits: u32) -> AddressKey {
    let mut bytes = [0; 17];
    bytes[0] = u8::try_from(bits.min(u128::BITS)).expect("an address has no more bits");
    let length = match address {
        IpAddr::V4(address) => {
            let kept = u32::MAX.checked_shl(u32::BITS - bits.min(u32::BITS)).unwrap_or(0);
            bytes[1..V4_KEY_BYTES].copy_from_slice(&(address.to_bits() & kept).to_be_bytes());
            V4_KEY_BYTES
        }
        IpAddr::V6(address) => {
            let kept = u128::MAX.checked_shl(u128::BITS - bits.min(u128::BITS)).unwrap_or(0);
            bytes[1..].copy_from_slice(&(address.to_bits() & kept).to_be_bytes());
            bytes.len()
        }
    };
    AddressKey { bytes, length }
}

fn network_key(network: &Network) -> AddressKey {
    address_key(network.first(), network.bits())
}

/// Equal numbers have equal bits; there is no negative zero among them.
fn bits(number: f64) -> [u8; 8] {
    (number + 0.0).to_bits().to_le_bytes()
}
