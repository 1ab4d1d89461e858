//! `trunkline connection`: how providers are reached.

use super::resource::{Kind, Resource};
use crate::{client::Client, exit::Failure, output::Output};

/// Look at connections, set and delete them.
#[derive(Debug, clap::Subcommand)]
pub enum Connection {
    /// What every resource has.
    #[command(flatten)]
    Declared(Resource),
}

impl Connection {
    /// Runs it.
    pub async fn run(self, client: &Client, output: Output) -> Result<(), Failure> {
        match self {
            Connection::Declared(resource) => resource.run(Kind::Connection, client, output).await,
        }
    }
}
