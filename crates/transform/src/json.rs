//! Walks a JSON text without making values of it. The text has been checked to be JSON; one that is not gives wrong parts of
//! itself, and never a panic. What is copied out loses the white space between its tokens and keeps the spelling of the rest.

use std::borrow::Cow;

/// Where the value begins that stands at `at` or behind white space there.
fn start(text: &[u8], at: usize) -> usize {
    let rest = text.get(at..).unwrap_or_default();
    at + rest.iter().take_while(|byte| byte.is_ascii_whitespace()).count()
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
fn value_end(text: &[u8], at: usize) -> usize {
    match text.get(at) {
        Some(b'"') => string_end(text, at),
        Some(b'{' | b'[') => nested_end(text, at),
        _ => {
            let rest = text.get(at..).unwrap_or_default();
            let ends = |byte: &u8| matches!(byte, b',' | b']' | b'}') || byte.is_ascii_whitespace();
            at + rest.iter().position(ends).unwrap_or(rest.len())
        }
    }
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

/// The value that a text is, without white space around it.
pub(crate) fn value(text: &[u8]) -> &[u8] {
    let begin = start(text, 0).min(text.len());
    &text[begin..value_end(text, begin).clamp(begin, text.len())]
}

/// The members of an object: name with its quotes, and value. Nothing for any other value.
pub(crate) fn members(text: &[u8]) -> Members<'_> {
    Members(Walk::new(text, b'{'))
}

/// The elements of an array. Nothing for any other value.
pub(crate) fn elements(text: &[u8]) -> Elements<'_> {
    Elements(Walk::new(text, b'['))
}

struct Walk<'a> {
    text: &'a [u8],
    at: usize,
}

impl<'a> Walk<'a> {
    fn new(text: &'a [u8], bracket: u8) -> Self {
        let text = value(text);
        let at = if text.first() == Some(&bracket) { 1 } else { text.len() };
        Self { text, at }
    }

    /// The next token that is a value or a name, past a comma or colon.
    fn next(&mut self) -> Option<&'a [u8]> {
        let mut begin = start(self.text, self.at);
        if matches!(self.text.get(begin), Some(b',' | b':')) {
            begin = start(self.text, begin + 1);
        }
        if matches!(self.text.get(begin), None | Some(b']' | b'}')) {
            return None;
        }
        // At least one byte further, whatever stands there.
        let end = value_end(self.text, begin).max(begin + 1).min(self.text.len());
        self.at = end;
        Some(&self.text[begin..end])
    }
}

/// See [`members`].
pub(crate) struct Members<'a>(Walk<'a>);

impl<'a> Iterator for Members<'a> {
    type Item = (&'a [u8], &'a [u8]);

    fn next(&mut self) -> Option<Self::Item> {
        Some((self.0.next()?, self.0.next()?))
    }
}

/// See [`elements`].
pub(crate) struct Elements<'a>(Walk<'a>);

impl<'a> Iterator for Elements<'a> {
    type Item = &'a [u8];

    fn next(&mut self) -> Option<Self::Item> {
        self.0.next()
    }
}

/// Whether a name with its quotes is this one.
pub(crate) fn is_named(quoted: &[u8], name: &str) -> bool {
    let inner = inside(quoted);
    if !inner.contains(&b'\\') {
        return inner == name.as_bytes();
    }
    serde_json::from_slice::<Cow<'_, str>>(quoted).is_ok_and(|read| read == name)
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn members_and_elements_are_the_texts_that_stand_there() {
        let text = br#" {"a" : [1 , {"x":"]"}, "\"}"] ,"b\u0063":{ } , "d":-1.50e2 } "#;
        let found: Vec<_> = members(text).collect();
        assert_eq!(found.len(), 3);
        let read = |bytes: &[u8]| String::from_utf8(bytes.to_vec()).expect("it is UTF-8");
        assert_eq!(read(found[0].1), r#"[1 , {"x":"]"}, "\"}"]"#);
        assert!(is_named(found[1].0, "bc") && !is_named(found[1].0, "b"));
        assert_eq!(read(found[2].1), "-1.50e2");
        let parts: Vec<_> = elements(found[0].1).map(read).collect();
        assert_eq!(parts, ["1", r#"{"x":"]"}"#, r#""\"}""#]);
        assert_eq!(
            elements(b"{}").count() + members(b"[1]").count() + members(b"").count(),
            0
        );
    }

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
    }

    #[test]
    fn what_is_no_json_is_walked_to_its_end() {
        for text in [
            "{", "[", "\"", "\"\\", "{\"a", "[1,,,]", "{]}", "}{", "[[[[", "{\"a\":}", "[:,:]",
        ] {
            let bytes = text.as_bytes();
            let count = members(bytes).count() + elements(bytes).count();
            assert!(count <= bytes.len(), "{text}");
            put_value(&mut Vec::new(), bytes, Quotes::Dropped);
        }
    }
}
