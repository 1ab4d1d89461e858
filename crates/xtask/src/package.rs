//! `cargo xtask package`: a Debian package from the release build, with the unit and the configuration of `deploy/`.

mod checks;

use crate::run::{Outcome, cargo, output, root, run};
use std::{
    fs,
    os::unix::fs::PermissionsExt,
    path::{Path, PathBuf},
    process::Command,
};

/// Files of the package: where from, where to, mode. The binary comes beside them.
const FILES: &[(&str, &str, u32)] = &[
    (
        "deploy/systemd/trunkline.service",
        "usr/lib/systemd/system/trunkline.service",
        0o644,
    ),
    ("deploy/debian/trunkline.toml", "etc/trunkline/trunkline.toml", 0o644),
    ("deploy/debian/postinst", "DEBIAN/postinst", 0o755),
    ("deploy/debian/prerm", "DEBIAN/prerm", 0o755),
    ("deploy/debian/postrm", "DEBIAN/postrm", 0o755),
    ("README.md", "usr/share/doc/trunkline/README.md", 0o644),
    ("CHANGELOG.md", "usr/share/doc/trunkline/CHANGELOG.md", 0o644),
    ("deploy/debian/copyright", "usr/share/doc/trunkline/copyright", 0o644),
];

/// Makes it; `--binary PATH` takes a ready binary instead of building one, `--check` looks at what was made.
pub fn package(arguments: &[String]) -> Outcome {
    let (mut binary, mut is_checked) = (None, false);
    let mut words = arguments.iter();
    while let Some(word) = words.next() {
        match (word.as_str(), words.as_slice()) {
            ("--check", _) => is_checked = true,
            ("--binary", [path, ..]) => {
                binary = Some(PathBuf::from(path));
                words.next();
            }
            _ => return Err("cargo xtask package [--binary PATH] [--check]".into()),
        }
    }
    let binary = binary.map_or_else(build, Ok)?;
    let target = root().join("target/package");
    let stage = target.join("trunkline");
    if stage.exists() {
        fs::remove_dir_all(&stage).map_err(|error| format!("empty {}: {error}", stage.display()))?;
    }
    for (from, to, mode) in FILES {
        place(&root().join(from), &stage.join(to), *mode)?;
    }
    let staged = stage.join("usr/bin/trunkline");
    place(&binary, &staged, 0o755)?;
    run(Command::new("strip").arg(&staged))?;
    let version = output(Command::new(&staged).arg("--version"))?;
    let version = version.split_whitespace().last().unwrap_or("0").to_owned();
    let architecture = output(Command::new("dpkg").arg("--print-architecture"))?
        .trim()
        .to_owned();
    let size = fs::metadata(&staged).map_or(0, |metadata| metadata.len() >> 10);
    write(&stage.join("DEBIAN/control"), &control(&version, &architecture, size))?;
    changelog(&stage.join("usr/share/doc/trunkline"), &version)?;
    write(&stage.join("DEBIAN/conffiles"), "/etc/trunkline/trunkline.toml\n")?;
    let package = target.join(format!("trunkline_{version}_{architecture}.deb"));
    let mut build = Command::new("dpkg-deb");
    run(build.args(["--root-owner-group", "--build"]).arg(&stage).arg(&package))?;
    if is_checked {
        checks::check(&stage, &package)?;
    }
    println!("{}", package.display());
    Ok(())
}

fn build() -> Result<PathBuf, String> {
    run(cargo().args(["build", "--release", "--locked", "-p", "trunkline"]))?;
    let directory = std::env::var_os("CARGO_TARGET_DIR").map_or_else(|| root().join("target"), PathBuf::from);
    Ok(directory.join("release/trunkline"))
}

fn control(version: &str, architecture: &str, kibibytes: u64) -> String {
    format!(
        "Package: trunkline\nVersion: {version}\nArchitecture: {architecture}\nMaintainer: The Trunkline maintainers \
         <trunkline@localhost>\nInstalled-Size: {kibibytes}\nDepends: libc6 (>= 2.36), libgcc-s1, passwd\nRecommends: ca-certificates\n\
         Section: net\nPriority: optional\nDescription: enterprise event bus in one binary\n Takes events over HTTP, keeps them durably in order, \
         and delivers them to\n every subscription that matches, with retries, dead letters, replay and a\n trace of each.\n"
    )
}

/// The changelog in the form that Debian's tools read, of the date of the last change; what is new is in the one beside it.
fn changelog(directory: &Path, version: &str) -> Outcome {
    let date = output(Command::new("git").args(["log", "-1", "--format=%cD"]))?;
    let path = directory.join("changelog");
    let text = format!(
        "trunkline ({version}) stable; urgency=medium\n\n  * CHANGELOG.md beside this file says what is new.\n\n \
         -- The Trunkline maintainers <trunkline@localhost>  {date}"
    );
    write(&path, &text)?;
    fs::set_permissions(&path, fs::Permissions::from_mode(0o644))
        .map_err(|error| format!("set the mode of {}: {error}", path.display()))?;
    run(Command::new("gzip").args(["-9", "-n", "-f"]).arg(&path))
}

fn place(from: &Path, to: &Path, mode: u32) -> Outcome {
    let failed = |error: std::io::Error| format!("put {} into the package: {error}", from.display());
    fs::create_dir_all(to.parent().expect("every file of the package lies in a directory")).map_err(failed)?;
    fs::copy(from, to).map_err(failed)?;
    fs::set_permissions(to, fs::Permissions::from_mode(mode)).map_err(failed)
}

fn write(path: &Path, text: &str) -> Outcome {
    fs::write(path, text).map_err(|error| format!("write {}: {error}", path.display()))
}
