//! Durations, sizes and rates as people write them: text, value and text again agree.

use super::{Target, ending, texts};
use control::units;

pub(super) const TARGET: Target = Target {
    name: "units",
    run,
    samples,
};

fn run(input: &[u8]) -> u64 {
    let text = String::from_utf8_lossy(input);
    let duration = units::parse_duration(&text).inspect(|duration| {
        assert_eq!(units::parse_duration(&units::format_duration(*duration)), Ok(*duration));
    });
    let bytes = units::parse_bytes(&text).inspect(|bytes| {
        assert_eq!(units::parse_bytes(&units::format_bytes(*bytes)), Ok(*bytes));
    });
    let rate = units::parse_rate(&text).inspect(|rate| {
        let again = units::parse_rate(&units::format_rate(*rate)).expect("what is written can be read");
        assert_eq!((again.count, again.per), (rate.count, rate.per));
    });
    let magnitude = |number: u128| number.checked_ilog2();
    ending(&(
        duration.map(|duration| magnitude(duration.as_millis())),
        bytes.map(|bytes| magnitude(bytes.into())),
        rate.map(|rate| magnitude(rate.per.as_millis())),
    ))
}

fn samples() -> Vec<Vec<u8>> {
    texts(&[
        "15s",
        "500ms",
        "36500d",
        "0s",
        "10GiB",
        "1024",
        "16777215TiB",
        "5kB",
        "100/s",
        "30/m",
        "5/10s",
        "1/1d",
        "7h",
    ])
}
