//! EventBridge's input template: JSON, or strings one after another, with `<name>` where a value goes.
//!
//! Outside of a string a placeholder becomes a JSON value, quotes included; within one the value without its quotes, and its
//! objects and lists without theirs. What is escaped in the event stays escaped, so that no value ends the string that it stands in:
//! an output is JSON because its template is. The one exception is a placeholder for a member's name, which needs a string.

use crate::{
    envelope::{Context, Envelope, OVERHEAD_BYTES},
    error::{CompileError, Failure, Part},
    json::Quotes,
    limits::{OUTPUT_BYTES_MAX, TEXT_CHARACTERS_MAX},
    paths::Paths,
    variable::{Variable, Variables, is_of_a_placeholder},
};
use serde::de::IgnoredAny;

/// An input transformer, compiled.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Template {
    /// Of its own variables.
    paths: Paths,
    pieces: Vec<Piece>,
    form: Form,
    /// Whether a value could break the output.
    is_doubtful: bool,
    /// Bytes of the literals.
    literal_bytes: usize,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Piece {
    Literal(Box<[u8]>),
    Value(Variable, Quotes),
}

/// What comes out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Form {
    Json,
    /// Several strings: no JSON, but text.
    Strings,
}

/// A template cut into pieces, and the same with `""` for every value outside of a string.
#[derive(Default)]
struct Cut {
    pieces: Vec<Piece>,
    skeleton: Vec<u8>,
    /// Whether there is a value outside of a string.
    has_bare: bool,
    is_doubtful: bool,
}

impl Template {
    pub(crate) fn new(paths: &[(String, String)], text: &str) -> Result<Self, CompileError> {
        let refused = |message: String| CompileError::new(Part::Template, message);
        if text.is_empty() {
            return Err(refused("a template is not empty".to_owned()));
        }
        if text.chars().count() > TEXT_CHARACTERS_MAX {
            return Err(refused(format!(
                "a template has at most {TEXT_CHARACTERS_MAX} characters"
            )));
        }
        let mut variables = Variables::new(paths)?;
        let cut = cut(text, &mut variables)?;
        let literal_bytes = cut.skeleton.len();
        Ok(Self {
            form: cut.form().map_err(refused)?,
            paths: Paths::new(&variables.asked()),
            pieces: cut.pieces,
            is_doubtful: cut.is_doubtful,
            literal_bytes,
        })
    }

    pub(crate) fn apply(&self, envelope: Envelope<'_>, context: &Context<'_>) -> Result<(Vec<u8>, Form), Failure> {
        let envelope = envelope.compact();
        let pieces = self.paths.find(&envelope).ok_or_else(too_large)?;
        let mut out = Vec::with_capacity(self.literal_bytes + OVERHEAD_BYTES);
        for piece in &self.pieces {
            match piece {
                Piece::Literal(bytes) => out.extend_from_slice(bytes),
                Piece::Value(variable, quotes) => variable.put(&mut out, &pieces, context, *quotes),
            }
            if out.len() > OUTPUT_BYTES_MAX {
                return Err(too_large());
            }
        }
        if self.is_doubtful {
            serde_json::from_slice::<IgnoredAny>(&out).map_err(|error| Failure {
                code: "transform_not_json",
                message: format!(
                    "what the template makes of this event is no JSON (at byte {})",
                    error.column()
                ),
            })?;
        }
        Ok((out, self.form))
    }
}

fn too_large() -> Failure {
    Failure {
        code: "transform_too_large",
        message: format!("the template makes more than {OUTPUT_BYTES_MAX} bytes of this event"),
    }
}

fn cut(text: &str, variables: &mut Variables) -> Result<Cut, CompileError> {
    let bytes = text.as_bytes();
    let mut cut = Cut::default();
    let (mut from, mut at) = (0, 0);
    let mut in_string = false;
    while let Some(byte) = bytes.get(at) {
        match byte {
            b'\\' if in_string => at += 1,
            b'"' => in_string = !in_string,
            b'<' => {
                if let Some(name) = placeholder(&text[at..]) {
                    let unknown = || {
                        let message = format!("the template has the placeholder <{name}>, which nothing defines");
                        CompileError::new(Part::Placeholder(name.to_owned()), message)
                    };
                    let variable = variables.named(name).ok_or_else(unknown)?;
                    cut.literal(&bytes[from..at]);
                    at += name.len() + 2;
                    cut.value(variable, in_string, &bytes[at..]);
                    from = at;
                    continue;
                }
            }
            _ => {}
        }
        at += 1;
    }
    cut.literal(&bytes[from..]);
    Ok(cut)
}

/// The name that a text begins with in angle brackets. Anything else after `<` is a text like any other.
fn placeholder(text: &str) -> Option<&str> {
    let name = text.strip_prefix('<')?;
    let end = name.bytes().position(|byte| !is_of_a_placeholder(byte))?;
    (end > 0 && name.as_bytes()[end] == b'>').then(|| &name[..end])
}

impl Cut {
    /// JSON, or strings one after another.
    fn form(&self) -> Result<Form, String> {
        let error = match serde_json::from_slice::<IgnoredAny>(&self.skeleton) {
            Ok(_) => return Ok(Form::Json),
            Err(error) => error,
        };
        let mut strings = serde_json::Deserializer::from_slice(&self.skeleton).into_iter::<String>();
        if !self.has_bare && !self.skeleton.trim_ascii().is_empty() && strings.all(|string| string.is_ok()) {
            return Ok(Form::Strings);
        }
        Err(format!(
            "a template is JSON or strings in quotes, with placeholders for values; with empty strings for them it is neither: \
             {error}"
        ))
    }

    fn literal(&mut self, bytes: &[u8]) {
        self.skeleton.extend_from_slice(bytes);
        if !bytes.is_empty() {
            self.pieces.push(Piece::Literal(bytes.into()));
        }
    }

    fn value(&mut self, variable: Variable, in_string: bool, rest: &[u8]) {
        let quotes = if in_string { Quotes::Dropped } else { Quotes::Kept };
        if !in_string {
            self.skeleton.extend_from_slice(b"\"\"");
            self.has_bare = true;
            self.is_doubtful |= rest.trim_ascii_start().first() == Some(&b':');
        }
        self.pieces.push(Piece::Value(variable, quotes));
    }
}
