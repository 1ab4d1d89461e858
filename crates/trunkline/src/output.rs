//! What commands print: tables for people at a terminal, JSON for scripts. One choice for the whole command line.

use comfy_table::{ContentArrangement, Table, presets};
use std::io::{IsTerminal, Write};

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
    pub fn print(self, value: &serde_json::Value, header: &[&str], rows: impl IntoIterator<Item = Vec<String>>) {
        match self.format {
            Format::Json => self.line(&format!("{value:#}")),
            Format::Table => self.table(header, rows),
        }
    }

    /// Prints a table; plain columns without frames, so that it pastes well.
    pub fn table(self, header: &[&str], rows: impl IntoIterator<Item = Vec<String>>) {
        let mut table = Table::new();
        table
            .load_style(presets::NOTHING)
            .set_header(header.iter().map(|title| title.to_uppercase()));
        if std::io::stdout().is_terminal() {
            table.set_content_arrangement(ContentArrangement::Dynamic);
        }
        table.add_rows(
            rows.into_iter()
                .map(|row| row.into_iter().map(|cell| printable(&cell)).collect::<Vec<_>>()),
        );
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
    use super::printable;

    #[test]
    fn a_terminal_never_sees_control_characters_of_an_event() {
        assert_eq!(printable("a\u{1b}[31mb\nc"), "a\\u{1b}[31mb\\nc");
        assert_eq!(printable("Grüße 東"), "Grüße 東");
    }
}
