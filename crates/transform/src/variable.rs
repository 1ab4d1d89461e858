//! What a placeholder of a template stands for.

use crate::{
    envelope::{Context, Spelling, put_text, second},
    error::{CompileError, Part},
    json::Quotes,
    limits::{NAME_CHARACTERS_MAX, PATHS_MAX},
    path::InputPath,
    paths::Pieces,
};

/// A variable: one of the template's own, by the number of its path, or one that every template has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Variable {
    Own(usize),
    RuleArn,
    RuleName,
    IngestionTime,
    /// The envelope without `detail`.
    Event,
    /// The whole envelope.
    EventJson,
}

const PREDEFINED: [(&str, Variable); 5] = [
    ("aws.events.rule-arn", Variable::RuleArn),
    ("aws.events.rule-name", Variable::RuleName),
    ("aws.events.event.ingestion-time", Variable::IngestionTime),
    ("aws.events.event", Variable::Event),
    ("aws.events.event.json", Variable::EventJson),
];

/// The variables that a template defines, and which of their paths it asks for.
pub(crate) struct Variables {
    defined: Vec<(Box<str>, InputPath)>,
    asked: Vec<usize>,
}

/// Whether a character may be in a placeholder.
pub(crate) fn is_of_a_placeholder(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || b"_-.".contains(&byte)
}

impl Variables {
    pub(crate) fn new(paths: &[(String, String)]) -> Result<Self, CompileError> {
        if paths.len() > PATHS_MAX {
            let message = format!("a template has at most {PATHS_MAX} paths");
            return Err(CompileError::new(Part::Paths, message));
        }
        let mut variables = Vec::with_capacity(paths.len());
        for (name, path) in paths {
            let refused = |message: String| CompileError::new(Part::Path(name.clone()), message);
            check_name(name).map_err(|reason| refused(reason.to_owned()))?;
            variables.push((name.as_str().into(), InputPath::parse(path).map_err(refused)?));
        }
        Ok(Self {
            defined: variables,
            asked: Vec::new(),
        })
    }

    /// What a placeholder stands for.
    pub(crate) fn named(&mut self, name: &str) -> Option<Variable> {
        if let Some((_, predefined)) = PREDEFINED.iter().find(|(known, _)| *known == name) {
            return Some(*predefined);
        }
        let defined = self.defined.iter().position(|(known, _)| **known == *name)?;
        let known = self.asked.iter().position(|asked| *asked == defined);
        Some(Variable::Own(known.unwrap_or_else(|| {
            self.asked.push(defined);
            self.asked.len() - 1
        })))
    }

    /// The paths that placeholders stand for, by their numbers. One that none names is in no output, and not looked for.
    pub(crate) fn asked(&self) -> Vec<InputPath> {
        let asked = self.asked.iter();
        asked.map(|defined| self.defined[*defined].1.clone()).collect()
    }
}

fn check_name(name: &str) -> Result<(), &'static str> {
    let legal = name
        .bytes()
        .all(|byte| byte.is_ascii_alphanumeric() || b"_-".contains(&byte));
    match name {
        "" => Err("a name has at least one character"),
        _ if name.len() > NAME_CHARACTERS_MAX => Err("a name has at most 256 characters"),
        _ if !legal => Err("a name has letters, digits, '_' and '-' only"),
        _ if name.get(..3).is_some_and(|begin| begin.eq_ignore_ascii_case("aws")) => {
            Err("a name does not begin with 'AWS'")
        }
        _ => Ok(()),
    }
}

impl Variable {
    /// Appends what it stands for: JSON, or for the inside of a string the same without quotes. What is not there is an empty
    /// string.
    pub(crate) fn put(self, out: &mut Vec<u8>, pieces: &Pieces<'_>, context: &Context<'_>, quotes: Quotes) {
        match self {
            Self::Own(path) => {
                if !pieces.put(out, path, quotes) {
                    put_text(out, "", quotes);
                }
            }
            Self::RuleArn => put_text(out, context.rule_arn, quotes),
            Self::RuleName => put_text(out, context.rule_name, quotes),
            Self::IngestionTime => put_text(out, &second(context.accepted), quotes),
            Self::Event => pieces.envelope.write_as(out, Spelling::WithoutDetail, quotes),
            Self::EventJson => pieces.envelope.write_as(out, Spelling::Envelope, quotes),
        }
    }
}
