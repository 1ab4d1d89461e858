//! `trunkline doctor`: reads a data directory that no server is using, verifies what is in it, explains, and repairs what a
//! person agrees to.

use crate::{
    config::{self, Overrides},
    directory::Directory,
    doctor::{Examined, examine_all, has_no_data, repair::Repair},
    exit::{Code, Failure},
    output::{Output, printable, say},
};
use control::counted;
use indicatif::ProgressBar;
use journal::embedded::doctor::Severity;
use serde_json::{Value, json};
use std::{
    collections::BTreeSet,
    io::{BufRead, IsTerminal, Write as _},
    path::PathBuf,
    time::{Duration, SystemTime, UNIX_EPOCH},
};

/// How often the sign of life turns.
const TICK: Duration = Duration::from_millis(120);

/// Examine a data directory.
#[derive(Debug, clap::Args)]
pub struct Doctor {
    /// The data directory.
    #[arg(long, value_name = "PATH", default_value = "./trunkline-data")]
    pub data_dir: PathBuf,
    /// Repair what can be repaired; asks before each repair.
    #[arg(long)]
    pub repair: bool,
    /// With --repair: do not ask.
    #[arg(long, requires = "repair")]
    pub yes: bool,
    /// The server's configuration, if its master key is not where the defaults say.
    #[arg(long, value_name = "FILE")]
    pub config: Option<PathBuf>,
}

impl Doctor {
    /// Prints what it finds; exits with `corrupt` when something durable is damaged, and stays so.
    pub async fn run(self, output: Output) -> Result<(), Failure> {
        let shown = self.data_dir.display();
        if !self.data_dir.is_dir() {
            let message = match self.data_dir.exists() {
                true => format!("{shown} is not a directory"),
                false => format!("{shown} does not exist: nothing is there yet"),
            };
            return Err(Failure::new(Code::Usage, message));
        }
        if has_no_data(&self.data_dir) {
            match output.is_json() {
                true => print(output, &Examined::default()),
                false => output.line(&printable(&format!(
                    "nothing is there yet: `trunkline serve --data-dir {shown}` begins a new bus"
                ))),
            }
            return Ok(());
        }
        let overrides = Overrides {
            config: self.config.clone(),
            data_dir: Some(self.data_dir.clone()),
            ..Overrides::default()
        };
        let config = config::load(&overrides).map_err(|message| Failure::new(Code::Usage, message))?;
        // Nobody may write meanwhile.
        let directory = Directory::open(&self.data_dir)?;
        let mut examined = watched(&directory, &config).await;
        let repairs: BTreeSet<Repair> = examined.findings.iter().filter_map(|finding| finding.repair).collect();
        if !repairs.is_empty() && self.repair {
            print(output, &examined);
            if self.repair_all(&directory, repairs, output)? {
                examined = watched(&directory, &config).await;
            }
        }
        print(output, &examined);
        verdict(&examined)
    }

    /// Whether anything was done.
    fn repair_all(&self, directory: &Directory, repairs: BTreeSet<Repair>, output: Output) -> Result<bool, Failure> {
        let seconds = SystemTime::now()
            .duration_since(UNIX_EPOCH)
            .map_or(0, |since| since.as_secs());
        let aside = directory.path().join(format!("doctor-{seconds}"));
        let mut is_done = false;
        for repair in repairs {
            if !self.agreed(repair)? {
                continue;
            }
            let done = repair
                .carry_out(directory, &aside)
                .map_err(|message| Failure::new(Code::Corrupt, message))?;
            let repaired = format!("repaired: {done}; as it was before, it lies in {}", aside.display());
            output.did(&repaired);
            if !output.is_json() {
                output.line(&repaired);
            }
            is_done = true;
        }
        Ok(is_done)
    }

    fn agreed(&self, repair: Repair) -> Result<bool, Failure> {
        if self.yes {
            return Ok(true);
        }
        if !std::io::stdin().is_terminal() {
            return Err(Failure::new(Code::Usage, "there is nobody to ask")
                .hint("add --yes to agree to every repair that it offers"));
        }
        // Who cannot read the question does not answer it.
        let _ = write!(std::io::stderr().lock(), "{}\nDo it? [y/N] ", repair.words());
        let mut answer = String::new();
        let read = std::io::stdin().lock().read_line(&mut answer);
        Ok(read.is_ok() && matches!(answer.trim(), "y" | "Y" | "yes"))
    }
}

/// Examines with a sign of life: a spinner at a terminal, a line for each part otherwise.
async fn watched(directory: &Directory, config: &config::Config) -> Examined {
    let spinner = std::io::stderr().is_terminal().then(ProgressBar::new_spinner);
    if let Some(spinner) = &spinner {
        spinner.enable_steady_tick(TICK);
    }
    let said = |part: &str| match &spinner {
        Some(spinner) => spinner.set_message(format!("examining the {part}")),
        None => say!("examining the {part}"),
    };
    let examined = examine_all(directory, config, said).await;
    if let Some(spinner) = spinner {
        spinner.finish_and_clear();
    }
    examined
}

fn verdict(examined: &Examined) -> Result<(), Failure> {
    let damaged = examined.damaged();
    if damaged == 0 {
        return Ok(());
    }
    let can_repair = examined.findings.iter().any(|finding| finding.repair.is_some());
    let is_fatal = examined
        .findings
        .iter()
        .any(|finding| finding.severity == Severity::Fatal);
    let hint = match (is_fatal, can_repair) {
        (_, true) => {
            "`trunkline doctor --data-dir PATH --repair` explains and asks; a backup may be the better way (docs/backup.md)"
        }
        (true, false) => "the server does not start on it: restore a backup (docs/backup.md)",
        (false, false) => {
            "the server starts, serves the rest and records what it cannot; restore a backup if you need it back"
        }
    };
    Err(Failure::new(
        Code::Corrupt,
        format!("{} of damage", counted(damaged as u64, "finding")),
    )
    .hint(hint))
}

fn print(output: Output, examined: &Examined) {
    let word = |severity| match severity {
        Severity::Harmless => "harmless",
        Severity::Damage => "damage",
        Severity::Fatal => "fatal",
    };
    let journal = &examined.journal;
    if output.is_json() {
        let of = |finding: &crate::doctor::Finding| {
            json!({"severity": word(finding.severity), "place": finding.place, "what": finding.what,
                "repair": finding.repair.map(Repair::words)})
        };
        let list: Vec<Value> = examined.findings.iter().map(of).collect();
        let seen = json!({"partitions": journal.partitions, "segments": journal.segments, "batches": journal.batches,
            "bytes": journal.bytes, "frames": journal.frames, "attempt_blocks": examined.attempt_blocks,
            "audit_entries": examined.audit_entries, "findings": list});
        return output.line(&format!("{seen:#}"));
    }
    output.line(&format!(
        "journal: {}, {}, {}, {} MiB, {} to replay; attempts: {}; audit trail: {}",
        counted(journal.partitions, "partition"),
        counted(journal.segments, "segment"),
        counted(journal.batches, "batch"),
        journal.bytes >> 20,
        counted(journal.frames, "frame"),
        counted(examined.attempt_blocks, "block"),
        counted(examined.audit_entries, "entry")
    ));
    for finding in &examined.findings {
        let (severity, place, what) = (word(finding.severity), &finding.place, &finding.what);
        output.line(&printable(&format!("{severity}: {place}: {what}")));
        if let Some(repair) = finding.repair {
            output.line(&format!("  can be repaired: {}", repair.words()));
        }
    }
    if examined.findings.is_empty() {
        output.line("everything is as it was written");
    }
}
