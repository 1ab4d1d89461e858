//! The parser of queries: the grammar of RFC 9535 and the types of its functions, refused with a place.

use super::syntax::{Segment, Selector, Slice};
use super::{Query, needs, required};
use crate::automaton::Budget;
use crate::error::{CompileCode, CompileError};
use crate::limits::{JSONPATH_BYTES_MAX, JSONPATH_DEPTH_MAX};

mod logical;

/// Boxed, because it is large and rare.
pub(super) type Refused = Box<CompileError>;

/// Parses a query.
pub(super) fn parse(text: &str) -> Result<Query, CompileError> {
    if text.len() > JSONPATH_BYTES_MAX {
        return Err(CompileError {
            code: CompileCode::TooComplex,
            message: format!("the query is longer than {JSONPATH_BYTES_MAX} bytes"),
            position: JSONPATH_BYTES_MAX,
            path: String::new(),
            suggestion: None,
        });
    }
    let mut parser = Parser {
        text,
        position: 0,
        depth: 0,
        absolutes: 0,
        automata: Budget::default(),
    };
    parser.query().map_err(|refused| *refused)
}

pub(super) struct Parser<'q> {
    text: &'q str,
    pub(super) position: usize,
    depth: usize,
    absolutes: usize,
    automata: Budget,
}

impl<'q> Parser<'q> {
    fn query(&mut self) -> Result<Query, Refused> {
        if !self.take(b"$") {
            let refused = self.refuse("a query begins with $");
            let suggestion = match self.peek() {
                Some(b'.' | b'[') => Some(format!("write ${}", self.text)),
                Some(b'@') => Some(format!("write ${}", &self.text[1..])),
                _ => None,
            };
            return Err(Box::new(CompileError { suggestion, ..*refused }));
        }
        let (mut segments, mut ends) = (Vec::new(), Vec::new());
        while let Some(segment) = self.segment()? {
            segments.push(segment);
            ends.push(self.position);
        }
        if self.position < self.text.len() {
            return Err(self.unexpected("a segment (`.name`, `..name` or `[…]`) or the end of the query"));
        }
        Ok(Query {
            text: self.text.into(),
            names: required(&segments),
            needs: needs::of_segments(&segments).into(),
            segments: segments.into(),
            ends: ends.into(),
            absolutes: self.absolutes,
        })
    }

    /// Takes a segment and the blanks before it, or nothing.
    fn segment(&mut self) -> Result<Option<Segment>, Refused> {
        let before = self.position;
        self.blanks();
        let child = |selectors: Vec<Selector>| Segment {
            descendants: false,
            selectors: selectors.into(),
        };
        if self.take(b"..") {
            let selectors = match self.peek() {
                Some(b'[') => self.bracketed()?,
                _ => vec![self.shorthand()?],
            };
            return Ok(Some(Segment {
                descendants: true,
                ..child(selectors)
            }));
        }
        if self.take(b".") {
            return Ok(Some(child(vec![self.shorthand()?])));
        }
        if self.peek() == Some(b'[') {
            return Ok(Some(child(self.bracketed()?)));
        }
        self.position = before;
        Ok(None)
    }

    /// Takes `*` or a name without quotation marks.
    fn shorthand(&mut self) -> Result<Selector, Refused> {
        if self.take(b"*") {
            return Ok(Selector::Wildcard);
        }
        let is_first = |character: char| character.is_ascii_alphabetic() || character == '_' || !character.is_ascii();
        let length = match self.text[self.position..].chars().next() {
            Some(first) if is_first(first) => self.text[self.position..]
                .find(|character: char| !is_first(character) && !character.is_ascii_digit())
                .unwrap_or(self.text.len() - self.position),
            _ => return Err(self.unexpected("a name or `*`; other names stand in brackets and quotation marks")),
        };
        let name = &self.rest()[..length];
        self.position += length;
        Ok(Selector::Name(name.into()))
    }

    /// Takes selectors in brackets; the position is at the opening one.
    fn bracketed(&mut self) -> Result<Vec<Selector>, Refused> {
        self.position += 1;
        let mut selectors = Vec::new();
        loop {
            self.blanks();
            selectors.push(self.selector()?);
            self.blanks();
            if self.take(b"]") {
                return Ok(selectors);
            }
            if !self.take(b",") {
                return Err(self.unexpected("`,` or `]`"));
            }
        }
    }

    fn selector(&mut self) -> Result<Selector, Refused> {
        match self.peek() {
            Some(b'\'' | b'"') => self.string().map(Selector::Name),
            Some(b'*') => {
                self.position += 1;
                Ok(Selector::Wildcard)
            }
            Some(b'?') => {
                self.position += 1;
                self.blanks();
                let logical = self.nested(Self::logical)?;
                Ok(Selector::Filter(Box::new(logical)))
            }
            Some(b':' | b'-' | b'0'..=b'9') => self.index_or_slice(),
            _ => Err(self.unexpected("a name in quotation marks, `*`, an index, a slice or a filter `?`")),
        }
    }

    fn index_or_slice(&mut self) -> Result<Selector, Refused> {
        let start = self.integer()?;
        let after = self.position;
        self.blanks();
        if !self.take(b":") {
            self.position = after;
            return start
                .map(Selector::Index)
                .ok_or_else(|| self.unexpected("an index or a slice"));
        }
        self.blanks();
        let end = self.integer()?;
        let after = self.position;
        self.blanks();
        let mut step = None;
        if self.take(b":") {
            self.blanks();
            step = self.integer()?;
        } else {
            self.position = after;
        }
        let step = step.unwrap_or(1);
        Ok(Selector::Slice(Slice { start, end, step }))
    }

    /// Takes something that may hold itself.
    fn nested<T>(&mut self, take: impl FnOnce(&mut Self) -> Result<T, Refused>) -> Result<T, Refused> {
        if self.depth == JSONPATH_DEPTH_MAX {
            let refused = self.refuse(format!("filters are nested more than {JSONPATH_DEPTH_MAX} levels deep"));
            return Err(Box::new(CompileError {
                code: CompileCode::TooComplex,
                ..*refused
            }));
        }
        self.depth += 1;
        let taken = take(self);
        self.depth -= 1;
        taken
    }

    pub(super) fn text(&self) -> &'q str {
        self.text
    }

    pub(super) fn rest(&self) -> &'q [u8] {
        &self.text.as_bytes()[self.position..]
    }

    pub(super) fn peek(&self) -> Option<u8> {
        self.rest().first().copied()
    }

    /// Takes a character.
    pub(super) fn character(&mut self) -> Option<char> {
        let character = self.text[self.position..].chars().next()?;
        self.position += character.len_utf8();
        Some(character)
    }

    /// Takes these bytes if they are next.
    pub(super) fn take(&mut self, wanted: &[u8]) -> bool {
        let taken = self.rest().starts_with(wanted);
        self.position += if taken { wanted.len() } else { 0 };
        taken
    }

    fn blanks(&mut self) {
        let is_blank = |byte: &&u8| matches!(byte, b' ' | b'\t' | b'\n' | b'\r');
        self.position += self.rest().iter().take_while(is_blank).count();
    }

    fn unexpected(&self, wanted: &str) -> Refused {
        match self.text[self.position..].chars().next() {
            Some(character) => self.refuse(format!("{character:?} where {wanted} is expected")),
            None => self.refuse(format!("the query ends where {wanted} is expected")),
        }
    }

    /// A refusal at the current position.
    pub(super) fn refuse(&self, message: impl Into<String>) -> Refused {
        Box::new(CompileError {
            code: CompileCode::BadPattern,
            message: message.into(),
            position: self.position,
            path: String::new(),
            suggestion: None,
        })
    }
}
