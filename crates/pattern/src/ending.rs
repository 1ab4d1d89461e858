//! Whether the rest of a JSON text can hold another value that is asked for: told by the names that such a value would need.
//!
//! When every asked path has a value, most of a text often lies ahead. It is not simply dropped, because a name may come again, and
//! its values count then as well. But another value at a path needs a name on the way to it, and that is written in the rest of the
//! text letter by letter, or with an escape. Where there is neither, nothing follows that anybody asks for. What is not looked at is
//! not checked, so this is only for texts that are known to be well formed.

use memchr::memmem::Finder;
use smallvec::SmallVec;

use crate::paths::{Paths, Place};

/// Asked paths below a mount beyond which their names are not searched for: each may cost a search.
const ASKED_MAX: usize = 8;

/// Places of a tree beyond which it is not looked through for those that are asked.
const PLACES_MAX: usize = 128;

/// Bytes of a rest that are read sooner than searched.
const REST_MIN: usize = 96;

/// Places where a name's letters stand in the rest, but not as a name, before the rest is read.
const OTHERS_MAX: usize = 8;

/// Letters of a name that is not likely to stand somewhere by chance.
const NAME_GOOD: usize = 3;

/// How often the rest of one text is searched, from one object after the other.
pub(crate) const SEARCHES_MAX: usize = 3;

/// What is asked for below one mount.
#[derive(Debug, Clone)]
pub(crate) struct Ending {
    mount: Place,
    /// How many places are asked for.
    pub(crate) asked: usize,
    names: Vec<Finder<'static>>,
    /// By the place of an object, the names: another value at an asked place needs one of them, once the scan is inside that object
    /// and in no array.
    needs: Vec<(Place, SmallVec<[u8; ASKED_MAX]>)>,
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
        let mut ending = Self {
            mount,
            asked: asked.len(),
            names: Vec::new(),
            needs: Vec::new(),
        };
        let objects = paths.places().filter(|place| paths.has_below(*place));
        for object in objects.filter(is_below) {
            let names: Option<Vec<&[u8]>> = asked.iter().map(|place| name_needed(paths, object, *place)).collect();
            let needs = names.into_iter().flatten().map(|name| ending.number_of(name));
            let mut needs: SmallVec<[u8; ASKED_MAX]> = needs.collect();
            // Short names, which stand in most texts, are found sooner than long ones are missed.
            needs.sort_unstable_by_key(|name| (ending.names[usize::from(*name)].needle().len(), *name));
            needs.dedup();
            ending.needs.push((object, needs));
        }
        // Where a name is missing, nothing can be told.
        ending.needs.retain(|(_, needs)| !needs.is_empty());
        Some(ending)
    }

    fn number_of(&mut self, name: &[u8]) -> u8 {
        let known = self.names.iter().position(|known| known.needle() == name);
        let number = known.unwrap_or_else(|| {
            self.names.push(Finder::new(name).into_owned());
            self.names.len() - 1
        });
        u8::try_from(number).expect("places are bounded to fewer")
    }

    /// Whether this is about a mount.
    pub(crate) fn is_of(&self, mount: Place) -> bool {
        self.mount == mount
    }

    /// Whether nothing that is asked for follows, behind a value of an object at a place that lies in no array.
    #[inline(never)]
    pub(crate) fn has_come(&self, object: Place, rest: &[u8]) -> bool {
        let needs = self.needs.iter().find(|(place, _)| *place == object);
        needs.is_some_and(|(_, needs)| {
            let absent = |name: &u8| !may_be_named(&self.names[usize::from(*name)], rest);
            rest.len() >= REST_MIN && needs.iter().all(absent) && memchr::memchr(b'\\', rest).is_none()
        })
    }

    /// Bytes on the heap, roughly.
    pub(crate) fn memory(&self) -> usize {
        let names = self.names.iter().map(|name| size_of_val(name) + name.needle().len());
        let need = size_of::<(Place, SmallVec<[u8; ASKED_MAX]>)>();
        size_of::<Self>() + names.sum::<usize>() + self.needs.len() * need
    }
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

/// Whether a text may have a name as a key, or as a part of one with dots. A name with a quotation mark is written with an escape.
fn may_be_named(name: &Finder<'_>, text: &[u8]) -> bool {
    let mut others = 0;
    name.find_iter(text).any(|at| {
        others += 1;
        let is_edge = |at: usize| text.get(at).is_none_or(|byte| matches!(byte, b'"' | b'.'));
        others > OTHERS_MAX || (is_edge(at.wrapping_sub(1)) && is_edge(at + name.needle().len()))
    })
}
