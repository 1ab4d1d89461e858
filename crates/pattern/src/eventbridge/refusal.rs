//! What is wrong with a pattern, in AWS's words, and where.

use super::Compiler;
use crate::error::{CompileCode, CompileError};
use crate::json::{Fault, FaultKind};
use crate::limits::{JSON_DEPTH_MAX, OR_COMBINATIONS_MAX};
use crate::scan::{COMMA_IN_ARRAY, COMMA_IN_OBJECT};
use crate::tokens::{Token, Tokens};

impl Compiler<'_> {
    /// A refusal at the last token.
    pub(super) fn refuse(&self, message: impl Into<String>) -> CompileError {
        CompileError {
            code: CompileCode::BadPattern,
            message: message.into(),
            position: self.tokens.position,
            path: String::from_utf8_lossy(&self.path.join(&b'.')).into_owned(),
            suggestion: None,
        }
    }

    pub(super) fn not_json(&self, fault: Fault) -> CompileError {
        let code = if fault.kind == FaultKind::Bound {
            CompileCode::TooComplex
        } else {
            CompileCode::NotJson
        };
        let message = message_of(fault, &self.tokens);
        CompileError {
            code,
            position: fault.position,
            ..self.refuse(message)
        }
    }

    pub(super) fn too_complex(&self) -> CompileError {
        let message = format!(
            "Rule is too complex - $or makes more than {OR_COMBINATIONS_MAX} combinations, or combinations of too many fields"
        );
        CompileError {
            code: CompileCode::TooComplex,
            ..self.refuse(message)
        }
    }
}

/// The list that a single value should have been.
pub(super) fn list_of(name: &str, scalar: &Token) -> Option<String> {
    let name = serde_json::to_string(name).ok()?;
    let value = match scalar {
        Token::Text(text) => serde_json::to_string(&*String::from_utf8_lossy(text)).ok()?,
        scalar => scalar.to_string(),
    };
    Some(format!("write it as a list: {name}: [{value}]"))
}

/// What is wrong with the JSON, as AWS's parser says it.
fn message_of(fault: Fault, tokens: &Tokens<'_>) -> String {
    match fault.kind {
        FaultKind::End => "Unexpected end-of-input".into(),
        FaultKind::Character(b'}', COMMA_IN_ARRAY) => "Unexpected close marker '}': expected ']'".into(),
        FaultKind::Character(b']', COMMA_IN_OBJECT) => "Unexpected close marker ']': expected '}'".into(),
        FaultKind::Character(byte, expected) => {
            format!(
                "Unexpected character ('{}' (code {byte})): was expecting {expected}",
                char::from(byte)
            )
        }
        FaultKind::Control(byte) => {
            format!(
                "Illegal unquoted character ((CTRL-CHAR, code {byte})): has to be escaped using backslash to be included in string value"
            )
        }
        FaultKind::Escape(byte) => format!("Unrecognized character escape '{}' (code {byte})", char::from(byte)),
        FaultKind::Word => {
            let word = tokens.word_at(fault.position);
            format!(
                "Unrecognized token '{word}': was expecting (JSON String, Number, Array, Object or token 'null', 'true' or 'false')"
            )
        }
        FaultKind::Number => "Malformed numeric value".into(),
        FaultKind::Encoding => "The pattern is not UTF-8".into(),
        FaultKind::Bound => format!("The pattern is nested more than {JSON_DEPTH_MAX} levels deep"),
    }
}
