//! What is in a data directory that no server is using, part by part and against each other: what was found, what follows
//! from it, and what can be done. It changes nothing; [`repair`] does, when a person said so.

pub mod repair;
mod state;

use crate::{
    config::Config,
    directory::Directory,
    wiring::{ATTEMPTS, JOURNAL, STORE},
};
use backup::RESTORING;
use journal::embedded::doctor::{Report, Severity, examine};
use repair::Repair;
use std::path::Path;

/// One thing that is not as it was written.
#[derive(Debug)]
pub struct Finding {
    /// How much it matters.
    pub severity: Severity,
    /// Where.
    pub place: String,
    /// What it is and what follows from it.
    pub what: String,
    /// What can be done about it, where there is something to do.
    pub repair: Option<Repair>,
}

/// Everything that was seen.
#[derive(Debug, Default)]
pub struct Examined {
    /// The journal, if it could be read.
    pub journal: Report,
    /// Entries of the audit trail, if it verified.
    pub audit_entries: u64,
    /// Blocks of the history of attempts.
    pub attempt_blocks: u64,
    /// What is not as it was written, worst first.
    pub findings: Vec<Finding>,
}

impl Examined {
    /// How many of them are more than harmless.
    pub fn damaged(&self) -> usize {
        let damaged = |finding: &&Finding| finding.severity != Severity::Harmless;
        self.findings.iter().filter(damaged).count()
    }

    fn add(&mut self, severity: Severity, place: impl Into<String>, what: impl Into<String>, repair: Option<Repair>) {
        self.findings.push(Finding {
            severity,
            place: place.into(),
            what: what.into(),
            repair,
        });
    }
}

/// Examines everything; `said` hears what is being looked at.
pub async fn examine_all(directory: &Directory, config: &Config, mut said: impl FnMut(&str)) -> Examined {
    let mut examined = Examined::default();
    said("journal");
    look_at_journal(directory.path().join(JOURNAL), &mut examined).await;
    said("store");
    state::look(directory, config, &mut examined).await;
    said("attempts");
    look_at_attempts(&directory.path().join(ATTEMPTS), &mut examined);
    examined
        .findings
        .sort_by_key(|finding| std::cmp::Reverse(finding.severity));
    examined
}

async fn look_at_journal(path: std::path::PathBuf, examined: &mut Examined) {
    let place = path.display().to_string();
    let format = path.join("format").display().to_string();
    let report = tokio::task::spawn_blocking(move || examine(&path)).await;
    match report {
        Ok(Ok(report)) => {
            for finding in &report.findings {
                let repair = match (finding.severity, finding.file == format) {
                    (Severity::Fatal, true) => Some(Repair::RewriteFormat),
                    (Severity::Fatal, false) => Some(Repair::CutFrames),
                    _ => None,
                };
                let place = format!("{} at byte {}", finding.file, finding.position);
                examined.add(finding.severity, place, finding.what.clone(), repair);
            }
            examined.journal = report;
        }
        Ok(Err(journal::Error::Corrupt { file, position, reason })) => {
            let place = format!("{file} at byte {position}");
            examined.add(Severity::Fatal, place, reason, Some(Repair::CutFrames));
        }
        Ok(Err(error)) => examined.add(Severity::Fatal, place, format!("failed to {error}"), None),
        Err(error) => examined.add(
            Severity::Fatal,
            place,
            format!("the examination ended early: {error}"),
            None,
        ),
    }
}

fn look_at_attempts(path: &Path, examined: &mut Examined) {
    match store::attempts::verify_history(path) {
        Ok(verified) => {
            examined.attempt_blocks = verified.blocks;
            for (file, why) in verified.unreadable {
                let what = format!(
                    "it cannot be read: {why}. The next start puts it aside and goes on without it: stories lack the attempts in it"
                );
                examined.add(Severity::Harmless, file.display().to_string(), what, None);
            }
            for (file, position) in verified.damaged {
                let place = format!("{} at byte {position}", path.join(file).display());
                let what = "a block of the history of attempts cannot be read: stories lack up to 1,000 attempts of one second";
                examined.add(Severity::Harmless, place, what, None);
            }
        }
        Err(error) => examined.add(
            Severity::Fatal,
            path.display().to_string(),
            format!("failed to {error}"),
            None,
        ),
    }
}

/// Whether a directory holds no data: a server begins there as on a machine that never had one. A master key that waits for it,
/// or what a file system puts at its top, is none.
pub fn has_no_data(path: &Path) -> bool {
    let parts = [JOURNAL, STORE, ATTEMPTS, RESTORING];
    parts.iter().all(|part| !path.join(part).exists())
}

/// Where the store's file is.
pub fn store_path(directory: &Directory) -> std::path::PathBuf {
    directory.path().join(STORE)
}
