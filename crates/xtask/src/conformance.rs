//! Cases of public suites, in a directory outside of the repository, against the command line.

use crate::run::{Outcome, cargo, run};

/// The files that a directory of cases holds.
const FILES: [&str; 2] = ["ruler-cases.jsonl", "cesql-tck.jsonl"];

/// `cargo xtask conformance DIR`.
pub fn conformance(arguments: &[String]) -> Outcome {
    let [directory] = arguments else {
        return Err("conformance takes the directory that holds the cases".into());
    };
    let directory = std::path::absolute(directory).map_err(|error| format!("{directory}: {error}"))?;
    if let Some(missing) = FILES.iter().find(|file| !directory.join(file).is_file()) {
        return Err(format!("{} has no {missing}", directory.display()));
    }
    run(cargo()
        .args([
            "test",
            "--quiet",
            "--package",
            "trunkline",
            "--test",
            "it",
            "--",
            "conformance::",
        ])
        .args(["--nocapture", "--test-threads", "1"])
        .env("TRUNKLINE_CONFORMANCE", &directory))
}
