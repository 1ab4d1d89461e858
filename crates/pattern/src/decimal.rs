//! Numbers compared exactly by what their texts say, however many digits they have: nothing is rounded, nothing is allocated.
//!
//! `number` is for what one index can compare; this is for what is compared one by one.

use std::cmp::Ordering;

/// Compares two JSON numbers by value.
pub(crate) fn compare(left: &[u8], right: &[u8]) -> Ordering {
    let (left, right) = (Decimal::read(left), Decimal::read(right));
    match (left.sign(), right.sign()) {
        (left, right) if left != right => left.cmp(&right),
        (0, _) => Ordering::Equal,
        (1, _) => left.compare_magnitude(&right),
        _ => right.compare_magnitude(&left),
    }
}

/// A number as its significant digits and where they begin.
struct Decimal<'a> {
    negative: bool,
    /// From the first digit that is not zero, perhaps with a point; empty for zero.
    digits: &'a [u8],
    /// The power of ten of the first digit.
    magnitude: i64,
}

impl<'a> Decimal<'a> {
    /// `text` must be a JSON number.
    fn read(text: &'a [u8]) -> Self {
        let negative = text.first() == Some(&b'-');
        let text = &text[usize::from(negative)..];
        let (mantissa, power) = match memchr::memchr2(b'e', b'E', text) {
            Some(at) => (&text[..at], power(&text[at + 1..])),
            None => (text, 0),
        };
        let point = memchr::memchr(b'.', mantissa).unwrap_or(mantissa.len());
        let first = mantissa.iter().position(|byte| matches!(byte, b'1'..=b'9'));
        let Some(first) = first else {
            return Self {
                negative: false,
                digits: b"",
                magnitude: 0,
            };
        };
        let before_point = if first < point {
            length(point - first) - 1
        } else {
            -length(first - point)
        };
        Self {
            negative,
            digits: &mantissa[first..],
            magnitude: power.saturating_add(before_point),
        }
    }

    fn sign(&self) -> i8 {
        match (self.digits.is_empty(), self.negative) {
            (true, _) => 0,
            (false, true) => -1,
            (false, false) => 1,
        }
    }

    fn compare_magnitude(&self, other: &Self) -> Ordering {
        self.magnitude.cmp(&other.magnitude).then_with(|| {
            let (mut left, mut right) = (self.significant(), other.significant());
            loop {
                match (left.next(), right.next()) {
                    (None, None) => return Ordering::Equal,
                    (left, right) => match left.unwrap_or(b'0').cmp(&right.unwrap_or(b'0')) {
                        Ordering::Equal => {}
                        unequal => return unequal,
                    },
                }
            }
        })
    }

    fn significant(&self) -> impl Iterator<Item = u8> {
        self.digits.iter().copied().filter(u8::is_ascii_digit)
    }
}

fn length(length: usize) -> i64 {
    i64::try_from(length).unwrap_or(i64::MAX)
}

/// Reads an exponent; one that no number needs saturates.
fn power(text: &[u8]) -> i64 {
    let negative = text.first() == Some(&b'-');
    let digits = text.iter().filter(|byte| byte.is_ascii_digit());
    let value = digits.fold(0i64, |value, digit| {
        value.saturating_mul(10).saturating_add(i64::from(digit - b'0'))
    });
    if negative { -value } else { value }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_spelling_of_a_value_is_equal() {
        let groups: [&[&str]; 5] = [
            &["0", "-0", "0.0", "0e5", "-0.000e-7"],
            &["300", "300.0", "3e2", "3E+2", "0.3e3", "30000e-2"],
            &["-1.5", "-15e-1", "-0.15e1", "-1.500"],
            &["0.001", "1e-3", "0.0010"],
            &["1e400", "10e399", "0.1e401"],
        ];
        for group in groups {
            for left in group {
                for right in group {
                    assert_eq!(
                        compare(left.as_bytes(), right.as_bytes()),
                        Ordering::Equal,
                        "{left} {right}"
                    );
                }
            }
        }
    }

    #[test]
    fn numbers_are_ordered_by_value_however_long_they_are() {
        let ascending = [
            "-1e400",
            "-12345678901234567891",
            "-12345678901234567890",
            "-2",
            "-1.0001",
            "-1",
            "-1e-400",
            "0",
            "1e-99999999999999999999",
            "0.09",
            "0.1",
            "0.10000000000000000000000001",
            "9",
            "9.5",
            "10",
            "9007199254740992",
            "9007199254740993",
            "1e99999999999999999999",
        ];
        for (index, left) in ascending.iter().enumerate() {
            for (other, right) in ascending.iter().enumerate() {
                assert_eq!(
                    compare(left.as_bytes(), right.as_bytes()),
                    index.cmp(&other),
                    "{left} {right}"
                );
            }
        }
    }
}
