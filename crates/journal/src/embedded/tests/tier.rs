//! How many seeds a test takes.

/// `TRUNKLINE_SEED` alone if that is set, to look at one story; else `TRUNKLINE_SEEDS` of them (the prove tier), else a number
/// that takes seconds in a debug build.
pub fn seeds(quick: u64) -> std::ops::Range<u64> {
    match number("TRUNKLINE_SEED") {
        Some(seed) => seed..seed + 1,
        None => 0..number("TRUNKLINE_SEEDS").unwrap_or(quick),
    }
}

fn number(variable: &str) -> Option<u64> {
    std::env::var(variable).ok()?.parse().ok()
}
