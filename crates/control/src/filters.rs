//! Compiles a subscription's types and filter, through the mount table of its dialect. The paths here are the other half of
//! what builds a document of an event: both sides use these names.

mod place;
mod text;

pub use place::TextPosition;
pub use text::{FilterText, read_document};

pub(crate) use text::show;

use crate::{
    refusal::{InText, Refusal},
    resources::{FilterSpec, SubscriptionSpec},
};
use pattern::{CompileError, Filter, Mounts};
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
    /// The prefix of every attribute.
    pub const ATTRIBUTES: &str = "/attr/";
    /// The JSON data.
    pub const DATA: &str = "/data";
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
}

/// `account` of events without the extension.
pub const AWS_ACCOUNT_DEFAULT: &str = "000000000000";
/// `region` of events without the extension.
pub const AWS_REGION_DEFAULT: &str = "us-east-1";
/// `version` of every event.
pub const AWS_VERSION: &str = "0";

/// Where an EventBridge pattern's top names lie; any other top name is absent.
static EVENTBRIDGE: LazyLock<Mounts> = LazyLock::new(|| {
    let names = [
        ("detail", paths::DATA),
        ("detail-type", paths::TYPE),
        ("source", paths::SOURCE),
        ("id", paths::ID),
        ("time", paths::AWS_TIME),
        ("version", paths::AWS_VERSION),
        ("resources", paths::AWS_RESOURCES),
        ("account", paths::AWS_ACCOUNT),
        ("region", paths::AWS_REGION),
    ];
    names
        .iter()
        .fold(Mounts::builder(), |builder, (name, path)| builder.mount(name, path))
        .build()
});

/// The filter of a specification, or where and why it does not compile.
pub(crate) fn compile(spec: &SubscriptionSpec) -> Result<Arc<Filter>, Refusal> {
    let mut filters = Vec::new();
    if let Some(types) = &spec.types {
        filters.push(compile_types(types)?);
    }
    if let Some(filter) = &spec.filter {
        filters.push(compile_filter(filter)?);
    }
    Ok(Arc::new(Filter::all_of(filters)))
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
        FilterSpec::EventBridge(text, _) => Filter::eventbridge(text.as_str().as_bytes(), &EVENTBRIDGE),
        other => {
            let (at, language) = (format!("/filter/{}", other.language()), other.language());
            return Err(Refusal::invalid(at, format!("{language} is not known here")));
        }
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
