//! What a placeholder of a template stands for.

use crate::{
    envelope::{Context, Envelope, Piece, Spelling, put_piece, put_text, second},
    error::{CompileError, Part},
    json::Quotes,
    limits::{NAME_CHARACTERS_MAX, PATHS_MAX},
    path::InputPath,
};

/// A variable: one of the template's own, by its number, or one that every template has.
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

/// The variables that a template defines.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Variables(Vec<(Box<str>, InputPath)>);

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
        Ok(Self(variables))
    }

    /// What a placeholder stands for.
    pub(crate) fn named(&self, name: &str) -> Option<Variable> {
        let predefined = PREDEFINED.iter().find(|(known, _)| *known == name);
        let own = || self.0.iter().position(|(known, _)| **known == *name).map(Variable::Own);
        predefined.map(|(_, variable)| *variable).or_else(own)
    }

    /// What the variables of its own find in an event, in their order.
    pub(crate) fn find<'e>(&self, envelope: &'e Envelope<'_>) -> Vec<Piece<'e>> {
        self.0.iter().map(|(_, path)| envelope.find(path)).collect()
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
    pub(crate) fn put(
        self,
        out: &mut Vec<u8>,
        (envelope, context): (&Envelope<'_>, &Context<'_>),
        own: &[Piece<'_>],
        quotes: Quotes,
    ) {
        match self {
            Self::Own(index) => {
                if !put_piece(out, envelope, &own[index], quotes) {
                    put_text(out, "", quotes);
                }
            }
            Self::RuleArn => put_text(out, context.rule_arn, quotes),
            Self::RuleName => put_text(out, context.rule_name, quotes),
            Self::IngestionTime => put_text(out, &second(context.accepted), quotes),
            Self::Event => envelope.write_as(out, Spelling::WithoutDetail, quotes),
            Self::EventJson => envelope.write_as(out, Spelling::Envelope, quotes),
        }
    }
}
