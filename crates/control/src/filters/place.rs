//! Where in a filter's text something is: as bytes and lines for people, as a JSON pointer for programs.

use super::text::string_end;
use crate::parse::token;
use serde::Serialize;

/// A place in a text.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct TextPosition {
    /// Bytes before it.
    pub byte: usize,
    /// Its line, from 1.
    pub line: usize,
    /// Its character in the line, from 1.
    pub column: usize,
}

impl TextPosition {
    /// The place of a byte; past the end is the end.
    pub fn of(text: &str, byte: usize) -> Self {
        let byte = text.floor_char_boundary(byte);
        let before = &text[..byte];
        let line_start = before.rfind('\n').map_or(0, |newline| newline + 1);
        Self {
            byte,
            line: before.matches('\n').count() + 1,
            column: before[line_start..].chars().count() + 1,
        }
    }
}

/// What one level of nesting has read so far.
enum Level {
    /// The name of the member that is being read.
    Object(String),
    /// The index of the item that is being read.
    Array(usize),
}

/// The JSON pointer of the value that holds a byte of a text. The text may stop being JSON there or after it.
pub(super) fn pointer(text: &str, byte: usize) -> String {
    let mut levels: Vec<Level> = Vec::new();
    let mut at = 0;
    while at < text.len() && at <= byte {
        match text.as_bytes()[at] {
            b'{' => levels.push(Level::Object(String::new())),
            b'[' => levels.push(Level::Array(0)),
            b'}' | b']' => drop(levels.pop()),
            b',' => {
                if let Some(Level::Array(index)) = levels.last_mut() {
                    *index += 1;
                }
            }
            b'"' => {
                let end = at + string_end(&text[at..]);
                if text[end..].trim_ascii_start().starts_with(':')
                    && let Some(Level::Object(name)) = levels.last_mut()
                {
                    *name = serde_json::from_str(&text[at..end]).unwrap_or_default();
                }
                at = end;
                continue;
            }
            _ => {}
        }
        at += 1;
    }
    // A bracket that opens at the byte is the value itself, not a level around it.
    if matches!(text.as_bytes().get(byte), Some(b'{' | b'[')) {
        levels.pop();
    }
    let tokens = levels.iter().filter_map(|level| match level {
        Level::Object(name) if name.is_empty() => None,
        Level::Object(name) => Some(token(name)),
        Level::Array(index) => Some(format!("/{index}")),
    });
    tokens.collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_byte_has_a_line_and_a_column() {
        let of = |byte| {
            let place = TextPosition::of("ab\ncé\nd", byte);
            (place.line, place.column)
        };
        assert_eq!(
            [of(0), of(2), of(3), of(4), of(6), of(7), of(99)],
            [(1, 1), (1, 3), (2, 1), (2, 2), (2, 3), (3, 1), (3, 2)]
        );
    }

    #[test]
    fn a_byte_of_json_has_a_pointer() {
        let text = r#"{"a": {"b/c": [1, {"prefix": "x,]"}, []]}, "d": 5}"#;
        let check = |part: &str, expected: &str| {
            let byte = text.find(part).expect(part);
            assert_eq!(pointer(text, byte), expected, "{part}");
        };
        check("{\"a\"", "");
        check("{\"b/c\"", "/a");
        check("[1", "/a/b~1c");
        check("1,", "/a/b~1c/0");
        check("{\"prefix\"", "/a/b~1c/1");
        check("\"x,]", "/a/b~1c/1/prefix");
        check("[]]", "/a/b~1c/2");
        check("5", "/d");
        assert_eq!(pointer("{\"a\": [", 7), "/a/0");
        assert_eq!(pointer("", 0), "");
        assert_eq!(pointer("]]}", 2), "");
    }
}
