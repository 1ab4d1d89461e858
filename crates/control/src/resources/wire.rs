//! The shapes that tagged and exclusive objects are read through, so that a fault keeps its place: serde buffers what it
//! reads for a tagged enum and loses the path. Only the way in, but for filters; the way out is derived on the types themselves.

use super::{ClientCredentials, ClientStyle, Dialect, Exponential, FilterSpec, Parameter, Secret, TokenMethod};
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
    token_url: Option<String>,
    client_id: Option<String>,
    client_secret: Option<Secret>,
    scope: Option<String>,
    audience: Option<String>,
    #[serde(rename = "style")]
    client_style: Option<ClientStyle>,
    method: Option<TokenMethod>,
    parameters: Option<Vec<Parameter>>,
}

#[derive(Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
enum AuthKind {
    None,
    Basic,
    Bearer,
    ApiKey,
    #[serde(rename = "oauth2-client-credentials")]
    ClientCredentials,
}

impl TryFrom<Auth> for super::Auth {
    type Error = String;

    fn try_from(mut auth: Auth) -> Result<Self, String> {
        let kind = auth.kind;
        let taken = auth.take(kind);
        taken
            .filter(|_| auth.is_empty())
            .ok_or_else(|| auth_fields(kind).to_owned())
    }
}

impl Auth {
    /// Takes out the fields of a kind; `None` where one is missing.
    fn take(&mut self, kind: AuthKind) -> Option<super::Auth> {
        Some(match kind {
            AuthKind::None => super::Auth::None,
            AuthKind::Basic => super::Auth::Basic {
                username: self.username.take()?,
                password: self.password.take()?,
            },
            AuthKind::Bearer => super::Auth::Bearer {
                token: self.token.take()?,
            },
            AuthKind::ApiKey => super::Auth::ApiKey {
                header: self.header.take()?,
                value: self.value.take()?,
            },
            AuthKind::ClientCredentials => super::Auth::ClientCredentials(ClientCredentials {
                token_url: self.token_url.take()?,
                client_id: self.client_id.take()?,
                client_secret: self.client_secret.take()?,
                scope: self.scope.take(),
                audience: self.audience.take(),
                style: self.client_style.take().unwrap_or_default(),
                method: self.method.take().unwrap_or_default(),
                parameters: self.parameters.take().unwrap_or_default(),
            }),
        })
    }

    /// Whether every field was taken.
    fn is_empty(&self) -> bool {
        let texts = [
            &self.username,
            &self.header,
            &self.token_url,
            &self.client_id,
            &self.scope,
            &self.audience,
        ];
        let secrets = [&self.password, &self.token, &self.value, &self.client_secret];
        texts.iter().all(|text| text.is_none())
            && secrets.iter().all(|secret| secret.is_none())
            && self.client_style.is_none()
            && self.method.is_none()
            && self.parameters.is_none()
    }
}

fn auth_fields(kind: AuthKind) -> &'static str {
    match kind {
        AuthKind::None => "auth of type none takes no other field",
        AuthKind::Basic => "auth of type basic takes exactly username and password",
        AuthKind::Bearer => "auth of type bearer takes exactly token",
        AuthKind::ApiKey => "auth of type api-key takes exactly header and value",
        AuthKind::ClientCredentials => {
            "auth of type oauth2-client-credentials takes token_url, client_id and client_secret, and scope, audience, style, method and parameters"
        }
    }
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Signing {
    style: SigningStyle,
    secrets: Vec<Secret>,
    /// As an export has them.
    #[serde(default)]
    public_keys: Vec<String>,
}

#[derive(Deserialize)]
#[serde(rename_all = "kebab-case")]
enum SigningStyle {
    StandardWebhooks,
    XMagentoSignature,
}

impl From<Signing> for super::Signing {
    fn from(signing: Signing) -> Self {
        match signing.style {
            SigningStyle::StandardWebhooks => Self::StandardWebhooks {
                secrets: signing.secrets,
                public_keys: signing.public_keys,
            },
            SigningStyle::XMagentoSignature => Self::XMagentoSignature {
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
