//! What commands print: tables for people at a terminal, JSON for scripts. One choice for the whole command line.

use comfy_table::{Cell, ColumnConstraint, ContentArrangement, Table, Width, presets};
use std::{
    fmt::Display,
    io::{IsTerminal, Write},
};

/// Columns that sentences have at least, however narrow the terminal is.
const SENTENCE_MIN: u16 = 24;

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

    /// Prints one line; a closed pipe ends the program quietly, as it should.
    pub fn line(self, text: &str) {
        let mut stdout = std::io::stdout().lock();
        if writeln!(stdout, "{text}").is_err() {
            std::process::exit(0);
        }
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
