//! Reading JSON (RFC 8259) as bytes: one lexer for patterns and for event data.
//!
//! It builds nothing. Strings are spans of the text; [`decode`] resolves their escapes, a lone surrogate into the three bytes that
//! it would have in UTF-8, so that equal texts are equal bytes.

use std::fmt;
use std::ops::Range;

use crate::simd;

/// What is wrong with a text, and where.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Fault {
    pub(crate) position: usize,
    pub(crate) kind: FaultKind,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum FaultKind {
    /// The text ends too early.
    End,
    /// A character where something else was expected.
    Character(u8, Expected),
    /// A control character inside a string.
    Control(u8),
    /// A backslash with something that is no escape.
    Escape(u8),
    /// A bare word that is not `true`, `false` or `null`.
    Word,
    /// A number that JSON does not write like this.
    Number,
    /// Bytes that are not UTF-8.
    Encoding,
    /// Nested too deeply, or a text too large.
    Bound,
}

/// What a text should have had at some place. Small, so that a fault is returned in two registers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Expected {
    Object,
    End,
    CommaInObject,
    CommaInArray,
    Colon,
    FieldName,
    Value,
}

impl fmt::Display for Expected {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Expected::Object => "an object",
            Expected::End => "the end of the text",
            Expected::CommaInObject => "comma to separate Object entries",
            Expected::CommaInArray => "comma to separate Array entries",
            Expected::Colon => "a colon to separate field name and value",
            Expected::FieldName => "double-quote to start field name",
            Expected::Value => "a valid value (JSON String, Number, Array, Object or token 'null', 'true' or 'false')",
        })
    }
}

/// A string's place in the text, without its quotation marks.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Span {
    pub(crate) range: Range<usize>,
    pub(crate) escaped: bool,
}

/// The name of a member whose value is next.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Name {
    /// Without its quotation marks.
    pub(crate) range: Range<usize>,
    /// It is to be passed by.
    pub(crate) is_passed: bool,
    /// The position is at the quotation mark of a text; else it is not known what follows.
    pub(crate) is_of_text: bool,
}

/// Where a block begins that nobody has looked at: far behind the end of every text.
const NO_BLOCK: usize = usize::MAX / 2;

/// A position in a JSON text that is known to be UTF-8.
#[derive(Debug, Clone)]
pub(crate) struct Lexer<'a> {
    bytes: &'a [u8],
    pub(crate) position: usize,
    /// What ends runs of plain characters in the block that was looked at last, and where that begins: it has several short strings.
    stops: u64,
    stops_from: usize,
}

impl<'a> Lexer<'a> {
    /// Starts at the beginning of a text.
    pub(crate) fn new(bytes: &'a [u8]) -> Result<Self, Fault> {
        match std::str::from_utf8(bytes) {
            Ok(_) => Ok(Self::of_well_formed(bytes)),
            Err(error) => Err(Fault {
                position: error.valid_up_to(),
                kind: FaultKind::Encoding,
            }),
        }
    }

    /// Starts at the beginning of a text that is taken to be UTF-8 without being looked at.
    pub(crate) fn of_well_formed(bytes: &'a [u8]) -> Self {
        Self {
            bytes,
            position: 0,
            stops: 0,
            stops_from: NO_BLOCK,
        }
    }

    pub(crate) fn bytes(&self) -> &'a [u8] {
        self.bytes
    }

    /// The next byte that is not white space, without taking it.
    #[inline(always)]
    pub(crate) fn peek(&mut self) -> Option<u8> {
        loop {
            let byte = *self.bytes.get(self.position)?;
            if byte > b' ' || !matches!(byte, b' ' | b'\n' | b'\r' | b'\t') {
                return Some(byte);
            }
            self.position += 1;
        }
    }

    /// The next byte that is not white space, or the fault that the text ends here.
    #[inline(always)]
    pub(crate) fn need(&mut self) -> Result<u8, Fault> {
        self.peek().ok_or(Fault {
            position: self.bytes.len(),
            kind: FaultKind::End,
        })
    }

    /// A fault at the current position.
    pub(crate) fn fault(&self, kind: FaultKind) -> Fault {
        Fault {
            position: self.position,
            kind,
        }
    }

    /// Takes the next byte if it is this one, else faults with what was expected.
    #[inline(always)]
    pub(crate) fn expect(&mut self, wanted: u8, expected: Expected) -> Result<(), Fault> {
        let byte = self.need()?;
        if byte != wanted {
            return Err(self.fault(FaultKind::Character(byte, expected)));
        }
        self.position += 1;
        Ok(())
    }

    /// Takes a comma, and a space behind it, if the position is at the one and then at the quotation mark of a name.
    #[inline(always)]
    pub(crate) fn plain_comma(&mut self) -> bool {
        match self.bytes.get(self.position..).and_then(<[u8]>::first_chunk) {
            Some(b", \"") => self.position += 2,
            Some([b',', b'"', _]) => self.position += 1,
            _ => return false,
        }
        true
    }

    /// Takes members as long as their names are to be passed by and their values are texts, then the name and the colon of the next
    /// one. It does so where things are written as they usually are: with
    /// nothing escaped, no space or one behind colons and commas, and none before them. Where it answers nothing, the position is
    /// where a name is to be expected.
    #[inline(always)]
    pub(crate) fn pass_texts(&mut self, is_passed: impl Fn(&[u8], &Range<usize>) -> bool) -> Option<Name> {
        if self.bytes.get(self.position) != Some(&b'"') {
            return None;
        }
        loop {
            let name_at = self.position + 1;
            let name = name_at..self.string_stop(name_at);
            let Some(text_at) = self.text_behind(name.end, b':') else {
                self.position = self.value_behind(name.end)?;
                let is_passed = is_passed(self.bytes, &name);
                return Some(Name {
                    range: name,
                    is_passed,
                    is_of_text: false,
                });
            };
            if !is_passed(self.bytes, &name) {
                self.position = text_at;
                return Some(Name {
                    range: name,
                    is_passed: false,
                    is_of_text: true,
                });
            }
            let text_end = self.string_stop(text_at + 1);
            let Some(next) = self.text_behind(text_end, b',') else {
                self.position = text_at;
                return Some(Name {
                    range: name,
                    is_passed: true,
                    is_of_text: true,
                });
            };
            self.position = next;
        }
    }

    /// The quotation mark behind another one and a mark, with nothing or a space before it.
    #[inline(always)]
    fn text_behind(&self, at: usize, mark: u8) -> Option<usize> {
        let word = u32::from_le_bytes(*self.bytes.get(at..)?.first_chunk()?);
        if word == u32::from_le_bytes([b'"', mark, b' ', b'"']) {
            return Some(at + 3);
        }
        (word << 8 == u32::from_le_bytes([0, b'"', mark, b'"'])).then_some(at + 2)
    }

    /// What is behind a quotation mark and a colon, and perhaps a space.
    fn value_behind(&self, at: usize) -> Option<usize> {
        match self.bytes.get(at..)?.first_chunk()? {
            b"\": " => Some(at + 3),
            [b'"', b':', _] => Some(at + 2),
            _ => None,
        }
    }

    /// Takes a string; the position is at its opening quotation mark.
    #[inline(always)]
    pub(crate) fn string(&mut self) -> Result<Span, Fault> {
        let start = self.position + 1;
        let end = self.string_stop(start);
        if self.bytes.get(end) == Some(&b'"') {
            self.position = end + 1;
            return Ok(Span {
                range: start..end,
                escaped: false,
            });
        }
        self.string_from(start, end)
    }

    /// The end of a run of plain characters, as [`simd::string_stop`] has it.
    #[inline(always)]
    fn string_stop(&mut self, at: usize) -> usize {
        let offset = at.wrapping_sub(self.stops_from);
        if offset >= simd::BLOCK {
            return self.string_stop_ahead(at);
        }
        match self.stops >> offset {
            0 => self.string_stop_ahead(self.stops_from + simd::BLOCK),
            stops => at + stops.trailing_zeros() as usize,
        }
    }

    /// The same where no block was looked at yet.
    #[inline]
    fn string_stop_ahead(&mut self, at: usize) -> usize {
        let mut at = at;
        while let Some(block) = self.bytes.get(at..).and_then(<[u8]>::first_chunk) {
            self.stops = simd::string_stops(block);
            self.stops_from = at;
            if self.stops != 0 {
                return at + self.stops.trailing_zeros() as usize;
            }
            at += simd::BLOCK;
        }
        simd::string_stop(self.bytes, at)
    }

    /// Takes the rest of a string whose plain characters end before its end.
    #[cold]
    fn string_from(&mut self, start: usize, stop: usize) -> Result<Span, Fault> {
        let mut at = stop;
        loop {
            match self.bytes.get(at) {
                Some(b'"') => {
                    self.position = at + 1;
                    return Ok(Span {
                        range: start..at,
                        escaped: true,
                    });
                }
                Some(b'\\') => at = simd::string_stop(self.bytes, self.escape(at)?),
                Some(control) => {
                    return Err(Fault {
                        position: at,
                        kind: FaultKind::Control(*control),
                    });
                }
                None => {
                    self.position = self.bytes.len();
                    return Err(self.fault(FaultKind::End));
                }
            }
        }
    }

    /// Checks the escape at a backslash and says where it ends.
    fn escape(&self, at: usize) -> Result<usize, Fault> {
        let end = Fault {
            position: self.bytes.len(),
            kind: FaultKind::End,
        };
        match *self.bytes.get(at + 1).ok_or(end)? {
            b'"' | b'\\' | b'/' | b'b' | b'f' | b'n' | b'r' | b't' => Ok(at + 2),
            b'u' => {
                let digits = self.bytes.get(at + 2..at + 6).ok_or(end)?;
                match digits.iter().find(|digit| !digit.is_ascii_hexdigit()) {
                    None => Ok(at + 6),
                    Some(other) => Err(Fault {
                        position: at,
                        kind: FaultKind::Escape(*other),
                    }),
                }
            }
            other => Err(Fault {
                position: at,
                kind: FaultKind::Escape(other),
            }),
        }
    }

    /// Takes a number; the position is at its first byte.
    #[inline]
    pub(crate) fn number(&mut self) -> Result<Range<usize>, Fault> {
        let start = self.position;
        let at = |position: usize| self.bytes.get(position).copied().unwrap_or(0);
        let first = start + usize::from(at(start) == b'-');
        let mut end = match at(first) {
            b'0' => first + 1,
            b'1'..=b'9' => simd::digits_end(self.bytes, first + 1),
            _ => return Err(self.no_digit(first)),
        };
        if at(end) == b'.' {
            if !at(end + 1).is_ascii_digit() {
                return Err(self.no_digit(end + 1));
            }
            end = simd::digits_end(self.bytes, end + 2);
        }
        if matches!(at(end), b'e' | b'E') {
            end += 1 + usize::from(matches!(at(end + 1), b'+' | b'-'));
            if !at(end).is_ascii_digit() {
                return Err(self.no_digit(end));
            }
            end = simd::digits_end(self.bytes, end + 1);
        }
        self.position = end;
        match at(end) {
            b'0'..=b'9' | b'a'..=b'z' | b'A'..=b'Z' | b'.' | b'_' | b'+' | b'-' => Err(self.fault(FaultKind::Number)),
            _ => Ok(start..end),
        }
    }

    /// The fault of a number that has no digit where it needs one.
    #[cold]
    fn no_digit(&self, position: usize) -> Fault {
        let kind = match position < self.bytes.len() {
            true => FaultKind::Number,
            false => FaultKind::End,
        };
        Fault { position, kind }
    }

    /// Takes one of the words `true`, `false` and `null`; the position is at its first byte.
    #[inline]
    pub(crate) fn word(&mut self, word: &'static [u8]) -> Result<(), Fault> {
        if !self.bytes[self.position..].starts_with(word) {
            return Err(self.fault(FaultKind::Word));
        }
        let after = self.bytes.get(self.position + word.len());
        if after.is_some_and(|byte| byte.is_ascii_alphanumeric() || *byte == b'_') {
            return Err(self.fault(FaultKind::Word));
        }
        self.position += word.len();
        Ok(())
    }
}

/// Appends a string's value. `text` is what lies between the quotation marks, already checked by the lexer.
pub(crate) fn decode(text: &[u8], into: &mut Vec<u8>) {
    let mut rest = text;
    while let Some(at) = memchr::memchr(b'\\', rest) {
        into.extend_from_slice(&rest[..at]);
        let escape = rest[at + 1];
        rest = &rest[at + 2..];
        if escape == b'u' {
            rest = decode_unicode(rest, into);
        } else {
            into.push(plain_escape(escape));
        }
    }
    into.extend_from_slice(rest);
}

fn plain_escape(escape: u8) -> u8 {
    match escape {
        b'b' => 8,
        b'f' => 12,
        b'n' => b'\n',
        b'r' => b'\r',
        b't' => b'\t',
        other => other,
    }
}

/// Appends what the hexadecimal digits at the beginning of `rest` stand for, a pair of surrogates together, and says what is left.
fn decode_unicode<'r>(rest: &'r [u8], into: &mut Vec<u8>) -> &'r [u8] {
    let (unit, after) = (hexadecimal(&rest[..4]), &rest[4..]);
    if (0xD800..0xDC00).contains(&unit) && after.starts_with(b"\\u") {
        let low = hexadecimal(&after[2..6]);
        if (0xDC00..0xE000).contains(&low) {
            push_code_point(0x1_0000 + ((unit - 0xD800) << 10) + (low - 0xDC00), into);
            return &after[6..];
        }
    }
    push_code_point(unit, into);
    after
}

fn hexadecimal(digits: &[u8]) -> u32 {
    digits.iter().fold(0, |value, digit| {
        value << 4 | (*digit as char).to_digit(16).unwrap_or(0)
    })
}

fn push_code_point(code_point: u32, into: &mut Vec<u8>) {
    match char::from_u32(code_point) {
        Some(character) => into.extend_from_slice(character.encode_utf8(&mut [0; 4]).as_bytes()),
        None => into.extend(lone_surrogate(code_point)),
    }
}

/// The bytes that UTF-8 would have for a surrogate if it allowed one.
fn lone_surrogate(code_point: u32) -> [u8; 3] {
    let bits = |shift: u32, mask: u32| u8::try_from(code_point >> shift & mask).expect("masked to a byte");
    [0xE0 | bits(12, 0x0F), 0x80 | bits(6, 0x3F), 0x80 | bits(0, 0x3F)]
}

#[cfg(test)]
mod tests {
    use super::*;

    fn decoded(text: &str) -> Vec<u8> {
        let mut lexer = Lexer::new(text.as_bytes()).unwrap();
        let span = lexer.string().unwrap();
        assert_eq!(lexer.position, text.len());
        let mut value = Vec::new();
        decode(&text.as_bytes()[span.range], &mut value);
        value
    }

    #[test]
    fn escapes_are_equal_to_the_letters() {
        assert_eq!(decoded(r#""a\u0062\/\"\\\n\t\r\b\f""#), b"ab/\"\\\n\t\r\x08\x0c");
        assert_eq!(decoded(r#""\uD83D\uDE00""#), "😀".as_bytes());
        assert_eq!(decoded(r#""\u00e9""#), "é".as_bytes());
        assert_eq!(decoded(r#""\ud83dx""#), b"\xED\xA0\xBDx");
        assert_eq!(decoded(r#""\ud83d\u0041""#), b"\xED\xA0\xBDA");
    }

    #[test]
    fn texts_are_passed_up_to_the_first_name_that_is_asked_for_or_written_unusually() {
        let long = "x".repeat(100);
        for (text, name, rest) in [
            (r#""a": "b", "c": "d"}"#, Some(("c", true)), r#""d"}"#),
            (r#""a":"b","c":"d"}"#, Some(("c", true)), r#""d"}"#),
            (r#""a": "b", "asked": "d"}"#, Some(("asked", false)), r#""d"}"#),
            (r#""a": "b", "c": 1}"#, Some(("c", true)), "1}"),
            (r#""a": "b","c":  {}}"#, Some(("c", true)), " {}}"),
            (r#""a" : "b"}"#, None, r#""a" : "b"}"#),
            (r#""a": "b",  "c": 1}"#, Some(("a", true)), r#""b",  "c": 1}"#),
            (r#""a": "b" , "c": 1}"#, Some(("a", true)), r#""b" , "c": 1}"#),
            (r#""a": "\"", "c": 1}"#, Some(("a", true)), r#""\"", "c": 1}"#),
            (r#""\u0061": "b"}"#, None, r#""\u0061": "b"}"#),
            (r#""a": "b", 1"#, Some(("a", true)), r#""b", 1"#),
            (r#""a": "b""#, Some(("a", true)), r#""b""#),
            (r#""a""#, None, r#""a""#),
        ] {
            for before in [
                String::new(),
                format!(r#""{long}": "{long}", "#),
                format!(r#""a":"{long}", "#).repeat(9),
            ] {
                let text = format!("{before}{text}");
                let mut lexer = Lexer::new(text.as_bytes()).unwrap();
                let found = lexer.pass_texts(|text, name| &text[name.clone()] != b"asked");
                let rest_found = &text[lexer.position..];
                assert!(
                    found
                        .as_ref()
                        .is_none_or(|name| !name.is_of_text || rest_found.starts_with('"'))
                );
                let found = found.map(|name| (&text[name.range], name.is_passed));
                assert_eq!((found, rest_found), (name, rest), "{text}");
            }
        }
    }

    #[test]
    fn numbers_are_those_of_json() {
        let number = |text: &str| Lexer::new(text.as_bytes()).unwrap().number().map(|range| range.len());
        for good in ["0", "-0", "10", "1.5", "1e5", "1E+5", "-1.0e-5"] {
            assert_eq!(number(good), Ok(good.len()), "{good}");
        }
        for bad in [
            "", "-", "01", "1.", ".5", "1e", "1e+", "0x1", "1.2.3", "1a", "+1", "--1",
        ] {
            assert!(number(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn bad_strings_are_faults() {
        let fault = |text: &str| Lexer::new(text.as_bytes()).unwrap().string().unwrap_err().kind;
        assert_eq!(fault("\"abc"), FaultKind::End);
        assert_eq!(fault("\"a\nb\""), FaultKind::Control(b'\n'));
        assert_eq!(fault(r#""\x""#), FaultKind::Escape(b'x'));
        assert_eq!(fault(r#""\u12g4""#), FaultKind::Escape(b'g'));
        assert_eq!(fault(r#""\u12"#), FaultKind::End);
        assert_eq!(Lexer::new(b"\"\xff\"").unwrap_err().kind, FaultKind::Encoding);
    }
}
