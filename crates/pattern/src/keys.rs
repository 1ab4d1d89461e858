//! What an operator can be registered under: the keys of which a value must have one for the operator to pass. It knows nothing of
//! who is registered.

use std::net::IpAddr;

use crate::address::Network;
use crate::extended::Extended;
use crate::fold;
use crate::operator::{Bounds, Exceptions, Operator};
use crate::paths::Place;
use crate::pieces::PIECE_BYTES_MAX;
use crate::required::Required;
use crate::wildcard::Wildcard;

/// Bytes of a head or tail that filters are registered under; it bounds the look-ups that a value costs.
pub(crate) const AFFIX_BYTES_MAX: usize = 32;

/// What a list costs that every value calls, roughly, by how seldom others than the right values call it: an exact value first,
/// then a part of it, a range, one without an end, and presence last.
const EXACT_COST: u64 = 4;
const PART_COST: u64 = 6;
pub(crate) const RANGE_COST: u64 = 8;
pub(crate) const OPEN_RANGE_COST: u64 = 64;
const PRESENCE_COST: u64 = 128;

/// The same of a text, and of a name, that data may have anywhere: every part of it is looked up.
pub(crate) const SOMEWHERE_COST: u64 = 32;
pub(crate) const NAME_COST: u64 = PRESENCE_COST;

/// What a value is looked up by.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Kind {
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

    pub(crate) fn space(self, place: Place) -> u32 {
        place.0 << Self::BITS | self as u32
    }

    /// What a list of this kind costs that every value calls, roughly.
    pub(crate) fn cost(self) -> u64 {
        match self {
            Kind::Head | Kind::Tail | Kind::FoldedHead | Kind::FoldedTail | Kind::Piece | Kind::Network => PART_COST,
            Kind::Any | Kind::AnyText | Kind::Absent => PRESENCE_COST,
            _ => EXACT_COST,
        }
    }
}

/// A key that an operator can be registered under.
pub(crate) struct Key<'k> {
    pub(crate) kind: Kind,
    pub(crate) bytes: &'k [u8],
    /// Whether a value with this key passes for sure.
    pub(crate) settles: bool,
    /// Keys of one group can stand for each other; each group needs one.
    pub(crate) group: usize,
}

impl Key<'_> {
    pub(crate) fn length(&self) -> u16 {
        match self.kind {
            Kind::Head | Kind::Tail | Kind::FoldedHead | Kind::FoldedTail | Kind::Piece => {
                u16::try_from(self.bytes.len()).expect("keys of these kinds are bounded")
            }
            Kind::Network => u16::from(self.bytes[0]) | u16::from(self.bytes.len() > V4_KEY_BYTES) << 8,
            _ => 0,
        }
    }
}

/// The range that a numeric test of more than one number is.
pub(crate) fn range_of(operator: &Operator) -> Option<&Bounds> {
    match operator {
        Operator::Numeric(bounds) if bounds.only().is_none() => Some(bounds),
        _ => None,
    }
}

/// Tells of the keys that an operator can be registered under, group by group: one of each group will do.
pub(crate) fn keys_of(operator: &Operator, tell: &mut dyn FnMut(Key<'_>)) {
    let mut one = |kind: Kind, bytes: &[u8], settles: bool| {
        tell(Key {
            kind,
            bytes,
            settles,
            group: 0,
        })
    };
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
        Operator::Extended(extended) => keys_of_extended(extended, &mut |key| tell(Key { settles: false, ..key })),
    }
}

/// Tells of keys of which a value must have one to be an exception: one for each text, number or expression that is excepted, or
/// more. A value with a key that settles is one.
pub(crate) fn keys_of_exceptions(exceptions: &Exceptions, tell: &mut dyn FnMut(Key<'_>)) {
    let mut one = |kind: Kind, bytes: &[u8]| {
        tell(Key {
            kind,
            bytes,
            settles: true,
            group: 0,
        })
    };
    match exceptions {
        Exceptions::Texts(texts) => texts.iter().for_each(|text| one(Kind::Text, text)),
        Exceptions::Numbers(numbers) => numbers.iter().for_each(|number| one(Kind::Number, &bits(*number))),
        Exceptions::Prefixes(texts) => texts.iter().for_each(|text| affix(Kind::Head, text, true, tell)),
        Exceptions::Suffixes(texts) => texts.iter().for_each(|text| affix(Kind::Tail, text, true, tell)),
        Exceptions::Folded(texts) => texts.iter().for_each(|text| folded(Kind::Folded, text, tell)),
        Exceptions::Wildcards(texts) => texts
            .iter()
            .for_each(|text| first_of_groups(tell, |tell| keys_of_wildcard(text, tell))),
        Exceptions::Extended(all) => all.iter().for_each(|one| {
            let tell = &mut |key: Key<'_>| tell(Key { settles: false, ..key });
            first_of_groups(tell, |tell| keys_of_extended(one, tell));
        }),
    }
}

/// Of keys that can stand for each other, the first.
fn first_of_groups(tell: &mut dyn FnMut(Key<'_>), keys: impl FnOnce(&mut dyn FnMut(Key<'_>))) {
    let mut last = None;
    keys(&mut |key| {
        if last.replace(key.group) != Some(key.group) {
            tell(key);
        }
    });
}

fn affix(kind: Kind, text: &[u8], settles: bool, tell: &mut dyn FnMut(Key<'_>)) {
    let length = text.len().min(AFFIX_BYTES_MAX);
    let (kind, bytes) = match kind {
        _ if text.is_empty() => (Kind::AnyText, text),
        Kind::Tail | Kind::FoldedTail => (kind, &text[text.len() - length..]),
        _ => (kind, &text[..length]),
    };
    let settles = settles && length == text.len();
    tell(Key {
        kind,
        bytes,
        settles,
        group: 0,
    });
}

fn folded(kind: Kind, text: &fold::Folded, tell: &mut dyn FnMut(Key<'_>)) {
    let mut bytes = Vec::new();
    let is_ascii = fold::canonical(text.text(), &mut bytes);
    match kind {
        _ if !text.is_regular() => tell(Key {
            kind: Kind::AnyText,
            bytes: &[],
            settles: false,
            group: 0,
        }),
        Kind::Folded => tell(Key {
            kind,
            bytes: &bytes,
            settles: is_ascii,
            group: 0,
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
            group: 0,
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
            group: 0,
        });
    };
    pieces(longest, tell);
}

/// A piece that must be there is registered under one of its parts, which settles nothing.
fn pieces(text: &[u8], tell: &mut dyn FnMut(Key<'_>)) {
    for bytes in text.windows(text.len().min(PIECE_BYTES_MAX)) {
        tell(Key {
            kind: Kind::Piece,
            bytes,
            settles: false,
            group: 0,
        });
    }
}

fn keys_of_extended(extended: &Extended, tell: &mut dyn FnMut(Key<'_>)) {
    let anything = Key {
        kind: Kind::AnyText,
        bytes: &[],
        settles: false,
        group: 0,
    };
    match extended {
        Extended::Regex(automaton) => match automaton.required() {
            Some(Required::Head(heads)) => heads.iter().enumerate().for_each(|(group, head)| {
                affix(Kind::Head, head, false, &mut |key| tell(Key { group, ..key }));
            }),
            Some(Required::Inside(texts)) => texts.iter().enumerate().for_each(|(group, text)| {
                pieces(text, &mut |key| tell(Key { group, ..key }));
            }),
            None => tell(anything),
        },
        Extended::WildcardFolded(wildcard) => match (wildcard.head(), wildcard.tail()) {
            (head, None) => folded(Kind::Folded, head, tell),
            (head, Some(tail)) if head.text().is_empty() => folded(Kind::FoldedTail, tail, tell),
            (head, Some(_)) => folded(Kind::FoldedHead, head, tell),
        },
        Extended::Contains(..) => tell(anything),
    }
}

/// Bytes of the key of an IPv4 address.
const V4_KEY_BYTES: usize = 5;

/// A number of bits and an address.
pub(crate) struct AddressKey {
    bytes: [u8; 17],
    length: usize,
}

impl AddressKey {
    pub(crate) fn bytes(&self) -> &[u8] {
        &self.bytes[..self.length]
    }
}

/// The key of an address' first bits.
pub(crate) fn address_key(address: IpAddr, bits: u32) -> AddressKey {
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
pub(crate) fn bits(number: f64) -> [u8; 8] {
    (number + 0.0).to_bits().to_le_bytes()
}
