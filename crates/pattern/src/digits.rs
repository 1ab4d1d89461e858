//! Numbers of up to seventeen digits without an exponent, as nearly all are: valued with one division, and told apart from those
//! that a longer look is needed for.
//!
//! It says what [`comparable`](crate::number::comparable) says, or nothing.

/// Digits that a decimal may have for being surely the shortest of its nearest double.
const ALWAYS_SHORTEST: u64 = 10u64.pow(15);

/// Above all decimals of as many digits as the shortest one of a double has at most.
const SHORTEST_MAX: u64 = 10u64.pow(17);

/// Digits that 64 bits hold.
const DIGITS_MAX: usize = 19;

/// The powers of ten that 64 bits hold.
const POWERS: [u64; DIGITS_MAX + 1] = {
    let mut powers = [1; DIGITS_MAX + 1];
    let mut at = 1;
    while at <= DIGITS_MAX {
        powers[at] = powers[at - 1] * 10;
        at += 1;
    }
    powers
};

/// Powers of ten that a double holds exactly.
const EXACT_MAX: usize = 22;

const _: () = assert!(
    DIGITS_MAX <= EXACT_MAX,
    "every power of ten here is one that a double holds"
);

/// Digits that are read at once.
const WORD: usize = size_of::<u64>();

/// Bits of a double's mantissa, the first included.
const MANTISSA: u32 = f64::MANTISSA_DIGITS;

/// By how much of a double's last place the remainder may be wrong that is looked at: it has ten bits.
const LEFT_OUT: f64 = 1.0 / 512.0;

/// The value of a JSON number that is the shortest decimal of its nearest double; none if that takes a longer look.
pub(crate) fn shortest(text: &[u8]) -> Option<f64> {
    let (negative, digits) = match text.split_first() {
        Some((b'-', rest)) => (true, rest),
        _ => (false, text),
    };
    let (units, after_point) = read(digits)?;
    let value = match units {
        #[expect(
            clippy::cast_precision_loss,
            reason = "fifteen digits, and powers of ten that doubles hold"
        )]
        0..ALWAYS_SHORTEST => units as f64 / POWERS[after_point] as f64,
        ALWAYS_SHORTEST..SHORTEST_MAX => nearest(units, POWERS[after_point])?,
        _ => return None,
    };
    // There is no negative zero.
    Some(if negative && units != 0 { -value } else { value })
}

/// The digits as a number, and how many of them follow the point.
#[inline]
fn read(text: &[u8]) -> Option<(u64, usize)> {
    if text.len() > DIGITS_MAX {
        return None;
    }
    let mut units = 0;
    for (at, byte) in text.iter().enumerate() {
        match byte {
            b'0'..=b'9' => units = units * 10 + u64::from(byte - b'0'),
            b'.' => return Some((read_fraction(units, &text[at + 1..])?, text.len() - at - 1)),
            _ => return None,
        }
    }
    Some((units, 0))
}

/// Appends digits to a number.
#[inline]
fn read_fraction(mut units: u64, digits: &[u8]) -> Option<u64> {
    let mut rest = digits;
    while let Some((word, after)) = rest.split_first_chunk::<WORD>() {
        units = units * POWERS[WORD] + read_word(u64::from_le_bytes(*word))?;
        rest = after;
    }
    rest.iter().try_fold(units, |units, byte| {
        let digit = byte.wrapping_sub(b'0');
        (digit <= 9).then(|| units * 10 + u64::from(digit))
    })
}

/// The number that eight digits are; none if they are not all digits. Neighbours are put together, three times over.
#[inline]
fn read_word(word: u64) -> Option<u64> {
    const ZEROS: u64 = 0x3030_3030_3030_3030;
    const HIGH: u64 = 0xF0F0_F0F0_F0F0_F0F0;
    let digits = word ^ ZEROS;
    // Six more than a digit stays below sixteen.
    if (digits | digits.wrapping_add(0x0606_0606_0606_0606)) & HIGH != 0 {
        return None;
    }
    let pairs = (digits * 10 + (digits >> 8)) & 0x00FF_00FF_00FF_00FF;
    let fours = (pairs * 100 + (pairs >> 16)) & 0x0000_FFFF_0000_FFFF;
    Some((fours * 10_000 + (fours >> 32)) & 0xFFFF_FFFF)
}

/// The double next to a number of sixteen or seventeen digits, divided by a power of ten, if no shorter decimal and none closer
/// has the same one. Near the edge of either it says none.
#[inline]
#[expect(clippy::cast_precision_loss, reason = "what is lost is less than what is left out")]
fn nearest(units: u64, divisor: u64) -> Option<f64> {
    let (of_units, of_divisor) = (units.leading_zeros(), divisor.leading_zeros());
    let (dividend, divisor) = (u128::from(units << of_units) << 63, u128::from(divisor << of_divisor));
    let quotient = u64::try_from(dividend / divisor).ok()?;
    let is_exact = u128::from(quotient) * divisor == dividend;
    // The first bit is one of the first two.
    let shift = u64::BITS - MANTISSA - quotient.leading_zeros();
    let (mantissa, rest, half) = (quotient >> shift, quotient & ((1 << shift) - 1), 1 << (shift - 1));
    let up = rest > half || (rest == half && (!is_exact || mantissa & 1 == 1));
    let rounded = mantissa + u64::from(up);
    if rounded <= 1 << (MANTISSA - 1) || rounded >= 1 << MANTISSA {
        // Beside a power of two decimals lie closer on one side than on the other.
        return None;
    }
    // Of the number's last digit: a double's last place, how far the number lies above the double, and what may be wrong about that.
    let place = units as f64 / rounded as f64;
    let above = (rest as f64 / (1u64 << shift) as f64 - f64::from(u8::from(up))) * place;
    let wrong = LEFT_OUT * place;
    let digit = (units % 10) as f64;
    let reach = place / 2.0 + wrong;
    let is_shortest = digit - above > reach && 10.0 - digit + above > reach;
    if !is_shortest || above.abs() + wrong > 0.5 {
        return None;
    }
    let exponent = i64::from(of_divisor) - i64::from(of_units) - 63 + i64::from(shift);
    let power = f64::from_bits(u64::try_from(exponent + 1023).ok()? << (MANTISSA - 1));
    Some(rounded as f64 * power)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::number::comparable_slowly;
    use proptest::prelude::*;

    /// Either nothing, or what a longer look says; whether it said something.
    fn check(text: &str) -> bool {
        let found = shortest(text.as_bytes());
        if found.is_some() {
            let expected = comparable_slowly(text.as_bytes());
            assert_eq!(found.map(f64::to_bits), expected.map(f64::to_bits), "{text}");
        }
        found.is_some()
    }

    #[test]
    fn most_numbers_are_valued_at_once() {
        for text in [
            "0",
            "-0",
            "-0.0",
            "7",
            "300",
            "300.0",
            "-1.5",
            "0.1",
            "123456789012345",
            "0.00000012345678901",
            "-122.42916360922355",
            "37.729900216217324",
            "-122.37986789045765",
            "0.30000000000000004",
            "9007199254740993.5",
        ] {
            let is_shortest = text != "9007199254740993.5";
            assert_eq!(check(text), is_shortest, "{text}");
        }
        for text in [
            "1e5",
            "1.5E3",
            "1234567890.12345x",
            "12345678901234567890",
            "0.12345678901234567890",
        ] {
            assert_eq!(shortest(text.as_bytes()), None, "{text}");
        }
    }

    #[test]
    fn decimals_beside_powers_of_two_and_between_doubles_are_not_guessed() {
        for exponent in 0..60 {
            let power = 2f64.powi(exponent);
            for double in [power.next_down(), power, power.next_up()] {
                for text in [format!("{double:.2}"), format!("{double:.9}"), format!("{double}")] {
                    check(&text);
                }
            }
        }
        // Halfway between two doubles, and beside it.
        for text in [
            "9007199254740993",
            "9007199254740992.5",
            "4503599627370497.5",
            "4503599627370496.4",
            "4503599627370496.6",
        ] {
            check(text);
        }
    }

    proptest! {
        #[test]
        fn what_is_said_at_once_is_what_a_longer_look_says(units in 0u64..10u64.pow(18), after_point in 0usize..18) {
            let digits = format!("{units:019}");
            let text = format!("{}.{}", &digits[..19 - after_point.max(1)], &digits[19 - after_point.max(1)..]);
            let text = text.trim_start_matches('0');
            check(&if text.starts_with('.') { format!("0{text}") } else { String::from(text) });
        }

        #[test]
        fn a_double_is_written_and_read_again(value in -180.0f64..180.0) {
            let text = value.to_string();
            check(&text);
            if let Some(found) = shortest(text.as_bytes()) {
                prop_assert_eq!(found.to_bits(), (value + 0.0).to_bits());
            }
        }
    }

    #[test]
    fn nearly_all_coordinates_are_valued_at_once() {
        let mut value = 37.0f64;
        let found = (0..10_000).filter(|_| {
            value += 0.012_345_678_901_234_5;
            check(&value.to_string())
        });
        assert!(found.count() > 9_500);
    }
}
