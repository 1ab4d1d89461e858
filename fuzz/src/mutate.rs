//! Seeded mutation of bytes. Knows no format, only that texts are made of words, quoted strings and bracketed groups.

use std::ops::Range;

/// Bytes that parsers stumble over.
const INTERESTING: [u8; 12] = [0, 1, 0x7e, 0x7f, 0x80, 0x81, 0xfe, 0xff, b'"', b'{', b'\n', b'%'];

/// No input grows beyond this: large ones only slow the search.
const LEN_MAX: usize = 1 << 16;

/// A generator of pseudo-random numbers (SplitMix64): the same seed gives the same numbers.
#[derive(Clone, Debug)]
pub struct Random(pub u64);

impl Random {
    /// The next number.
    pub fn number(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    /// A number below `bound`, which is at least 1.
    pub fn below(&mut self, bound: usize) -> usize {
        (self.number() % bound as u64) as usize
    }
}

/// Changes `bytes` in one place or a few, as a text or as bytes; `other` is what pieces are taken from.
pub fn mutate(bytes: &mut Vec<u8>, other: &[u8], random: &mut Random) {
    let changes = 1 + random.below(2) * random.below(8);
    let as_text = random.below(2) == 0;
    for _ in 0..changes {
        match as_text {
            true => mutate_tokens(bytes, other, random),
            false => mutate_once(bytes, other, random),
        }
    }
    bytes.truncate(LEN_MAX);
}

fn mutate_once(bytes: &mut Vec<u8>, other: &[u8], random: &mut Random) {
    let at = random.below(bytes.len() + 1);
    if at == bytes.len() {
        return bytes.push(random.number() as u8);
    }
    let piece = at..bytes.len().min(at + 1 + random.below(16));
    match random.below(9) {
        0 => bytes[at] ^= 1 << random.below(8),
        1 => bytes[at] = random.number() as u8,
        2 => bytes[at] = INTERESTING[random.below(INTERESTING.len())],
        3 => bytes[at] = bytes[at].wrapping_add(random.below(9) as u8).wrapping_sub(4),
        4 => bytes.truncate(at),
        5 => drop(bytes.drain(piece)),
        6 => bytes.insert(at, INTERESTING[random.below(INTERESTING.len())]),
        7 => {
            let piece = bytes[piece].to_vec();
            bytes.splice(at..at, piece);
        }
        _ => splice(bytes, at, other, random),
    }
}

/// Puts a piece of `other` over or into `bytes`.
fn splice(bytes: &mut Vec<u8>, at: usize, other: &[u8], random: &mut Random) {
    let from = random.below(other.len() + 1);
    let to = other.len().min(from + random.below(64));
    let replaced = at..bytes.len().min(at + random.below(64));
    bytes.splice(replaced, other[from..to].iter().copied());
}

/// Replaces, repeats or removes one token.
fn mutate_tokens(bytes: &mut Vec<u8>, other: &[u8], random: &mut Random) {
    if bytes.is_empty() || other.is_empty() {
        return bytes.extend_from_slice(other);
    }
    let place = token(bytes, random.below(bytes.len()));
    let taken = token(other, random.below(other.len()));
    match random.below(8) {
        0 => drop(bytes.drain(place)),
        1 => {
            let again = bytes[place.clone()].to_vec();
            bytes.splice(place.end..place.end, again);
        }
        2 => drop(bytes.splice(place.start..place.start, other[taken].iter().copied())),
        _ => drop(bytes.splice(place, other[taken].iter().copied())),
    }
}

/// The token that begins at `at`, or around it if that is within a word.
fn token(bytes: &[u8], at: usize) -> Range<usize> {
    let is_word = |byte: &u8| byte.is_ascii_alphanumeric() || b"_.+-%".contains(byte);
    let len = |found: Option<usize>| found.map_or(bytes.len(), |len| at + len + 1);
    match bytes[at] {
        b'"' => {
            let mut escaped = true;
            at..len(bytes[at..].iter().position(|byte| {
                let ends = *byte == b'"' && !escaped;
                escaped = *byte == b'\\' && !escaped;
                ends
            }))
        }
        b'{' | b'[' => {
            let mut depth = 0_usize;
            at..len(bytes[at..].iter().position(|byte| {
                depth += usize::from(matches!(byte, b'{' | b'['));
                depth -= usize::from(matches!(byte, b'}' | b']'));
                depth == 0
            }))
        }
        byte if is_word(&byte) => {
            let start = bytes[..at]
                .iter()
                .rposition(|byte| !is_word(byte))
                .map_or(0, |before| before + 1);
            start
                ..bytes[at..]
                    .iter()
                    .position(|byte| !is_word(byte))
                    .map_or(bytes.len(), |end| at + end)
        }
        _ => at..at + 1,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tokens_are_words_strings_and_groups() {
        let text = br#"{"a\"b": [1.5, {}], "": x}"#;
        let check = |at, expected: &str| assert_eq!(&text[token(text, at)], expected.as_bytes());
        check(0, r#"{"a\"b": [1.5, {}], "": x}"#);
        check(1, r#""a\"b""#);
        check(9, "[1.5, {}]");
        check(11, "1.5");
        check(17, "]");
    }

    #[test]
    fn the_same_seed_gives_the_same_inputs() {
        let inputs = || {
            let (mut random, mut bytes) = (Random(7), b"{\"a\": 1}".to_vec());
            (0..1_000).for_each(|_| mutate(&mut bytes, b"[true, \"x\"]", &mut random));
            bytes
        };
        assert_eq!(inputs(), inputs());
    }
}
