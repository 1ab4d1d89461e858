//! `fuzz [target] [runs] [--runs N] [--seed S]`: runs one target, or all.

use fuzz::{
    driver,
    targets::{TARGETS, Target},
};
use std::process::ExitCode;

/// Mutations per target unless told: seconds for each.
const RUNS: u64 = 100_000;

struct Options {
    targets: Vec<Target>,
    runs: u64,
    seed: u64,
}

fn main() -> ExitCode {
    let options = match parse(std::env::args().skip(1)) {
        Ok(options) => options,
        Err(error) => {
            eprintln!("{error}\nusage: fuzz [target] [runs] [--runs N] [--seed S]");
            return ExitCode::from(2);
        }
    };
    for target in &options.targets {
        match driver::run(target, options.runs, options.seed) {
            Ok(report) => println!(
                "{}: {} runs, {} endings, {:.1} s, seed {}",
                target.name,
                report.runs,
                report.endings,
                report.elapsed.as_secs_f64(),
                options.seed
            ),
            Err(failure) => {
                eprintln!(
                    "{}: {}; the input is in {}",
                    target.name,
                    failure.reason,
                    failure.file.display()
                );
                return ExitCode::FAILURE;
            }
        }
    }
    ExitCode::SUCCESS
}

fn parse(mut arguments: impl Iterator<Item = String>) -> Result<Options, String> {
    let mut options = Options {
        targets: TARGETS.to_vec(),
        runs: RUNS,
        seed: 1,
    };
    while let Some(argument) = arguments.next() {
        match argument.as_str() {
            "--runs" => options.runs = number(&arguments.next().unwrap_or_default())?,
            "--seed" => options.seed = number(&arguments.next().unwrap_or_default())?,
            runs if runs.starts_with(|first: char| first.is_ascii_digit()) => options.runs = number(runs)?,
            name => options.targets = vec![find(name)?],
        }
    }
    Ok(options)
}

fn find(name: &str) -> Result<Target, String> {
    let found = TARGETS.iter().find(|target| target.name == name);
    let known = || TARGETS.iter().map(|target| target.name).collect::<Vec<_>>().join(", ");
    found
        .copied()
        .ok_or_else(|| format!("no target is named {name}; there are {}", known()))
}

fn number(text: &str) -> Result<u64, String> {
    text.replace('_', "")
        .parse()
        .map_err(|_| format!("{text:?} is not a number"))
}
