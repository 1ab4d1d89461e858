//! `trunkline doctor`: reads a data directory that no server is using, verifies what is in it, and explains. It changes
//! nothing.

use crate::{
    directory::Directory,
    exit::{Code, Failure},
    output::{Output, printable},
    wiring::{JOURNAL, STORE},
};
use journal::embedded::doctor::{Report, Severity, examine};
use serde_json::{Value, json};
use std::path::PathBuf;

/// Examine a data directory.
#[derive(Debug, clap::Args)]
pub struct Doctor {
    /// The data directory.
    #[arg(value_name = "PATH", default_value = "./trunkline-data")]
    pub directory: PathBuf,
}

/// One thing that is not as it was written.
struct Finding {
    severity: Severity,
    place: String,
    what: String,
}

impl Doctor {
    /// Prints what it finds; exits with `corrupt` when something durable is damaged.
    pub async fn run(self, output: Output) -> Result<(), Failure> {
        if !self.directory.is_dir() {
            let message = format!("{} is not a directory", self.directory.display());
            return Err(Failure::new(Code::Usage, message));
        }
        // Nobody may write meanwhile.
        let directory = Directory::open(&self.directory)?;
        let journal = examine(&directory.path().join(JOURNAL));
        let journal = journal.map_err(|error| Failure::new(Code::Corrupt, format!("failed to {error}")))?;
        let findings: Vec<Finding> = store(&directory)
            .await
            .into_iter()
            .chain(of_journal(&journal))
            .collect();
        print(output, &journal, &findings);
        let damaged = findings
            .iter()
            .filter(|finding| finding.severity != Severity::Harmless)
            .count();
        match damaged {
            0 => Ok(()),
            _ => Err(Failure::new(Code::Corrupt, format!("{damaged} findings of damage"))
                .hint("the server quarantines damaged segments and serves the rest; restore a backup if you have one")),
        }
    }
}

fn of_journal(report: &Report) -> impl Iterator<Item = Finding> {
    report.findings.iter().map(|finding| Finding {
        severity: finding.severity,
        place: format!("{} at byte {}", finding.file, finding.position),
        what: finding.what.clone(),
    })
}

/// Every row and every index of the store.
async fn store(directory: &Directory) -> Option<Finding> {
    let path = directory.path().join(STORE);
    let settings = store::Settings {
        missing: store::Missing::Refuse,
        ..store::Settings::default()
    };
    let verified = match store::Embedded::open(&path, settings) {
        Ok(store) => store.verify().await,
        Err(error) => Err(error),
    };
    let what = format!("failed to {}", verified.err()?);
    Some(Finding {
        severity: Severity::Fatal,
        place: path.display().to_string(),
        what,
    })
}

fn print(output: Output, report: &Report, findings: &[Finding]) {
    let word = |severity| match severity {
        Severity::Harmless => "harmless",
        Severity::Damage => "damage",
        Severity::Fatal => "fatal",
    };
    if output.is_json() {
        let list: Vec<Value> = findings
            .iter()
            .map(|finding| json!({"severity": word(finding.severity), "place": finding.place, "what": finding.what}))
            .collect();
        let seen = json!({"partitions": report.partitions, "segments": report.segments, "batches": report.batches,
            "bytes": report.bytes, "frames": report.frames, "findings": list});
        return output.line(&format!("{seen:#}"));
    }
    output.line(&format!(
        "journal: {} partitions, {} segments, {} batches, {} MiB, {} frames to replay",
        report.partitions,
        report.segments,
        report.batches,
        report.bytes >> 20,
        report.frames
    ));
    for finding in findings {
        output.line(&printable(&format!(
            "{}: {}: {}",
            word(finding.severity),
            finding.place,
            finding.what
        )));
    }
    if findings.is_empty() {
        output.line("everything is as it was written");
    }
}
