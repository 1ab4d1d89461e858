//! Which paths of a document somebody asks for, as a tree that the scan walks beside the JSON.
//!
//! A dotted key and nested keys are the same path, so the tree's edges are the parts between dots. Copies of a tree share what they
//! have in common, and a place that nobody asks for any more is given to another path.

use std::ops::Range;
use std::sync::{Arc, OnceLock};

use crate::chunks::Chunks;
use crate::document::lies_at;
use crate::ending::Ending;
pub(crate) use crate::path::Path;
use crate::table::Table;

/// A place in the tree of asked paths. The value 0 is the place that nobody asks below.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct Place(pub(crate) u32);

impl Place {
    /// Nobody asks for this path or anything below it.
    pub(crate) const NOWHERE: Place = Place(0);

    pub(crate) fn index(self) -> usize {
        self.0 as usize
    }
}

/// Children of a node that are looked at one after the other; more are looked up.
const CHILDREN_LISTED: usize = 16;

#[derive(Debug, Clone)]
struct Node {
    /// How many ask for values at this very place.
    asked: u32,
    /// How many places lie directly below.
    below: u32,
    /// The place above; the next free one, while it is free.
    parent: Place,
    /// The key that leads here.
    key: Box<[u8]>,
    /// The places below, while they are few.
    edges: Vec<Edge>,
    /// What the names begin with that lead below, or have led there. An empty one may begin with anything.
    initials: Initials,
}

/// What some names begin with, a bit for each of the letters that are alike in their last bits.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Initials(u64);

impl Initials {
    const NONE: Self = Self(0);

    fn insert(&mut self, name: &[u8]) {
        self.0 |= name.first().map_or(u64::MAX, |first| 1 << (first & 63));
    }

    #[inline(always)]
    fn may_have(self, first: u8) -> bool {
        self.0 >> (first & 63) & 1 == 1
    }
}

/// The way to a child, with as much of its key as tells most keys apart.
#[derive(Debug, Clone, Copy)]
struct Edge {
    head: u64,
    /// The last bytes of a key that is longer than its head.
    tail: u64,
    length: u32,
    place: Place,
    /// Whether values at the child itself are asked for.
    is_asked: bool,
}

impl Node {
    fn new(parent: Place, key: &[u8]) -> Self {
        Self {
            asked: 0,
            below: 0,
            parent,
            key: key.into(),
            edges: Vec::new(),
            initials: Initials::NONE,
        }
    }
}

/// A place that several steps are taken from: what is there is looked up once.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Origin<'p> {
    place: Place,
    node: &'p Node,
}

impl Origin<'_> {
    #[inline(always)]
    pub(crate) fn place(self) -> Place {
        self.place
    }

    /// Whether anything below is asked for.
    #[inline(always)]
    pub(crate) fn leads_on(self) -> bool {
        self.node.below > 0
    }
}

/// Where a key leads.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Below {
    pub(crate) place: Place,
    /// Whether values at this very place are asked for.
    pub(crate) is_asked: bool,
}

impl Below {
    /// Nobody asks for anything there.
    pub(crate) const NOWHERE: Self = Self {
        place: Place::NOWHERE,
        is_asked: false,
    };
}

/// The tree of asked paths.
#[derive(Debug, Clone)]
pub(crate) struct Paths {
    roots: Vec<(Box<str>, Place)>,
    nodes: Chunks<Node>,
    /// The children of nodes that have more than are listed, by place and key.
    edges: Table<Place>,
    /// The first place that nobody has.
    free: Place,
    /// What tells whether anything follows that is asked for, once somebody wants to know.
    endings: OnceLock<Arc<[Ending]>>,
}

impl Default for Place {
    fn default() -> Self {
        Place::NOWHERE
    }
}

impl Default for Paths {
    fn default() -> Self {
        let mut nodes = Chunks::default();
        nodes.push(Node::new(Place::NOWHERE, b""));
        Self {
            roots: Vec::new(),
            nodes,
            edges: Table::default(),
            free: Place::NOWHERE,
            endings: OnceLock::new(),
        }
    }
}

impl Paths {
    /// Asks for a path and says which place it has.
    pub(crate) fn ask(&mut self, path: &Path) -> Place {
        let Some(mount) = &path.mount else {
            return Place::NOWHERE;
        };
        let mut place = self.ask_mount(mount);
        for segment in path.segments() {
            place = self.ask_child(place, segment);
        }
        let node = self.nodes.get_mut(place.index());
        node.asked += 1;
        if node.asked == 1 {
            self.note_asked(place, true);
        }
        place
    }

    /// Takes back what was asked for once.
    pub(crate) fn release(&mut self, place: Place) {
        if place == Place::NOWHERE {
            return;
        }
        let node = self.nodes.get_mut(place.index());
        node.asked -= 1;
        if node.asked == 0 {
            self.note_asked(place, false);
        }
        let mut place = place;
        while place != Place::NOWHERE && self.nodes[place.index()].asked == 0 && self.nodes[place.index()].below == 0 {
            place = self.remove(place);
        }
    }

    /// Values at a place are asked for from here on, or not any more.
    fn note_asked(&mut self, place: Place, is_asked: bool) {
        self.endings.take();
        let parent = self.nodes[place.index()].parent;
        let edges = &mut self.nodes.get_mut(parent.index()).edges;
        if let Some(edge) = edges.iter_mut().find(|edge| edge.place == place) {
            edge.is_asked = is_asked;
        }
    }

    /// How many places there are, the empty one included.
    pub(crate) fn len(&self) -> usize {
        self.nodes.len()
    }

    /// The place of a mount, as a document names it.
    pub(crate) fn mount(&self, mount: &str) -> Place {
        let found = self.roots.iter().find(|(name, _)| lies_at(mount, name));
        found.map_or(Place::NOWHERE, |(_, place)| *place)
    }

    /// Whether values at this very place are asked for.
    #[inline(always)]
    pub(crate) fn is_asked(&self, place: Place) -> bool {
        place != Place::NOWHERE && self.nodes[place.index()].asked > 0
    }

    /// Whether anything below this place is asked for.
    #[inline]
    pub(crate) fn has_below(&self, place: Place) -> bool {
        place != Place::NOWHERE && self.nodes[place.index()].below > 0
    }

    /// What tells whether the rest of a JSON text at a mount has anything that is asked for; none if that is not to be told.
    #[inline]
    pub(crate) fn ending(&self, mount: Place) -> Option<&Ending> {
        let endings = self.endings.get_or_init(|| Ending::of(self).into());
        endings.iter().find(|ending| ending.is_of(mount))
    }

    /// All places, also those that are free, which nobody asks for.
    pub(crate) fn places(&self) -> impl Iterator<Item = Place> {
        (1..).map(Place).take(self.len() - 1)
    }

    pub(crate) fn mounts(&self) -> impl Iterator<Item = Place> {
        self.roots.iter().map(|(_, place)| *place)
    }

    /// The names that lead from its mount to a place, each by its own place; one more at the beginning for the mount.
    pub(crate) fn way(&self, place: Place) -> Vec<Place> {
        let above = |place: &Place| Some(self.nodes[place.index()].parent).filter(|above| *above != Place::NOWHERE);
        let mut way: Vec<Place> = std::iter::successors(Some(place), above).collect();
        way.reverse();
        way
    }

    /// The name that leads to a place from the one above.
    pub(crate) fn name(&self, place: Place) -> &[u8] {
        &self.nodes[place.index()].key
    }

    /// A place, to take steps from. Nowhere leads nowhere.
    #[inline(always)]
    pub(crate) fn from(&self, place: Place) -> Origin<'_> {
        Origin {
            place,
            node: &self.nodes[place.index()],
        }
    }

    /// Whether a key leads nowhere, told by what it begins with: its first part, if it has dots, begins alike. The key is a range of a
    /// text in which something follows it.
    #[inline(always)]
    pub(crate) fn is_astray(&self, from: Origin<'_>, text: &[u8], key: &Range<usize>) -> bool {
        let first = text.get(key.start);
        first.is_some_and(|first| !from.node.initials.may_have(*first))
    }

    /// Where a key leads; a key with dots takes several steps. The key is a range of a text.
    #[inline(always)]
    pub(crate) fn step(&self, from: Origin<'_>, text: &[u8], key: Range<usize>) -> Below {
        // The length of a range by its own function costs more than all of a comparison.
        let length = key.end - key.start;
        let head = head_in(text, &key);
        let mut edges = from.node.edges.iter();
        let Some(edge) = edges.find(|edge| edge.head == head && edge.length as usize == length) else {
            return self.step_further(from, &text[key]);
        };
        if length <= HEAD_BYTES || length <= 2 * HEAD_BYTES && text[..key.end].ends_with(&edge.tail.to_le_bytes()) {
            return Below {
                place: edge.place,
                is_asked: edge.is_asked,
            };
        }
        self.below(self.steps(from.place, &text[key]))
    }

    /// A place as where something leads.
    #[inline(always)]
    pub(crate) fn below(&self, place: Place) -> Below {
        let is_asked = self.is_asked(place);
        Below { place, is_asked }
    }

    /// The same where no edge that is listed is the way.
    #[inline(never)]
    fn step_further(&self, from: Origin<'_>, key: &[u8]) -> Below {
        let is_listed = from.node.below as usize == from.node.edges.len();
        if is_listed && memchr::memchr(b'.', key).is_none() {
            return Below::NOWHERE;
        }
        self.below(self.steps(from.place, key))
    }

    /// The place that a key leads to, part by part.
    #[inline(never)]
    fn steps(&self, place: Place, key: &[u8]) -> Place {
        let mut place = place;
        let mut rest = key;
        while let Some(dot) = memchr::memchr(b'.', rest) {
            place = self.child(place, &rest[..dot]);
            if place == Place::NOWHERE {
                return place;
            }
            rest = &rest[dot + 1..];
        }
        self.child(place, rest)
    }

    /// Bytes on the heap.
    pub(crate) fn memory(&self) -> usize {
        let of_node = |node: &Node| node.key.len() + node.edges.capacity() * size_of::<Edge>();
        let endings = self.endings.get().into_iter().flat_map(|endings| endings.iter());
        let trees = self.nodes.memory() + self.nodes.iter().map(of_node).sum::<usize>() + self.edges.memory();
        trees + endings.map(Ending::memory).sum::<usize>()
    }

    #[inline]
    fn child(&self, place: Place, segment: &[u8]) -> Place {
        let node = &self.nodes[place.index()];
        if node.below as usize > node.edges.len() {
            return self.edges.get(place.0, segment).copied().unwrap_or(Place::NOWHERE);
        }
        let head = head(segment);
        let mut edges = node.edges.iter();
        edges
            .find(|edge| edge.head == head && edge.length as usize == segment.len() && self.is(edge, segment))
            .map_or(Place::NOWHERE, |edge| edge.place)
    }

    /// Whether an edge whose head and length are right is the way for a key.
    #[inline]
    fn is(&self, edge: &Edge, key: &[u8]) -> bool {
        key.len() <= HEAD_BYTES
            || edge.tail == tail(key) && (key.len() <= 2 * HEAD_BYTES || *self.nodes[edge.place.index()].key == *key)
    }

    fn ask_mount(&mut self, mount: &str) -> Place {
        let known = self.mount(mount);
        if known != Place::NOWHERE {
            return known;
        }
        let place = self.add(Place::NOWHERE, mount.as_bytes());
        self.roots.push((mount.into(), place));
        place
    }

    fn ask_child(&mut self, place: Place, segment: &[u8]) -> Place {
        let known = self.child(place, segment);
        if known != Place::NOWHERE {
            return known;
        }
        let child = self.add(place, segment);
        let node = self.nodes.get_mut(place.index());
        node.below += 1;
        node.initials.insert(segment);
        let listed = node.below as usize == node.edges.len() + 1;
        if listed && node.edges.len() < CHILDREN_LISTED {
            node.edges.push(Edge::new(segment, child));
            return child;
        }
        let edges = std::mem::take(&mut node.edges);
        for edge in edges {
            let key = self.nodes[edge.place.index()].key.clone();
            *self.edges.entry(place.0, &key) = edge.place;
        }
        *self.edges.entry(place.0, segment) = child;
        child
    }

    fn add(&mut self, parent: Place, key: &[u8]) -> Place {
        let node = Node::new(parent, key);
        if self.free != Place::NOWHERE {
            let place = self.free;
            let free = self.nodes.get_mut(place.index());
            self.free = free.parent;
            *free = node;
            return place;
        }
        let index = u32::try_from(self.nodes.len()).expect("a set of filters asks for fewer than 2^32 paths");
        self.nodes.push(node);
        Place(index)
    }

    /// Removes a place that nobody asks for, and says what lies above.
    fn remove(&mut self, place: Place) -> Place {
        let free = Node::new(self.free, b"");
        let Node { parent, key, .. } = std::mem::replace(self.nodes.get_mut(place.index()), free);
        self.free = place;
        if parent == Place::NOWHERE {
            self.roots.retain(|(_, root)| *root != place);
            return parent;
        }
        let above = self.nodes.get_mut(parent.index());
        if above.below as usize > above.edges.len() {
            self.edges.remove(parent.0, &key);
        } else {
            above.edges.retain(|edge| edge.place != place);
        }
        above.below -= 1;
        parent
    }
}

/// Bytes of a key that an edge has.
const HEAD_BYTES: usize = size_of::<u64>();

impl Edge {
    fn new(key: &[u8], place: Place) -> Self {
        Self {
            head: head(key),
            tail: tail(key),
            length: u32::try_from(key.len()).expect("keys are bounded by the size of a filter"),
            place,
            is_asked: false,
        }
    }
}

/// The first bytes of a key.
#[inline]
fn head(key: &[u8]) -> u64 {
    if let Some(first) = key.first_chunk() {
        return u64::from_le_bytes(*first);
    }
    key.iter().rev().fold(0, |head, byte| head << 8 | u64::from(*byte))
}

/// The last bytes of a key; 0 if it is shorter.
#[inline]
fn tail(key: &[u8]) -> u64 {
    key.last_chunk().map_or(0, |last| u64::from_le_bytes(*last))
}

/// The head of a key that is a range of a text, without looking at single bytes where the text goes on behind it.
#[inline(always)]
fn head_in(text: &[u8], key: &Range<usize>) -> u64 {
    let first = text.get(key.start..key.start + HEAD_BYTES);
    match first.and_then(<[u8]>::first_chunk) {
        Some(first) if key.end - key.start >= HEAD_BYTES => u64::from_le_bytes(*first),
        Some(first) => u64::from_le_bytes(*first) & ((1 << (8 * (key.end - key.start))) - 1),
        None => head(&text[key.clone()]),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn path(text: &str) -> Path {
        let segments: Vec<&[u8]> = text.split('.').map(str::as_bytes).collect();
        Path::new(Some("/data"), &segments, text)
    }

    #[test]
    fn a_step_says_whether_the_place_it_leads_to_is_asked_for() {
        let mut paths = Paths::default();
        let step = |paths: &Paths, place: Place, key: &str| paths.step(paths.from(place), key.as_bytes(), 0..key.len());
        let below = paths.ask(&path("order.total"));
        let data = paths.mount("/data");
        let order = step(&paths, data, "order");
        assert!(!order.is_asked && step(&paths, order.place, "total").is_asked);
        for _ in 0..2 {
            assert_eq!(paths.ask(&path("order")), order.place);
        }
        assert!(step(&paths, data, "order").is_asked && !step(&paths, data, "other").is_asked);
        let before = paths.clone();
        paths.release(order.place);
        assert!(step(&paths, data, "order").is_asked, "one is left who asks");
        paths.release(order.place);
        assert_eq!(step(&paths, data, "order"), order);
        assert!(step(&before, data, "order").is_asked);
        paths.release(below);
        assert_eq!(paths.mount("/data"), Place::NOWHERE);
    }

    #[test]
    fn a_place_is_found_by_every_spelling_of_its_path_until_nobody_asks() {
        let names: Vec<String> = (0..40).map(|index| format!("a.a long name {index}.z")).collect();
        let mut paths = Paths::default();
        let places: Vec<Place> = names.iter().map(|name| paths.ask(&path(name))).collect();
        let again = paths.ask(&path(&names[3]));
        assert_eq!(again, places[3]);
        let data = paths.mount("/data");
        let walk = |paths: &Paths, name: &str| {
            name.split('.')
                .fold(data, |place, key| paths.steps(place, key.as_bytes()))
        };
        for (name, place) in names.iter().zip(&places) {
            assert_eq!(
                (
                    walk(&paths, name),
                    paths.step(paths.from(data), name.as_bytes(), 0..name.len())
                ),
                (*place, paths.below(*place))
            );
        }
        let is_astray = |paths: &Paths, key: &str| {
            let text = format!("{key}\"");
            paths.is_astray(paths.from(data), text.as_bytes(), &(0..key.len()))
        };
        assert!(
            !is_astray(&paths, &names[0])
                && is_astray(&paths, "b.z")
                && is_astray(&paths, "")
                && is_astray(&paths, ".a")
        );
        let empty = paths.ask(&path(".a"));
        assert!(!is_astray(&paths, ".a") && !is_astray(&paths, "") && !is_astray(&paths, "b"));
        assert_eq!(paths.step(paths.from(data), b".a\"", 0..2), paths.below(empty));
        paths.release(empty);
        let before = paths.clone();
        places.iter().for_each(|place| paths.release(*place));
        assert_eq!(walk(&paths, &names[3]), places[3]);
        assert_eq!(walk(&paths, &names[4]), Place::NOWHERE);
        assert_eq!(walk(&before, &names[4]), places[4]);
        paths.release(again);
        assert_eq!(paths.mount("/data"), Place::NOWHERE);
        let length = paths.len();
        for name in &names {
            paths.ask(&path(name));
        }
        assert_eq!(paths.len(), length);
    }
}
