//! Finding bytes sixteen or sixty-four at a time: the end of a string, of a run of digits, of a bracketed value, and pairs of bytes.
//!
//! Everything here is exact for any bytes and says nothing about whether they are JSON. Each function has a portable form; the
//! tests compare the two, and the fuzz target `pattern` compares what is skipped with what is read.
//!
//! **Why the `unsafe` is sound.** It does three things. It loads 16 or 32 bytes through a pointer that was made of a reference to an
//! array of just so many bytes, with the loads that ask for no alignment: nothing outside of a borrowed slice is ever read, because
//! slices become such arrays by checked library functions (`first_chunk`, `as_chunks`), and a last block that is too short is
//! copied first. It hints at an address, which reads nothing. And it calls functions that need instructions which the processor has:
//! SSE2 belongs to every x86-64, the others are asked for by the only caller in the same call. Nothing is written through a pointer,
//! no value of a type with invalid values is made, no lifetime is changed. The tests pass under Miri, with AVX2 too
//! (`RUSTFLAGS=-Ctarget-feature=+avx2,+bmi1,+popcnt cargo +nightly miri test -p pattern --lib simd`), and under valgrind's
//! memcheck, whose processor has AVX2: `valgrind --error-exitcode=1 TESTS simd`.

#[cfg(target_arch = "x86_64")]
mod lanes;
#[cfg(not(target_arch = "x86_64"))]
#[path = "simd/portable.rs"]
mod lanes;
#[cfg(target_arch = "x86_64")]
mod wide;

/// Bytes of the smaller step.
const STEP: usize = 16;

/// Bytes of the larger step.
pub(crate) const BLOCK: usize = 64;

/// The first byte at or after `at` that ends a run of plain characters in a string: a quotation mark, a backslash or a control
/// character. The length of the text if there is none.
#[inline]
pub(crate) fn string_stop(bytes: &[u8], at: usize) -> usize {
    first(bytes, at, lanes::string_stops, is_string_stop)
}

/// A bit for each byte of a block that ends a run of plain characters in a string.
#[inline(always)]
pub(crate) fn string_stops(block: &[u8; BLOCK]) -> u64 {
    let (steps, _) = block.as_chunks();
    let bits = |step: usize| u64::from(lanes::string_stops(&steps[step])) << (STEP * step);
    bits(0) | bits(1) | bits(2) | bits(3)
}

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

/// Two bytes that follow each other.
pub(crate) type Pair = [u8; 2];

/// The first place at or after `at` where one of these pairs, or a backslash, begins.
#[inline]
pub(crate) fn pair_or_backslash(bytes: &[u8], at: usize, pairs: &[Pair]) -> Option<usize> {
    #[cfg(target_arch = "x86_64")]
    if is_x86_feature_detected!("avx2") && is_x86_feature_detected!("bmi1") {
        return wide::pair_or_backslash(bytes, at, pairs);
    }
    pair_or_backslash_portable(bytes, at, pairs)
}

/// What [`pair_or_backslash`] answers, byte by byte.
fn pair_or_backslash_portable(bytes: &[u8], at: usize, pairs: &[Pair]) -> Option<usize> {
    let begins = |at: usize| bytes[at..].first_chunk().is_some_and(|pair| pairs.contains(pair));
    (at..bytes.len()).find(|at| bytes[*at] == b'\\' || begins(*at))
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

#[cfg(test)]
mod tests;
