//! What can be wrong with a transform, and with an event for it.

use std::fmt;

/// Why a transform cannot be saved.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CompileError {
    /// Which part is to blame.
    pub part: Part,
    /// A lower-case fragment that fits "… : …", without secrets.
    pub message: String,
}

/// A part of a transform.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Part {
    /// The constant.
    Input,
    /// The path of the output.
    InputPath,
    /// All variables together.
    Paths,
    /// The variable of this name.
    Path(String),
    /// The template.
    Template,
    /// The template's placeholder of this name, which nothing defines.
    Placeholder(String),
}

impl CompileError {
    pub(crate) fn new(part: Part, message: impl Into<String>) -> Self {
        Self {
            part,
            message: message.into(),
        }
    }
}

impl fmt::Display for CompileError {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.part {
            Part::Path(name) => write!(formatter, "path {name:?}: {}", self.message),
            _ => formatter.write_str(&self.message),
        }
    }
}

impl std::error::Error for CompileError {}

/// Why an event has no output. It is about the event: another try gives the same.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Failure {
    /// A stable class: `transform_path_missing`, `transform_not_json` or `transform_too_large`.
    pub code: &'static str,
    /// In words, without any of the event's data.
    pub message: String,
}

impl fmt::Display for Failure {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&self.message)
    }
}

impl std::error::Error for Failure {}
