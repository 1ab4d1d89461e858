//! A pattern's JSON as a stream of tokens, so that what is wrong is found in the order of the text.

use std::fmt;

use crate::json::{self, Expected, Fault, FaultKind, Lexer};
use crate::limits::JSON_DEPTH_MAX;
use crate::scan::{COLON, COMMA_IN_ARRAY, COMMA_IN_OBJECT, FIELD_NAME, VALUE};

/// One token. Texts are decoded.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Token {
    StartObject,
    EndObject,
    StartArray,
    EndArray,
    Name(Box<[u8]>),
    Text(Box<[u8]>),
    Number(Box<[u8]>),
    True,
    False,
    Null,
}

impl fmt::Display for Token {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Token::StartObject => f.write_str("{"),
            Token::EndObject => f.write_str("}"),
            Token::StartArray => f.write_str("["),
            Token::EndArray => f.write_str("]"),
            Token::Name(text) | Token::Text(text) | Token::Number(text) => f.write_str(&String::from_utf8_lossy(text)),
            Token::True => f.write_str("true"),
            Token::False => f.write_str("false"),
            Token::Null => f.write_str("null"),
        }
    }
}

/// What a level of nesting waits for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Level {
    ObjectStart,
    ObjectValue,
    ObjectNext,
    ArrayStart,
    ArrayNext,
}

/// Reads tokens.
#[derive(Debug)]
pub(crate) struct Tokens<'a> {
    lexer: Lexer<'a>,
    levels: Vec<Level>,
    /// Where the last token begins.
    pub(crate) position: usize,
}

impl<'a> Tokens<'a> {
    pub(crate) fn new(text: &'a [u8]) -> Result<Self, Fault> {
        Ok(Self {
            lexer: Lexer::new(text)?,
            levels: Vec::new(),
            position: 0,
        })
    }

    /// The next token; after the last one, the fault that the text ends.
    pub(crate) fn next(&mut self) -> Result<Token, Fault> {
        let byte = self.lexer.need()?;
        match self.levels.last() {
            None => self.value(byte),
            Some(Level::ObjectStart) if byte == b'}' => self.close(Token::EndObject),
            Some(Level::ObjectStart) => self.name(byte),
            Some(Level::ObjectValue) => self.value(byte),
            Some(Level::ObjectNext) if byte == b'}' => self.close(Token::EndObject),
            Some(Level::ObjectNext) => {
                let byte = self.comma(COMMA_IN_OBJECT)?;
                self.name(byte)
            }
            Some(Level::ArrayStart | Level::ArrayNext) if byte == b']' => self.close(Token::EndArray),
            Some(Level::ArrayStart) => self.value(byte),
            Some(Level::ArrayNext) => {
                let byte = self.comma(COMMA_IN_ARRAY)?;
                self.value(byte)
            }
        }
    }

    fn comma(&mut self, expected: Expected) -> Result<u8, Fault> {
        self.lexer.expect(b',', expected)?;
        self.lexer.need()
    }

    fn name(&mut self, byte: u8) -> Result<Token, Fault> {
        self.position = self.lexer.position;
        if byte != b'"' {
            return Err(self.lexer.fault(FaultKind::Character(byte, FIELD_NAME)));
        }
        let name = self.text()?;
        self.lexer.expect(b':', COLON)?;
        self.become_level(Level::ObjectValue);
        Ok(Token::Name(name))
    }

    fn value(&mut self, byte: u8) -> Result<Token, Fault> {
        self.position = self.lexer.position;
        match self.levels.last() {
            Some(Level::ObjectValue) => self.become_level(Level::ObjectNext),
            Some(Level::ArrayStart) => self.become_level(Level::ArrayNext),
            _ => {}
        }
        match byte {
            b'{' => self.open(Level::ObjectStart, Token::StartObject),
            b'[' => self.open(Level::ArrayStart, Token::StartArray),
            b'"' => self.text().map(Token::Text),
            b'-' | b'0'..=b'9' => {
                let range = self.lexer.number()?;
                Ok(Token::Number(self.lexer.bytes()[range].into()))
            }
            b't' => self.lexer.word(b"true").map(|()| Token::True),
            b'f' => self.lexer.word(b"false").map(|()| Token::False),
            b'n' => self.lexer.word(b"null").map(|()| Token::Null),
            byte if byte.is_ascii_alphabetic() => Err(self.lexer.fault(FaultKind::Word)),
            byte => Err(self.lexer.fault(FaultKind::Character(byte, VALUE))),
        }
    }

    fn text(&mut self) -> Result<Box<[u8]>, Fault> {
        let span = self.lexer.string()?;
        let mut text = Vec::with_capacity(span.range.len());
        json::decode(&self.lexer.bytes()[span.range], &mut text);
        Ok(text.into())
    }

    fn become_level(&mut self, level: Level) {
        if let Some(last) = self.levels.last_mut() {
            *last = level;
        }
    }

    fn open(&mut self, level: Level, token: Token) -> Result<Token, Fault> {
        if self.levels.len() == JSON_DEPTH_MAX {
            return Err(self.lexer.fault(FaultKind::Bound));
        }
        self.levels.push(level);
        self.lexer.position += 1;
        Ok(token)
    }

    fn close(&mut self, token: Token) -> Result<Token, Fault> {
        self.position = self.lexer.position;
        self.levels.pop();
        self.lexer.position += 1;
        Ok(token)
    }

    /// The bare word at a position, for messages.
    pub(crate) fn word_at(&self, position: usize) -> String {
        let rest = self.lexer.bytes().get(position..).unwrap_or_default();
        let word = rest
            .iter()
            .take_while(|byte| byte.is_ascii_alphanumeric() || **byte == b'_');
        word.map(|byte| char::from(*byte)).collect()
    }
}
