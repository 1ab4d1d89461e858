//! Tests of texts that AWS's patterns do not have: regular expressions, wildcards whatever the case, and texts found anywhere.
//!
//! Each reads a text once.

use std::fmt;

use crate::automaton::{Automaton, Budget};
use crate::fold::Folded;
use crate::operator::quoted;

/// A test of one text.
#[derive(Debug, Clone)]
pub(crate) enum Extended {
    /// A regular expression matches some part of it.
    Regex(Automaton),
    /// A text with `*` for any run of characters, whatever the case.
    WildcardFolded(WildcardFolded),
    /// A text is found in it, whatever the case.
    Contains(Folded, Automaton),
}

impl Extended {
    /// A text that is found anywhere, whatever the case.
    pub(crate) fn containing(text: &[u8], budget: &mut Budget) -> Result<Self, String> {
        let folded = Folded::new(text);
        let automaton = Automaton::containing(&folded, budget)?;
        Ok(Extended::Contains(folded, automaton))
    }

    /// Whether a text passes.
    pub(crate) fn accepts(&self, text: &[u8]) -> bool {
        match self {
            Extended::Regex(automaton) | Extended::Contains(_, automaton) => automaton.matches(text),
            Extended::WildcardFolded(wildcard) => wildcard.matches(text),
        }
    }
}

impl fmt::Display for Extended {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (before, text, after) = match self {
            Extended::Regex(automaton) => ("{\"regex\":", automaton.text().as_bytes(), "}"),
            Extended::WildcardFolded(wildcard) => ("{\"wildcard\":{\"equals-ignore-case\":", &*wildcard.text, "}}"),
            Extended::Contains(folded, _) => ("{\"contains\":{\"equals-ignore-case\":", folded.text(), "}}"),
        };
        f.write_str(before)?;
        quoted(f, text)?;
        f.write_str(after)
    }
}

/// A wildcard whose case does not matter: the pieces between stars are found one after the other, each where it ends first.
#[derive(Debug, Clone)]
pub(crate) struct WildcardFolded {
    /// As it was given.
    text: Box<[u8]>,
    head: Folded,
    middle: Box<[Automaton]>,
    /// None if there is no star.
    tail: Option<Folded>,
}

impl WildcardFolded {
    /// Makes a wildcard of the pieces between its stars.
    pub(crate) fn new(text: &[u8], pieces: &[Vec<u8>], budget: &mut Budget) -> Result<Self, String> {
        let (head, rest) = pieces
            .split_first()
            .map_or((&[][..], &[][..]), |(head, rest)| (&head[..], rest));
        let (middle, tail) = match rest.split_last() {
            Some((tail, middle)) => (middle, Some(Folded::new(tail))),
            None => (&[][..], None),
        };
        let middle = middle.iter().filter(|piece| !piece.is_empty());
        let middle: Result<Box<[Automaton]>, String> = middle
            .map(|piece| Automaton::containing(&Folded::new(piece), budget))
            .collect();
        Ok(Self {
            text: text.into(),
            head: Folded::new(head),
            middle: middle?,
            tail,
        })
    }

    /// What a value begins with that matches.
    pub(crate) fn head(&self) -> &Folded {
        &self.head
    }

    /// What it ends with; none if there is no star.
    pub(crate) fn tail(&self) -> Option<&Folded> {
        self.tail.as_ref()
    }

    fn matches(&self, value: &[u8]) -> bool {
        let Some(tail) = &self.tail else {
            return self.head.equals(value);
        };
        let Some(mut rest) = self.head.rest_after(value) else {
            return false;
        };
        let found = self.middle.iter().all(|piece| match piece.first_end(rest) {
            Some(end) => {
                rest = &rest[end..];
                true
            }
            None => false,
        });
        found && tail.ends(rest)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_wildcard_matches_whatever_the_case() {
        let check = |pieces: &[&str], value: &str, expected: bool| {
            let pieces: Vec<Vec<u8>> = pieces.iter().map(|piece| piece.as_bytes().to_vec()).collect();
            let wildcard = WildcardFolded::new(b"", &pieces, &mut Budget::default()).unwrap();
            assert_eq!(wildcard.matches(value.as_bytes()), expected, "{pieces:?} {value:?}");
        };
        check(&["aB"], "Ab", true);
        check(&["aB"], "Abc", false);
        check(&["a", ""], "ABC", true);
        check(&["", "é"], "xÉ", true);
        check(&["a", "b", "c"], "AxxBxxC", true);
        check(&["a", "b", "c"], "AxxC", false);
        check(&["a", "a"], "A", false);
        check(&["a", "bc", "bc"], "ABCBC", true);
        check(&["a", "bc", "bc"], "ABC", false);
        check(&["", "straße", ""], "DIE STRASSE!", true);
        check(&["", "aab", ""], "AAAB", true);
        check(&["", ""], "", true);
    }
}
