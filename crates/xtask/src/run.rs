//! Running other programs from the workspace's root, and saying what was run.

use std::{path::PathBuf, process::Command};

/// What a chore says when it fails.
pub type Outcome = Result<(), String>;

/// The workspace's root: that of the clone in which this runs. Where it was built may be another one that shares its target
/// directory, and gone.
pub fn root() -> PathBuf {
    let run_in = std::env::var_os("CARGO_MANIFEST_DIR").map(PathBuf::from);
    run_in
        .unwrap_or_else(|| env!("CARGO_MANIFEST_DIR").into())
        .ancestors()
        .nth(2)
        .expect("the crate lies two levels below the root")
        .to_path_buf()
}

/// A cache outside the clone: `TRUNKLINE_CACHE`, or `.cache/trunkline` in the home directory.
pub fn cache() -> PathBuf {
    let home = || PathBuf::from(std::env::var_os("HOME").unwrap_or_else(|| ".".into())).join(".cache/trunkline");
    std::env::var_os("TRUNKLINE_CACHE").map_or_else(home, PathBuf::from)
}

/// Runs a command in the root; its output goes to ours.
pub fn run(command: &mut Command) -> Outcome {
    command.current_dir(root());
    println!("$ {}", shown(command));
    let status = command
        .status()
        .map_err(|error| format!("start {}: {error}", shown(command)))?;
    if status.success() {
        Ok(())
    } else {
        Err(format!("{} failed ({status})", shown(command)))
    }
}

/// Runs a command in the root and returns what it printed.
pub fn output(command: &mut Command) -> Result<String, String> {
    command.current_dir(root());
    let output = command
        .output()
        .map_err(|error| format!("start {}: {error}", shown(command)))?;
    if !output.status.success() {
        return Err(format!(
            "{} failed: {}",
            shown(command),
            String::from_utf8_lossy(&output.stderr)
        ));
    }
    Ok(String::from_utf8_lossy(&output.stdout).into_owned())
}

/// The cargo that runs us.
pub fn cargo() -> Command {
    Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()))
}

/// Whether a program can be started.
pub fn there_is(program: &str) -> bool {
    let paths = std::env::var_os("PATH").unwrap_or_default();
    std::env::split_paths(&paths).any(|directory| directory.join(program).is_file())
}

fn shown(command: &Command) -> String {
    let words = std::iter::once(command.get_program()).chain(command.get_args());
    words
        .map(|word| word.to_string_lossy().into_owned())
        .collect::<Vec<_>>()
        .join(" ")
}
