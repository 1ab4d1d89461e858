//! The words of an expression. It knows no grammar; what a word means in its place is the parser's.

use std::fmt;
use std::ops::Range;

use super::refusal::refused;
use crate::error::CompileError;

/// A word, and the bytes it takes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Token<'t> {
    pub(super) kind: Kind<'t>,
    pub(super) span: Range<usize>,
}

/// What a word is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Kind<'t> {
    /// Digits only.
    Digits(&'t str),
    /// Letters, digits and underscores, with anything but digits among them. Keywords are words as well.
    Word(&'t str),
    /// A string, its escapes resolved.
    Text(String),
    Symbol(Symbol),
    /// The dot of a path into data.
    Dot,
    End,
}

/// Everything that is written with signs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Symbol {
    Open,
    Close,
    Comma,
    Plus,
    Minus,
    Star,
    Slash,
    Percent,
    Equal,
    NotEqual,
    Less,
    LessOrEqual,
    Greater,
    GreaterOrEqual,
}

/// Reads words one after the other.
#[derive(Debug, Clone)]
pub(super) struct Lexer<'t> {
    text: &'t str,
    position: usize,
}

impl<'t> Lexer<'t> {
    pub(super) fn new(text: &'t str) -> Self {
        Self { text, position: 0 }
    }

    /// The next word.
    pub(super) fn next(&mut self) -> Result<Token<'t>, CompileError> {
        let bytes = self.text.as_bytes();
        while matches!(bytes.get(self.position), Some(b' ' | b'\t' | b'\r' | b'\n')) {
            self.position += 1;
        }
        let start = self.position;
        let kind = match bytes.get(start) {
            None => Kind::End,
            Some(b'\'' | b'"') => self.string()?,
            Some(byte) if is_word(*byte) => self.word(),
            Some(b'.') => {
                self.position += 1;
                Kind::Dot
            }
            Some(_) => Kind::Symbol(self.symbol()?),
        };
        Ok(Token {
            kind,
            span: start..self.position,
        })
    }

    fn word(&mut self) -> Kind<'t> {
        let rest = &self.text[self.position..];
        let length = rest.bytes().take_while(|byte| is_word(*byte)).count();
        let word = &rest[..length];
        self.position += length;
        match word.bytes().all(|byte| byte.is_ascii_digit()) {
            true => Kind::Digits(word),
            false => Kind::Word(word),
        }
    }

    /// A string ends at its own quotation mark; a backslash before that mark makes it part of the string, and is itself otherwise.
    fn string(&mut self) -> Result<Kind<'t>, CompileError> {
        let start = self.position;
        let bytes = self.text.as_bytes();
        let quote = bytes[start];
        let mut text = String::new();
        let mut from = start + 1;
        let mut at = from;
        loop {
            match bytes.get(at) {
                None => return Err(unterminated(start, quote)),
                Some(b'\\') => {
                    if bytes.get(at + 1) == Some(&quote) {
                        text.push_str(&self.text[from..at]);
                        from = at + 1;
                    }
                    // What follows a backslash never ends the string.
                    at += 1 + self.text[at + 1..].chars().next().map_or(0, char::len_utf8);
                }
                Some(byte) if *byte == quote => break,
                Some(_) => at += 1,
            }
        }
        text.push_str(&self.text[from..at]);
        self.position = at + 1;
        if bytes.get(self.position) == Some(&quote) {
            let mark = char::from(quote);
            let message = format!("two strings one after the other; {mark} inside a string is written \\{mark}");
            return Err(refused(self.position, message).suggesting(format!("write \\{mark}")));
        }
        Ok(Kind::Text(text))
    }

    fn symbol(&mut self) -> Result<Symbol, CompileError> {
        let rest = &self.text[self.position..];
        if let Some((wrong, right)) = MISTAKES.iter().find(|(wrong, _)| rest.starts_with(wrong)) {
            let error = refused(self.position, format!("there is no operator {wrong}"));
            return Err(error.suggesting(format!("write {right}")));
        }
        let known = SYMBOLS.iter().find(|(written, _)| rest.starts_with(written));
        let Some((written, symbol)) = known else {
            let found = rest.chars().next().unwrap_or_default();
            return Err(refused(self.position, format!("{found:?} has no meaning here")));
        };
        self.position += written.len();
        Ok(*symbol)
    }
}

/// Longer ones first.
const SYMBOLS: [(&str, Symbol); 15] = [
    ("!=", Symbol::NotEqual),
    ("<>", Symbol::NotEqual),
    ("<=", Symbol::LessOrEqual),
    (">=", Symbol::GreaterOrEqual),
    ("(", Symbol::Open),
    (")", Symbol::Close),
    (",", Symbol::Comma),
    ("+", Symbol::Plus),
    ("-", Symbol::Minus),
    ("*", Symbol::Star),
    ("/", Symbol::Slash),
    ("%", Symbol::Percent),
    ("=", Symbol::Equal),
    ("<", Symbol::Less),
    (">", Symbol::Greater),
];

impl fmt::Display for Symbol {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let known = SYMBOLS.iter().find(|(_, symbol)| symbol == self);
        f.write_str(known.map_or("", |(written, _)| *written))
    }
}

/// What other languages write.
const MISTAKES: [(&str, &str); 4] = [
    ("==", "="),
    ("&&", "AND"),
    ("||", "OR, or CONCAT(x, y) for strings"),
    ("=>", ">="),
];

fn is_word(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || byte == b'_'
}

fn unterminated(start: usize, quote: u8) -> CompileError {
    let mark = char::from(quote);
    refused(start, format!("a string without its closing {mark}")).suggesting(format!("add {mark}"))
}
