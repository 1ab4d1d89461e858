//! Compiles a subscription's types and filter, through the mount table of its dialect. The paths here are the other half of
//! what builds a document of an event: both sides use these names.

use crate::{
    refusal::Refusal,
    resources::{FilterSpec, SubscriptionSpec},
};
use pattern::{CompileError, Filter, Mounts};
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
        let types: Vec<&str> = types.iter().map(String::as_str).collect();
        filters.push(Filter::types(&types).map_err(|error| refused(&format!("/types/{}", error.position), &error))?);
    }
    if let Some(FilterSpec::EventBridge(pattern)) = &spec.filter {
        let text = pattern.to_string();
        let compiled = Filter::eventbridge(text.as_bytes(), &EVENTBRIDGE);
        filters.push(compiled.map_err(|error| refused("/filter/eventbridge", &error))?);
    }
    Ok(Arc::new(Filter::all_of(filters)))
}

/// The error's byte is of the text this module wrote, so it is not told; the field is.
fn refused(at: &str, error: &CompileError) -> Refusal {
    let field = if error.path.is_empty() {
        String::new()
    } else {
        format!(" (field {:?})", error.path)
    };
    let suggestion = error
        .suggestion
        .as_ref()
        .map(|text| format!("; {text}"))
        .unwrap_or_default();
    let detail = format!("{}{field}{suggestion}", error.message);
    Refusal {
        code: error.code.as_str(),
        ..Refusal::invalid(at, detail)
    }
}
