//! A piece of a filter's JSON that knows where it stands, so that a refusal does as well.

use std::collections::BTreeMap;

use serde_json::value::RawValue;

use crate::error::{CompileCode, CompileError};
use crate::explain::cut;
use crate::limits::PATTERN_BYTES_MAX;

/// Beyond this many edits a name is not taken for a misspelt one.
const EDITS_MAX: usize = 3;

/// A JSON value as it is written, inside a whole text.
#[derive(Debug, Clone)]
pub(super) struct Text<'t> {
    position: usize,
    json: &'t str,
    path: String,
}

impl<'t> Text<'t> {
    /// A whole filter.
    pub(super) fn whole(json: &'t [u8]) -> Result<Self, CompileError> {
        let refused = |code, position, message: String| CompileError {
            code,
            message,
            position,
            path: String::new(),
            suggestion: None,
        };
        if json.len() > PATTERN_BYTES_MAX {
            let message = format!("the filter is longer than {PATTERN_BYTES_MAX} bytes");
            return Err(refused(CompileCode::TooComplex, 0, message));
        }
        let text = std::str::from_utf8(json).map_err(|error| {
            refused(
                CompileCode::NotJson,
                error.valid_up_to(),
                "the filter is not UTF-8".into(),
            )
        })?;
        let raw: &RawValue = serde_json::from_str(text).map_err(|error| {
            let position = position_of(text, error.line(), error.column());
            refused(
                CompileCode::NotJson,
                position,
                format!("the filter is not JSON: {error}"),
            )
        })?;
        Ok(Self {
            position: offset(text, raw.get()),
            json: raw.get(),
            path: String::new(),
        })
    }

    /// The members of an object. Of equal names the last counts.
    pub(super) fn members(&self, what: &str) -> Result<Vec<(String, Text<'t>)>, CompileError> {
        if !self.json.starts_with('{') {
            return Err(self.invalid(format!("{what} is an object")));
        }
        let members: BTreeMap<String, &'t RawValue> = self.read(what)?;
        Ok(members
            .into_iter()
            .map(|(name, raw)| {
                let path = if self.path.is_empty() {
                    name.clone()
                } else {
                    format!("{}.{name}", self.path)
                };
                (name, self.part(raw, path))
            })
            .collect())
    }

    /// The items of a list.
    pub(super) fn items(&self, what: &str) -> Result<Vec<Text<'t>>, CompileError> {
        if !self.json.starts_with('[') {
            return Err(self.invalid(format!("{what} is a list")));
        }
        let items: Vec<&'t RawValue> = self.read(what)?;
        let items = items.into_iter().enumerate();
        Ok(items
            .map(|(index, raw)| self.part(raw, format!("{}[{index}]", self.path)))
            .collect())
    }

    /// A string.
    pub(super) fn string(&self, what: &str) -> Result<String, CompileError> {
        if !self.is_string() {
            return Err(self.invalid(format!("{what} is a string")));
        }
        self.read(what)
    }

    /// A number, as it is written.
    pub(super) fn number(&self) -> Result<&'t str, CompileError> {
        if self
            .json
            .starts_with(|first: char| first == '-' || first.is_ascii_digit())
        {
            return Ok(self.json);
        }
        let suggestion = self
            .is_string()
            .then(|| "write the number without quotation marks".into());
        Err(CompileError {
            suggestion,
            ..self.invalid("the operator takes numbers")
        })
    }

    /// A boolean, or the name of one.
    pub(super) fn boolean(&self) -> Result<bool, CompileError> {
        match self.json.trim_matches('"').to_ascii_lowercase().as_str() {
            "true" => Ok(true),
            "false" => Ok(false),
            _ => Err(self.invalid("true or false is wanted")),
        }
    }

    pub(super) fn is_null(&self) -> bool {
        self.json == "null"
    }

    pub(super) fn is_string(&self) -> bool {
        self.json.starts_with('"')
    }

    pub(super) fn is_list(&self) -> bool {
        self.json.starts_with('[')
    }

    /// A refusal of this piece.
    pub(super) fn invalid(&self, message: impl Into<String>) -> CompileError {
        self.refuse(CompileCode::BadPattern, message)
    }

    /// A refusal of this piece.
    pub(super) fn refuse(&self, code: CompileCode, message: impl Into<String>) -> CompileError {
        CompileError {
            code,
            message: message.into(),
            position: self.position,
            path: self.path.clone(),
            suggestion: None,
        }
    }

    /// A refusal of a name that is none of the known ones.
    pub(super) fn unknown(&self, name: &str, known: &[&str]) -> CompileError {
        let lower = name.to_ascii_lowercase();
        let known = known
            .iter()
            .map(|known| (strsim::levenshtein(&lower, &known.to_ascii_lowercase()), *known));
        let nearest = known.min().filter(|(edits, _)| *edits <= EDITS_MAX);
        CompileError {
            suggestion: nearest.map(|(_, known)| format!("did you mean {known:?}?")),
            ..self.invalid(cut(format!("{name:?} is not known here")))
        }
    }

    fn read<T: serde::Deserialize<'t>>(&self, what: &str) -> Result<T, CompileError> {
        serde_json::from_str(self.json).map_err(|error| self.invalid(format!("{what} cannot be read: {error}")))
    }

    fn part(&self, raw: &'t RawValue, path: String) -> Text<'t> {
        Text {
            position: self.position + offset(self.json, raw.get()),
            json: raw.get(),
            path,
        }
    }
}

/// Where a part of a text begins.
fn offset(whole: &str, part: &str) -> usize {
    (part.as_ptr() as usize).saturating_sub(whole.as_ptr() as usize)
}

/// The byte that a line and a column of it mean.
fn position_of(text: &str, line: usize, column: usize) -> usize {
    let before: usize = text
        .split_inclusive('\n')
        .take(line.saturating_sub(1))
        .map(str::len)
        .sum();
    (before + column.saturating_sub(1)).min(text.len())
}
