//! What several paths find in one JSON text, in one walk over it from its begin to its end: no byte is looked at twice, however many
//! paths there are and however long they are. It knows no event; a text that has not been checked to be JSON gives wrong parts of
//! itself, and never a panic.
//!
//! All paths take their steps side by side: below a value that is `n` steps deep, a path either still lives, with its step `n` before it,
//! or never finds anything there. The paths that live are a set, and a step is one intersection with the sets that a level of the plan
//! has for a name, for an index and for `*`. What no path lives in is skipped at once.

use crate::{
    json,
    path::{InputPath, Step},
};
use std::{cmp::Reverse, collections::HashMap};

/// Paths of a plan: the bit of each.
type Set = u128;

/// Paths of a plan at most.
pub(crate) const PLAN_PATHS_MAX: usize = Set::BITS as usize;

/// What a path finds in a JSON text.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Found<'a> {
    Nothing,
    One(&'a [u8]),
    /// Of a path with `*`, which finds a list, also an empty one.
    List(Vec<&'a [u8]>),
}

/// Paths, ready to be looked for together.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Plan {
    /// What paths want of a value that is so many steps deep.
    levels: Vec<Level>,
    paths: usize,
    /// Names of all levels.
    names: usize,
    /// Paths with `*`.
    lists: Set,
}

/// What paths want of a value at one depth.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
struct Level {
    /// The value itself.
    ends: Set,
    /// All that is in it.
    every: Set,
    /// A member of it.
    members: Set,
    /// An element of it.
    elements: Set,
    by_name: HashMap<Box<[u8]>, Name>,
    by_index: HashMap<usize, Set>,
}

/// A name that paths want at one depth.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Name {
    /// Among the names of all levels.
    number: usize,
    paths: Set,
}

impl Plan {
    /// One of the steps that lie behind the first `skipped` of each path, at most [`PLAN_PATHS_MAX`].
    pub(crate) fn new(paths: &[&InputPath], skipped: usize) -> Self {
        assert!(paths.len() <= PLAN_PATHS_MAX, "a plan has a bit for each path");
        let mut plan = Self {
            paths: paths.len(),
            ..Self::default()
        };
        for (index, path) in paths.iter().enumerate() {
            plan.add(1 << index, &path.steps()[skipped..]);
        }
        plan
    }

    fn add(&mut self, path: Set, steps: &[Step]) {
        self.levels
            .resize_with(self.levels.len().max(steps.len() + 1), Level::default);
        for (level, step) in self.levels.iter_mut().zip(steps) {
            match step {
                Step::Every => {
                    level.every |= path;
                    self.lists |= path;
                }
                Step::Index(index) => {
                    level.elements |= path;
                    *level.by_index.entry(*index).or_default() |= path;
                }
                Step::Member(name) => {
                    level.members |= path;
                    let number = self.names;
                    let fresh = || Name { number, paths: 0 };
                    let name = level.by_name.entry(name.as_bytes().into()).or_insert_with(fresh);
                    name.paths |= path;
                    self.names = self.names.max(name.number + 1);
                }
            }
        }
        self.levels[steps.len()].ends |= path;
    }

    /// What each path finds, in their order; `None`: lists have more than so many values together. Of two members of one name the last
    /// counts for a path that names it, as in a map; `*` finds both.
    pub(crate) fn find<'a>(&self, text: &'a [u8], listed_max: usize) -> Option<Vec<Found<'a>>> {
        let mut found: Vec<Found<'a>> = (0..self.paths).map(|path| self.nothing(path)).collect();
        if self.paths == 0 {
            return Some(found);
        }
        let mut walk = Walk::new(self, text);
        walk.at = json::start(text, 0).min(text.len());
        walk.value(Set::MAX, 0);
        walk.drop_overruled();
        let mut room = listed_max;
        for Hit { paths, value } in walk.hits {
            for path in bits(paths) {
                match &mut found[path] {
                    Found::List(list) => {
                        room = room.checked_sub(1)?;
                        list.push(value);
                    }
                    one => *one = Found::One(value),
                }
            }
        }
        Some(found)
    }

    fn nothing<'a>(&self, path: usize) -> Found<'a> {
        match self.lists & (1 << path) {
            0 => Found::Nothing,
            _ => Found::List(Vec::new()),
        }
    }
}

/// The paths of a set.
fn bits(mut set: Set) -> impl Iterator<Item = usize> {
    std::iter::from_fn(move || {
        let first = (set != 0).then(|| set.trailing_zeros() as usize);
        set &= set.wrapping_sub(1);
        first
    })
}

/// A value that paths end at.
struct Hit<'a> {
    paths: Set,
    value: &'a [u8],
}

/// What was found in a member, which a later one of the same name overrules.
struct Overruled {
    from: usize,
    to: usize,
    paths: Set,
}

/// The last member of a name: where what was found in it stands.
#[derive(Clone, Copy, Default)]
struct Last {
    /// The object, counted from 1.
    object: usize,
    from: usize,
    to: usize,
}

struct Walk<'p, 'a> {
    plan: &'p Plan,
    text: &'a [u8],
    at: usize,
    hits: Vec<Hit<'a>>,
    objects: usize,
    /// By the number of the name. Of all objects of a depth one is open at a time.
    last: Vec<Last>,
    overruled: Vec<Overruled>,
}

impl<'p, 'a> Walk<'p, 'a> {
    fn new(plan: &'p Plan, text: &'a [u8]) -> Self {
        Self {
            plan,
            text,
            at: 0,
            hits: Vec::new(),
            objects: 0,
            last: vec![Last::default(); plan.names],
            overruled: Vec::new(),
        }
    }

    /// Goes past the value that begins here, which is so many steps deep. As deep as the longest path, which is bounded.
    fn value(&mut self, alive: Set, depth: usize) {
        let level = &self.plan.levels[depth];
        let (begin, hit) = (self.at, self.hits.len());
        let paths = alive & level.ends;
        if paths != 0 {
            self.hits.push(Hit { paths, value: &[] });
        }
        match self.text.get(begin) {
            Some(b'{') if alive & (level.every | level.members) != 0 => self.members(alive, depth),
            Some(b'[') if alive & (level.every | level.elements) != 0 => self.elements(alive, depth),
            _ => self.skip(),
        }
        if paths != 0 {
            self.hits[hit].value = &self.text[begin..self.at];
        }
    }

    fn members(&mut self, alive: Set, depth: usize) {
        let level = &self.plan.levels[depth];
        let has_names = alive & level.members != 0;
        self.objects += 1;
        let object = self.objects;
        self.at += 1;
        while self.is_at_value() {
            let begin = self.at;
            self.skip();
            let quoted = &self.text[begin..self.at];
            if !self.is_at_value() {
                return;
            }
            let name = has_names.then(|| level.named(quoted)).flatten();
            let named = name.map_or(0, |name| alive & name.paths);
            let hits = self.hits.len();
            match named | (alive & level.every) {
                0 => self.skip(),
                below => self.value(below, depth + 1),
            }
            if let Some(name) = name {
                self.overrule(name.number, named, object, hits);
            }
        }
    }

    fn elements(&mut self, alive: Set, depth: usize) {
        let level = &self.plan.levels[depth];
        self.at += 1;
        let mut index = 0;
        while self.is_at_value() {
            let here = level.by_index.get(&index).copied().unwrap_or_default();
            match alive & (level.every | here) {
                0 => self.skip(),
                below => self.value(below, depth + 1),
            }
            index += 1;
        }
    }

    /// Goes to the next name or value, past a comma or colon; or past the end of what is open.
    fn is_at_value(&mut self) -> bool {
        self.at = json::start(self.text, self.at);
        if matches!(self.text.get(self.at), Some(b',' | b':')) {
            self.at = json::start(self.text, self.at + 1);
        }
        match self.text.get(self.at) {
            None => false,
            Some(b']' | b'}') => {
                self.at += 1;
                false
            }
            Some(_) => true,
        }
    }

    /// Past the value that begins here: at least one byte further, whatever stands there.
    fn skip(&mut self) {
        let end = json::value_end(self.text, self.at).max(self.at + 1);
        self.at = end.min(self.text.len());
    }

    /// A member of this name has been walked; what the one before it in the same object gave to these paths is nothing any more.
    fn overrule(&mut self, name: usize, paths: Set, object: usize, from: usize) {
        let now = Last {
            object,
            from,
            to: self.hits.len(),
        };
        let before = std::mem::replace(&mut self.last[name], now);
        if before.object == object && before.from < before.to {
            let (from, to) = (before.from, before.to);
            self.overruled.push(Overruled { from, to, paths });
        }
    }

    /// Takes from the hits what was overruled. Members lie within each other or apart, and so do their hits.
    fn drop_overruled(&mut self) {
        if self.overruled.is_empty() {
            return;
        }
        self.overruled
            .sort_unstable_by_key(|overruled| (overruled.from, Reverse(overruled.to)));
        let mut overruled = self.overruled.iter().peekable();
        let mut open: Vec<(usize, Set)> = Vec::new();
        for (index, hit) in self.hits.iter_mut().enumerate() {
            while open.pop_if(|(to, _)| *to <= index).is_some() {}
            while let Some(next) = overruled.next_if(|next| next.from == index) {
                let around = open.last().map_or(0, |(_, paths)| *paths);
                open.push((next.to, around | next.paths));
            }
            hit.paths &= !open.last().map_or(0, |(_, paths)| *paths);
        }
    }
}

impl Level {
    /// What paths want of a member, whose name comes with its quotes.
    fn named(&self, quoted: &[u8]) -> Option<Name> {
        let inner = json::inside(quoted);
        let name = match inner.contains(&b'\\') {
            false => self.by_name.get(inner),
            true => self.by_name.get(json::unescaped(quoted)?.as_bytes()),
        };
        name.copied()
    }
}

#[cfg(test)]
mod tests;
