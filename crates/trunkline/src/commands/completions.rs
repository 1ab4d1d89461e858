//! `trunkline completions`: what a shell needs to complete commands and options.

use crate::{cli::Cli, exit::Failure, output};
use clap::CommandFactory as _;
use clap_complete::Shell;

/// Print completions for a shell.
#[derive(Debug, clap::Args)]
pub struct Completions {
    /// bash, zsh, fish, elvish or powershell.
    #[arg(value_enum)]
    pub shell: Shell,
}

impl Completions {
    /// Prints them.
    pub fn run(self) -> Result<(), Failure> {
        let mut script = Vec::new();
        clap_complete::generate(self.shell, &mut Cli::command(), "trunkline", &mut script);
        output::write(&String::from_utf8_lossy(&script));
        Ok(())
    }
}
