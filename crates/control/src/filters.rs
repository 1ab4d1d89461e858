//! Compiles a subscription's types and filter, through the mount table of its dialect. The paths here are the other half of
//! what builds a document of an event: both sides use these names.

mod place;
mod text;

pub use place::TextPosition;
pub use text::{FilterText, read_document, string_end};

pub(crate) use text::show;

use crate::{
    refusal::{Class, InText, Refusal},
    resources::{Dialect, FilterSpec, SubscriptionSpec},
};
use pattern::{CompileError, Filter, MountKind, Mounts};
use place::pointer;
use std::sync::{Arc, LazyLock};

/// Canonical paths of an event's document. Extensions lie at `/attr/{name}` like the other attributes.
pub mod paths {
    /// The event's `type`.
    pub const TYPE: &str = "/attr/type";
    /// The event's `source`.
    pub const SOURCE: &str = "/attr/source";
    /// The event's `id`.
    pub const ID: &str = "/attr/id";
    /// The event's `specversion`.
    pub const SPECVERSION: &str = "/attr/specversion";
    /// The prefix of every attribute.
    pub const ATTRIBUTES: &str = "/attr/";
    /// The JSON data.
    pub const DATA: &str = "/data";
    /// EventBridge's `source`: the event's, as it was before it was made a URI-reference.
    pub const AWS_SOURCE: &str = "/aws/source";
    /// EventBridge's `time`: the event's, cut to the second; absent there: the append time.
    pub const AWS_TIME: &str = "/aws/time";
    /// EventBridge's `version`: always `"0"`.
    pub const AWS_VERSION: &str = "/aws/version";
    /// EventBridge's `resources`: the extension `awsresources`, a list; absent there: empty.
    pub const AWS_RESOURCES: &str = "/aws/resources";
    /// EventBridge's `account`: the extension `awsaccount`; absent there: the bus's constant.
    pub const AWS_ACCOUNT: &str = "/aws/account";
    /// EventBridge's `region`: the extension `awsregion`; absent there: the bus's constant.
    pub const AWS_REGION: &str = "/aws/region";
    /// EventBridge's `replay-name`: the replay that the event comes by; absent from all others.
    pub const AWS_REPLAY_NAME: &str = "/aws/replay-name";
}

/// Where an EventBridge pattern's top names lie; any other top name is absent.
static EVENTBRIDGE: LazyLock<Mounts> = LazyLock::new(|| {
    let names = [
        ("detail", paths::DATA),
        ("detail-type", paths::TYPE),
        ("source", paths::AWS_SOURCE),
        ("id", paths::ID),
        ("time", paths::AWS_TIME),
        ("version", paths::AWS_VERSION),
        ("resources", paths::AWS_RESOURCES),
        ("account", paths::AWS_ACCOUNT),
        ("region", paths::AWS_REGION),
        ("replay-name", paths::AWS_REPLAY_NAME),
    ];
    names
        .iter()
        .fold(Mounts::builder(), |builder, (name, path)| builder.mount(name, path))
        .build()
});

/// Where an Event Grid filter's names lie; the attributes are where they always are.
static EVENTGRID: LazyLock<Mounts> = LazyLock::new(|| {
    let names = Mounts::builder().mount("data", paths::DATA);
    names.mount("topic", paths::SOURCE).build()
});

impl From<Dialect> for pattern::Dialect {
    fn from(dialect: Dialect) -> Self {
        match dialect {
            Dialect::Standard => Self::Standard,
            Dialect::Extended => Self::Extended,
        }
    }
}

/// What filters may take for granted of the documents that events make.
pub fn mount_kind(mount: &str) -> MountKind {
    match mount {
        paths::TYPE | paths::SOURCE | paths::ID | paths::SPECVERSION => MountKind::RequiredText,
        paths::AWS_SOURCE | paths::AWS_TIME | paths::AWS_VERSION | paths::AWS_ACCOUNT | paths::AWS_REGION => {
            MountKind::RequiredText
        }
        paths::AWS_REPLAY_NAME => MountKind::Text,
        mount if mount.starts_with(paths::ATTRIBUTES) => MountKind::Text,
        _ => MountKind::Json,
    }
}

/// The top name of the data in EventBridge patterns.
pub const DATA_NAME: &str = "detail";

/// The filter of a specification, or where and why it does not compile.
pub(crate) fn compile(spec: &SubscriptionSpec) -> Result<Arc<Filter>, Refusal> {
    compile_parts(spec.types.as_deref(), spec.filter.as_ref())
}

/// Types and filter together, or where and why they do not compile; pointers begin with `/types` and `/filter`.
pub fn compile_parts(types: Option<&[String]>, filter: Option<&FilterSpec>) -> Result<Arc<Filter>, Refusal> {
    let mut filters = Vec::new();
    if let Some(types) = types {
        filters.push(compile_types(types)?);
    }
    if let Some(filter) = filter {
        filters.push(compile_filter(filter)?);
    }
    Ok(Arc::new(Filter::all_of(filters)))
}

/// A filter over documents that are no events, whose paths begin at the top; `None` where its language is about events alone.
pub fn compile_bare(filter: &FilterSpec) -> Option<Result<Filter, Refusal>> {
    let compiled = match filter {
        FilterSpec::EventBridge(text, dialect) => eventbridge(text, *dialect, &Mounts::bare()),
        FilterSpec::EventGrid(text) => Filter::eventgrid(text.as_str().as_bytes(), &Mounts::bare()),
        FilterSpec::JsonPath(query) => Filter::jsonpath(query),
        FilterSpec::Cesql(..) | FilterSpec::CloudEvents(..) => return None,
    };
    Some(compiled.map_err(|error| refused(filter, &error)))
}

/// Reads a filter as a subscription has it under `filter`, in the JSON that was written.
pub fn read_filter(json: &str) -> Result<FilterSpec, Refusal> {
    let document = format!("{{\"filter\":{json}}}");
    let malformed = |error: serde_json::Error| Refusal {
        class: Class::Malformed,
        ..Refusal::invalid("/filter", format!("it cannot be read: {error}"))
    };
    let document = read_document(document.as_bytes()).map_err(malformed)?;
    crate::parse::parse(&document["filter"], "/filter", &[])
}

fn eventbridge(text: &FilterText, dialect: Dialect, mounts: &Mounts) -> Result<Filter, CompileError> {
    match dialect {
        Dialect::Standard => Filter::eventbridge(text.as_str().as_bytes(), mounts),
        Dialect::Extended => Filter::eventbridge_extended(text.as_str().as_bytes(), mounts),
    }
}

fn compile_types(types: &[String]) -> Result<Filter, Refusal> {
    let types: Vec<&str> = types.iter().map(String::as_str).collect();
    Filter::types(&types).map_err(|error| Refusal {
        code: error.code.as_str(),
        ..Refusal::invalid(format!("/types/{}", error.position), error.message)
    })
}

/// A filter by itself, over the documents that events make. A refusal's pointer begins with `/filter`.
pub fn compile_filter(filter: &FilterSpec) -> Result<Filter, Refusal> {
    let compiled = match filter {
        FilterSpec::EventBridge(text, dialect) => eventbridge(text, *dialect, &EVENTBRIDGE),
        FilterSpec::Cesql(expression, dialect) => Filter::cesql(expression, (*dialect).into()),
        FilterSpec::CloudEvents(text, dialect) => Filter::cloudevents(text.as_str().as_bytes(), (*dialect).into()),
        FilterSpec::EventGrid(text) => Filter::eventgrid(text.as_str().as_bytes(), &EVENTGRID),
        FilterSpec::JsonPath(query) => Filter::jsonpath(query),
    };
    compiled.map_err(|error| refused(filter, &error))
}

/// Where the filter's text is to blame: a pointer into it where it is JSON, and the place in the text.
fn refused(filter: &FilterSpec, error: &CompileError) -> Refusal {
    let text = filter.text();
    let inside = match filter {
        FilterSpec::Cesql(..) | FilterSpec::JsonPath(_) => String::new(),
        _ => pointer(text, error.position),
    };
    Refusal {
        code: error.code.as_str(),
        in_text: Some(Box::new(InText {
            position: TextPosition::of(text, error.position),
            suggestion: error.suggestion.clone(),
        })),
        ..Refusal::invalid(format!("/filter/{}{inside}", filter.language()), error.message.clone())
    }
}
