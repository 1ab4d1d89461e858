//! How many seeds a test takes.

/// `TRUNKLINE_SEEDS` if it is set (the prove tier), else a number that takes seconds in a debug build.
pub fn seeds(quick: u64) -> std::ops::Range<u64> {
    let count = std::env::var("TRUNKLINE_SEEDS")
        .ok()
        .and_then(|count| count.parse().ok());
    0..count.unwrap_or(quick)
}
