//! Which pieces of texts somebody may be registered under, roughly: what a value is asked about at each of its bytes before anything
//! is looked up.
//!
//! A set of bits by a hash of the piece. It forgets nothing; whoever has it drops it when no piece is left.

/// Bytes of the longest piece.
pub(crate) const PIECE_BYTES_MAX: usize = size_of::<u64>();

/// Bits of the smallest set, as an exponent, and by how much it grows.
const BITS_FIRST: u32 = 10;
const BITS_MORE: u32 = 4;

/// Bits of the largest set, as an exponent: it stays in a processor's cache.
const BITS_MAX: u32 = 18;

const _: () = assert!(
    BITS_FIRST + 2 * BITS_MORE == BITS_MAX,
    "a set grows to its bound exactly"
);

/// Bits for each piece before a set grows.
const BITS_PER_PIECE: usize = 16;

/// Odd, and far from everything regular.
const SPREAD: u64 = 0x9E37_79B9_7F4A_7C15;

#[derive(Debug, Clone, Default)]
pub(crate) struct Pieces {
    words: Vec<u64>,
    /// The number of bits is two to the power of this.
    bits: u32,
    count: usize,
}

impl Pieces {
    /// Adds a piece of between one and so many bytes.
    pub(crate) fn insert(&mut self, piece: &[u8]) {
        if self.words.is_empty() {
            self.bits = BITS_FIRST;
            self.words = vec![0; 1 << (BITS_FIRST - u64::BITS.ilog2())];
        } else if self.bits < BITS_MAX && self.count * BITS_PER_PIECE >= 1 << self.bits {
            self.grow();
        }
        self.count += 1;
        let bit = self.bit(window(piece, 0, piece.len()), piece.len());
        self.words[bit / 64] |= 1 << (bit % 64);
    }

    /// Tells of each run of so many bytes that may be a piece.
    #[inline]
    pub(crate) fn find<'t>(&self, text: &'t [u8], length: usize, mut tell: impl FnMut(&'t [u8])) {
        if self.words.is_empty() {
            return;
        }
        for at in 0..(text.len() + 1).saturating_sub(length) {
            let bit = self.bit(window(text, at, length), length);
            if self.words[bit / 64] >> (bit % 64) & 1 == 1 {
                tell(&text[at..at + length]);
            }
        }
    }

    /// Bytes on the heap.
    pub(crate) fn memory(&self) -> usize {
        size_of_val(&*self.words)
    }

    /// The upper bits of the hash: those of a smaller set are the beginning of those of a larger one.
    #[inline]
    fn bit(&self, window: u64, length: usize) -> usize {
        let hash = (window ^ (length as u64).wrapping_mul(SPREAD)).wrapping_mul(SPREAD);
        // The lower bits of a product know nothing of the upper ones of its factor: once more, with those mixed in.
        let hash = (hash ^ hash >> 32).wrapping_mul(SPREAD);
        usize::try_from(hash >> (u64::BITS - self.bits)).expect("a set has few bits")
    }

    /// Every bit becomes several, because the pieces are not known here.
    fn grow(&mut self) {
        let times = 1 << BITS_MORE;
        let mut words = vec![0u64; self.words.len() * times];
        for bit in (0..self.words.len() * 64).filter(|bit| self.words[bit / 64] >> (bit % 64) & 1 == 1) {
            (bit * times..(bit + 1) * times).for_each(|bit| words[bit / 64] |= 1 << (bit % 64));
        }
        self.words = words;
        self.bits += BITS_MORE;
    }
}

/// The bytes from a place on, as one number.
#[inline]
fn window(text: &[u8], at: usize, length: usize) -> u64 {
    let mask = u64::MAX >> (u64::BITS as usize - 8 * length);
    match text[at..].first_chunk() {
        Some(bytes) => u64::from_le_bytes(*bytes) & mask,
        None => text[at..at + length]
            .iter()
            .rev()
            .fold(0, |window, byte| window << 8 | u64::from(*byte)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_piece_is_found_and_few_others_are() {
        let piece = |index: u32| format!("{index:07}");
        let mut pieces = Pieces::default();
        (0..5_000).for_each(|index| pieces.insert(&piece(index).as_bytes()[..1 + index as usize % 7]));
        let found = |text: &[u8], length: usize| {
            let mut found = Vec::new();
            pieces.find(text, length, |piece| found.push(piece.to_vec()));
            found
        };
        for index in 0..5_000 {
            let text = piece(index);
            let length = 1 + index as usize % 7;
            let padded = format!("x{text}");
            assert!(
                found(padded.as_bytes(), length).contains(&text.as_bytes()[..length].to_vec()),
                "{text}"
            );
            assert!(found(&text.as_bytes()[..length], length).len() == 1);
        }
        let wrong = (0..10_000u32)
            .filter(|index| !found(format!("?{index:06}!").as_bytes(), 8).is_empty())
            .count();
        assert!(wrong < 2_500, "{wrong}");
        assert!(found(b"ab", 3).is_empty() && found(b"", 1).is_empty());
    }

    #[test]
    fn an_empty_set_finds_nothing() {
        Pieces::default().find(b"abc", 1, |piece| panic!("{piece:?}"));
    }
}
