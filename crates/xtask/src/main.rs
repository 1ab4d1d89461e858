//! Every chore of the project: `cargo xtask <chore>`. Plain Rust on the standard library, so that it builds in a second.

mod bench;
mod conformance;
mod package;
mod prove;
mod run;
mod services;
mod test;
mod tidy;

use std::process::ExitCode;

const HELP: &str = "\
cargo xtask <chore>

  test [--quick]      everything CI runs; --quick: no network, no services, minutes
  services [peers]    installs what the tests need into the cache (Debian packages, PyPI), says what is there; peers: the
                      servers that `bench peers` compares with
  tidy                imports against the table, headers, formatting, clippy, words that do not belong
  prove [name…]       the long harnesses and ratios, printing figures for docs/guarantees.md; no name: all
  bench [name…]       throughput and latency as ratios in one run, for docs/benchmarks.md; no name: all but peers
  conformance DIR     the pattern and CESQL cases in DIR: passes per source; fails below all, less the listed differences
  package [--check]   the Debian package, in target/package; --check: looked at by lintian and systemd, where they are
                      installed; --binary P: of this binary instead of a release build
  fuzz [target] [N]   seeded mutation of every parser's corpus, N runs each
";

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let rest = arguments.get(1..).unwrap_or_default();
    let outcome = match arguments.first().map(String::as_str) {
        Some("test") => test::test(rest),
        Some("services") if rest.iter().any(|name| name == "peers") => services::peers(),
        Some("services") => services::install(),
        Some("tidy") => tidy::tidy(),
        Some("prove") => prove::prove(rest),
        Some("bench") => bench::bench(rest),
        Some("conformance") => conformance::conformance(rest),
        Some("package") => package::package(rest),
        Some("fuzz") => prove::fuzz(rest),
        _ => {
            eprint!("{HELP}");
            return ExitCode::from(2);
        }
    };
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(reason) => {
            eprintln!("xtask: {reason}");
            ExitCode::FAILURE
        }
    }
}
