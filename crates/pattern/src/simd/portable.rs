//! Masks of sixteen bytes, a bit for each, where there are no such instructions. Nothing is fetched ahead.

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
