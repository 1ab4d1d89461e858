//! Text with `*` for any run of characters, matched in linear time: the pieces between stars are found one after the other, each at
//! its first place, which is as good as any.

use std::collections::HashSet;
use std::sync::Arc;

use foldhash::fast::RandomState;
use memchr::memmem;
use smallvec::SmallVec;

use crate::limits::WILDCARD_COMPLEXITY_MAX;
use crate::steps;

/// Bytes of a number in a compiled wildcard.
const NUMBER: usize = size_of::<u32>();

/// Bytes of a piece that is looked through without allocating.
const PIECE_BYTES_USUAL: usize = 32;

/// A compiled wildcard, all in one piece of memory, so that one that is asked among a hundred thousand is one wait for it: how many
/// bytes it has as it was given, how many pieces there are, where each begins and ends, the wildcard as it was given, and behind it,
/// if it has escapes, the pieces. A piece is what the value begins with, what lies between two stars, in order, and, if there is a
/// star, what it ends with. Copies share it.
#[derive(Debug, Clone)]
pub(crate) struct Wildcard(Arc<[u8]>);

impl Wildcard {
    /// Compiles an EventBridge wildcard: `\*` and `\\` are escapes. The refusal is AWS's text. `budget` is how many sets of places
    /// may still be looked at.
    pub(crate) fn escaped(text: &[u8], budget: &mut usize) -> Result<Self, String> {
        let pieces = split(text)?;
        if complexity(&pieces, budget) > WILDCARD_COMPLEXITY_MAX {
            return Err(
                "Rule is too complex - try using fewer wildcard characters or fewer repeating character sequences \
                        after a wildcard character"
                    .into(),
            );
        }
        Ok(Self::from_pieces(text, pieces))
    }

    /// Compiles a name in which only `*` is special.
    pub(crate) fn plain(text: &[u8]) -> Self {
        Self::from_pieces(text, text.split(|byte| *byte == b'*').map(<[u8]>::to_vec).collect())
    }

    /// Of the pieces those between two stars are dropped that are empty.
    fn from_pieces(text: &[u8], pieces: Vec<Vec<u8>>) -> Self {
        let has_escapes = pieces.iter().map(Vec::len).sum::<usize>() + pieces.len() != text.len() + 1;
        let last = pieces.len() - 1;
        let is_kept = |index: usize, piece: &[u8]| index == 0 || index == last || !piece.is_empty();
        let count = pieces
            .iter()
            .enumerate()
            .filter(|(index, piece)| is_kept(*index, piece))
            .count();
        let text_at = NUMBER * (2 + 2 * count);
        let mut at = text_at + if has_escapes { text.len() } else { 0 };
        let mut bytes = Vec::with_capacity(at + text.len());
        bytes.extend([text.len(), count].map(position).iter().flatten());
        for (index, piece) in pieces.iter().enumerate() {
            if is_kept(index, piece) {
                bytes.extend([at, at + piece.len()].map(position).iter().flatten());
            }
            // In the text as it was given a star follows.
            at += piece.len() + usize::from(!has_escapes);
        }
        bytes.extend_from_slice(text);
        if has_escapes {
            pieces.iter().for_each(|piece| bytes.extend_from_slice(piece));
        }
        Self(bytes.into())
    }

    /// What every matching value begins with.
    pub(crate) fn head(&self) -> &[u8] {
        self.piece(0)
    }

    /// What every matching value ends with.
    pub(crate) fn tail(&self) -> &[u8] {
        self.piece(self.piece_count() - 1)
    }

    /// Whether there is a star.
    pub(crate) fn has_star(&self) -> bool {
        self.piece_count() > 1
    }

    /// What lies between two stars, in order.
    pub(crate) fn middle(&self) -> impl Iterator<Item = &[u8]> {
        (1..self.piece_count().saturating_sub(1)).map(|index| self.piece(index))
    }

    /// All that must be there, in order.
    pub(crate) fn pieces(&self) -> impl Iterator<Item = &[u8]> {
        (0..self.piece_count()).map(|index| self.piece(index))
    }

    /// Bytes on the heap.
    pub(crate) fn memory(&self) -> usize {
        2 * size_of::<usize>() + self.0.len()
    }

    /// The wildcard as it was given.
    pub(crate) fn text(&self) -> &[u8] {
        let at = NUMBER * (2 + 2 * self.piece_count());
        &self.0[at..at + number(&self.0, 0)]
    }

    /// Whether a text matches.
    pub(crate) fn matches(&self, value: &[u8]) -> bool {
        matches(&self.0, value)
    }

    /// All that it is, for [`matches`].
    pub(crate) fn bytes(&self) -> &Arc<[u8]> {
        &self.0
    }

    fn piece_count(&self) -> usize {
        number(&self.0, 1)
    }

    fn piece(&self, index: usize) -> &[u8] {
        piece(&self.0, index)
    }
}

/// Whether a text matches the wildcard that is written in these bytes.
pub(crate) fn matches(wildcard: &[u8], value: &[u8]) -> bool {
    let count = number(wildcard, 1);
    let (head, tail) = (piece(wildcard, 0), piece(wildcard, count - 1));
    if count == 1 {
        return value == head;
    }
    let Some(mut rest) = value.strip_prefix(head).and_then(|rest| rest.strip_suffix(tail)) else {
        return false;
    };
    (1..count - 1).map(|index| piece(wildcard, index)).all(|piece| {
        let found = match piece {
            [byte] => memchr::memchr(*byte, rest),
            piece => memmem::find(rest, piece),
        };
        steps::take(found.map_or(rest.len(), |at| at + piece.len()));
        found.map(|at| rest = &rest[at + piece.len()..]).is_some()
    })
}

#[inline]
fn piece(wildcard: &[u8], index: usize) -> &[u8] {
    &wildcard[number(wildcard, 2 + 2 * index)..number(wildcard, 3 + 2 * index)]
}

/// One of the numbers that stand first.
#[inline]
fn number(wildcard: &[u8], index: usize) -> usize {
    let bytes = wildcard[NUMBER * index..].first_chunk();
    u32::from_le_bytes(*bytes.expect("it was written with all of its numbers")) as usize
}

/// Filters are bounded to far less than what 32 bits hold.
fn position(at: usize) -> [u8; NUMBER] {
    u32::try_from(at)
        .expect("the size of a filter is bounded")
        .to_le_bytes()
}

/// The pieces between stars, escapes resolved.
pub(crate) fn split(text: &[u8]) -> Result<Vec<Vec<u8>>, String> {
    let mut pieces = vec![Vec::new()];
    let mut at = 0;
    while let Some(byte) = text.get(at) {
        let next = text.get(at + 1);
        match (byte, next) {
            // AWS counts positions with the quotation mark before the text.
            (b'*', Some(b'*')) => return Err(format!("Consecutive wildcard characters at pos {}", at + 1)),
            (b'*', _) => pieces.push(Vec::new()),
            (b'\\', Some(escaped @ (b'*' | b'\\'))) => {
                at += 1;
                pieces.last_mut().expect("there is always a piece").push(*escaped);
            }
            (b'\\', _) => return Err(format!("Invalid escape character at pos {}", at + 1)),
            (byte, _) => pieces.last_mut().expect("there is always a piece").push(*byte),
        }
        at += 1;
    }
    Ok(pieces)
}

/// How many places of the wildcard some text can be at simultaneously, as far as the budget goes.
fn complexity(pieces: &[Vec<u8>], budget: &mut usize) -> usize {
    // One place in the head; behind it every star, and what one text can be at in a piece.
    let at_most = 1 + pieces[1..].iter().map(|piece| 1 + places_at_most(piece)).sum::<usize>();
    if at_most <= WILDCARD_COMPLEXITY_MAX {
        return at_most;
    }
    let places = Places::of(pieces);
    let start = places.closed(places.first());
    let mut seen = HashSet::<Set, RandomState>::from_iter([start.clone()]);
    let mut queue = vec![start];
    let mut most = 0;
    while let Some(set) = queue.pop() {
        most = most.max(places.count(&set));
        if most > WILDCARD_COMPLEXITY_MAX || *budget == 0 {
            break;
        }
        *budget -= 1;
        let next = places.letters.iter().map(|letter| places.step(&set, letter));
        queue.extend(next.filter(|next| seen.insert(next.clone())));
    }
    most
}

/// How many places of a piece some text can be at simultaneously: before its first letter, and behind as many letters as the text
/// ends with, of which there are several where the beginning of the piece comes again in it.
fn places_at_most(piece: &[u8]) -> usize {
    let Some(inner) = piece.len().checked_sub(1) else {
        return 0;
    };
    // For each beginning of the piece, from one letter on: the longest shorter one that it ends with, and how many there are.
    let mut shorter: SmallVec<[usize; PIECE_BYTES_USUAL]> = SmallVec::new();
    let mut count: SmallVec<[usize; PIECE_BYTES_USUAL]> = SmallVec::new();
    for at in 0..inner {
        let mut length = if at == 0 { 0 } else { shorter[at - 1] };
        while at > 0 && length > 0 && piece[length] != piece[at] {
            length = shorter[length - 1];
        }
        length += usize::from(at > 0 && piece[length] == piece[at]);
        shorter.push(length);
        count.push(1 + length.checked_sub(1).map_or(0, |shorter| count[shorter]));
    }
    1 + count.iter().max().copied().unwrap_or(0)
}

/// A set of places in a wildcard, a bit for each; that behind its end included.
type Set = SmallVec<[u64; 1]>;

/// The places of a wildcard that is taken as letters and stars, and what is there.
struct Places {
    stars: Set,
    /// For each letter that there is, its places.
    letters: Vec<Set>,
    /// How many there are, that behind the end not counted.
    length: usize,
}

impl Places {
    fn of(pieces: &[Vec<u8>]) -> Self {
        let length = pieces.iter().map(Vec::len).sum::<usize>() + pieces.len() - 1;
        let none: Set = SmallVec::from_elem(0, length / 64 + 1);
        let mut places = Self {
            stars: none.clone(),
            letters: Vec::new(),
            length,
        };
        let mut known = Vec::new();
        let mut at = 0;
        for (index, piece) in pieces.iter().enumerate() {
            if index > 0 {
                places.stars[at / 64] |= 1 << (at % 64);
                at += 1;
            }
            for letter in piece {
                let number = known.iter().position(|known| known == letter).unwrap_or_else(|| {
                    known.push(*letter);
                    places.letters.push(none.clone());
                    known.len() - 1
                });
                places.letters[number][at / 64] |= 1 << (at % 64);
                at += 1;
            }
        }
        places
    }

    fn first(&self) -> Set {
        let mut set: Set = SmallVec::from_elem(0, self.stars.len());
        set[0] = 1;
        set
    }

    /// Where a letter leads; a star stays where it is.
    fn step(&self, set: &Set, letter: &Set) -> Set {
        let mut carry = 0;
        let words = set.iter().zip(letter).zip(&self.stars).map(|((set, letter), stars)| {
            let moved = set & letter;
            let word = set & stars | moved << 1 | carry;
            carry = moved >> 63;
            word
        });
        self.closed(words.collect())
    }

    /// A star's place leads on to what follows it without reading.
    fn closed(&self, mut set: Set) -> Set {
        let mut carry = 0;
        for (word, stars) in set.iter_mut().zip(&self.stars) {
            let at_stars = *word & stars;
            *word |= at_stars << 1 | carry;
            carry = at_stars >> 63;
        }
        set
    }

    /// How many there are before the end.
    fn count(&self, set: &Set) -> usize {
        let all = set.iter().map(|word| word.count_ones() as usize).sum::<usize>();
        let end = set[self.length / 64] >> (self.length % 64) & 1 == 1;
        all - usize::from(end)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::limits::WILDCARD_PLACES_MAX;

    fn escaped(text: &[u8]) -> Result<Wildcard, String> {
        Wildcard::escaped(text, &mut { WILDCARD_PLACES_MAX })
    }

    fn check(wildcard: &str, value: &str, expected: bool) {
        let wildcard = escaped(wildcard.as_bytes()).unwrap();
        assert_eq!(
            wildcard.matches(value.as_bytes()),
            expected,
            "{:?} {value:?}",
            wildcard.text()
        );
    }

    #[test]
    fn a_star_stands_for_any_run_of_characters() {
        check("*", "", true);
        check("", "", true);
        check("", "a", false);
        check("a*", "a", true);
        check("a*b", "ab", true);
        check("a*a", "a", false);
        check("h*l*o", "hello", true);
        check("*aab*", "aaab", true);
        check("a*bc*bc", "abcbc", true);
        check("a*bc*bc", "abc", false);
        check("?[a]*", "?[a]x", true);
        check("?", "x", false);
    }

    #[test]
    fn only_a_star_and_a_backslash_can_be_escaped() {
        check(r"a\*b", "a*b", true);
        check(r"a\*b", "axb", false);
        check(r"\\*", r"\x", true);
        assert_eq!(
            escaped(b"ab**").unwrap_err(),
            "Consecutive wildcard characters at pos 3"
        );
        assert_eq!(escaped(br"a\b").unwrap_err(), "Invalid escape character at pos 2");
        assert_eq!(escaped(br"a\").unwrap_err(), "Invalid escape character at pos 2");
    }

    #[test]
    fn what_could_be_in_too_many_places_is_refused() {
        assert!(
            escaped(b"*:*:*:*:*:event-bus/*")
                .unwrap_err()
                .starts_with("Rule is too complex")
        );
        assert!(escaped(b"*aaaaaaaaaa*").is_err());
        for simple in [
            "arn:aws:events:us-east-1:*:event-bus/*",
            "*alpha*beta*gamma*",
            "*aaa*",
            "/Users/*/dir/dir/dir/dir/dir/doc.txt",
        ] {
            assert!(escaped(simple.as_bytes()).is_ok(), "{simple}");
        }
    }

    #[test]
    fn a_glance_counts_no_fewer_places_than_reading_does() {
        let letters = |number: usize| (0..6).map(move |at| b"ab*"[number / 3usize.pow(at) % 3]);
        for number in 0..3usize.pow(6) {
            let text: Vec<u8> = letters(number).collect();
            let Ok(pieces) = split(&text) else {
                continue;
            };
            let places = Places::of(&pieces);
            let mut sets = vec![places.closed(places.first())];
            let mut at = 0;
            while let Some(set) = sets.get(at).cloned() {
                let next = places.letters.iter().map(|letter| places.step(&set, letter));
                let next: Vec<Set> = next.filter(|next| !sets.contains(next)).collect();
                sets.extend(next);
                at += 1;
            }
            let most = sets.iter().map(|set| places.count(set)).max().unwrap();
            let at_most = 1 + pieces[1..].iter().map(|piece| 1 + places_at_most(piece)).sum::<usize>();
            assert!(
                most <= at_most,
                "{:?}: {most} {at_most}",
                String::from_utf8_lossy(&text)
            );
        }
        let inside = [b"".to_vec(), b":0000123:".to_vec(), b"".to_vec()];
        assert_eq!(complexity(&inside, &mut 0), 5);
    }

    #[test]
    fn a_plain_wildcard_has_no_escapes() {
        assert!(Wildcard::plain(br"a\*").matches(br"a\x"));
        assert!(Wildcard::plain(b"com.**.x").matches(b"com.a.x"));
    }
}
