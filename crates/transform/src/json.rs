//! Reads a JSON text without making values of it. The text has been checked to be JSON; one that is not gives wrong parts of
//! itself, and never a panic. What is copied out loses the white space between its tokens and keeps the spelling of the rest.

use std::borrow::Cow;

/// How many bytes were looked at, for tests: they find work that a clock would show only roughly.
#[cfg(test)]
pub(crate) mod looked {
    use std::cell::Cell;

    thread_local! {
        static BYTES: Cell<usize> = const { Cell::new(0) };
    }

    pub(super) fn at(bytes: usize) {
        BYTES.set(BYTES.get() + bytes);
    }

    /// Since the last time that this thread asked.
    pub(crate) fn bytes() -> usize {
        BYTES.take()
    }
}

#[cfg(not(test))]
mod looked {
    pub(super) fn at(_bytes: usize) {}
}

/// Where the value begins that stands at `at` or behind white space there.
pub(crate) fn start(text: &[u8], at: usize) -> usize {
    let rest = text.get(at..).unwrap_or_default();
    let space = rest.iter().take_while(|byte| byte.is_ascii_whitespace()).count();
    looked::at(space);
    at + space
}

/// Where the string ends that begins at `at`.
fn string_end(text: &[u8], at: usize) -> usize {
    let mut at = at + 1;
    while let Some(byte) = text.get(at) {
        match byte {
            b'"' => return at + 1,
            b'\\' => at += 2,
            _ => at += 1,
        }
    }
    text.len()
}

/// Where the value ends that begins at `at`.
pub(crate) fn value_end(text: &[u8], at: usize) -> usize {
    let end = match text.get(at) {
        Some(b'"') => string_end(text, at),
        Some(b'{' | b'[') => nested_end(text, at),
        _ => {
            let rest = text.get(at..).unwrap_or_default();
            let ends = |byte: &u8| matches!(byte, b',' | b']' | b'}') || byte.is_ascii_whitespace();
            at + rest.iter().position(ends).unwrap_or(rest.len())
        }
    };
    looked::at(end.saturating_sub(at));
    end
}

fn nested_end(text: &[u8], mut at: usize) -> usize {
    let mut depth = 0_usize;
    while let Some(byte) = text.get(at) {
        match byte {
            b'"' => {
                at = string_end(text, at);
                continue;
            }
            b'{' | b'[' => depth += 1,
            b'}' | b']' => depth = depth.saturating_sub(1),
            _ => {}
        }
        at += 1;
        if depth == 0 {
            return at;
        }
    }
    text.len()
}

/// What a name or a text with its quotes reads, where that is a text.
pub(crate) fn unescaped(quoted: &[u8]) -> Option<Cow<'_, str>> {
    serde_json::from_slice(quoted).ok()
}

/// What stands between a string's quotes, escapes and all.
pub(crate) fn inside(quoted: &[u8]) -> &[u8] {
    let inner = quoted.strip_prefix(b"\"").unwrap_or(quoted);
    inner.strip_suffix(b"\"").unwrap_or(inner)
}

/// Appends a text as a JSON string.
pub(crate) fn put_string(out: &mut Vec<u8>, text: &str) {
    serde_json::to_writer(out, text).expect("a string is written to memory");
}

/// What becomes of a string's quotes when a value is copied.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Quotes {
    Kept,
    /// For a value that goes into a string. What is escaped stays escaped, so that nothing ends that string.
    Dropped,
}

/// Appends a value without the white space between its tokens.
pub(crate) fn put_value(out: &mut Vec<u8>, value: &[u8], quotes: Quotes) {
    looked::at(value.len());
    // What lies between `from` and `at` is copied at once.
    let (mut from, mut at) = (0, 0);
    while let Some(byte) = value.get(at) {
        let end = match byte {
            b'"' => string_end(value, at).min(value.len()),
            _ => at + 1,
        };
        match byte {
            b'"' if quotes == Quotes::Dropped => {
                out.extend_from_slice(&value[from..at]);
                out.extend_from_slice(inside(&value[at..end]));
                from = end;
            }
            byte if byte.is_ascii_whitespace() => {
                out.extend_from_slice(&value[from..at]);
                from = end;
            }
            _ => {}
        }
        at = end;
    }
    out.extend_from_slice(&value[from.min(value.len())..]);
}

/// A text without the white space between its tokens: the text itself, if it has none.
pub(crate) fn compact(text: &[u8]) -> Cow<'_, [u8]> {
    let mut at = 0;
    while let Some(byte) = text.get(at) {
        at = match byte {
            b'"' => string_end(text, at),
            byte if byte.is_ascii_whitespace() => {
                looked::at(at);
                let mut out = Vec::with_capacity(text.len());
                put_value(&mut out, text, Quotes::Kept);
                return Cow::Owned(out);
            }
            _ => at + 1,
        };
    }
    looked::at(text.len());
    Cow::Borrowed(text)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_copy_has_no_white_space_but_that_of_its_strings() {
        let text = b"{ \"a b\" : [ 1.0 , \"c\\\" d\" ] }";
        let copy = |quotes| {
            let mut out = Vec::new();
            put_value(&mut out, text, quotes);
            String::from_utf8(out).expect("it is UTF-8")
        };
        assert_eq!(copy(Quotes::Kept), r#"{"a b":[1.0,"c\" d"]}"#);
        assert_eq!(copy(Quotes::Dropped), r#"{a b:[1.0,c\" d]}"#);
        assert_eq!(compact(text), copy(Quotes::Kept).as_bytes());
        assert!(matches!(compact(br#"{"a b":[1.0," \" "]}"#), Cow::Borrowed(_)));
    }
}
