//! Compiles a subscription's transform, and says where one does not compile.

use crate::{
    filters::read_document,
    parse::{parse, token},
    refusal::{Class, Refusal},
    resources::{InputTransformer, TransformSpec},
};
use std::sync::Arc;
use transform::{CompileError, Part, Transform};

/// The transform of a specification, or where and why it does not compile; `None`: events stay as they are. Pointers begin with
/// `/transform`.
pub fn compile(spec: &TransformSpec) -> Result<Option<Arc<Transform>>, Refusal> {
    let compiled = match spec {
        TransformSpec::Raw => return Ok(None),
        TransformSpec::Input(text) => Transform::input(text.as_str()),
        TransformSpec::InputPath(path) => Transform::input_path(path),
        TransformSpec::InputTransformer(transformer) => {
            let paths: Vec<_> = transformer.paths.clone().into_iter().collect();
            Transform::input_transformer(&paths, &transformer.template)
        }
    };
    compiled.map(Arc::new).map(Some).map_err(|error| refused(&error))
}

/// The placeholder of a template that nothing defines, if that is what is wrong with it.
pub fn unknown_placeholder(transformer: &InputTransformer) -> Option<String> {
    let paths: Vec<_> = transformer.paths.clone().into_iter().collect();
    match Transform::input_transformer(&paths, &transformer.template) {
        Err(CompileError {
            part: Part::Placeholder(name),
            ..
        }) => Some(name),
        _ => None,
    }
}

/// Reads a transform as a subscription has it under `transform`, in the JSON that was written.
pub fn read_transform(json: &str) -> Result<TransformSpec, Refusal> {
    let document = format!("{{\"transform\":{json}}}");
    let document = read_document(document.as_bytes()).map_err(|error| Refusal {
        class: Class::Malformed,
        ..Refusal::invalid("/transform", format!("it cannot be read: {error}"))
    })?;
    parse(&document["transform"], "/transform", &[])
}

fn refused(error: &CompileError) -> Refusal {
    let place = match &error.part {
        Part::Input => "input".to_owned(),
        Part::InputPath => "input_path".to_owned(),
        Part::Paths => "input_transformer/paths".to_owned(),
        Part::Path(name) => format!("input_transformer/paths{}", token(name)),
        Part::Template | Part::Placeholder(_) => "input_transformer/template".to_owned(),
    };
    Refusal {
        code: "transform_invalid",
        ..Refusal::invalid(format!("/transform/{place}"), error.message.clone())
    }
}
