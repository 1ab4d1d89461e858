//! `trunkline pattern`: filters tried, explained and examined, on this machine or, where a subscription or the last events are
//! asked about, by the server.

mod cases;
mod explain;
mod filter_files;
mod import;
pub mod lines;
mod lint;
mod questions;
mod test;

pub use cases::{answer_lines_of, read, write_line};

use crate::{client::Client, exit::Failure, output::Output};

/// Try, explain and examine filters.
#[derive(Debug, clap::Subcommand)]
pub enum Pattern {
    /// Ask a filter about events: which of them match.
    Test(test::Test),
    /// Say why events match a filter or not.
    Explain(explain::Explain),
    /// Say what is odd about a filter: what can never match, what always does, what is covered.
    Lint(lint::Lint),
    /// Convert another system's subscriptions into resource documents.
    Import(import::Import),
}

impl Pattern {
    /// Runs it; a client is made where the server is asked.
    pub async fn run(self, client: impl Fn() -> Result<Client, Failure>, output: Output) -> Result<(), Failure> {
        match self {
            Pattern::Test(test) => test.run(client, output).await,
            Pattern::Explain(explain) => explain.run(client, output).await,
            Pattern::Lint(lint) => lint.run(client, output).await,
            Pattern::Import(import) => import.run(output),
        }
    }
}
