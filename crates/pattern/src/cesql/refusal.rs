//! Why a text is no expression: the reason, the place, and the corrected form where it can be guessed.

use super::keyword::Keyword;
use super::token::{Kind, Token};
use crate::error::{CompileCode, CompileError};

impl CompileError {
    pub(super) fn suggesting(mut self, suggestion: String) -> Self {
        self.suggestion = Some(suggestion);
        self
    }
}

/// Text that is no expression.
pub(super) fn refused(position: usize, message: String) -> CompileError {
    CompileError {
        code: CompileCode::BadPattern,
        message,
        position,
        path: String::new(),
        suggestion: None,
    }
}

/// An expression beyond a bound.
pub(super) fn too_complex(position: usize, message: String) -> CompileError {
    CompileError {
        code: CompileCode::TooComplex,
        ..refused(position, message)
    }
}

/// Something else than what was wanted.
pub(super) fn expected(wanted: &str, found: &Token<'_>) -> CompileError {
    let message = match &found.kind {
        Kind::End => format!("{wanted} is missing at the end"),
        Kind::Text(_) => format!("{wanted} is missing before a string"),
        Kind::Dot => format!("{wanted} is missing before a dot"),
        Kind::Digits(word) | Kind::Word(word) => format!("{wanted} is missing before {word}"),
        Kind::Symbol(symbol) => format!("{wanted} is missing before {symbol}"),
    };
    refused(found.span.start, message)
}

/// A word where an operator should be.
pub(super) fn unknown_operator(word: &str, token: &Token<'_>) -> CompileError {
    let error = expected("an operator", token);
    let upper = word.to_uppercase();
    let near = |known: &&(&str, Keyword)| strsim::damerau_levenshtein(&upper, known.0) == 1 && upper.len() > 1;
    match Keyword::ALL.iter().find(near) {
        Some((known, _)) => error.suggesting(format!("did you mean {known}?")),
        None => error,
    }
}
