//! Finding bytes sixteen or sixty-four at a time: the end of a string, of a run of digits, of a bracketed value.
//!
//! Everything here is exact for any bytes and says nothing about whether they are JSON. Each function has a portable form; the
//! tests compare the two, and the fuzz target `pattern` compares what is skipped with what is read.
//!
//! **Why the `unsafe` is sound.** It does three things. It loads 16 or 32 bytes through a pointer that was made of a reference to an
//! array of just so many bytes, with the loads that ask for no alignment: nothing outside of a borrowed slice is ever read, because
//! slices become such arrays by checked library functions (`first_chunk`, `as_chunks`), and a last block that is too short is
//! copied first. It hints at an address, which reads nothing. And it calls functions that need instructions which the processor has: SSE2 belongs to every x86-64, the others
//! are asked for by the only caller in the same call. Nothing is written through a pointer, no value of a type with invalid values
//! is made, no lifetime is changed. Under Miri the portable forms of the smaller step run. The tests also pass under valgrind's
//! memcheck, whose processor has AVX2: `valgrind --error-exitcode=1 TESTS simd`.

/// Bytes of the smaller step.
const STEP: usize = 16;

/// Bytes of the larger step.
const BLOCK: usize = 64;

/// The first byte at or after `at` that ends a run of plain characters in a string: a quotation mark, a backslash or a control
/// character. The length of the text if there is none.
#[inline]
pub(crate) fn string_stop(bytes: &[u8], at: usize) -> usize {
    first(bytes, at, lanes::string_stops, is_string_stop)
}

/// Whether a range of the text has a full stop.
#[inline]
pub(crate) fn has_dot(bytes: &[u8], range: &std::ops::Range<usize>) -> bool {
    match bytes.get(range.start..).and_then(<[u8]>::first_chunk) {
        Some(step) if range.len() <= STEP => lanes::dots(step) & ((1 << range.len()) - 1) != 0,
        _ => memchr::memchr(b'.', &bytes[range.clone()]).is_some(),
    }
}

/// Bytes that a processor fetches together.
const LINE: usize = 64;

/// Fetches what a reference leads to into the processor's cache, without waiting for it.
#[inline(always)]
pub(crate) fn fetch<T>(value: &T) {
    lanes::fetch(value);
}

/// The first byte at or after `at` that is no digit; the length of the text if there is none.
#[inline]
pub(crate) fn digits_end(bytes: &[u8], at: usize) -> usize {
    first(bytes, at, lanes::other_than_digits, |byte| !byte.is_ascii_digit())
}

/// The first byte at or after `at` that ends a number or a word: a comma, a closing bracket or white space. The length of the text
/// if there is none.
#[inline]
pub(crate) fn scalar_end(bytes: &[u8], at: usize) -> usize {
    first(bytes, at, lanes::scalar_ends, is_scalar_end)
}

/// Behind the bracket that closes the one at `at`, brackets in strings not counted; none if the text ends before. Only brackets of
/// the same kind are looked at.
#[inline]
pub(crate) fn bracket_end(bytes: &[u8], at: usize) -> Option<usize> {
    #[cfg(target_arch = "x86_64")]
    if is_x86_feature_detected!("avx2") && is_x86_feature_detected!("popcnt") && is_x86_feature_detected!("bmi1") {
        return wide::bracket_end(bytes, at);
    }
    bracket_end_portable(bytes, at)
}

/// What [`bracket_end`] answers, byte by byte.
fn bracket_end_portable(bytes: &[u8], at: usize) -> Option<usize> {
    let brackets = Brackets::at(bytes, at);
    let mut position = at;
    let mut depth = 0usize;
    loop {
        position += memchr::memchr3(b'"', brackets.open, brackets.close, bytes.get(position..)?)?;
        let byte = bytes[position];
        position += 1;
        if byte == b'"' {
            position = string_end_portable(bytes, position)?;
        } else if byte == brackets.open {
            depth += 1;
        } else {
            depth -= 1;
            if depth == 0 {
                return Some(position);
            }
        }
    }
}

/// Behind the quotation mark that ends a string whose content begins at `at`.
fn string_end_portable(bytes: &[u8], at: usize) -> Option<usize> {
    let mut at = at;
    loop {
        at += memchr::memchr2(b'"', b'\\', bytes.get(at..)?)?;
        if bytes[at] == b'"' {
            return Some(at + 1);
        }
        at += 2;
    }
}

#[derive(Debug, Clone, Copy)]
struct Brackets {
    open: u8,
    close: u8,
}

impl Brackets {
    fn at(bytes: &[u8], at: usize) -> Self {
        match bytes.get(at) {
            Some(b'[') => Self {
                open: b'[',
                close: b']',
            },
            _ => Self {
                open: b'{',
                close: b'}',
            },
        }
    }
}

fn is_string_stop(byte: u8) -> bool {
    matches!(byte, b'"' | b'\\' | 0..b' ')
}

fn is_scalar_end(byte: u8) -> bool {
    matches!(byte, b',' | b']' | b'}' | 0..=b' ')
}

/// The first place at or after `at` that a mask of sixteen bytes marks; byte by byte near the end of the text.
#[inline(always)]
fn first(bytes: &[u8], at: usize, marked: fn(&[u8; STEP]) -> u32, is_marked: fn(u8) -> bool) -> usize {
    let mut at = at;
    while let Some(step) = bytes.get(at..).and_then(<[u8]>::first_chunk) {
        let mask = marked(step);
        if mask != 0 {
            return at + mask.trailing_zeros() as usize;
        }
        at += STEP;
    }
    while at < bytes.len() && !is_marked(bytes[at]) {
        at += 1;
    }
    at.min(bytes.len())
}

/// Masks of sixteen bytes, a bit for each.
#[cfg(all(target_arch = "x86_64", not(miri)))]
mod lanes {
    use std::arch::x86_64::{
        __m128i, _MM_HINT_T0, _mm_cmpeq_epi8, _mm_loadu_si128, _mm_min_epu8, _mm_movemask_epi8, _mm_or_si128,
        _mm_prefetch, _mm_set1_epi8, _mm_sub_epi8,
    };

    use super::{LINE, STEP};

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
    marked!(dots, dots_sse2);

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
    fn dots_sse2(step: &[u8; STEP]) -> u32 {
        bits(is(load(step), b'.'))
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
}

/// Masks of sixteen bytes, a bit for each.
#[cfg(not(all(target_arch = "x86_64", not(miri))))]
mod lanes {
    use super::{STEP, is_scalar_end, is_string_stop};

    fn bits(step: &[u8; STEP], is_marked: impl Fn(u8) -> bool) -> u32 {
        let bit = |(index, byte): (usize, &u8)| u32::from(is_marked(*byte)) << index;
        step.iter().enumerate().map(bit).sum()
    }

    /// Nothing, where there is no such instruction.
    pub(super) fn fetch<T>(_value: &T) {}

    pub(super) fn string_stops(step: &[u8; STEP]) -> u32 {
        bits(step, is_string_stop)
    }

    pub(super) fn other_than_digits(step: &[u8; STEP]) -> u32 {
        bits(step, |byte| !byte.is_ascii_digit())
    }

    pub(super) fn scalar_ends(step: &[u8; STEP]) -> u32 {
        bits(step, is_scalar_end)
    }

    pub(super) fn dots(step: &[u8; STEP]) -> u32 {
        bits(step, |byte| byte == b'.')
    }
}

/// Sixty-four bytes at a time, where the processor has AVX2.
#[cfg(target_arch = "x86_64")]
mod wide {
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
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Texts of the characters that matter, of every length up to a few blocks, always the same.
    fn texts() -> impl Iterator<Item = Vec<u8>> {
        let mut state = 0x9E37_79B9_7F4A_7C15u64;
        let mut next = move || {
            state ^= state << 13;
            state ^= state >> 7;
            state ^= state << 17;
            state
        };
        (0..4_000usize).map(move |index| {
            let rare = b"{}[]\"\\, \n0z.";
            let alphabet: &[u8] = if index % 3 == 0 { b"{}\"\\" } else { rare };
            let letters = if index % 5 == 0 { 1 } else { 8 };
            let byte = |random: u64| match random % letters {
                0 => alphabet[usize::try_from(random >> 8).unwrap_or(0) % alphabet.len()],
                _ => b'x',
            };
            (0..index % 200).map(|_| byte(next())).collect()
        })
    }

    #[test]
    fn a_bracket_is_closed_where_the_portable_form_says() {
        for mut text in texts() {
            for open in [b'{', b'['] {
                text.insert(0, open);
                assert_eq!(
                    bracket_end(&text, 0),
                    bracket_end_portable(&text, 0),
                    "{}",
                    String::from_utf8_lossy(&text)
                );
            }
        }
        assert_eq!(bracket_end(br#"{"a}\"}": {}} "#, 0), Some(13));
        assert_eq!(bracket_end(b"[[]", 0), None);
    }

    #[test]
    fn the_first_of_a_kind_is_found_wherever_it_lies() {
        for text in texts() {
            for at in 0..=text.len() {
                let expected = |is: fn(u8) -> bool| {
                    text[at..]
                        .iter()
                        .position(|byte| is(*byte))
                        .map_or(text.len(), |found| at + found)
                };
                let range = at..text.len().min(at + 9);
                assert_eq!(has_dot(&text, &range), text[range].contains(&b'.'));
                assert_eq!(string_stop(&text, at), expected(is_string_stop));
                assert_eq!(scalar_end(&text, at), expected(is_scalar_end));
                assert_eq!(digits_end(&text, at), expected(|byte| !byte.is_ascii_digit()));
            }
        }
    }
}
