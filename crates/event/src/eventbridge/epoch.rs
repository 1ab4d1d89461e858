//! Times as AWS's protocols write them, seconds since 1970 as a JSON number, from and to RFC 3339. It knows no time zone but UTC
//! and the offset that a text says.

use crate::rules;
use std::fmt::Write;

/// What RFC 3339 can write: from the year 0 to the end of the year 9999.
const SECONDS_MIN: i64 = -62_167_219_200;
const SECONDS_MAX: i64 = 253_402_300_799;
/// Digits of a fraction that are kept: nanoseconds.
const FRACTION_DIGITS_MAX: usize = 9;
const SECONDS_OF_A_DAY: i64 = 86_400;

/// RFC 3339, in UTC, of a JSON number of seconds; `None` if it is none, or before 1970, or after the year 9999. A fraction is kept as
/// it is written, to nanoseconds; a number with an exponent to milliseconds, which is what a double tells apart here.
pub fn time_of_epoch(number: &str) -> Option<String> {
    let plain;
    let number = match number.contains(['e', 'E']) {
        false => number,
        true => {
            let seconds: f64 = number.parse().ok()?;
            if !(0.0..=SECONDS_MAX as f64).contains(&seconds) {
                return None;
            }
            plain = format!("{seconds:.3}");
            &plain
        }
    };
    let (whole, fraction) = number.split_once('.').unwrap_or((number, ""));
    let are_digits = |text: &str| text.bytes().all(|byte| byte.is_ascii_digit());
    if whole.is_empty() || !are_digits(whole) || !are_digits(fraction) {
        return None;
    }
    let seconds: i64 = whole.parse().ok()?;
    if seconds > SECONDS_MAX {
        return None;
    }
    let fraction = fraction[..fraction.len().min(FRACTION_DIGITS_MAX)].trim_end_matches('0');
    let dot = if fraction.is_empty() { "" } else { "." };
    let mut time = String::new();
    put_second(&mut time, seconds);
    Some(format!("{time}{dot}{fraction}Z"))
}

/// The JSON number of an RFC 3339 time; `None` if it is none, or before 1970. The fraction is kept as it is written.
pub fn epoch_of(time: &str) -> Option<String> {
    let (seconds, fraction) = read(time)?;
    (seconds >= 0).then(|| format!("{seconds}{fraction}"))
}

/// An RFC 3339 time as envelopes have it: in UTC, without the fraction of a second. What has to be written otherwise than it is goes
/// into `written`. A time beyond the years that can be written is left as it is.
pub fn envelope_time<'t>(time: &'t str, written: &'t mut String) -> &'t str {
    written.clear();
    match time.strip_suffix('Z').map(|utc| utc.split_once('.')) {
        Some(None) => return time,
        Some(Some((whole, _))) => written.push_str(whole),
        None => match read(time) {
            Some((seconds, _)) if (SECONDS_MIN..=SECONDS_MAX).contains(&seconds) => put_second(written, seconds),
            _ => return time,
        },
    }
    written.push('Z');
    written
}

/// Seconds since 1970 of an RFC 3339 time, and its fraction with the dot.
fn read(time: &str) -> Option<(i64, &str)> {
    rules::timestamp(time).ok()?;
    let part = |range: std::ops::Range<usize>| time.get(range)?.parse::<i64>().ok();
    let days = days_of(part(0..4)?, part(5..7)?, part(8..10)?);
    let rest = &time[19..];
    let zone = rest.find(|c: char| c != '.' && !c.is_ascii_digit())?;
    let (fraction, zone) = rest.split_at(zone);
    let offset = match zone.as_bytes() {
        [b'Z' | b'z'] => 0,
        [sign, ..] => {
            let minutes = zone.get(1..3)?.parse::<i64>().ok()? * 60 + zone.get(4..6)?.parse::<i64>().ok()?;
            if *sign == b'-' { -minutes * 60 } else { minutes * 60 }
        }
        [] => return None,
    };
    let seconds = days * SECONDS_OF_A_DAY + part(11..13)? * 3_600 + part(14..16)? * 60 + part(17..19)? - offset;
    Some((seconds, fraction))
}

/// Appends the date and the time of a second since 1970 in UTC, without a zone.
fn put_second(out: &mut String, seconds: i64) {
    let (year, month, day) = date_of(seconds.div_euclid(SECONDS_OF_A_DAY));
    let second = seconds.rem_euclid(SECONDS_OF_A_DAY);
    let (hour, minute, second) = (second / 3_600, second / 60 % 60, second % 60);
    // Into a string nothing fails.
    let _written = write!(out, "{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}");
}

/// The date of a day since 1970, in the Gregorian calendar: eras of 400 years, years from March on, so that a leap day is last.
fn date_of(days: i64) -> (i64, i64, i64) {
    let days = days + 719_468;
    let (era, day_of_era) = (days.div_euclid(146_097), days.rem_euclid(146_097));
    let year_of_era = (day_of_era - day_of_era / 1_460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let shifted = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * shifted + 2) / 5 + 1;
    let month = if shifted < 10 { shifted + 3 } else { shifted - 9 };
    let year = year_of_era + era * 400 + i64::from(month <= 2);
    (year, month, day)
}

/// The reverse.
fn days_of(year: i64, month: i64, day: i64) -> i64 {
    let year = if month <= 2 { year - 1 } else { year };
    let (era, year_of_era) = (year.div_euclid(400), year.rem_euclid(400));
    let shifted = if month > 2 { month - 3 } else { month + 9 };
    let day_of_year = (153 * shifted + 2) / 5 + day - 1;
    let day_of_era = year_of_era * 365 + year_of_era / 4 - year_of_era / 100 + day_of_year;
    era * 146_097 + day_of_era - 719_468
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_of_seconds_are_times_and_back() {
        for (number, time) in [
            ("0", "1970-01-01T00:00:00Z"),
            ("951782400", "2000-02-29T00:00:00Z"),
            ("1700000000", "2023-11-14T22:13:20Z"),
            ("1700000000.123", "2023-11-14T22:13:20.123Z"),
            ("1700000000.000000001", "2023-11-14T22:13:20.000000001Z"),
            ("253402300799", "9999-12-31T23:59:59Z"),
        ] {
            assert_eq!(time_of_epoch(number).as_deref(), Some(time));
            assert_eq!(epoch_of(time).as_deref(), Some(number));
        }
    }

    #[test]
    fn what_sdks_write_besides_is_understood() {
        for (number, time) in [
            ("1.7E9", "2023-11-14T22:13:20Z"),
            ("1.700000000123E9", "2023-11-14T22:13:20.123Z"),
            ("1700000000.500", "2023-11-14T22:13:20.5Z"),
            ("1700000000.0", "2023-11-14T22:13:20Z"),
            ("1700000000.1234567891", "2023-11-14T22:13:20.123456789Z"),
        ] {
            assert_eq!(time_of_epoch(number).as_deref(), Some(time), "{number}");
        }
        for (time, number) in [
            ("2023-11-14T23:13:20.5+01:00", Some("1700000000.5")),
            ("2023-11-14t20:43:20-01:30", Some("1700000000")),
            ("1969-12-31T23:59:59Z", None),
            ("1970-01-01T00:00:00+01:00", None),
        ] {
            assert_eq!(epoch_of(time).as_deref(), number, "{time}");
        }
    }

    #[test]
    fn an_envelope_has_its_time_in_utc_to_the_second() {
        let mut written = String::new();
        for (time, expected) in [
            ("2023-11-14T22:13:20Z", "2023-11-14T22:13:20Z"),
            ("2023-11-14T22:13:20.999999Z", "2023-11-14T22:13:20Z"),
            ("2023-11-14t22:13:20z", "2023-11-14T22:13:20Z"),
            ("2020-01-01T00:00:00+02:00", "2019-12-31T22:00:00Z"),
            ("2020-01-01T00:00:00.5-02:30", "2020-01-01T02:30:00Z"),
            ("1969-12-31T23:59:59+00:00", "1969-12-31T23:59:59Z"),
            ("0000-01-01T00:00:00-00:00", "0000-01-01T00:00:00Z"),
            ("0000-01-01T00:00:00+01:00", "0000-01-01T00:00:00+01:00"),
            ("9999-12-31T23:59:59-01:00", "9999-12-31T23:59:59-01:00"),
        ] {
            assert_eq!(envelope_time(time, &mut written), expected);
        }
    }

    #[test]
    fn what_is_no_time_is_none() {
        for number in [
            "",
            "-1",
            "1e400",
            "253402300800",
            "1e15",
            "-1e3",
            "NaN",
            ".5",
            "1.2.3",
            "1.-5",
            "99999999999999999999",
            "0x10",
            "é",
        ] {
            assert_eq!(time_of_epoch(number), None, "{number}");
        }
        for time in [
            "",
            "2023-11-14",
            "2023-11-14T22:13:20",
            "2023-13-14T22:13:20Z",
            "é2023-11-14T22:13:20Z",
        ] {
            assert_eq!(epoch_of(time), None, "{time}");
        }
    }

    proptest::proptest! {
        #[test]
        fn every_second_comes_back(seconds in 0..=SECONDS_MAX) {
            let time = time_of_epoch(&seconds.to_string()).expect("it is in range");
            proptest::prop_assert!(rules::timestamp(&time).is_ok(), "{}", time);
            proptest::prop_assert_eq!(epoch_of(&time), Some(seconds.to_string()));
        }

        #[test]
        fn no_text_breaks_the_readers(text in ".*") {
            let _ = (time_of_epoch(&text), epoch_of(&text));
        }
    }
}
