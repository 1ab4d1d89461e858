//! The end of a bracketed value, and pairs of bytes, where the processor has AVX2.

use std::arch::x86_64::{
    __m256i, _mm256_and_si256, _mm256_cmpeq_epi8, _mm256_loadu_si256, _mm256_movemask_epi8, _mm256_or_si256,
    _mm256_set1_epi8, _mm256_testz_si256,
};
use std::hint::black_box;

use super::{BLOCK, Brackets, Pair};

/// Bytes of a vector.
const LANES: usize = 32;

/// What [`super::pair_or_backslash`] answers. Call it only where AVX2 and BMI1 are there.
#[inline]
pub(super) fn pair_or_backslash(bytes: &[u8], at: usize, pairs: &[Pair]) -> Option<usize> {
    #[expect(unsafe_code, reason = "the way into code for a newer processor; there is no other")]
    // SAFETY: the only caller has just asked the processor for these two features; the functions themselves are safe code.
    unsafe {
        // Few pairs stay in registers.
        match pairs {
            [one] => search_pairs(bytes, at, &[*one]),
            [one, two] => search_pairs(bytes, at, &[*one, *two]),
            [one, two, three] => search_pairs(bytes, at, &[*one, *two, *three]),
            many => search_pairs(bytes, at, many),
        }
    }
}

#[inline]
#[target_feature(enable = "avx2,bmi1")]
fn search_pairs(bytes: &[u8], at: usize, pairs: &(impl AsRef<[Pair]> + ?Sized)) -> Option<usize> {
    let rest = bytes.get(at..).filter(|rest| !rest.is_empty())?;
    let (firsts, _) = rest[..rest.len() - 1].as_chunks();
    let (seconds, _) = rest[1..].as_chunks();
    for (block, (firsts, seconds)) in firsts.iter().zip(seconds).enumerate() {
        let found = pairs_in(firsts, seconds, pairs.as_ref());
        if found != 0 {
            return Some(at + BLOCK * block + found.trailing_zeros() as usize);
        }
    }
    let last = bytes.len() - 1;
    if let (Some(firsts), Some(seconds)) = (rest[..rest.len() - 1].last_chunk(), rest.last_chunk()) {
        // What has been looked at before has none.
        let found = pairs_in(firsts, seconds, pairs.as_ref());
        return match found {
            0 => (bytes[last] == b'\\').then_some(last),
            found => Some(last - BLOCK + found.trailing_zeros() as usize),
        };
    }
    let (mut firsts, mut seconds) = ([0u8; BLOCK], [0u8; BLOCK]);
    firsts[..rest.len()].copy_from_slice(rest);
    seconds[..rest.len() - 1].copy_from_slice(&rest[1..]);
    let found = at + pairs_in(&firsts, &seconds, pairs.as_ref()).trailing_zeros() as usize;
    // The last byte begins no pair, whatever stands behind it in the block.
    let byte = bytes.get(found)?;
    (found < last || *byte == b'\\').then_some(found)
}

/// A bit for each byte that is a backslash, or the first of a pair whose second is the byte in the same place of the other block.
#[inline]
#[target_feature(enable = "avx2,bmi1")]
fn pairs_in(firsts: &[u8; BLOCK], seconds: &[u8; BLOCK], pairs: &[Pair]) -> u64 {
    let (firsts, _) = firsts.as_chunks();
    let (seconds, _) = seconds.as_chunks();
    let (low, high) = (
        begun(&firsts[0], &seconds[0], pairs),
        begun(&firsts[1], &seconds[1], pairs),
    );
    let any = _mm256_or_si256(low, high);
    if _mm256_testz_si256(any, any) == 1 {
        return 0;
    }
    let [low, high] = [_mm256_movemask_epi8(low), _mm256_movemask_epi8(high)];
    u64::from(low.cast_unsigned()) | u64::from(high.cast_unsigned()) << LANES
}

#[inline]
#[target_feature(enable = "avx2,bmi1")]
fn begun(firsts: &[u8; LANES], seconds: &[u8; LANES], pairs: &[Pair]) -> __m256i {
    let (firsts, seconds) = (load(firsts), load(seconds));
    let mut begun = equal(firsts, b'\\');
    for [first, second] in pairs {
        begun = _mm256_or_si256(begun, _mm256_and_si256(equal(firsts, *first), equal(seconds, *second)));
    }
    begun
}

/// What [`super::bracket_end`] answers. Call it only where AVX2, POPCNT and BMI1 are there.
#[inline]
pub(super) fn bracket_end(bytes: &[u8], at: usize) -> Option<usize> {
    #[expect(unsafe_code, reason = "the way into code for a newer processor; there is no other")]
    // SAFETY: the only caller has just asked the processor for these three features; the function itself is safe code.
    unsafe {
        search(bytes, at)
    }
}

/// A block's bytes of interest, a bit for each.
struct Masks {
    quotes: u64,
    backslashes: u64,
    opens: u64,
    closes: u64,
}

#[target_feature(enable = "avx2,popcnt,bmi1")]
fn search(bytes: &[u8], at: usize) -> Option<usize> {
    let brackets = Brackets::at(bytes, at);
    let mut start = at;
    // All ones while a string goes on from the block before.
    let mut in_string = 0u64;
    let mut escaped = false;
    let mut depth = 0u32;
    while start < bytes.len() {
        let rest = &bytes[start..];
        let masks = match rest.first_chunk::<BLOCK>() {
            Some(block) => masks(block, brackets),
            None => {
                let mut block = [0u8; BLOCK];
                block[..rest.len()].copy_from_slice(rest);
                masks(&block, brackets)
            }
        };
        let mut quotes = masks.quotes;
        if masks.backslashes != 0 || escaped {
            quotes &= !escapes(masks.backslashes, in_string, quotes, &mut escaped);
        }
        let strings = running_parity(quotes) ^ in_string;
        in_string = 0u64.wrapping_sub(strings >> 63);
        let (opens, closes) = (masks.opens & !strings, masks.closes & !strings);
        if closes.count_ones() < depth {
            depth = depth + opens.count_ones() - closes.count_ones();
        } else {
            let mut rest = closes;
            while rest != 0 {
                let bit = rest & rest.wrapping_neg();
                rest ^= bit;
                let (opened, closed) = ((opens & (bit - 1)).count_ones(), (closes & (bit - 1)).count_ones() + 1);
                if depth + opened == closed {
                    return Some(start + bit.trailing_zeros() as usize + 1);
                }
            }
            depth = depth + opens.count_ones() - closes.count_ones();
        }
        start += BLOCK;
    }
    None
}

/// For each bit, whether an odd number of bits up to it are set: inside of strings, their first quotation mark included.
#[inline]
fn running_parity(quotes: u64) -> u64 {
    [1, 2, 4, 8, 16, 32]
        .iter()
        .fold(quotes, |parity, shift| parity ^ parity << shift)
}

/// The bytes behind a backslash that escapes. A backslash outside of strings escapes nothing in the portable form; texts that
/// have one are no JSON, but the two forms must agree.
#[cold]
#[inline(never)]
fn escapes(backslashes: u64, in_string: u64, quotes: u64, carried: &mut bool) -> u64 {
    let mut found = 0u64;
    let mut escaped = std::mem::take(carried);
    let mut inside = in_string != 0;
    for bit in (0..64).map(|index| 1u64 << index) {
        if escaped {
            found |= bit;
            escaped = false;
        } else if quotes & bit != 0 {
            inside = !inside;
        } else {
            escaped = inside && backslashes & bit != 0;
        }
    }
    *carried = escaped;
    found
}

#[inline]
#[target_feature(enable = "avx2")]
fn masks(block: &[u8; BLOCK], brackets: Brackets) -> Masks {
    let (halves, _) = block.as_chunks();
    let (low, high) = (load(&halves[0]), load(&halves[1]));
    // Hidden, because the compiler otherwise takes the masks for vectors of 64 lanes and does every step lane by lane.
    let bits = |wanted: u8| black_box(is(low, wanted) | is(high, wanted) << 32);
    Masks {
        quotes: bits(b'"'),
        backslashes: bits(b'\\'),
        opens: bits(brackets.open),
        closes: bits(brackets.close),
    }
}

#[inline]
#[target_feature(enable = "avx2")]
fn load(half: &[u8; LANES]) -> __m256i {
    #[expect(unsafe_code, reason = "the load takes a pointer")]
    // SAFETY: the pointer is to 32 bytes that are borrowed, and the load asks for no alignment.
    unsafe {
        _mm256_loadu_si256(half.as_ptr().cast())
    }
}

#[inline]
#[target_feature(enable = "avx2")]
fn is(bytes: __m256i, wanted: u8) -> u64 {
    u64::from(_mm256_movemask_epi8(equal(bytes, wanted)).cast_unsigned())
}

#[inline]
#[target_feature(enable = "avx2")]
fn equal(bytes: __m256i, wanted: u8) -> __m256i {
    _mm256_cmpeq_epi8(bytes, _mm256_set1_epi8(wanted.cast_signed()))
}
