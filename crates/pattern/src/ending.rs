//! Whether the rest of a JSON text can hold another value that is asked for: told by the names that such a value would need.
//!
//! When every asked path has a value, most of a text often lies ahead. It is not simply dropped, because a name may come again, and
//! its values count then as well. But another value at a path needs a name on the way to it, and that is written in the rest of the
//! text letter by letter, or with an escape. Where there is neither, nothing follows that anybody asks for. What is not looked at is
//! not checked, so this is only for texts that are known to be well formed.

use smallvec::SmallVec;

use crate::paths::{Paths, Place};
use crate::simd::{self, Pair};

/// Asked paths below a mount beyond which their names are not searched for.
const ASKED_MAX: usize = 8;

/// Places of a tree beyond which it is not looked through for those that are asked.
const PLACES_MAX: usize = 128;

/// Bytes of a rest that are read sooner than searched.
const REST_MIN: usize = 96;

/// Places where two letters of a name stand in the rest, but not the name, before the rest is read; one more for each block of it.
const OTHERS_MAX: usize = 8;

/// Letters of a name that is not likely to stand somewhere by chance.
const NAME_GOOD: usize = 3;

/// Letters of a name that are looked for: as many as blocks have, so that comparing them where a pair stands costs no more than reading.
const NAME_MAX: usize = simd::BLOCK;

/// How often the rest of one text is searched, from one object after the other.
pub(crate) const SEARCHES_MAX: usize = 3;

/// What is asked for below one mount.
#[derive(Debug, Clone)]
pub(crate) struct Ending {
    mount: Place,
    /// How many places are asked for.
    pub(crate) asked: usize,
    needs: Vec<Need>,
}

/// What another value at an asked place needs, once the scan is inside an object and in no array: one of these names.
#[derive(Debug, Clone)]
struct Need {
    object: Place,
    names: SmallVec<[Name; 2]>,
    /// Two letters of each of them.
    pairs: SmallVec<[Pair; 2]>,
}

/// A name, or the beginning of a long one, and which two letters of it are looked for.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
struct Name {
    bytes: Box<[u8]>,
    is_whole: bool,
    /// How many letters stand before the second of them.
    before: usize,
}

impl Ending {
    /// For each mount below which something is asked for, unless that is too much.
    pub(crate) fn of(paths: &Paths) -> Vec<Self> {
        if paths.len() > PLACES_MAX {
            return Vec::new();
        }
        paths.mounts().filter_map(|mount| Self::below(paths, mount)).collect()
    }

    fn below(paths: &Paths, mount: Place) -> Option<Self> {
        let is_below = |place: &Place| paths.way(*place).first() == Some(&mount);
        let asked = paths.places().filter(|place| paths.is_asked(*place) && *place != mount);
        let asked: Vec<Place> = asked.filter(is_below).collect();
        if asked.is_empty() || asked.len() > ASKED_MAX {
            return None;
        }
        let objects = paths.places().filter(|place| paths.has_below(*place));
        let needs = objects.filter(is_below).filter_map(|object| {
            // Where a name is missing, nothing can be told.
            let names = asked.iter().map(|place| name_needed(paths, object, *place));
            Some(Need::of(object, names.collect::<Option<_>>()?))
        });
        Some(Self {
            mount,
            asked: asked.len(),
            needs: needs.collect(),
        })
    }

    /// Whether this is about a mount.
    pub(crate) fn is_of(&self, mount: Place) -> bool {
        self.mount == mount
    }

    /// Whether nothing that is asked for follows, behind a value of an object at a place that lies in no array.
    #[inline(never)]
    pub(crate) fn has_come(&self, object: Place, rest: &[u8]) -> bool {
        let need = self.needs.iter().find(|need| need.object == object);
        rest.len() >= REST_MIN && need.is_some_and(|need| need.is_absent(rest))
    }

    /// Bytes on the heap, roughly.
    pub(crate) fn memory(&self) -> usize {
        let of_need = |need: &Need| {
            let letters: usize = need.names.iter().map(|name| name.bytes.len()).sum();
            size_of::<Need>() + letters + need.names.len() * (size_of::<Name>() + 2 * size_of::<Pair>())
        };
        size_of::<Self>() + self.needs.iter().map(of_need).sum::<usize>()
    }
}

impl Need {
    fn of(object: Place, names: Vec<&[u8]>) -> Self {
        let mut names: SmallVec<[Name; 2]> = names.into_iter().map(Name::new).collect();
        names.sort_unstable();
        names.dedup();
        let pairs = names.iter().flat_map(Name::pairs).collect();
        Self { object, names, pairs }
    }

    /// Whether a text has none of the names as a key, or as a part of one with dots, and none that could be written with an escape. A
    /// name with a quotation mark is.
    fn is_absent(&self, text: &[u8]) -> bool {
        let (mut at, mut left) = (0, OTHERS_MAX + text.len() / simd::BLOCK);
        while let Some(found) = simd::pair_or_backslash(text, at, &self.pairs) {
            if left == 0 || text[found] == b'\\' || self.names.iter().any(|name| name.stands_around(text, found)) {
                return false;
            }
            left -= 1;
            at = found + 1;
        }
        true
    }
}

impl Name {
    fn new(name: &[u8]) -> Self {
        let bytes = &name[..name.len().min(NAME_MAX)];
        let pairs = (1..bytes.len()).min_by_key(|second| commonness(bytes[second - 1]) + commonness(bytes[*second]));
        Self {
            bytes: bytes.into(),
            is_whole: bytes.len() == name.len(),
            before: pairs.unwrap_or(0),
        }
    }

    /// The pairs of letters of which one stands where the name does: those that were chosen, or its only one and what may stand before
    /// it.
    fn pairs(&self) -> SmallVec<[Pair; 2]> {
        match (self.before.checked_sub(1), &*self.bytes) {
            (Some(first), bytes) => SmallVec::from_slice(&[[bytes[first], bytes[self.before]]]),
            (None, bytes) => EDGES.iter().map(|edge| [*edge, bytes[0]]).collect(),
        }
    }

    /// Whether the name stands in a text as a key, or a part of one, with its pair at a place.
    fn stands_around(&self, text: &[u8], pair: usize) -> bool {
        let Some(at) = (pair + 1).checked_sub(self.before) else {
            return false;
        };
        let is_edge = |at: usize| text.get(at).is_none_or(|byte| EDGES.contains(byte));
        text[at..].starts_with(&self.bytes)
            && is_edge(at.wrapping_sub(1))
            && (!self.is_whole || is_edge(at + self.bytes.len()))
    }
}

/// What stands around a name.
const EDGES: [u8; 2] = *b"\".";

/// Letters by how often they stand in texts, roughly: the most common last. Digits are everywhere.
const COMMON: &[u8] = b"zqjxkvbywgpfmucdlhrsnioate0123456789";

/// How often a letter stands in texts, compared with others.
fn commonness(letter: u8) -> usize {
    COMMON.iter().position(|known| *known == letter).unwrap_or(0)
}

/// A name that must be written again before another value comes at a place, once the scan is inside of an object: one of those
/// that lead from what lies above both to the place.
fn name_needed(paths: &Paths, object: Place, place: Place) -> Option<&[u8]> {
    let (open, asked) = (paths.way(object), paths.way(place));
    let common = open
        .iter()
        .zip(&asked)
        .take_while(|(open, asked)| open == asked)
        .count();
    // If the object lies in the place, or is it, all of its way is open, and it begins again with its own name.
    let names = || {
        asked[common.min(asked.len() - 1)..]
            .iter()
            .map(|place| paths.name(*place))
    };
    let good = names().find(|name| name.len() >= NAME_GOOD);
    good.or_else(|| names().max_by_key(|name| name.len()))
        .filter(|name| !name.is_empty())
}
