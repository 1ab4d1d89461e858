//! The shapes that tagged and exclusive objects are read through, so that a fault keeps its place: serde buffers what it
//! reads for a tagged enum and loses the path. Only the way in, but for filters; the way out is derived on the types themselves.

use super::{Dialect, Exponential, FilterSpec, Secret};
use crate::filters::FilterText;
use serde::{Deserialize, Serialize};
use std::time::Duration;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Auth {
    #[serde(rename = "type")]
    kind: AuthKind,
    username: Option<String>,
    password: Option<Secret>,
    token: Option<Secret>,
    header: Option<String>,
    value: Option<Secret>,
}

#[derive(Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
enum AuthKind {
    None,
    Basic,
    Bearer,
    ApiKey,
}

impl TryFrom<Auth> for super::Auth {
    type Error = String;

    fn try_from(auth: Auth) -> Result<Self, String> {
        let Auth {
            kind,
            username,
            password,
            token,
            header,
            value,
        } = auth;
        match (kind, username, password, token, header, value) {
            (AuthKind::None, None, None, None, None, None) => Ok(Self::None),
            (AuthKind::Basic, Some(username), Some(password), None, None, None) => {
                Ok(Self::Basic { username, password })
            }
            (AuthKind::Bearer, None, None, Some(token), None, None) => Ok(Self::Bearer { token }),
            (AuthKind::ApiKey, None, None, None, Some(header), Some(value)) => Ok(Self::ApiKey { header, value }),
            _ => Err(auth_fields(kind).to_owned()),
        }
    }
}

fn auth_fields(kind: AuthKind) -> &'static str {
    match kind {
        AuthKind::None => "auth of type none takes no other field",
        AuthKind::Basic => "auth of type basic takes exactly username and password",
        AuthKind::Bearer => "auth of type bearer takes exactly token",
        AuthKind::ApiKey => "auth of type api-key takes exactly header and value",
    }
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Signing {
    style: SigningStyle,
    secrets: Vec<Secret>,
}

#[derive(Deserialize)]
#[serde(rename_all = "kebab-case")]
enum SigningStyle {
    StandardWebhooks,
}

impl From<Signing> for super::Signing {
    fn from(signing: Signing) -> Self {
        match signing.style {
            SigningStyle::StandardWebhooks => Self::StandardWebhooks {
                secrets: signing.secrets,
            },
        }
    }
}

#[derive(Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct RetryPolicy {
    #[serde(with = "crate::units::optional_durations")]
    schedule: Option<Vec<Duration>>,
    exponential: Option<Exponential>,
    attempts: Option<u32>,
    #[serde(with = "crate::units::duration")]
    age: Duration,
}

impl Default for RetryPolicy {
    fn default() -> Self {
        Self {
            schedule: None,
            exponential: None,
            attempts: None,
            age: crate::limits::RETRY_AGE_DEFAULT,
        }
    }
}

impl TryFrom<RetryPolicy> for super::RetryPolicy {
    type Error = &'static str;

    fn try_from(wire: RetryPolicy) -> Result<Self, Self::Error> {
        let RetryPolicy {
            schedule,
            exponential,
            attempts,
            age,
        } = wire;
        let schedule = match (schedule, &exponential) {
            (Some(_), Some(_)) => return Err("schedule and exponential exclude each other"),
            (Some(schedule), None) if schedule.is_empty() => return Err("a schedule has at least one wait"),
            (Some(schedule), None) => schedule,
            (None, Some(_)) => Vec::new(),
            (None, None) => crate::limits::RETRY_SCHEDULE_DEFAULT.to_vec(),
        };
        Ok(Self {
            schedule,
            exponential,
            attempts,
            age,
        })
    }
}

/// A filter: one of the languages, and beside it how much of that language.
#[derive(Default, Deserialize, Serialize)]
#[serde(default, deny_unknown_fields)]
pub(super) struct Filter {
    #[serde(skip_serializing_if = "Option::is_none")]
    eventbridge: Option<FilterText>,
    #[serde(skip_serializing_if = "Option::is_none")]
    cesql: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    cloudevents: Option<FilterText>,
    #[serde(skip_serializing_if = "Option::is_none")]
    eventgrid: Option<FilterText>,
    #[serde(skip_serializing_if = "Option::is_none")]
    jsonpath: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    dialect: Option<Dialect>,
}

impl From<FilterSpec> for Filter {
    fn from(filter: FilterSpec) -> Self {
        let dialect = |dialect| Some(dialect).filter(|dialect| *dialect != Dialect::Standard);
        let none = Self::default();
        match filter {
            FilterSpec::EventBridge(text, of) => Self {
                eventbridge: Some(text),
                dialect: dialect(of),
                ..none
            },
            FilterSpec::Cesql(text, of) => Self {
                cesql: Some(text),
                dialect: dialect(of),
                ..none
            },
            FilterSpec::CloudEvents(text, of) => Self {
                cloudevents: Some(text),
                dialect: dialect(of),
                ..none
            },
            FilterSpec::EventGrid(text) => Self {
                eventgrid: Some(text),
                ..none
            },
            FilterSpec::JsonPath(text) => Self {
                jsonpath: Some(text),
                ..none
            },
        }
    }
}

impl TryFrom<Filter> for FilterSpec {
    type Error = &'static str;

    fn try_from(wire: Filter) -> Result<Self, Self::Error> {
        let Filter {
            eventbridge,
            cesql,
            cloudevents,
            eventgrid,
            jsonpath,
            dialect,
        } = wire;
        let of = dialect.unwrap_or_default();
        let standard = |filter: FilterSpec| match of {
            Dialect::Standard => Ok(filter),
            Dialect::Extended => Err("dialect extended is for eventbridge, cesql and cloudevents"),
        };
        match (eventbridge, cesql, cloudevents, eventgrid, jsonpath) {
            (Some(text), None, None, None, None) => Ok(Self::EventBridge(text, of)),
            (None, Some(text), None, None, None) => Ok(Self::Cesql(text, of)),
            (None, None, Some(text), None, None) => Ok(Self::CloudEvents(text, of)),
            (None, None, None, Some(text), None) => standard(Self::EventGrid(text)),
            (None, None, None, None, Some(text)) => standard(Self::JsonPath(text)),
            _ => Err("a filter has exactly one of eventbridge, cesql, cloudevents, eventgrid and jsonpath"),
        }
    }
}
