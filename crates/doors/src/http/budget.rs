//! What the bodies of all requests together may hold in memory, so that many large or slow ones cannot exhaust it. Small
//! bodies are not counted: the bound on connections bounds them.

use super::problem::Problem;
use std::{
    sync::atomic::{AtomicUsize, Ordering},
    time::Duration,
};

/// Bytes of counted bodies together: two dozen of the largest.
pub(super) const BODIES_BYTES_MAX: usize = 256 << 20;
/// Up to this a body is not counted.
const FREE_BYTES: usize = 16 << 10;
/// Bodies come and go quickly.
const RETRY: Duration = Duration::from_secs(1);

/// The bytes that are taken.
pub(super) struct Budget {
    held: AtomicUsize,
    bytes_max: usize,
}

/// One body's share, given back when it goes.
pub(super) struct Share<'a> {
    budget: &'a Budget,
    bytes: usize,
}

impl Budget {
    /// A budget of which nothing is taken.
    pub(super) fn new(bytes_max: usize) -> Self {
        Self {
            held: AtomicUsize::new(0),
            bytes_max,
        }
    }

    /// A share of nothing yet.
    pub(super) fn share(&self) -> Share<'_> {
        Share { budget: self, bytes: 0 }
    }
}

impl Share<'_> {
    /// Makes the share cover `bytes` in all, or says to come back.
    pub(super) fn grow_to(&mut self, bytes: usize) -> Result<(), Problem> {
        if bytes <= FREE_BYTES.max(self.bytes) {
            return Ok(());
        }
        let more = bytes - self.bytes;
        let before = self.budget.held.fetch_add(more, Ordering::Relaxed);
        if before + more > self.budget.bytes_max {
            self.budget.held.fetch_sub(more, Ordering::Relaxed);
            return Err(Problem::new("server_busy", "too many large requests are on their way").retry_after(RETRY));
        }
        self.bytes = bytes;
        Ok(())
    }
}

impl Drop for Share<'_> {
    fn drop(&mut self) {
        if self.bytes > 0 {
            self.budget.held.fetch_sub(self.bytes, Ordering::Relaxed);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn large_bodies_share_what_there_is_and_small_ones_cost_nothing() {
        let budget = Budget::new(100_000);
        let (mut first, mut second, mut small) = (budget.share(), budget.share(), budget.share());
        assert!(first.grow_to(60_000).is_ok() && first.grow_to(50_000).is_ok());
        assert_eq!(
            second.grow_to(50_000).map_err(|problem| problem.code()),
            Err("server_busy")
        );
        assert!(small.grow_to(16 << 10).is_ok());
        drop(first);
        assert!(second.grow_to(50_000).is_ok() && second.grow_to(100_000).is_ok());
        drop(second);
        assert_eq!(budget.held.load(Ordering::Relaxed), 0);
    }
}
