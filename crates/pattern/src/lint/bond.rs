//! Fields of one conjunction that are not independent: where they lie in an array of objects, they have to pass in the same element.
//!
//! A field that passes whatever it is still picks an element, and those after it pass in that one or are absent from it. So what is
//! left out of a conjunction may change what its later fields answer, unless none of them can lie in an array with it.

use super::MountKind;
use super::field::Domain;
use crate::paths::Path;
use crate::rules::{FieldTest, Rules};

/// In which array two fields, or fields of two lists, can lie together; what binds them more often is greater.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Bond {
    /// In none.
    None,
    /// In none but the data itself, if it is a list.
    Data,
    /// In one of the data's members.
    Member,
}

impl Bond {
    /// What a statement has to add that holds without a bond; none where it cannot be made.
    pub(super) fn caveat(self) -> Option<&'static str> {
        match self {
            Bond::None => Some(""),
            Bond::Data => Some(" (unless the data itself is a list of objects)"),
            Bond::Member => None,
        }
    }

    fn between(left: &Path, right: &Path, kinds: Option<&dyn Fn(&str) -> MountKind>) -> Self {
        if left.mount != right.mount || Domain::of(left, kinds) != Domain::Json {
            return Bond::None;
        }
        match (left.segments().next(), right.segments().next()) {
            (Some(left), Some(right)) if left == right => Bond::Member,
            _ => Bond::Data,
        }
    }
}

/// What binds later fields to one, in any alternative that has it.
pub(super) fn with_later(rules: &Rules, index: u32, kinds: Option<&dyn Fn(&str) -> MountKind>) -> Bond {
    let path = |index: u32| &rules.tests[index as usize].path;
    let later = rules.alternatives.iter().flat_map(|alternative| {
        let own = alternative.iter().position(|test| *test == index);
        own.map_or(&[][..], |own| &alternative[own + 1..])
    });
    let bonds = later.map(|later| Bond::between(path(index), path(*later), kinds));
    bonds.max().unwrap_or(Bond::None)
}

/// What binds those fields of one conjunction that may be absent and that a wider one has as well, to fields before them that the
/// wider one does not have.
pub(super) fn with_left_out(
    rules: &Rules,
    wide: &[u32],
    narrow: &[u32],
    kinds: Option<&dyn Fn(&str) -> MountKind>,
) -> Bond {
    let test = |index: &u32| &rules.tests[*index as usize];
    let is_in_wide = |narrow: &FieldTest| {
        let mut of_wide = wide.iter().map(test);
        of_wide.any(|wide| std::ptr::eq(wide, narrow) || wide.path.is_same_place(&narrow.path))
    };
    let (mut left_out, mut bond) = (Vec::new(), Bond::None);
    for narrow in narrow.iter().map(test) {
        if !is_in_wide(narrow) {
            left_out.push(&narrow.path);
        } else if narrow.absent {
            let bonds = left_out.iter().map(|path| Bond::between(path, &narrow.path, kinds));
            bond = bond.max(bonds.max().unwrap_or(Bond::None));
        }
    }
    bond
}
