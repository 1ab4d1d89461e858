//! What a compiler does not hold: who may import whom, that files say what they are for, and which words stay out.

use crate::run::{Outcome, cargo, root, run};
use std::path::{Path, PathBuf};

/// The table of ARCHITECTURE.md: a crate, and the crates of the workspace it may import.
const IMPORTS: &[(&str, &[&str])] = &[
    ("event", &[]),
    ("pattern", &[]),
    ("transform", &["event"]),
    ("connector", &[]),
    ("journal", &[]),
    ("store", &[]),
    ("backup", &["journal", "store"]),
    ("control", &["event", "pattern", "transform", "connector", "store"]),
    (
        "delivery",
        &[
            "event",
            "pattern",
            "transform",
            "connector",
            "store",
            "control",
            "journal",
        ],
    ),
    (
        "destinations",
        &["event", "transform", "connector", "delivery", "control"],
    ),
    (
        "doors",
        &[
            "event",
            "connector",
            "control",
            "journal",
            "delivery",
            "store",
            "backup",
        ],
    ),
    (
        "trunkline",
        &[
            "event",
            "pattern",
            "connector",
            "journal",
            "store",
            "backup",
            "control",
            "delivery",
            "destinations",
            "doors",
        ],
    ),
    ("xtask", &[]),
];

/// Where secrets are compared: the one function, `ring`'s verification of signatures, and this list. Elsewhere nobody asks for a
/// comparison in constant time, so that nobody writes one that only looks like it.
const COMPARING: &[(&str, &[&str])] = &[
    ("subtle::", &["crates/control/src/secret.rs"]),
    ("ct_eq(", &["crates/control/src/secret.rs"]),
    (
        "hmac::verify(",
        &[
            "crates/control/src/keys/eventgrid.rs",
            "crates/trunkline/src/commands/listen/verify.rs",
        ],
    ),
];

/// The crates that hold what clients show against what is kept.
const GUARDED: [&str; 3] = ["crates/control/", "crates/doors/", "crates/destinations/"];
/// What holds secrets there is called so; comparing such a thing with `==` is a complaint.
const SECRETS: &[&str] = &[
    "secret",
    "signature",
    "sha256",
    "token",
    "tag",
    "password",
    "digest",
    "mac",
    "hmac",
];

/// A Rust file of at most this many lines is read with pleasure; beyond, it is cut.
const FILE_LINES_MAX: usize = 900;

/// `cargo xtask tidy`.
pub fn tidy() -> Outcome {
    let mut complaints = Vec::new();
    imports(&mut complaints)?;
    let files = rust_files(&root().join("crates"))?;
    if files.len() < IMPORTS.len() {
        return Err(format!("only {} Rust files found: the walk is broken", files.len()));
    }
    for file in &files {
        inspect(file, &mut complaints)?;
    }
    for complaint in &complaints {
        eprintln!("tidy: {complaint}");
    }
    if !complaints.is_empty() {
        return Err(format!("{} complaints", complaints.len()));
    }
    run(cargo().args(["fmt", "--all", "--check"]))?;
    let mut clippy = cargo();
    clippy.args(["clippy", "--workspace", "--all-targets", "--quiet", "--"]);
    if std::env::var_os("CI").is_some() {
        clippy.args(["-D", "warnings"]);
    }
    run(&mut clippy)
}

/// Every crate imports only what the table lets it.
fn imports(complaints: &mut Vec<String>) -> Outcome {
    for (name, allowed) in IMPORTS {
        let manifest = read(&root().join("crates").join(name).join("Cargo.toml"))?;
        let dependencies = manifest.split("[dependencies]").nth(1).unwrap_or_default();
        let own = dependencies.split("\n[").next().unwrap_or_default();
        for line in own.lines() {
            let dependency = line.split(['.', '=', ' ']).next().unwrap_or_default();
            let inside = IMPORTS.iter().any(|(crate_name, _)| *crate_name == dependency);
            if inside && !allowed.contains(&dependency) {
                complaints.push(format!(
                    "crates/{name} must not import {dependency} (see ARCHITECTURE.md)"
                ));
            }
        }
    }
    let folders = std::fs::read_dir(root().join("crates")).map_err(|error| error.to_string())?;
    for folder in folders.flatten() {
        let name = folder.file_name().to_string_lossy().into_owned();
        if !IMPORTS.iter().any(|(crate_name, _)| *crate_name == name) {
            complaints.push(format!("crates/{name} is not in the table of imports"));
        }
    }
    Ok(())
}

fn inspect(file: &Path, complaints: &mut Vec<String>) -> Outcome {
    let text = read(file)?;
    let shown = file.strip_prefix(root()).unwrap_or(file).display();
    if !text.trim_start().starts_with("//!") {
        complaints.push(format!("{shown} does not open with `//!`: what is it for?"));
    }
    if text.lines().count() > FILE_LINES_MAX {
        complaints.push(format!("{shown} has more than {FILE_LINES_MAX} lines"));
    }
    // Spelled in two halves, so that this file does not complain about itself.
    for word in [
        concat!("TO", "DO"),
        concat!("FIX", "ME"),
        concat!("unimpl", "emented!"),
        concat!("to", "do!("),
    ] {
        if text.contains(word) {
            complaints.push(format!("{shown} contains {word}"));
        }
    }
    compares(&shown.to_string(), &text, complaints);
    Ok(())
}

/// Check 42: secrets are compared by the one function for it. Tests compare what they like.
fn compares(shown: &str, text: &str, complaints: &mut Vec<String>) {
    if shown.contains("/tests")
        || shown.contains("xtask")
        || shown.contains("/benches/")
        || shown.contains("/examples/")
    {
        return;
    }
    let code = text.split("#[cfg(test)]\nmod tests {").next().unwrap_or_default();
    for (call, places) in COMPARING {
        if code.contains(call) && !places.contains(&shown) {
            complaints.push(format!("{shown} has {call}: secrets are compared by control::is_same"));
        }
    }
    let lines = code.lines().filter(|line| !line.trim_start().starts_with("//"));
    let is_guarded = GUARDED.iter().any(|guarded| shown.starts_with(guarded));
    for line in lines.filter(|line| is_guarded && compares_a_secret(line)) {
        complaints.push(format!(
            "{shown} compares a secret by itself (control::is_same): {}",
            line.trim()
        ));
    }
}

/// Whether a line has `==` or `!=` with something that is called a secret on either side.
fn compares_a_secret(line: &str) -> bool {
    let is_part = |c: char| c.is_alphanumeric() || "_.()&*".contains(c);
    let called = |operand: &str| {
        // `claim.signature`, `secret.sha256()`, `&self.token`: the last name counts.
        let mut names = operand.split(|c: char| !(c.is_alphanumeric() || c == '_'));
        let last = names.rfind(|name| !name.is_empty()).unwrap_or_default();
        SECRETS.contains(&last)
    };
    [" == ", " != "].iter().any(|operator| {
        line.match_indices(operator).any(|(at, _)| {
            let before = line[..at].rsplit(|c| !is_part(c)).next().unwrap_or_default();
            let after = &line[at + operator.len()..];
            // What stands behind a parenthesis that closes is another expression.
            let after = after.split(|c| c == ')' || !is_part(c)).next().unwrap_or_default();
            called(before) || called(after)
        })
    })
}

fn rust_files(directory: &Path) -> Result<Vec<PathBuf>, String> {
    let mut files = Vec::new();
    let entries = std::fs::read_dir(directory).map_err(|error| format!("read {}: {error}", directory.display()))?;
    for entry in entries.flatten() {
        let path = entry.path();
        if path.is_dir() {
            files.extend(rust_files(&path)?);
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            files.push(path);
        }
    }
    Ok(files)
}

fn read(file: &Path) -> Result<String, String> {
    std::fs::read_to_string(file).map_err(|error| format!("read {}: {error}", file.display()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_comparison_of_what_is_called_a_secret_is_seen() {
        for line in [
            "if claim.signature == own {",
            "    own != &self.secret",
            "let same = left.sha256 == *right;",
            "keys.iter().any(|key| key.digest() == shown)",
        ] {
            assert!(compares_a_secret(line), "{line}");
        }
        for line in [
            "if signature_count == 2 {",
            "is_same(&claim.signature, own)",
            "secret = other;",
            "count == secrets",
            "(signature.len() == SIGNATURE_BYTES).then_some(signature)",
        ] {
            assert!(!compares_a_secret(line), "{line}");
        }
    }
}
