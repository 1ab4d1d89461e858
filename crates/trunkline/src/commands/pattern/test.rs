//! `trunkline pattern test`: which events match a filter; and cases of conformance suites, line by line.

use super::{
    cases::{Events, answer_case, answer_lines_of, answer_set},
    questions::{Question, shown_name, verdict},
};
use crate::{
    client::Client,
    exit::{Code, Failure},
    output::Output,
};
use serde_json::Value;
use std::path::PathBuf;

/// Ask a filter about events.
#[derive(Debug, clap::Args)]
pub struct Test {
    #[command(flatten)]
    question: Question,
    /// Cases as JSON lines {"id", "pattern" or "pattern_raw", "event" or "event_raw"}; `-` is standard input.
    #[arg(long, value_name = "FILE", conflicts_with_all = ["sets", "filter", "subscription", "events"])]
    cases: Option<PathBuf>,
    /// Sets as JSON lines {"set", "patterns": [{"id", "pattern"}], "events": [{"id", "event"}]}; `-` is standard input.
    #[arg(long, value_name = "FILE", conflicts_with_all = ["filter", "subscription", "events"])]
    sets: Option<PathBuf>,
    /// Events of cases are EventBridge events, and are checked as TestEventPattern does.
    #[arg(long, requires = "cases")]
    envelope: bool,
}

impl Test {
    /// Prints a line for each event; fails unless all match.
    pub async fn run(self, client: impl Fn() -> Result<Client, Failure>, output: Output) -> Result<(), Failure> {
        let events = if self.envelope { Events::Envelopes } else { Events::Bare };
        match (&self.cases, &self.sets) {
            (Some(file), _) => return answer_lines_of(file, |line, output| answer_case(line, events, output)),
            (_, Some(file)) => return answer_lines_of(file, answer_set),
            _ => {}
        }
        let results = self.question.results("test", &client).await?;
        if output.is_json() {
            results.iter().for_each(|result| output.line(&result.to_string()));
        } else {
            output.table(&["event", "matches"], results.iter().map(row));
        }
        verdict(&results)
    }
}

fn row(result: &Value) -> Vec<String> {
    let matched = if result["matched"] == true { "yes" } else { "no" };
    vec![shown_name(result), matched.to_owned()]
}

/// The failure that there is nothing to ask.
pub fn nothing_asked() -> Failure {
    Failure::new(
        Code::Usage,
        "give a filter with --filter, or a subscription of the server with --subscription",
    )
}
