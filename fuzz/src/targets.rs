//! The targets: one file per parser with the same inside, and a line here.

mod record_batch;

/// One parser under test.
#[derive(Clone, Copy)]
pub struct Target {
    /// What it is called on the command line and in `corpus/`.
    pub name: &'static str,
    /// Feeds it one input; panics when something does not hold. What is returned tells inputs apart that end differently:
    /// one that ends in a new way is worth mutating further.
    pub run: fn(&[u8]) -> u64,
    /// Well-formed inputs to begin with.
    pub samples: fn() -> Vec<Vec<u8>>,
}

/// All of them.
pub const TARGETS: &[Target] = &[record_batch::TARGET];
