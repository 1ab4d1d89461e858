//! The tiers of tests. `--quick` is the inner loop; without it, this is what CI runs on a fresh machine.

use crate::{
    run::{Outcome, cache, cargo, run},
    services, tidy,
};

/// `cargo xtask test [--quick]`.
pub fn test(arguments: &[String]) -> Outcome {
    let quick = match arguments {
        [] => false,
        [flag] if flag == "--quick" => true,
        _ => return Err("test takes --quick or nothing".into()),
    };
    if quick {
        return run(cargo()
            .args(["test", "--workspace", "--quiet"])
            .env("TRUNKLINE_QUICK", "1"));
    }
    services::install()?;
    tidy::tidy()?;
    deny()?;
    run(cargo().args(["test", "--workspace"]).envs(services::environment()))
}

/// Licences, bans and sources. Advisories need a database that is fetched from outside the package registries, so they
/// have a command of their own: `cargo deny check advisories`.
fn deny() -> Outcome {
    let paths = std::env::var_os("PATH").unwrap_or_default();
    let with_cache = std::env::join_paths(std::iter::once(cache().join("bin")).chain(std::env::split_paths(&paths)))
        .map_err(|error| error.to_string())?;
    run(cargo()
        .args(["deny", "--log-level", "error", "check", "licenses", "bans", "sources"])
        .env("PATH", with_cache))
}
