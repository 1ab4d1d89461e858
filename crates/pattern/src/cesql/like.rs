//! The patterns of `LIKE`: `%` for any run of characters, `_` for one. Matched in time linear in the value: the pieces between `%`
//! are found one after the other, each at its first place, which is as good as any.

use memchr::memmem;

use crate::limits::CESQL_LIKE_CHARACTERS_MAX;
use crate::steps;

/// A compiled pattern.
#[derive(Debug, Clone)]
pub(crate) struct Like {
    /// What the value begins with; all of it if there is no tail.
    head: Piece,
    /// What lies between two `%`, in order.
    middle: Box<[Search]>,
    /// What the value ends with; none if there is no `%`.
    tail: Option<Piece>,
}

/// A run without `%`: each character, or none for `_`.
type Piece = Box<[Option<char>]>;

/// A piece to be searched for.
#[derive(Debug, Clone)]
enum Search {
    Text(Box<str>),
    Masks(Masks),
}

/// A piece with `_`, searched by the set of its prefixes that end at a character, one bit each.
#[derive(Debug, Clone)]
struct Masks {
    length: usize,
    /// For each character of the piece, sorted, where it may stand.
    known: Box<[(char, Box<[u64]>)]>,
    /// Where any other character may stand.
    other: Box<[u64]>,
}

impl Like {
    /// Compiles a pattern, in which `\%` and `\_` stand for themselves; the refusal is a reason.
    pub(crate) fn compile(pattern: &str) -> Result<Self, String> {
        let mut pieces = split(pattern).into_iter();
        let head = pieces.next().unwrap_or_default().into();
        let mut rest: Vec<Vec<Option<char>>> = pieces.collect();
        let tail = rest.pop().map(Into::into);
        rest.retain(|piece| !piece.is_empty());
        let middle = rest.iter().map(|piece| Search::compile(piece));
        Ok(Self {
            head,
            middle: middle.collect::<Result<_, _>>()?,
            tail,
        })
    }

    /// Whether a value matches.
    pub(crate) fn matches(&self, value: &str) -> bool {
        let Some(value) = strip_head(&self.head, value) else {
            return false;
        };
        let Some(tail) = &self.tail else {
            return value.is_empty();
        };
        let Some(mut rest) = strip_tail(tail, value) else {
            return false;
        };
        self.middle.iter().all(|piece| match piece.find_end(rest) {
            Some(end) => {
                rest = &rest[end..];
                true
            }
            None => false,
        })
    }

    /// What every matching value begins with.
    pub(super) fn literal_head(&self) -> String {
        self.head.iter().map_while(|character| *character).collect()
    }

    /// What every matching value ends with.
    pub(super) fn literal_tail(&self) -> String {
        let tail = self.tail.as_ref().unwrap_or(&self.head).iter();
        let mut characters: Vec<char> = tail.rev().map_while(|character| *character).collect();
        characters.reverse();
        characters.into_iter().collect()
    }

    /// Whether only one value matches: the literal head.
    pub(super) fn is_literal(&self) -> bool {
        self.tail.is_none() && self.head.iter().all(Option::is_some)
    }
}

/// The pieces between `%`.
fn split(pattern: &str) -> Vec<Vec<Option<char>>> {
    let mut pieces = vec![Vec::new()];
    let mut characters = pattern.chars().peekable();
    while let Some(character) = characters.next() {
        let last = pieces.last_mut().expect("there is always a piece");
        match character {
            '%' => pieces.push(Vec::new()),
            '_' => last.push(None),
            '\\' => last.push(Some(
                characters.next_if(|next| matches!(next, '%' | '_')).unwrap_or('\\'),
            )),
            other => last.push(Some(other)),
        }
    }
    pieces
}

fn strip_head<'v>(piece: &[Option<char>], value: &'v str) -> Option<&'v str> {
    let mut characters = value.chars();
    let fits = |wanted: &Option<char>| {
        characters
            .next()
            .is_some_and(|found| wanted.is_none_or(|wanted| wanted == found))
    };
    piece.iter().all(fits).then_some(characters.as_str())
}

fn strip_tail<'v>(piece: &[Option<char>], value: &'v str) -> Option<&'v str> {
    let mut characters = value.chars();
    let mut last = || characters.next_back();
    let fits = |wanted: &Option<char>| last().is_some_and(|found| wanted.is_none_or(|wanted| wanted == found));
    piece.iter().rev().all(fits).then_some(characters.as_str())
}

impl Search {
    fn compile(piece: &[Option<char>]) -> Result<Self, String> {
        if let Some(text) = piece.iter().copied().collect::<Option<String>>() {
            return Ok(Search::Text(text.into()));
        }
        if piece.len() > CESQL_LIKE_CHARACTERS_MAX {
            return Err(format!(
                "between two % with _ there are at most {CESQL_LIKE_CHARACTERS_MAX} characters"
            ));
        }
        Ok(Search::Masks(Masks::of(piece)))
    }

    /// The end of the first occurrence.
    fn find_end(&self, value: &str) -> Option<usize> {
        let end = match self {
            Search::Text(text) => memmem::find(value.as_bytes(), text.as_bytes()).map(|at| at + text.len()),
            Search::Masks(masks) => masks.find_end(value),
        };
        steps::take(end.unwrap_or(value.len()));
        end
    }
}

impl Masks {
    fn of(piece: &[Option<char>]) -> Self {
        let mut characters: Vec<char> = piece.iter().flatten().copied().collect();
        characters.sort_unstable();
        characters.dedup();
        let mask = |character: Option<char>| {
            let mut mask = vec![0u64; piece.len().div_ceil(WORD)];
            for (index, wanted) in piece.iter().enumerate() {
                if wanted.is_none() || *wanted == character {
                    mask[index / WORD] |= 1 << (index % WORD);
                }
            }
            mask.into_boxed_slice()
        };
        Self {
            length: piece.len(),
            known: characters
                .iter()
                .map(|character| (*character, mask(Some(*character))))
                .collect(),
            other: mask(None),
        }
    }

    fn find_end(&self, value: &str) -> Option<usize> {
        let mut reached = [0u64; CESQL_LIKE_CHARACTERS_MAX / WORD];
        let last = self.length - 1;
        value.char_indices().find_map(|(at, character)| {
            let known = self.known.binary_search_by_key(&character, |(known, _)| *known);
            let mask = known.map_or(&self.other, |index| &self.known[index].1);
            // Every prefix that was reached grows by one, and a new one begins.
            let mut carry = 1;
            for (word, mask) in reached.iter_mut().zip(mask) {
                let grown = *word << 1 | carry;
                carry = *word >> (WORD - 1);
                *word = grown & mask;
            }
            let found = reached[last / WORD] >> (last % WORD) & 1 == 1;
            found.then(|| at + character.len_utf8())
        })
    }
}

/// Bits of a word.
const WORD: usize = u64::BITS as usize;

const _: () = assert!(
    CESQL_LIKE_CHARACTERS_MAX.is_multiple_of(WORD),
    "the search keeps whole words of one bit for each character"
);

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn check(pattern: &str, value: &str, expected: bool) {
        let like = Like::compile(pattern).unwrap();
        assert_eq!(like.matches(value), expected, "{value:?} LIKE {pattern:?}");
    }

    #[test]
    fn a_percent_sign_stands_for_any_run_of_characters() {
        check("", "", true);
        check("", "a", false);
        check("%", "", true);
        check("%%", "anything", true);
        check("a%", "a", true);
        check("a%a", "a", false);
        check("%b%", "abc", true);
        check("a%bc%bc", "abcbc", true);
        check("a%bc%bc", "abc", false);
        check("%é", "caf\u{e9}", true);
    }

    #[test]
    fn an_underscore_stands_for_one_character_of_any_length() {
        check("_", "", false);
        check("_", "😀", true);
        check("__", "é", false);
        check("%a_c%", "xxabcxx", true);
        check("%a_c%", "xxacxx", false);
        check("%_%", "", false);
        check("%_%_%", "ab", true);
        check("%_b_b_%", "ababab", true);
        check("%_b_b_%", "abab", false);
    }

    #[test]
    fn only_the_two_signs_can_be_escaped() {
        check(r"a\%", "a%", true);
        check(r"a\%", "ab", false);
        check(r"a\_b", "a_b", true);
        check(r"a\_b", "axb", false);
        check(r"a\b", r"a\b", true);
        check(r"a\\%", r"a\%", true);
        check(r"a\\%", r"a\xyz", false);
        check(r"a\", r"a\", true);
    }

    #[test]
    fn what_every_match_begins_and_ends_with_is_known() {
        let ends = |pattern: &str| {
            let like = Like::compile(pattern).unwrap();
            (like.literal_head(), like.literal_tail(), like.is_literal())
        };
        assert_eq!(ends("ab%cd"), ("ab".into(), "cd".into(), false));
        assert_eq!(ends("ab_d"), ("ab".into(), "d".into(), false));
        assert_eq!(ends(r"a\%"), ("a%".into(), "a%".into(), true));
        assert_eq!(ends("%"), (String::new(), String::new(), false));
    }

    #[test]
    fn patterns_made_to_be_slow_are_answered_in_one_pass() {
        let value = "a".repeat(1 << 18);
        check(&"%a".repeat(64), &value, true);
        check(&format!("{}b%", "%a".repeat(64)), &value, false);
        check(&format!("%{}b%", "a_".repeat(500)), &value, false);
        check(&format!("%{}b", "a_".repeat(30_000)), &value, false);
        assert!(Like::compile(&format!("%_{}%", "a".repeat(CESQL_LIKE_CHARACTERS_MAX))).is_err());
    }

    /// Every way to spend the characters, tried.
    fn reference(pattern: &[(char, bool)], value: &[char]) -> bool {
        match pattern.split_first() {
            None => value.is_empty(),
            Some((('%', true), rest)) => (0..=value.len()).any(|taken| reference(rest, &value[taken..])),
            Some((('_', true), rest)) => !value.is_empty() && reference(rest, &value[1..]),
            Some(((wanted, _), rest)) => value.first() == Some(wanted) && reference(rest, &value[1..]),
        }
    }

    proptest! {
        #[test]
        fn it_agrees_with_trying_everything(
            pattern in proptest::collection::vec(
                prop_oneof![
                    Just(('%', true)), Just(('_', true)), Just(('%', false)), Just(('_', false)),
                    Just(('a', false)), Just(('b', false)), Just(('é', false)), Just(('a', false)),
                ],
                0..9,
            ),
            value in "[abé%_]{0,9}",
        ) {
            let written: String = pattern.iter().map(|(character, special)| match (character, special) {
                ('%' | '_', false) => format!("\\{character}"),
                _ => character.to_string(),
            }).collect();
            let value_characters: Vec<char> = value.chars().collect();
            let expected = reference(&pattern, &value_characters);
            prop_assert_eq!(Like::compile(&written).unwrap().matches(&value), expected, "{} LIKE {}", value, written);
        }
    }
}
