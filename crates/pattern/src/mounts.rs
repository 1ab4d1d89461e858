//! Where a dialect's names lie in a document: the table that its compiler rewrites paths through.
//!
//! It is plain data that the caller owns; this crate has no table of its own.

use crate::document::DATA;
use crate::paths::Path;

/// The canonical paths of a dialect's top names. A top name that is not in the table is absent from every document.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Mounts {
    kind: Kind,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Kind {
    Bare,
    Named(Vec<(Box<str>, Box<str>)>),
}

impl Mounts {
    /// The whole document is the JSON text at `/data`.
    pub fn bare() -> Self {
        Self { kind: Kind::Bare }
    }

    /// Starts a table of top names.
    pub fn builder() -> MountsBuilder {
        MountsBuilder::default()
    }

    /// Whether the whole document is the data.
    pub(crate) fn is_bare(&self) -> bool {
        matches!(self.kind, Kind::Bare)
    }

    /// The place of a dialect's path, given as segments.
    pub(crate) fn resolve(&self, segments: &[&[u8]]) -> Path {
        let joined = segments.join(&b'.');
        let written = &String::from_utf8_lossy(&joined);
        match &self.kind {
            Kind::Bare => Path::new(Some(DATA), segments, written),
            Kind::Named(names) => {
                let (top, below) = segments
                    .split_first()
                    .map_or((&b""[..], segments), |(top, below)| (*top, below));
                let mount = names.iter().find(|(name, _)| name.as_bytes() == top);
                Path::new(mount.map(|(_, mount)| &**mount), below, written)
            }
        }
    }
}

/// Builds [`Mounts`] from pairs.
#[derive(Debug, Clone, Default)]
pub struct MountsBuilder {
    names: Vec<(Box<str>, Box<str>)>,
}

impl MountsBuilder {
    /// The dialect's top name (without a dot) lies at this canonical path. The last mount of a name wins.
    #[must_use]
    pub fn mount(mut self, name: &str, path: &str) -> Self {
        debug_assert!(!name.contains('.'), "a top name has no dot");
        self.names.retain(|(known, _)| &**known != name);
        self.names.push((name.into(), path.into()));
        self
    }

    /// The table.
    pub fn build(self) -> Mounts {
        Mounts {
            kind: Kind::Named(self.names),
        }
    }
}
