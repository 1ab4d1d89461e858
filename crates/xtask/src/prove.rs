//! The long harnesses: the same tests as in `cargo xtask test`, with their sizes turned up and their figures printed.
//! Times and ratios are judged here and in `bench`, never in `test`.

use crate::{
    run::{Outcome, cargo, output, run},
    services,
};
use std::{ffi::OsStr, process::Command};

/// A harness: which tests it runs, and how.
struct Harness {
    name: &'static str,
    package: &'static str,
    /// What the tests' names contain.
    tests: &'static str,
    how: How,
}

/// How a harness's tests are run.
enum How {
    /// The tests of `cargo xtask test`, turned up by this variable: optimised, with every assertion.
    Longer(&'static str, &'static str),
    /// The same, built for release: what is asked for is load.
    LongerReleased(&'static str, &'static str),
    /// Tests that only run here, because they judge times or take minutes: built for release, one after the other.
    Alone,
    /// Every fuzz target, with this many inputs each.
    Fuzz(&'static str),
}

const HARNESSES: &[Harness] = &[
    Harness {
        name: "crash-loop",
        package: "trunkline",
        tests: "crash_loop",
        how: How::LongerReleased("TRUNKLINE_CRASHES", "500"),
    },
    Harness {
        name: "disk",
        package: "journal",
        tests: "embedded::tests",
        how: How::Longer("TRUNKLINE_SEEDS", "2000"),
    },
    Harness {
        name: "delivery",
        package: "delivery",
        tests: "simulation",
        how: How::Longer("TRUNKLINE_SEEDS", "2000"),
    },
    Harness {
        name: "openapi",
        package: "trunkline",
        tests: "openapi",
        how: How::LongerReleased("TRUNKLINE_EXAMPLES", "200"),
    },
    Harness {
        name: "strace",
        package: "trunkline",
        tests: "strace",
        how: How::Alone,
    },
    Harness {
        name: "read-only",
        package: "trunkline",
        tests: "turns_read_only",
        how: How::Alone,
    },
    Harness {
        name: "memory",
        package: "trunkline",
        tests: "without_memory",
        how: How::Alone,
    },
    Harness {
        name: "restore",
        package: "trunkline",
        tests: "restore_drill",
        how: How::LongerReleased("TRUNKLINE_RESTORE_MIB", "1024"),
    },
    Harness {
        name: "neighbours",
        package: "trunkline",
        tests: "neighbours",
        how: How::Alone,
    },
    Harness {
        name: "timing",
        package: "doors",
        tests: "check_42",
        how: How::Alone,
    },
    Harness {
        name: "recovery",
        package: "trunkline",
        tests: "recovery",
        how: How::Alone,
    },
    Harness {
        name: "idle",
        package: "trunkline",
        tests: "idle",
        how: How::Alone,
    },
    Harness {
        name: "fuzz",
        package: "fuzz",
        tests: "",
        how: How::Fuzz("1000000"),
    },
];

impl Harness {
    fn command(&self) -> Command {
        let mut command = cargo();
        command.args(["test", "--package", self.package]);
        match self.how {
            How::Longer(variable, value) => {
                command
                    .env(variable, value)
                    .args(["--profile", "prove", "--", self.tests, "--nocapture"])
            }
            How::LongerReleased(variable, value) => command
                .env(variable, value)
                .args(["--release", "--test", "it", "--", self.tests])
                .arg("--nocapture"),
            How::Alone => command.args(["--release", "--test", "it", "--", self.tests]).args([
                "--ignored",
                "--nocapture",
                "--test-threads",
                "1",
            ]),
            How::Fuzz(runs) => return fuzzer(&[runs]),
        };
        command
    }

    /// A filter that matches no test would pass for ever.
    fn insist_on_tests(&self) -> Outcome {
        if matches!(self.how, How::Fuzz(_)) {
            return Ok(());
        }
        let listed = output(self.command().arg("--list"))?;
        if listed.lines().any(|line| line.ends_with(": test")) {
            return Ok(());
        }
        Err(format!(
            "harness {} runs no test: is {:?} still in a test's name?",
            self.name, self.tests
        ))
    }
}

/// `cargo xtask prove [name…]`.
pub fn prove(names: &[String]) -> Outcome {
    services::install()?;
    if let Some(unknown) = names
        .iter()
        .find(|name| !HARNESSES.iter().any(|harness| harness.name == name.as_str()))
    {
        let known: Vec<_> = HARNESSES.iter().map(|harness| harness.name).collect();
        return Err(format!("no harness is named {unknown}; there are {}", known.join(", ")));
    }
    let chosen = HARNESSES
        .iter()
        .filter(|harness| names.is_empty() || names.iter().any(|name| name == harness.name));
    for harness in chosen {
        println!("== {}", harness.name);
        harness.insist_on_tests()?;
        run(harness.command().envs(services::environment()))?;
    }
    Ok(())
}

/// `cargo xtask fuzz [target] [runs]`: every target, unless one is named.
pub fn fuzz(arguments: &[String]) -> Outcome {
    run(&mut fuzzer(arguments))
}

/// Runs of the fuzz package, which has a workspace of its own.
fn fuzzer(arguments: &[impl AsRef<OsStr>]) -> Command {
    let mut command = cargo();
    command
        .args(["run", "--release", "--manifest-path", "fuzz/Cargo.toml", "--"])
        .args(arguments);
    command
}
