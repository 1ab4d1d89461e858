//! Why a filter was refused: a stable code, the reason in the words AWS uses, the place, and the corrected form if it can be guessed.

use std::fmt;

/// What kind of refusal it is; stable, for programs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum CompileCode {
    /// The text is not JSON.
    NotJson,
    /// The JSON is not a pattern.
    BadPattern,
    /// A bound of [`limits`](crate::limits) is crossed.
    TooComplex,
    /// A list of event types is empty or has an empty entry.
    BadTypes,
    /// What should be imported is not what it is said to be, or has no counterpart here.
    BadImport,
}

impl CompileCode {
    /// The code as problems show it.
    pub fn as_str(self) -> &'static str {
        match self {
            CompileCode::NotJson => "filter_not_json",
            CompileCode::BadPattern => "filter_invalid",
            CompileCode::TooComplex => "filter_too_complex",
            CompileCode::BadTypes => "types_invalid",
            CompileCode::BadImport => "import_invalid",
        }
    }
}

/// A filter that cannot be compiled.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CompileError {
    /// The kind of refusal.
    pub code: CompileCode,
    /// The reason: for EventBridge patterns, AWS's text after "Event pattern is not valid. Reason: ".
    pub message: String,
    /// The byte of the text at which it was found; the index of the entry for a list of types.
    pub position: usize,
    /// The field as the pattern writes it, dotted; empty at the top.
    pub path: String,
    /// The corrected form, where it can be guessed.
    pub suggestion: Option<String>,
}

impl fmt::Display for CompileError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.message)?;
        if !self.path.is_empty() {
            write!(f, " (field {:?}, byte {})", self.path, self.position)?;
        } else {
            write!(f, " (byte {})", self.position)?;
        }
        match &self.suggestion {
            Some(suggestion) => write!(f, "; {suggestion}"),
            None => Ok(()),
        }
    }
}

impl std::error::Error for CompileError {}
