//! The end of a bracketed value, sixty-four bytes at a time, where the processor has AVX2.

use std::arch::x86_64::{__m256i, _mm256_cmpeq_epi8, _mm256_loadu_si256, _mm256_movemask_epi8, _mm256_set1_epi8};
use std::hint::black_box;

use super::{BLOCK, Brackets};

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
fn load(half: &[u8; 32]) -> __m256i {
    #[expect(unsafe_code, reason = "the load takes a pointer")]
    // SAFETY: the pointer is to 32 bytes that are borrowed, and the load asks for no alignment.
    unsafe {
        _mm256_loadu_si256(half.as_ptr().cast())
    }
}

#[inline]
#[target_feature(enable = "avx2")]
fn is(bytes: __m256i, wanted: u8) -> u64 {
    let equal = _mm256_cmpeq_epi8(bytes, _mm256_set1_epi8(wanted.cast_signed()));
    u64::from(_mm256_movemask_epi8(equal).cast_unsigned())
}
