//! The times that clients write into shared access signatures: RFC 3339, the same without a zone (Python), and the short date and
//! time of .NET's culture en-US. Without a zone they are in UTC.

use jiff::{Timestamp, civil::DateTime, fmt::strtime, tz::TimeZone};

/// .NET's general long form, without a zone.
const US: &str = "%m/%d/%Y %I:%M:%S %p";

/// Milliseconds since the epoch.
pub(super) fn parse(text: &str) -> Option<i64> {
    let text = text.trim();
    if let Ok(time) = text.parse::<Timestamp>() {
        return Some(time.as_millisecond());
    }
    // .NET writes the zone of a DateTimeOffset behind it.
    let without_zone = text.strip_suffix(" +00:00").unwrap_or(text);
    let civil = without_zone.parse::<DateTime>();
    let civil = civil.or_else(|_| strtime::parse(US, without_zone).and_then(|time| time.to_datetime()));
    let time = civil.ok()?.to_zoned(TimeZone::UTC).ok()?;
    Some(time.timestamp().as_millisecond())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_form_that_a_client_writes_is_the_same_time() {
        for text in [
            "2026-01-31T18:05:09Z",
            "2026-01-31T19:05:09+01:00",
            "2026-01-31 18:05:09+00:00",
            "2026-01-31 18:05:09.000000+00:00",
            "2026-01-31 18:05:09",
            "2026-01-31T18:05:09.000",
            "1/31/2026 6:05:09 PM",
            "01/31/2026 06:05:09 PM",
            "1/31/2026 6:05:09 PM +00:00",
        ] {
            assert_eq!(parse(text), Some(1_769_882_709_000), "{text}");
        }
        assert_eq!(parse("12/1/2026 12:00:00 AM"), parse("2026-12-01T00:00:00Z"));
        for wrong in [
            "",
            "soon",
            "31/1/2026 6:05:09 PM",
            "2026-02-30 00:00:00",
            "1/31/2026",
            "1769882709",
        ] {
            assert_eq!(parse(wrong), None, "{wrong}");
        }
    }
}
