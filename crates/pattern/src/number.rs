//! Numbers as filters compare them: by value when a double holds exactly what the text says, by spelling otherwise.
//!
//! A decimal is comparable when it is the shortest decimal of its nearest double. Everything up to 15 digits is.

use std::io::Write;

use crate::digits;

/// Decimals of so many digits are the shortest of their nearest double, if that is of usual size.
const DIGITS_ALWAYS_EXACT: usize = 15;

/// Decimal exponents between which the nearest double is a normal one whatever the digits.
const EXPONENT_NORMAL: std::ops::RangeInclusive<i64> = -290..=290;

/// Digits that the shortest decimal of a double has at most.
const DIGITS_SHORTEST_MAX: usize = 17;

/// The value of a JSON number, if it can be compared by value. `text` must be a JSON number.
#[inline]
pub(crate) fn comparable(text: &[u8]) -> Option<f64> {
    digits::shortest(text).or_else(|| comparable_slowly(text))
}

/// The same, whatever the number is.
#[inline(never)]
pub(crate) fn comparable_slowly(text: &[u8]) -> Option<f64> {
    let value = std::str::from_utf8(text).ok()?.parse::<f64>().ok()?;
    // What the shortest decimal of the double is written as.
    if value.is_finite() && zmij::Buffer::new().format_finite(value).as_bytes() == text && value != 0.0 {
        return Some(value);
    }
    let decimal = Decimal::read(text);
    if decimal.digits.is_empty() {
        return Some(0.0);
    }
    if decimal.count <= DIGITS_ALWAYS_EXACT && EXPONENT_NORMAL.contains(&decimal.exponent) {
        return Some(value);
    }
    let mut written = [0u8; 40];
    let mut rest = &mut written[..];
    write!(rest, "{value:e}").ok()?;
    let left = rest.len();
    let length = written.len() - left;
    (value.is_finite() && Decimal::read(&written[..length]) == decimal).then_some(value)
}

/// A number's significant digits (no zeros at either end) and the exponent of its last digit.
#[derive(Debug, PartialEq, Eq)]
struct Decimal {
    negative: bool,
    digits: smallvec::SmallVec<[u8; DIGITS_SHORTEST_MAX + 1]>,
    /// How many digits there are, also those that were not kept because no double has so many.
    count: usize,
    exponent: i64,
}

impl Decimal {
    fn read(text: &[u8]) -> Self {
        let (mantissa, power) = match text.iter().position(|byte| matches!(byte, b'e' | b'E')) {
            Some(at) => (&text[..at], exponent(&text[at + 1..])),
            None => (text, 0),
        };
        let point = mantissa.iter().position(|byte| *byte == b'.');
        let fraction = point.map_or(0, |at| mantissa.len() - at - 1);
        let significant = || {
            mantissa
                .iter()
                .copied()
                .filter(u8::is_ascii_digit)
                .skip_while(|digit| *digit == b'0')
        };
        let total = significant().count();
        let zeros_last = mantissa
            .iter()
            .rev()
            .filter(|byte| **byte != b'.')
            .take_while(|byte| **byte == b'0')
            .count();
        let count = total.saturating_sub(zeros_last);
        let digits = significant().take(count.min(DIGITS_SHORTEST_MAX + 1)).collect();
        let shift = as_exponent(zeros_last) - as_exponent(fraction);
        Self {
            negative: text.first() == Some(&b'-'),
            digits,
            count,
            exponent: power.saturating_add(shift),
        }
    }
}

fn as_exponent(length: usize) -> i64 {
    i64::try_from(length).unwrap_or(i64::MAX)
}

/// Reads an exponent; one that no number needs saturates.
fn exponent(text: &[u8]) -> i64 {
    let (negative, digits) = match text.split_first() {
        Some((b'-', digits)) => (true, digits),
        Some((b'+', digits)) => (false, digits),
        _ => (false, text),
    };
    let value = digits.iter().fold(0i64, |value, digit| {
        value.saturating_mul(10).saturating_add(i64::from(digit - b'0'))
    });
    if negative { -value } else { value }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_spelling_of_a_value_is_the_same_number() {
        for text in ["300", "300.0", "3e2", "3.00E+2", "0.3e3"] {
            assert_eq!(comparable(text.as_bytes()), Some(300.0), "{text}");
        }
        assert_eq!(comparable(b"-0").map(f64::to_bits), Some(0.0f64.to_bits()));
        assert_eq!(comparable(b"-0.000e7"), Some(0.0));
        assert_eq!(comparable(b"1E-320"), Some(1e-320));
        assert_eq!(comparable(b"0.1"), Some(0.1));
        assert_eq!(comparable(b"9007199254740994.0e-1"), Some(900719925474099.4));
    }

    #[test]
    fn what_a_double_cannot_hold_is_not_comparable() {
        for text in [
            "2.0e422",
            "1E309",
            "1E-325",
            "9007199254740993",
            "12345678901234567890",
            "0.1000000000000000055511151231257827",
        ] {
            assert_eq!(comparable(text.as_bytes()), None, "{text}");
        }
        assert_eq!(comparable(b"1e99999999999999999999999"), None);
        assert_eq!(comparable(b"9007199254740992"), Some(9007199254740992.0));
    }
}
