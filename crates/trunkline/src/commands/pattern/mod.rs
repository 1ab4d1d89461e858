//! `trunkline pattern`: filters tried, explained and examined, with a server or without one.

mod cases;
mod lines;

use crate::exit::{Code, Failure};
use cases::{Events, answer_case, answer_set};
use lines::answer_lines;
use std::{
    io::{BufWriter, Read},
    path::{Path, PathBuf},
};

/// Try, explain and examine filters.
#[derive(Debug, clap::Subcommand)]
pub enum Pattern {
    /// Ask a filter about events.
    Test(Test),
}

/// Ask a filter about events.
#[derive(Debug, clap::Args)]
pub struct Test {
    /// Cases as JSON lines {"id", "pattern" or "pattern_raw", "event" or "event_raw"}; `-` is standard input.
    #[arg(long, value_name = "FILE", conflicts_with = "sets")]
    pub cases: Option<PathBuf>,
    /// Sets as JSON lines {"set", "patterns": [{"id", "pattern"}], "events": [{"id", "event"}]}; `-` is standard input.
    #[arg(long, value_name = "FILE")]
    pub sets: Option<PathBuf>,
    /// Events of cases are EventBridge events, and are checked as TestEventPattern does.
    #[arg(long, requires = "cases")]
    pub envelope: bool,
}

impl Pattern {
    /// Runs it.
    pub fn run(self) -> Result<(), Failure> {
        match self {
            Pattern::Test(test) => test.run(),
        }
    }
}

impl Test {
    fn run(self) -> Result<(), Failure> {
        let events = if self.envelope { Events::Envelopes } else { Events::Bare };
        match (&self.cases, &self.sets) {
            (Some(file), _) => stream(file, |line, output| answer_case(line, events, output)),
            (_, Some(file)) => stream(file, answer_set),
            _ => Err(Failure::new(Code::Usage, "give --cases or --sets")),
        }
    }
}

/// Answers the lines of a file on standard output.
pub fn stream(
    file: &Path,
    answer: impl FnMut(lines::Line<'_>, &mut dyn std::io::Write) -> std::io::Result<()>,
) -> Result<(), Failure> {
    let wrong = |error: std::io::Error| Failure::new(Code::Usage, format!("cannot read {}: {error}", file.display()));
    let input: Box<dyn Read> = if file == Path::new("-") {
        Box::new(std::io::stdin())
    } else {
        Box::new(std::fs::File::open(file).map_err(wrong)?)
    };
    let output = BufWriter::new(std::io::stdout().lock());
    match answer_lines(input, output, answer) {
        // Whoever read the answers has gone.
        Err(error) if error.kind() == std::io::ErrorKind::BrokenPipe => Ok(()),
        Err(error) => Err(Failure::new(Code::Failed, format!("{}: {error}", file.display()))),
        Ok(()) => Ok(()),
    }
}
