//! Which paths of a document somebody asks for, as a tree that the scan walks beside the JSON.
//!
//! A dotted key and nested keys are the same path, so the tree's edges are the parts between dots.

/// Where a field lies: a mount and the keys below it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Path {
    /// The canonical path of the mount; none when the dialect's top name is mounted nowhere.
    pub(crate) mount: Option<Box<str>>,
    /// The keys below the mount, split at dots.
    pub(crate) segments: Vec<Box<[u8]>>,
    /// The path as the dialect writes it.
    pub(crate) written: String,
}

impl Path {
    pub(crate) fn new(mount: Option<&str>, segments: &[&[u8]], written: String) -> Self {
        Self {
            mount: mount.map(Into::into),
            segments: segments.iter().map(|segment| (*segment).into()).collect(),
            written,
        }
    }
}

impl Path {
    /// Whether both lead to the same place of a document.
    pub(crate) fn is_same_place(&self, other: &Path) -> bool {
        self.mount.is_some() && self.mount == other.mount && self.segments == other.segments
    }
}

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

#[derive(Debug, Clone, Default)]
struct Node {
    asked: bool,
    /// Sorted by key.
    children: Vec<(Box<[u8]>, Place)>,
}

/// The tree of asked paths.
#[derive(Debug, Clone)]
pub(crate) struct Paths {
    roots: Vec<(Box<str>, Place)>,
    nodes: Vec<Node>,
}

impl Default for Paths {
    fn default() -> Self {
        Self {
            roots: Vec::new(),
            nodes: vec![Node::default()],
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
        for segment in &path.segments {
            place = self.ask_child(place, segment);
        }
        self.nodes[place.index()].asked = true;
        place
    }

    /// How many places there are, the empty one included.
    pub(crate) fn len(&self) -> usize {
        self.nodes.len()
    }

    /// The place of a mount.
    pub(crate) fn mount(&self, mount: &str) -> Place {
        let found = self.roots.iter().find(|(name, _)| &**name == mount);
        found.map_or(Place::NOWHERE, |(_, place)| *place)
    }

    /// Whether values at this very place are asked for.
    pub(crate) fn is_asked(&self, place: Place) -> bool {
        self.nodes[place.index()].asked
    }

    /// Whether anything below this place is asked for.
    pub(crate) fn has_below(&self, place: Place) -> bool {
        !self.nodes[place.index()].children.is_empty()
    }

    /// The place that a key leads to; a key with dots takes several steps.
    pub(crate) fn step(&self, place: Place, key: &[u8]) -> Place {
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

    fn child(&self, place: Place, segment: &[u8]) -> Place {
        let children = &self.nodes[place.index()].children;
        match children.binary_search_by(|(key, _)| (**key).cmp(segment)) {
            Ok(at) => children[at].1,
            Err(_) => Place::NOWHERE,
        }
    }

    fn ask_mount(&mut self, mount: &str) -> Place {
        let known = self.mount(mount);
        if known != Place::NOWHERE {
            return known;
        }
        let place = self.add();
        self.roots.push((mount.into(), place));
        place
    }

    fn ask_child(&mut self, place: Place, segment: &[u8]) -> Place {
        match self.nodes[place.index()]
            .children
            .binary_search_by(|(key, _)| (**key).cmp(segment))
        {
            Ok(at) => self.nodes[place.index()].children[at].1,
            Err(at) => {
                let child = self.add();
                self.nodes[place.index()].children.insert(at, (segment.into(), child));
                child
            }
        }
    }

    fn add(&mut self) -> Place {
        let index = u32::try_from(self.nodes.len()).expect("a set of filters asks for fewer than 2^32 paths");
        self.nodes.push(Node::default());
        Place(index)
    }
}
