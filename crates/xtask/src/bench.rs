//! Benches, as ratios in one run. The machines are shared and noisy: figures go to docs/benchmarks.md with their method,
//! and no test asserts them.

use crate::{
    run::{Outcome, cargo, run},
    services,
};

/// The bench that needs other servers; it runs when it is named.
const PEERS: &str = "peers";

/// `cargo xtask bench [journal|bus|pattern|peers] [--citylots DIR]`: the directory holds the data of a part of the pattern bench, which is
/// left out without it.
pub fn bench(arguments: &[String]) -> Outcome {
    const BENCHES: &[(&str, &str)] = &[
        ("journal", "journal"),
        ("bus", "trunkline"),
        ("pattern", "pattern"),
        (PEERS, "trunkline"),
    ];
    let (names, data) = match arguments.iter().position(|argument| argument == "--citylots") {
        Some(at) => (&arguments[..at], arguments.get(at + 1)),
        None => (arguments, None),
    };
    if names.iter().any(|name| name == PEERS) {
        services::peers()?;
    }
    for (bench, package) in BENCHES
        .iter()
        .filter(|(name, _)| (names.is_empty() && *name != PEERS) || names.iter().any(|asked| asked == name))
    {
        let mut command = cargo();
        command.args(["bench", "--package", package, "--bench", bench]);
        if let Some(directory) = data {
            let directory = std::path::absolute(directory).map_err(|error| format!("{directory}: {error}"))?;
            command.env("PATTERN_CITYLOTS", directory);
        }
        run(&mut command)?;
    }
    Ok(())
}
