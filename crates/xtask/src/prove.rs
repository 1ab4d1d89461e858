//! The long harnesses: the same tests as in `cargo xtask test`, with their sizes turned up and their figures printed.
//! Times and ratios are judged here and in `bench`, never in `test`.

use crate::{
    run::{Outcome, cargo, run},
    services,
};

/// A harness: its name, and the cargo arguments and environment that turn a test up.
struct Harness {
    name: &'static str,
    arguments: &'static [&'static str],
    environment: &'static [(&'static str, &'static str)],
}

const HARNESSES: &[Harness] = &[
    Harness {
        name: "crash-loop",
        arguments: &[
            "test",
            "--package",
            "trunkline",
            "--test",
            "it",
            "--",
            "crash_loop",
            "--nocapture",
        ],
        environment: &[("TRUNKLINE_CRASHES", "500")],
    },
    Harness {
        name: "disk",
        arguments: &["test", "--package", "journal", "--", "simulated", "--nocapture"],
        environment: &[("TRUNKLINE_SEEDS", "2000")],
    },
    Harness {
        name: "delivery",
        arguments: &["test", "--package", "delivery", "--", "simulation", "--nocapture"],
        environment: &[("TRUNKLINE_SEEDS", "2000")],
    },
    Harness {
        name: "strace",
        arguments: &[
            "test",
            "--package",
            "trunkline",
            "--test",
            "it",
            "--",
            "--ignored",
            "strace",
            "--nocapture",
        ],
        environment: &[],
    },
    Harness {
        name: "neighbours",
        arguments: &[
            "test",
            "--release",
            "--package",
            "trunkline",
            "--test",
            "it",
            "--",
            "--ignored",
            "neighbours",
            "--nocapture",
        ],
        environment: &[],
    },
    Harness {
        name: "recovery",
        arguments: &[
            "test",
            "--release",
            "--package",
            "trunkline",
            "--test",
            "it",
            "--",
            "--ignored",
            "recovery",
            "--nocapture",
        ],
        environment: &[],
    },
    Harness {
        name: "idle",
        arguments: &[
            "test",
            "--release",
            "--package",
            "trunkline",
            "--test",
            "it",
            "--",
            "--ignored",
            "idle",
            "--nocapture",
        ],
        environment: &[],
    },
];

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
        let mut command = cargo();
        command
            .args(harness.arguments)
            .envs(harness.environment.iter().copied());
        run(command.env("TRUNKLINE_PYTHON", services::python()))?;
    }
    Ok(())
}

/// `cargo xtask fuzz [target] [runs]`.
pub fn fuzz(arguments: &[String]) -> Outcome {
    run(cargo()
        .args(["run", "--release", "--manifest-path", "fuzz/Cargo.toml", "--"])
        .args(arguments))
}
