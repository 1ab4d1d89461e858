//! Masks of sixteen bytes, a bit for each, by SSE2, which every x86-64 has; and the hint to fetch. It looks for nothing by itself.

use std::arch::x86_64::{
    __m128i, _MM_HINT_T0, _mm_cmpeq_epi8, _mm_loadu_si128, _mm_min_epu8, _mm_movemask_epi8, _mm_or_si128, _mm_prefetch,
    _mm_set1_epi8, _mm_sub_epi8,
};

use super::STEP;

/// Bytes that a processor fetches together.
const LINE: usize = 64;

macro_rules! marked {
    ($name:ident, $mask:ident) => {
        #[inline(always)]
        pub(super) fn $name(step: &[u8; STEP]) -> u32 {
            #[expect(unsafe_code, reason = "the way into intrinsics; there is no other")]
            // SAFETY: SSE2 belongs to every x86-64; the function itself is safe code.
            unsafe {
                $mask(step)
            }
        }
    };
}

#[inline(always)]
pub(super) fn fetch<T>(value: &T) {
    #[expect(unsafe_code, reason = "the instruction takes a pointer")]
    // SAFETY: SSE belongs to every x86-64. The instruction is a hint: it reads no value, writes none and faults at no address.
    let fetch = |at: usize| unsafe {
        _mm_prefetch::<_MM_HINT_T0>(std::ptr::from_ref(value).cast::<i8>().wrapping_add(at));
    };
    (0..size_of::<T>()).step_by(LINE).for_each(fetch);
    // It may begin anywhere in a line.
    fetch(size_of::<T>().saturating_sub(1));
}

marked!(string_stops, string_stops_sse2);
marked!(other_than_digits, other_than_digits_sse2);
marked!(scalar_ends, scalar_ends_sse2);

#[inline]
#[target_feature(enable = "sse2")]
fn load(step: &[u8; STEP]) -> __m128i {
    #[expect(unsafe_code, reason = "the load takes a pointer")]
    // SAFETY: the pointer is to 16 bytes that are borrowed, and the load asks for no alignment.
    unsafe {
        _mm_loadu_si128(step.as_ptr().cast())
    }
}

#[inline]
#[target_feature(enable = "sse2")]
fn is(bytes: __m128i, wanted: u8) -> __m128i {
    _mm_cmpeq_epi8(bytes, _mm_set1_epi8(wanted.cast_signed()))
}

#[inline]
#[target_feature(enable = "sse2")]
fn is_at_most(bytes: __m128i, most: u8) -> __m128i {
    _mm_cmpeq_epi8(_mm_min_epu8(bytes, _mm_set1_epi8(most.cast_signed())), bytes)
}

#[inline]
#[target_feature(enable = "sse2")]
fn bits(marked: __m128i) -> u32 {
    _mm_movemask_epi8(marked).cast_unsigned()
}

#[inline]
#[target_feature(enable = "sse2")]
fn string_stops_sse2(step: &[u8; STEP]) -> u32 {
    let bytes = load(step);
    let marks = _mm_or_si128(is(bytes, b'"'), is(bytes, b'\\'));
    bits(_mm_or_si128(marks, is_at_most(bytes, b' ' - 1)))
}

#[inline]
#[target_feature(enable = "sse2")]
fn other_than_digits_sse2(step: &[u8; STEP]) -> u32 {
    let digits = is_at_most(_mm_sub_epi8(load(step), _mm_set1_epi8(b'0'.cast_signed())), 9);
    bits(digits) ^ 0xFFFF
}

#[inline]
#[target_feature(enable = "sse2")]
fn scalar_ends_sse2(step: &[u8; STEP]) -> u32 {
    let bytes = load(step);
    let closing = _mm_or_si128(is(bytes, b']'), is(bytes, b'}'));
    bits(_mm_or_si128(
        _mm_or_si128(closing, is(bytes, b',')),
        is_at_most(bytes, b' '),
    ))
}
