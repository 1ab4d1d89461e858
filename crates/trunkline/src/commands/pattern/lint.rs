//! `trunkline pattern lint`: what is odd about a filter, by itself and in the light of a schema and of events.

use super::{
    filter_files::read_text,
    questions::{Question, SUBJECTS_MAX},
};
use crate::{
    client::Client,
    exit::{Code, Failure},
    output::{Output, say},
};
use control::counted;
use delivery::DataSchema;
use serde_json::{Value, json};
use std::path::{Path, PathBuf};

/// Say what is odd about a filter.
#[derive(Debug, clap::Args)]
pub struct Lint {
    #[command(flatten)]
    question: Question,
    /// A JSON Schema of the data; type, properties, items and enum are looked at.
    #[arg(long, value_name = "FILE")]
    schema: Option<PathBuf>,
}

impl Lint {
    /// Prints the findings; fails if there are any.
    pub async fn run(self, client: impl Fn() -> Result<Client, Failure>, output: Output) -> Result<(), Failure> {
        let schema = self.schema.as_deref().map(read_json).transpose()?;
        let findings = if self.question.is_for_the_server() {
            let answer = self.question.ask("lint", schema.as_ref(), &client()?).await?;
            answer["findings"].as_array().cloned().unwrap_or_default()
        } else {
            self.locally(schema.as_ref())?
        };
        if output.is_json() {
            findings.iter().for_each(|finding| output.line(&finding.to_string()));
        } else if !findings.is_empty() {
            output.table(
                &["severity", "code", "field", "what", "instead"],
                findings.iter().map(row),
            );
        }
        match findings.len() {
            0 => Ok(()),
            found => Err(Failure::new(Code::Failed, counted(found as u64, "finding"))),
        }
    }

    fn locally(&self, schema: Option<&Value>) -> Result<Vec<Value>, Failure> {
        let inquiry = self.question.inquiry()?;
        let subjects = match &self.question.events {
            Some(_) => self
                .question
                .subjects()?
                .take(SUBJECTS_MAX)
                .collect::<Result<Vec<_>, _>>()?,
            None => Vec::new(),
        };
        if schema.is_none() && subjects.is_empty() {
            say!(
                "trunkline: only the filter itself is examined; give events, --schema, or --last N for the server's events"
            );
        }
        let known = schema.cloned().map_or(DataSchema::Unknown, DataSchema::Given);
        let findings = json!(inquiry.lint(&subjects, &known));
        Ok(findings.as_array().cloned().unwrap_or_default())
    }
}

fn read_json(path: &Path) -> Result<Value, Failure> {
    let text = read_text(path)?;
    serde_json::from_str(&text).map_err(|error| Failure::new(Code::Usage, format!("{}: {error}", path.display())))
}

fn row(finding: &Value) -> Vec<String> {
    let text = |name: &str| finding[name].as_str().unwrap_or_default().to_owned();
    ["severity", "code", "path", "message", "suggestion"].map(text).to_vec()
}
