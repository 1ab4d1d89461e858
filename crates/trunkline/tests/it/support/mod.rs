//! What the tests share: the real binary on a free port, a receiver with faults on request, the
//! command line, small volumes, and what the system says about a process.

pub mod block_volume;
pub mod memory_group;
pub mod process;
pub mod receiver;
pub mod scan;
pub mod script;
pub mod server;
pub mod volume;

use std::time::{Duration, Instant};

/// Waits for a condition; panics with `what` after `limit`.
pub async fn eventually<T>(what: &str, limit: Duration, mut check: impl AsyncFnMut() -> Option<T>) -> T {
    let deadline = Instant::now() + limit;
    loop {
        if let Some(found) = check().await {
            return found;
        }
        assert!(Instant::now() < deadline, "did not come true within {limit:?}: {what}");
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}

/// A number from the environment, for turning a harness up.
pub fn setting(name: &str, default: u64) -> u64 {
    std::env::var(name)
        .ok()
        .and_then(|text| text.parse().ok())
        .unwrap_or(default)
}

/// Whether what a test needs is missing, and leaving it out is in order: only in the quick tier.
pub fn left_out(missing: &str) -> bool {
    assert!(
        std::env::var_os("TRUNKLINE_QUICK").is_some(),
        "{missing}; `cargo xtask test --quick` leaves this test out"
    );
    println!("left out of the quick tier: {missing}");
    true
}

/// The value that `hundredths` of the samples do not exceed.
pub fn percentile(samples: &mut [Duration], hundredths: usize) -> Duration {
    samples.sort_unstable();
    samples[(samples.len() * hundredths / 100).min(samples.len() - 1)]
}

/// A small seeded generator (splitmix64): the same seed gives the same run.
#[derive(Clone, Debug)]
pub struct Random(pub u64);

impl Random {
    /// The next 64 bits.
    pub fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        mixed ^ (mixed >> 31)
    }

    /// A number below `bound`.
    pub fn below(&mut self, bound: u64) -> u64 {
        self.next() % bound
    }

    /// True for `percent` of a hundred.
    pub fn percent(&mut self, percent: u64) -> bool {
        self.below(100) < percent
    }
}
