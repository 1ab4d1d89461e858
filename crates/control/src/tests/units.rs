//! Durations, sizes and rates as text.

use crate::units::{format_bytes, format_duration, format_rate, parse_bytes, parse_duration, parse_rate};
use proptest::prelude::*;
use std::time::Duration;

#[test]
fn durations_read_and_write_canonically() {
    let canonical = |text: &str| parse_duration(text).map(format_duration).unwrap_or_else(str::to_owned);
    for text in ["7d", "12h", "30m", "15s", "500ms", "90s", "0s", "36500d"] {
        assert_eq!(canonical(text), text);
    }
    assert_eq!(
        [canonical("24h"), canonical("60s"), canonical("0d"), canonical("1000ms")],
        ["1d", "1m", "0s", "1s"]
    );
    for wrong in [
        "",
        "7",
        "d",
        "-1s",
        "+1s",
        "1.5s",
        "1 s",
        "1w",
        "1S",
        "1h30m",
        "99999999999999999999s",
        "１s",
    ] {
        assert!(parse_duration(wrong).is_err(), "{wrong}");
    }
    assert_eq!(canonical("36501d"), "a duration is at most 36500d");
}

#[test]
fn sizes_and_rates_read_and_write_canonically() {
    for (text, bytes, written) in [
        ("10GiB", 10 << 30, "10GiB"),
        ("1024", 1024, "1KiB"),
        ("1kB", 1000, "1000"),
        ("5B", 5, "5"),
    ] {
        assert_eq!((parse_bytes(text), format_bytes(bytes).as_str()), (Ok(bytes), written));
    }
    for wrong in ["", "GiB", "1gib", "-1", "1.5GiB", "99999999999TiB"] {
        assert!(parse_bytes(wrong).is_err(), "{wrong}");
    }
    let canonical = |text: &str| parse_rate(text).map(format_rate).unwrap_or_default();
    for text in ["100/s", "30/m", "5/10s", "1/d"] {
        assert_eq!(canonical(text), text);
    }
    assert_eq!(canonical("5/60s"), "5/m");
    for wrong in ["100", "0/s", "/s", "1/", "1/0s", "-1/s", "1/w"] {
        assert!(parse_rate(wrong).is_err(), "{wrong}");
    }
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn text_and_value_and_text_again_agree(millis in 0u64..1 << 41, bytes in any::<u64>()) {
        let duration = Duration::from_millis(millis);
        prop_assert_eq!(parse_duration(&format_duration(duration)), Ok(duration));
        prop_assert_eq!(parse_bytes(&format_bytes(bytes)), Ok(bytes));
    }
}
