//! What can be said of the package without installing it: that it is what Debian expects, that systemd understands its unit and how
//! exposed the unit leaves the service, that its configuration can be used. A tool that is not installed is named, and its check left out.

use crate::run::{Outcome, run, there_is};
use std::{fs, path::Path, process::Command};

/// How exposed the service may be by `systemd-analyze security`, in tenths (it says 14 of 100): a directive that goes is noticed.
const EXPOSURE_MAX: &str = "20";
/// There is no address that mail to the maintainers could go to.
const LINTIAN_SUPPRESSED: &str = "bogus-mail-host,bogus-mail-host-in-debian-changelog";

/// Checks what was staged, and the package made of it.
pub fn check(stage: &Path, package: &Path) -> Outcome {
    run(Command::new(stage.join("usr/bin/trunkline"))
        .args(["config", "check"])
        .arg(stage.join("etc/trunkline/trunkline.toml")))?;
    run(Command::new("dpkg-deb").arg("--info").arg(package))?;
    if found("lintian") {
        let mut lintian = Command::new("lintian");
        let tags = [
            "--fail-on",
            "error",
            "--suppress-tags",
            LINTIAN_SUPPRESSED,
            "--allow-root",
        ];
        run(lintian.args(tags).arg(package))?;
    }
    if found("systemd-analyze") {
        let unit = with_staged_binary(stage)?;
        run(Command::new("systemd-analyze").arg("verify").arg(&unit))?;
        let threshold = format!("--threshold={EXPOSURE_MAX}");
        let options = ["--offline=true", "--no-pager", &threshold, "security"];
        run(Command::new("systemd-analyze").args(options).arg(&unit))?;
    }
    Ok(())
}

fn found(tool: &str) -> bool {
    let is_there = there_is(tool);
    if !is_there {
        println!("{tool} is not installed: its check is left out");
    }
    is_there
}

/// The unit with the staged binary, because `verify` looks whether what it starts is there.
fn with_staged_binary(stage: &Path) -> Result<std::path::PathBuf, String> {
    let from = stage.join("usr/lib/systemd/system/trunkline.service");
    let to = stage.with_file_name("trunkline.service");
    let binary = stage.join("usr/bin/trunkline").display().to_string();
    let text = fs::read_to_string(&from).map_err(|error| format!("read {}: {error}", from.display()))?;
    fs::write(&to, text.replace("/usr/bin/trunkline", &binary))
        .map_err(|error| format!("write {}: {error}", to.display()))?;
    Ok(to)
}
