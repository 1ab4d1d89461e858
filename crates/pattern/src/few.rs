//! Few keys, told apart from most values by eight bytes of each: where there are no more, most values call for none of them, and
//! are spared the look-up.
//!
//! It forgets nothing; whoever has it drops it when no key is left.

use std::ops::Range;

use crate::keys::Kind;

/// Keys beyond which a look-up is sooner than comparing.
const KEYS_MAX: usize = 8;

/// Bytes that are compared.
const WORD: usize = size_of::<u64>();

/// The ends of a value.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Ends {
    /// The first bytes, the first of all lowest, and zeros behind a short value.
    first: u64,
    /// The last bytes, the last of all highest, and zeros before a short value.
    last: u64,
}

impl Ends {
    #[inline]
    pub(crate) fn of(text: &[u8]) -> Self {
        if let (Some(first), Some(last)) = (text.first_chunk(), text.last_chunk()) {
            let (first, last) = (u64::from_le_bytes(*first), u64::from_le_bytes(*last));
            return Self { first, last };
        }
        let first = short(text);
        let bits = u64::BITS - 8 * u32::try_from(text.len()).expect("it is shorter than a word");
        Self {
            first,
            last: first.checked_shl(bits).unwrap_or(0),
        }
    }

    /// Those of a range of a text. However short it is, whole words are read where the text has them around it: the lengths of values
    /// follow no rule that a processor could guess.
    #[inline(always)]
    pub(crate) fn within(text: &[u8], range: &Range<usize>) -> Self {
        let first = text.get(range.start..).and_then(<[u8]>::first_chunk);
        let last = text.get(..range.end).and_then(<[u8]>::last_chunk);
        let (Some(first), Some(last)) = (first, last) else {
            return Self::of(&text[range.clone()]);
        };
        let outside = u64::BITS - 8 * u32::try_from((range.end - range.start).min(WORD)).expect("at most a word");
        Self {
            first: u64::from_le_bytes(*first) & u64::MAX.checked_shr(outside).unwrap_or(0),
            last: u64::from_le_bytes(*last) & u64::MAX.checked_shl(outside).unwrap_or(0),
        }
    }
}

/// Which of a value's bytes are compared with those of keys of a kind and, where it matters, a length.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Part {
    mask: u64,
    end: End,
    is_folded: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum End {
    First,
    Last,
}

impl Part {
    /// None if keys of this kind are not told apart like this.
    pub(crate) fn of(kind: Kind, length: u16) -> Option<Self> {
        let outside = u64::BITS.saturating_sub(8 * u32::from(length));
        let (head, tail) = (u64::MAX.checked_shr(outside), u64::MAX.checked_shl(outside));
        let (mask, end, is_folded) = match kind {
            Kind::Text | Kind::Number => (Some(u64::MAX), End::First, false),
            Kind::Head => (head, End::First, false),
            Kind::Tail => (tail, End::Last, false),
            Kind::Folded => (Some(u64::MAX), End::First, true),
            Kind::FoldedHead => (head, End::First, true),
            Kind::FoldedTail => (tail, End::Last, true),
            _ => return None,
        };
        let mask = mask.unwrap_or(0);
        Some(Self { mask, end, is_folded })
    }

    /// These bytes of a value; none if they say nothing of its key.
    #[inline]
    pub(crate) fn word(self, ends: Ends) -> Option<u64> {
        let word = match self.end {
            End::First => ends.first & self.mask,
            End::Last => ends.last & self.mask,
        };
        if self.is_folded { folded(word) } else { Some(word) }
    }
}

/// The bytes of a text that is shorter than a word.
#[inline]
fn short(text: &[u8]) -> u64 {
    const HALF: usize = WORD / 2;
    if let (Some(first), Some(last)) = (text.first_chunk::<HALF>(), text.last_chunk::<HALF>()) {
        // They may lie over each other, and are the same bytes there.
        let (first, last) = (u32::from_le_bytes(*first), u32::from_le_bytes(*last));
        return u64::from(first) | u64::from(last) << (8 * (text.len() - HALF));
    }
    // Of at most three bytes these are all, some of them twice.
    let middle = text.len() / 2;
    match (text.first(), text.get(middle), text.last()) {
        (Some(first), Some(second), Some(last)) => {
            u64::from(*first) | u64::from(*second) << (8 * middle) | u64::from(*last) << (8 * (text.len() - 1))
        }
        _ => 0,
    }
}

/// Eight bytes of ASCII in lower case. What other bytes are written as follows from more than themselves.
#[inline]
fn folded(word: u64) -> Option<u64> {
    const HIGH: u64 = 0x8080_8080_8080_8080;
    const ONES: u64 = 0x0101_0101_0101_0101;
    if word & HIGH != 0 {
        return None;
    }
    // The high bit of each byte: whether it is at least `A`, and beyond `Z`.
    let (from_a, beyond_z) = (word + ONES * (0x80 - 0x41), word + ONES * (0x80 - 0x5B));
    Some(word | (from_a & !beyond_z & HIGH) >> 2)
}

/// Words of keys of one kind and, where it matters, one length.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Few {
    /// Of what they are words; of nothing, if there are more than fit or keys that have none.
    part: Option<Part>,
    words: [u64; KEYS_MAX],
    count: usize,
}

impl Few {
    pub(crate) fn of(kind: Kind, length: u16) -> Self {
        Self {
            part: Part::of(kind, length),
            words: [0; KEYS_MAX],
            count: 0,
        }
    }

    /// Adds a key.
    pub(crate) fn insert(&mut self, key: &[u8]) {
        let word = self.part.and_then(|part| part.word(Ends::of(key)));
        match word {
            Some(word) if self.words[..self.count].contains(&word) => {}
            Some(word) if self.count < KEYS_MAX => {
                self.words[self.count] = word;
                self.count += 1;
            }
            _ => self.part = None,
        }
    }

    /// Whether a value may have one of the keys.
    #[inline]
    pub(crate) fn may_have(&self, ends: Ends) -> bool {
        let word = self.part.and_then(|part| part.word(ends));
        word.is_none_or(|word| self.words.iter().take(self.count).any(|known| *known == word))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fold;

    const TEXTS: [&str; 14] = [
        "",
        "a",
        "B",
        "ab",
        "abC",
        "abcd",
        "ABCDE",
        "abcdefg",
        "abcdefgh",
        "xabcdefgH",
        "é",
        "abcé",
        "ſabcdefgh",
        "abcdefgh zzzzzzzz é",
    ];

    const KINDS: [Kind; 6] = [
        Kind::Text,
        Kind::Head,
        Kind::Tail,
        Kind::Folded,
        Kind::FoldedHead,
        Kind::FoldedTail,
    ];

    /// What of a text is a key of a kind and a length.
    fn key(kind: Kind, length: usize, text: &[u8]) -> Option<Vec<u8>> {
        let mut folded = Vec::new();
        fold::canonical(text, &mut folded);
        match kind {
            Kind::Text => Some(text.to_vec()),
            Kind::Head => text.get(..length).map(<[u8]>::to_vec),
            Kind::Tail => text.len().checked_sub(length).map(|from| text[from..].to_vec()),
            Kind::Folded => Some(folded),
            Kind::FoldedHead => folded.get(..length).map(<[u8]>::to_vec),
            _ => folded.len().checked_sub(length).map(|from| folded[from..].to_vec()),
        }
    }

    #[test]
    fn every_key_that_is_there_may_be_there_and_most_others_are_not() {
        let (mut passed, mut asked) = (0, 0);
        for kind in KINDS {
            for length in 1..12usize {
                for known in TEXTS {
                    let Some(known) = key(kind, length, known.as_bytes()) else {
                        continue;
                    };
                    let lengths = u16::try_from(length).unwrap();
                    let mut few = Few::of(kind, lengths);
                    few.insert(&known);
                    for text in TEXTS {
                        let is_there = key(kind, length, text.as_bytes()).is_some_and(|key| key == known);
                        let may_be = few.may_have(Ends::of(text.as_bytes()));
                        assert!(may_be || !is_there, "{kind:?} {length} {known:?} {text:?}");
                        asked += u32::from(!is_there);
                        passed += u32::from(may_be && !is_there);
                    }
                }
            }
        }
        assert!(passed * 3 < asked, "{passed} of {asked}");
    }

    #[test]
    fn the_ends_of_a_range_are_those_of_what_it_holds() {
        let text = b"0123456789abcdefghijklmnop";
        for start in 0..=text.len() {
            for end in start..=text.len() {
                let (alone, within) = (Ends::of(&text[start..end]), Ends::within(text, &(start..end)));
                assert_eq!((alone.first, alone.last), (within.first, within.last), "{start}..{end}");
            }
        }
    }

    #[test]
    fn more_than_a_few_are_all_looked_up() {
        let mut few = Few::of(Kind::Text, 0);
        let ends = |text: &str| Ends::of(text.as_bytes());
        assert!(!few.may_have(ends("a")));
        for number in 0..8 {
            few.insert(format!("{number}").as_bytes());
            few.insert(b"0");
        }
        assert!(few.may_have(ends("7")) && !few.may_have(ends("8")));
        few.insert(b"8");
        assert!(few.may_have(ends("x")));
    }
}
