//! Durations, sizes and rates as people write them: `7d`, `500ms`, `10GiB`, `100/s`. One number and one unit; the text
//! written is canonical (the largest unit that divides the value), so that text, value and text again agree.

use crate::{
    limits::DURATION_MAX,
    resources::{ByteRate, Rate},
};
use serde::{Deserialize, Deserializer, Serializer, de::Error as _};
use std::time::Duration;

const DURATION_UNITS: [(&str, u64); 5] = [
    ("d", 86_400_000),
    ("h", 3_600_000),
    ("m", 60_000),
    ("s", 1_000),
    ("ms", 1),
];
const BYTE_UNITS: [(&str, u64); 4] = [("TiB", 1 << 40), ("GiB", 1 << 30), ("MiB", 1 << 20), ("KiB", 1 << 10)];
const DECIMAL_BYTE_UNITS: [(&str, u64); 5] = [
    ("TB", 1_000_000_000_000),
    ("GB", 1_000_000_000),
    ("MB", 1_000_000),
    ("kB", 1_000),
    ("B", 1),
];

const DURATION_FORM: &str = "a duration is a whole number and one of d, h, m, s, ms, such as 30s";
const BYTES_FORM: &str =
    "a size is a whole number of bytes, or one with KiB, MiB, GiB, TiB (or kB, MB, GB, TB), such as 10GiB";
const RATE_FORM: &str = "a rate is a whole number from 1 on and a period, such as 100/s, 30/m, 5/10s";
const BYTE_RATE_FORM: &str = "a rate of bytes is a size from 1 on and a period, such as 10MiB/s, 1GiB/h";

/// Reads `15s`; says what the form is if it is not one.
pub fn parse_duration(text: &str) -> Result<Duration, &'static str> {
    let (number, unit) = split(text).ok_or(DURATION_FORM)?;
    let scale = scale(&DURATION_UNITS, unit).ok_or(DURATION_FORM)?;
    let duration = number.checked_mul(scale).map(Duration::from_millis);
    duration
        .filter(|duration| *duration <= DURATION_MAX)
        .ok_or("a duration is at most 36500d")
}

/// Writes the canonical text; what is finer than a millisecond is cut.
pub fn format_duration(duration: Duration) -> String {
    let millis = duration.as_millis();
    if millis == 0 {
        return "0s".to_owned();
    }
    let whole = |(unit, scale): (&str, u64)| {
        millis
            .is_multiple_of(u128::from(scale))
            .then(|| format!("{}{unit}", millis / u128::from(scale)))
    };
    DURATION_UNITS
        .into_iter()
        .find_map(whole)
        .expect("the last unit divides everything")
}

/// Reads `10GiB` or `1024`.
pub fn parse_bytes(text: &str) -> Result<u64, &'static str> {
    if let Ok(bytes) = text.parse() {
        return Ok(bytes);
    }
    let (number, unit) = split(text).ok_or(BYTES_FORM)?;
    let scale = scale(&BYTE_UNITS, unit)
        .or_else(|| scale(&DECIMAL_BYTE_UNITS, unit))
        .ok_or(BYTES_FORM)?;
    number.checked_mul(scale).ok_or("a size is below 16777216TiB")
}

/// Writes the canonical text: the largest binary unit that divides, else plain bytes.
pub fn format_bytes(bytes: u64) -> String {
    let whole = |(unit, scale): (&str, u64)| {
        (bytes > 0 && bytes.is_multiple_of(scale)).then(|| format!("{}{unit}", bytes / scale))
    };
    BYTE_UNITS
        .into_iter()
        .find_map(whole)
        .unwrap_or_else(|| bytes.to_string())
}

/// Reads `100/s`, `30/m`, `5/10s`.
pub fn parse_rate(text: &str) -> Result<Rate, &'static str> {
    let (count, period) = text.split_once('/').ok_or(RATE_FORM)?;
    let count = digits(count)
        .and_then(|count| u32::try_from(count).ok())
        .filter(|count| *count > 0);
    let per = match period.starts_with(|first: char| first.is_ascii_digit()) {
        true => parse_duration(period),
        false => parse_duration(&format!("1{period}")),
    };
    match (count, per) {
        (Some(count), Ok(per)) if !per.is_zero() => Ok(Rate { count, per }),
        _ => Err(RATE_FORM),
    }
}

/// Writes the canonical text.
pub fn format_rate(rate: Rate) -> String {
    let period = format_duration(rate.per);
    let unit = period
        .strip_prefix('1')
        .filter(|unit| unit.starts_with(|first: char| first.is_ascii_alphabetic()));
    format!("{}/{}", rate.count, unit.unwrap_or(&period))
}

/// Reads `10MiB/s`, `1GiB/h`.
pub fn parse_byte_rate(text: &str) -> Result<ByteRate, &'static str> {
    let (bytes, period) = text.split_once('/').ok_or(BYTE_RATE_FORM)?;
    let bytes = parse_bytes(bytes)
        .ok()
        .filter(|bytes| *bytes > 0)
        .ok_or(BYTE_RATE_FORM)?;
    // The period is read as that of any other rate.
    let Rate { per, .. } = parse_rate(&format!("1/{period}")).map_err(|_| BYTE_RATE_FORM)?;
    Ok(ByteRate { bytes, per })
}

/// Writes the canonical text.
pub fn format_byte_rate(rate: ByteRate) -> String {
    let one = format_rate(Rate {
        count: 1,
        per: rate.per,
    });
    format!("{}{}", format_bytes(rate.bytes), &one[1..])
}

fn split(text: &str) -> Option<(u64, &str)> {
    let end = text.find(|character: char| !character.is_ascii_digit())?;
    let (number, unit) = text.split_at(end);
    Some((digits(number)?, unit))
}

/// A number of digits alone: `parse` would take a sign.
fn digits(text: &str) -> Option<u64> {
    let all = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    if all { text.parse().ok() } else { None }
}

fn scale(units: &[(&str, u64)], unit: &str) -> Option<u64> {
    units.iter().find(|(name, _)| *name == unit).map(|(_, scale)| *scale)
}

/// A duration, for `#[serde(with)]`.
pub mod duration {
    use super::*;

    /// Writes the canonical text.
    pub fn serialize<S: Serializer>(duration: &Duration, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&format_duration(*duration))
    }

    /// Reads the text.
    pub fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Duration, D::Error> {
        String::deserialize(deserializer).and_then(|text| parse_duration(&text).map_err(D::Error::custom))
    }
}

/// A duration or `null`, for `#[serde(with)]`.
pub mod optional_duration {
    use super::*;

    /// Writes the canonical text or `null`.
    pub fn serialize<S: Serializer>(duration: &Option<Duration>, serializer: S) -> Result<S::Ok, S::Error> {
        match duration {
            Some(duration) => serializer.serialize_some(&format_duration(*duration)),
            None => serializer.serialize_none(),
        }
    }

    /// Reads the text or `null`.
    pub fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<Duration>, D::Error> {
        let text = Option::<String>::deserialize(deserializer)?;
        text.map(|text| parse_duration(&text).map_err(D::Error::custom))
            .transpose()
    }
}

/// A list of durations, for `#[serde(with)]`.
pub mod durations {
    use super::*;

    /// Writes a list of canonical texts.
    pub fn serialize<S: Serializer>(durations: &[Duration], serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_seq(durations.iter().map(|duration| format_duration(*duration)))
    }

    /// Reads a list of texts.
    pub fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Vec<Duration>, D::Error> {
        Ok(Vec::<Text>::deserialize(deserializer)?
            .into_iter()
            .map(|text| text.0)
            .collect())
    }
}

/// A list of durations or `null`, for `#[serde(with)]`.
pub mod optional_durations {
    use super::*;

    /// Reads a list of texts or `null`.
    pub fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<Vec<Duration>>, D::Error> {
        let texts = Option::<Vec<Text>>::deserialize(deserializer)?;
        Ok(texts.map(|texts| texts.into_iter().map(|text| text.0).collect()))
    }
}

/// One duration of a list, so that a fault in it keeps its place.
struct Text(Duration);

impl<'de> Deserialize<'de> for Text {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        duration::deserialize(deserializer).map(Text)
    }
}

/// A size or `null`, for `#[serde(with)]`; a number of bytes reads too.
pub mod optional_bytes {
    use super::*;

    /// Writes the canonical text, a number, or `null`.
    pub fn serialize<S: Serializer>(bytes: &Option<u64>, serializer: S) -> Result<S::Ok, S::Error> {
        let Some(bytes) = bytes else {
            return serializer.serialize_none();
        };
        let text = format_bytes(*bytes);
        match text.parse::<u64>() {
            Ok(number) => serializer.serialize_some(&number),
            Err(_) => serializer.serialize_some(&text),
        }
    }

    /// Reads the text, a number, or `null`.
    pub fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<u64>, D::Error> {
        Ok(Option::<Size>::deserialize(deserializer)?.map(|size| size.0))
    }
}

/// A size, for `#[serde(with)]`; a number of bytes reads too.
pub mod bytes {
    use super::*;

    /// Writes the canonical text or a number.
    pub fn serialize<S: Serializer>(bytes: &u64, serializer: S) -> Result<S::Ok, S::Error> {
        optional_bytes::serialize(&Some(*bytes), serializer)
    }

    /// Reads the text or a number.
    pub fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<u64, D::Error> {
        Size::deserialize(deserializer).map(|size| size.0)
    }
}

struct Size(u64);

impl<'de> Deserialize<'de> for Size {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(SizeVisitor).map(Size)
    }
}

struct SizeVisitor;

impl serde::de::Visitor<'_> for SizeVisitor {
    type Value = u64;

    fn expecting(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.write_str("a size such as 10GiB")
    }

    fn visit_u64<E: serde::de::Error>(self, bytes: u64) -> Result<u64, E> {
        Ok(bytes)
    }

    fn visit_str<E: serde::de::Error>(self, text: &str) -> Result<u64, E> {
        parse_bytes(text).map_err(E::custom)
    }
}

/// A rate or `null`, for `#[serde(with)]`.
pub mod optional_rate {
    use super::*;

    /// Writes the canonical text or `null`.
    pub fn serialize<S: Serializer>(rate: &Option<Rate>, serializer: S) -> Result<S::Ok, S::Error> {
        match rate {
            Some(rate) => serializer.serialize_some(&format_rate(*rate)),
            None => serializer.serialize_none(),
        }
    }

    /// Reads the text or `null`.
    pub fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<Rate>, D::Error> {
        let text = Option::<String>::deserialize(deserializer)?;
        text.map(|text| parse_rate(&text).map_err(D::Error::custom)).transpose()
    }
}

/// A rate of bytes or `null`, for `#[serde(with)]`.
pub mod optional_byte_rate {
    use super::*;

    /// Writes the canonical text or `null`.
    pub fn serialize<S: Serializer>(rate: &Option<ByteRate>, serializer: S) -> Result<S::Ok, S::Error> {
        match rate {
            Some(rate) => serializer.serialize_some(&format_byte_rate(*rate)),
            None => serializer.serialize_none(),
        }
    }

    /// Reads the text or `null`.
    pub fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<ByteRate>, D::Error> {
        let text = Option::<String>::deserialize(deserializer)?;
        text.map(|text| parse_byte_rate(&text).map_err(D::Error::custom))
            .transpose()
    }
}
