//! `trunkline doctor`: reads a data directory that no server is using, verifies what is in it, and explains.

use crate::{
    directory::Directory,
    exit::{Code, Failure},
    output::{Output, printable},
    wiring::STORE,
};
use serde_json::json;
use std::path::PathBuf;

/// Examine a data directory.
#[derive(Debug, clap::Args)]
pub struct Doctor {
    /// The data directory.
    #[arg(value_name = "PATH", default_value = "./trunkline-data")]
    pub directory: PathBuf,
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
        let findings = [store(&directory).await];
        let damaged = findings.iter().filter(|(sound, _)| !sound).count();
        if output.is_json() {
            let list: Vec<_> = findings
                .iter()
                .map(|(sound, text)| json!({"sound": sound, "finding": text}))
                .collect();
            output.line(&format!("{:#}", json!({"damaged": damaged, "findings": list})));
        } else {
            for (sound, text) in &findings {
                output.line(&printable(&format!(
                    "{}  {text}",
                    if *sound { "ok      " } else { "DAMAGED " }
                )));
            }
        }
        match damaged {
            0 => Ok(()),
            _ => Err(Failure::new(Code::Corrupt, format!("{damaged} findings of damage"))
                .hint("the server quarantines damaged segments and serves the rest; restore from a backup if you have one")),
        }
    }
}

/// Every row and every index of the store.
async fn store(directory: &Directory) -> (bool, String) {
    let path = directory.path().join(STORE);
    let settings = store::Settings {
        missing: store::Missing::Refuse,
        ..store::Settings::default()
    };
    let verified = match store::Embedded::open(&path, settings) {
        Ok(store) => store.verify().await,
        Err(error) => Err(error),
    };
    match verified {
        Ok(()) => (true, format!("{}: every row and index", path.display())),
        Err(error) => (false, format!("{}: failed to {error}", path.display())),
    }
}
