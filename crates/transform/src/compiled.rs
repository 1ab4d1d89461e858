//! A transform, compiled, and what it makes of an event.

use crate::{
    envelope::{Context, Envelope},
    error::{CompileError, Failure, Part},
    json::Quotes,
    limits::{OUTPUT_BYTES_MAX, TEXT_CHARACTERS_MAX},
    path::InputPath,
    paths::Paths,
    template::{Form, Template},
};
use event::{DataForm, EventView};

/// What is made of an event. An event that is to stay as it is has none.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Transform(Kind);

/// The languages there are.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Kind {
    Input(Box<[u8]>),
    InputPath(Paths),
    InputTransformer(Box<Template>),
}

/// What a transform made of an event.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Output {
    bytes: Vec<u8>,
    form: Form,
}

impl Transform {
    /// A constant: a JSON text, the same for every event.
    pub fn input(json: &str) -> Result<Self, CompileError> {
        let refused = |message| CompileError::new(Part::Input, message);
        if json.chars().count() > TEXT_CHARACTERS_MAX {
            return Err(refused(format!(
                "a constant has at most {TEXT_CHARACTERS_MAX} characters"
            )));
        }
        let checked = event::json::check(json.as_bytes());
        checked.map_err(|reason| refused(format!("it is no JSON: {reason}")))?;
        Ok(Self(Kind::Input(json.trim().as_bytes().into())))
    }

    /// The event's whole EventBridge envelope.
    pub fn whole() -> Self {
        Self(Kind::InputPath(Paths::new(&[InputPath::whole()])))
    }

    /// A part of the event's EventBridge envelope; `$` is all of it.
    pub fn input_path(path: &str) -> Result<Self, CompileError> {
        let path = InputPath::new(path)?;
        Ok(Self(Kind::InputPath(Paths::new(&[path]))))
    }

    /// A template with variables: names, and paths into the event's EventBridge envelope.
    pub fn input_transformer(paths: &[(String, String)], template: &str) -> Result<Self, CompileError> {
        let template = Template::new(paths, template)?;
        Ok(Self(Kind::InputTransformer(Box::new(template))))
    }

    /// What becomes of an event.
    pub fn apply(&self, event: &EventView<'_>, context: &Context<'_>) -> Result<Output, Failure> {
        let (bytes, form) = match &self.0 {
            Kind::Input(json) => (json.to_vec(), Form::Json),
            Kind::InputPath(path) => (part(path, &Envelope::new(event, context))?, Form::Json),
            Kind::InputTransformer(template) => template.apply(Envelope::new(event, context), context)?,
        };
        match bytes.len() <= OUTPUT_BYTES_MAX {
            true => Ok(Output { bytes, form }),
            false => Err(too_large()),
        }
    }
}

fn too_large() -> Failure {
    Failure {
        code: "transform_too_large",
        message: format!("the transform makes more than {OUTPUT_BYTES_MAX} bytes of this event"),
    }
}

fn part(path: &Paths, envelope: &Envelope<'_>) -> Result<Vec<u8>, Failure> {
    let pieces = path.find(envelope).ok_or_else(too_large)?;
    let mut bytes = Vec::with_capacity(envelope.size());
    match pieces.put(&mut bytes, 0, Quotes::Kept) {
        true => Ok(bytes),
        false => Err(Failure {
            code: "transform_path_missing",
            message: "the event has nothing at the path of the transform".to_owned(),
        }),
    }
}

impl Output {
    /// What was made.
    pub fn bytes(&self) -> &[u8] {
        &self.bytes
    }

    /// What it is: JSON, or text where a template consists of several strings.
    pub fn data_form(&self) -> DataForm {
        match self.form {
            Form::Json => DataForm::Json,
            Form::Strings => DataForm::Text,
        }
    }

    /// Its media type.
    pub fn content_type(&self) -> &'static str {
        match self.form {
            Form::Json => "application/json",
            Form::Strings => "text/plain; charset=utf-8",
        }
    }

    /// The event with the output in place of its data. `dataschema` spoke of the data that it had.
    pub fn event<'a>(&'a self, event: &EventView<'a>) -> EventView<'a> {
        event.with_data(&self.bytes, self.data_form(), self.content_type())
    }
}
