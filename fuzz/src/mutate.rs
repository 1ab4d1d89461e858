//! Seeded mutation of bytes. Knows no format.

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

/// Changes `bytes` in one to eight places; `other` is what pieces are taken from.
pub fn mutate(bytes: &mut Vec<u8>, other: &[u8], random: &mut Random) {
    for _ in 0..=random.below(8) {
        mutate_once(bytes, other, random);
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
