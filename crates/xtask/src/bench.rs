//! Benches, as ratios in one run. The machines are shared and noisy: figures go to docs/benchmarks.md with their method,
//! and no test asserts them.

use crate::run::{Outcome, cargo, run};

/// `cargo xtask bench [journal|bus]`.
pub fn bench(names: &[String]) -> Outcome {
    const BENCHES: &[(&str, &str)] = &[("journal", "journal"), ("bus", "trunkline")];
    for (bench, package) in BENCHES
        .iter()
        .filter(|(name, _)| names.is_empty() || names.iter().any(|asked| asked == name))
    {
        run(cargo().args(["bench", "--package", package, "--bench", bench]))?;
    }
    Ok(())
}
