//! What commands print: tables for people at a terminal, JSON for scripts. One choice for the whole command line.
//!
//! A command that changes things finishes its work whatever becomes of its output. So nothing here ends the program: the first error
//! of standard output is kept, what comes after it is dropped, and [`ended`] says at the end what became of the command.

use crate::exit::{Code, Failure};
use comfy_table::{Cell, ColumnConstraint, ContentArrangement, Table, Width, presets};
use control::counted;
use std::{
    fmt::{Arguments, Display},
    io::{self, ErrorKind, IsTerminal, Write},
    sync::{Mutex, MutexGuard, PoisonError},
};

/// Columns that sentences have at least, however narrow the terminal is.
const SENTENCE_MIN: u16 = 24;

/// What became of standard output. A process has one.
static STDOUT: Mutex<Stdout> = Mutex::new(Stdout {
    error: None,
    dropped: 0,
    did: None,
});

#[derive(Debug, Default)]
struct Stdout {
    /// The first error of a write; nothing is written after it.
    error: Option<io::Error>,
    /// Lines that were not written.
    dropped: u64,
    /// What the command has changed so far.
    did: Option<String>,
}

fn stdout() -> MutexGuard<'static, Stdout> {
    STDOUT.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Writes text to standard output, as it is; after the first error, nothing.
pub fn write(text: &str) {
    let mut state = stdout();
    if state.error.is_none() {
        let mut stdout = std::io::stdout().lock();
        state.error = stdout.write_all(text.as_bytes()).and_then(|()| stdout.flush()).err();
    }
    if state.error.is_some() {
        state.dropped += text.lines().count() as u64;
    }
}

/// How the command ended, all told. That nobody reads any more is no failure; any other error of its output is one, also of a command
/// that did all its work.
pub fn ended(result: Result<(), Failure>) -> Result<(), Failure> {
    let Stdout { error, dropped, did } = std::mem::take(&mut *stdout());
    let Some(error) = error.filter(|error| error.kind() != ErrorKind::BrokenPipe) else {
        return result;
    };
    let unwritten = match did {
        None => format!("cannot write to standard output: {error}; what was printed is not whole"),
        Some(did) => format!(
            "{did}, but {} about it could not be written to standard output: {error}",
            counted(dropped, "line")
        ),
    };
    match result {
        Ok(()) => Err(Failure::new(Code::Failed, unwritten)),
        Err(failure) => Err(Failure {
            message: format!("{}\n  {unwritten}", failure.message),
            ..failure
        }),
    }
}

/// Says something on standard error. That it cannot be written is no reason to stop.
pub fn to_stderr(text: Arguments<'_>) {
    let _ = writeln!(std::io::stderr().lock(), "{text}");
}

/// `eprintln!`, which panics where standard error cannot be written; this does not.
macro_rules! say {
    ($($text:tt)*) => { $crate::output::to_stderr(format_args!($($text)*)) };
}
pub(crate) use say;

/// How results are printed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub enum Format {
    /// Aligned columns.
    Table,
    /// JSON: one document, or one object a line for streams.
    Json,
}

/// Prints results in the format asked for.
#[derive(Clone, Copy, Debug)]
pub struct Output {
    format: Format,
}

impl Output {
    /// Prints in this format.
    pub fn new(format: Format) -> Self {
        Output { format }
    }

    /// Whether JSON was asked for.
    pub fn is_json(self) -> bool {
        self.format == Format::Json
    }

    /// Prints a JSON value as it is, or rows made from it as a table.
    pub fn print(self, value: &impl Display, header: &[&str], rows: impl IntoIterator<Item = Vec<String>>) {
        match self.format {
            Format::Json => self.line(&format!("{value:#}")),
            Format::Table => self.table(header, rows),
        }
    }

    /// Prints a table; plain columns without frames, so that it pastes well.
    pub fn table(self, header: &[&str], rows: impl IntoIterator<Item = Vec<String>>) {
        let mut table = plain(header, rows);
        if std::io::stdout().is_terminal() {
            fit(&mut table);
        }
        for line in table.lines() {
            self.line(line.trim_end());
        }
    }

    /// Prints one line.
    pub fn line(self, text: &str) {
        write(&format!("{text}\n"));
    }

    /// Whether what is printed still goes anywhere. Who only shows stops when it does not; who changes things goes on.
    pub fn is_open(self) -> bool {
        stdout().error.is_none()
    }

    /// Notes what the command has changed so far: what is said of it when its lines cannot be written. Without it a command
    /// counts as one that only shows.
    pub fn did(self, what: impl Into<String>) {
        stdout().did = Some(what.into());
    }

    /// The error of standard output, which is the caller's to tell from here on: something was lost that is shown only once.
    pub fn take_error(self) -> Option<io::Error> {
        stdout().error.take()
    }
}

/// A table of columns without frames.
fn plain(header: &[&str], rows: impl IntoIterator<Item = Vec<String>>) -> Table {
    let mut table = Table::new();
    table
        .load_style(presets::NOTHING)
        .set_header(header.iter().map(|title| title.to_uppercase()));
    table.add_rows(
        rows.into_iter()
            .map(|row| row.into_iter().map(|cell| printable(&cell)).collect::<Vec<_>>()),
    );
    table
}

/// Breaks sentences where the terminal is too narrow for them, and nothing else: what has no spaces, an id or a time, is copied
/// whole by whoever needs it.
fn fit(table: &mut Table) {
    table.set_content_arrangement(ContentArrangement::Dynamic);
    let constraints: Vec<ColumnConstraint> = table
        .column_iter()
        .map(|column| {
            let cells = table.row_iter().filter_map(|row| row.cell_iter().nth(column.index));
            let texts: Vec<String> = cells.map(Cell::content).collect();
            let longest = texts.iter().map(|text| text.chars().count()).max().unwrap_or(0);
            match texts.iter().any(|text| text.contains(' ')) {
                true => ColumnConstraint::LowerBoundary(Width::Fixed(
                    u16::try_from(longest).unwrap_or(u16::MAX).min(SENTENCE_MIN),
                )),
                false => ColumnConstraint::ContentWidth,
            }
        })
        .collect();
    for (column, constraint) in table.column_iter_mut().zip(constraints) {
        column.set_constraint(constraint);
    }
}

/// Text from events and servers, with control characters made visible: a terminal must not obey them.
pub fn printable(text: &str) -> String {
    text.chars()
        .flat_map(|character| {
            let escaped: Vec<char> = if character.is_control() {
                character.escape_default().collect()
            } else {
                vec![character]
            };
            escaped
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::{fit, plain, printable};

    #[test]
    fn a_narrow_terminal_breaks_sentences_and_no_id_or_time() {
        let id = "0198f3a1-7c55-7e0b-9f0e-2c1d44a7b1c9";
        let time = "2026-11-22T10:41:07.123456Z";
        let reason = "the receiver answered 503 Service Unavailable eleven times in a row";
        let header = ["id", "at", "attempts", "reason"];
        let rows = || vec![[id, time, "11", reason].map(str::to_string).to_vec(); 2];
        for width in [40, 80, 100, 300] {
            let mut table = plain(&header, rows());
            fit(&mut table);
            table.set_width(width);
            let lines: Vec<String> = table.lines().collect();
            let words = |line: &String| line.split_whitespace().map(str::to_string).collect::<Vec<_>>();
            let words: Vec<String> = lines.iter().flat_map(words).collect();
            for word in [id, time].into_iter().chain(reason.split(' ')) {
                assert!(
                    words.iter().filter(|known| *known == word).count() >= 2,
                    "{width}: {word}: {lines:#?}"
                );
            }
            assert_eq!(lines.len() == 3, width == 300, "{lines:#?}");
        }
    }

    #[test]
    fn a_terminal_never_sees_control_characters_of_an_event() {
        assert_eq!(printable("a\u{1b}[31mb\nc"), "a\\u{1b}[31mb\\nc");
        assert_eq!(printable("Grüße 東"), "Grüße 東");
    }
}
