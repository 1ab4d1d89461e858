//! The extensions of a borrowed event: a list of which the first few take no memory of their own.
//!
//! It keeps the order in which they come and compares no names. A `SmallVec` will not do: its lifetime is invariant, and a view
//! must shorten to its borrower's.

use crate::{AttributeKind, ExtensionView};

/// Extensions that a usual event has at most: tracing's two, and a few of the producer's.
const IN_PLACE: usize = 6;

const NOTHING: ExtensionView<'static> = ExtensionView {
    name: "",
    value: "",
    kind: AttributeKind::String,
};

#[derive(Clone)]
pub(crate) struct Extensions<'a> {
    few: [ExtensionView<'a>; IN_PLACE],
    /// How many of the few there are.
    count: usize,
    /// All of them, once they are more.
    many: Vec<ExtensionView<'a>>,
}

impl Default for Extensions<'_> {
    fn default() -> Self {
        Self {
            few: [NOTHING; IN_PLACE],
            count: 0,
            many: Vec::new(),
        }
    }
}

impl<'a> Extensions<'a> {
    pub(crate) fn push(&mut self, extension: ExtensionView<'a>) {
        if self.many.is_empty() && self.count < IN_PLACE {
            self.few[self.count] = extension;
            self.count += 1;
            return;
        }
        if self.many.is_empty() {
            self.many.extend(self.few);
        }
        self.many.push(extension);
    }

    pub(crate) fn as_slice(&self) -> &[ExtensionView<'a>] {
        match self.many.is_empty() {
            true => &self.few[..self.count],
            false => &self.many,
        }
    }

    pub(crate) fn as_mut_slice(&mut self) -> &mut [ExtensionView<'a>] {
        match self.many.is_empty() {
            true => &mut self.few[..self.count],
            false => &mut self.many,
        }
    }
}

impl<'a> FromIterator<ExtensionView<'a>> for Extensions<'a> {
    fn from_iter<I: IntoIterator<Item = ExtensionView<'a>>>(extensions: I) -> Self {
        let mut all = Self::default();
        extensions.into_iter().for_each(|extension| all.push(extension));
        all
    }
}

impl std::fmt::Debug for Extensions<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        self.as_slice().fmt(f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_list_keeps_its_order_however_long_it_becomes() {
        let names = ["a", "c", "b", "e", "d", "f", "h", "g"];
        for count in 0..=names.len() {
            let named = |name: &&'static str| ExtensionView { name, ..NOTHING };
            let mut all: Extensions<'_> = names[..count].iter().map(named).collect();
            assert!(
                all.as_slice()
                    .iter()
                    .map(|extension| extension.name)
                    .eq(names[..count].iter().copied())
            );
            all.as_mut_slice().sort_unstable_by_key(|extension| extension.name);
            assert!(all.as_slice().is_sorted_by_key(|extension| extension.name));
        }
    }
}
