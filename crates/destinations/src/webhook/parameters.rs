//! What a request carries beside what its event makes of it: the connection's own parameters, and those of the subscription's target,
//! whose values may stand in the event. The connection's go before the target's. Pure.

use bytes::Bytes;
use control::resources::{Parameter, ParameterPlace, TargetSpec};
use delivery::Member;
use http::{HeaderMap, HeaderName, HeaderValue, Uri, uri::PathAndQuery};
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use serde_json::value::RawValue;
use std::collections::BTreeMap;
use transform::{InputPath, Paths};
use url::form_urlencoded;

/// What stands where a secret would.
const MASK: &str = "***";
/// Bytes of a value in a URL: what carries requests takes no longer URL.
const URL_BYTES_MAX: usize = 65_534;
/// Where a value of a target goes, in the path of a URL.
const PLACE: char = '*';
/// What a value in a path keeps as it is: what RFC 3986 calls unreserved. A slash is none of it: a value is one segment.
const SEGMENT: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'.').remove(b'_').remove(b'~');

/// Whether a request is sent, or shown to people.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Secrets {
    Sent,
    Masked,
}

/// A parameter of a connection, opened.
#[derive(Clone)]
pub(crate) struct Opened {
    pub name: String,
    value: String,
    is_secret: bool,
}

impl Opened {
    /// Those at a place. Secrets must be plain.
    pub(crate) fn of(parameters: &[Parameter], place: ParameterPlace) -> Result<Vec<Opened>, String> {
        let of_place = parameters.iter().filter(|parameter| parameter.place == place);
        let open = |parameter: &Parameter| {
            let value = match (&parameter.value, &parameter.secret) {
                (Some(value), _) => value.clone(),
                (_, Some(secret)) => super::config::plain(secret)?.to_owned(),
                (None, None) => String::new(),
            };
            Ok(Opened {
                name: parameter.name.clone(),
                value,
                is_secret: parameter.secret.is_some(),
            })
        };
        of_place.map(open).collect()
    }

    /// Its value, or what stands for it.
    pub(crate) fn value(&self, secrets: Secrets) -> &str {
        match self.is_secret && secrets == Secrets::Masked {
            true => MASK,
            false => &self.value,
        }
    }

    /// As a header.
    pub(crate) fn header(&self) -> Result<(HeaderName, HeaderValue), String> {
        let name = HeaderName::from_bytes(self.name.as_bytes());
        let name = name.map_err(|_| format!("parameter {:?} is not a header name", self.name))?;
        let value = HeaderValue::from_str(&self.value);
        let mut value = value.map_err(|_| format!("the value of parameter {:?} fits into no header", self.name))?;
        value.set_sensitive(self.is_secret);
        Ok((name, value))
    }
}

/// Where a connection's requests go.
#[derive(Clone)]
pub(crate) struct Address {
    base: Uri,
    own: Vec<Opened>,
    sent: Uri,
    shown: Uri,
}

impl Address {
    /// A URL with the connection's own parameters in its query.
    pub(crate) fn new(base: Uri, own: Vec<Opened>) -> Result<Address, String> {
        let with = |secrets| with_query(&base, base.path(), pairs(&own, secrets));
        Ok(Address {
            sent: with(Secrets::Sent)?,
            shown: with(Secrets::Masked)?,
            base,
            own,
        })
    }

    /// As requests have it that no target says anything of.
    pub(crate) fn sent(&self) -> &Uri {
        &self.sent
    }

    /// The same for people.
    pub(crate) fn shown(&self) -> &Uri {
        &self.shown
    }

    fn plain(&self, secrets: Secrets) -> &Uri {
        match secrets {
            Secrets::Sent => &self.sent,
            Secrets::Masked => &self.shown,
        }
    }
}

/// Name and value of each.
fn pairs(own: &[Opened], secrets: Secrets) -> impl Iterator<Item = (&str, &str)> {
    own.iter().map(move |one| (one.name.as_str(), one.value(secrets)))
}

fn with_query<'a>(base: &Uri, path: &str, pairs: impl Iterator<Item = (&'a str, &'a str)>) -> Result<Uri, String> {
    let mut more = form_urlencoded::Serializer::new(String::new());
    more.extend_pairs(pairs);
    let more = more.finish();
    let query: Vec<&str> = [base.query().unwrap_or_default(), &more]
        .into_iter()
        .filter(|part| !part.is_empty())
        .collect();
    let text = match query.is_empty() {
        true => path.to_owned(),
        false => format!("{path}?{}", query.join("&")),
    };
    let wrong = || "path and query make no URL".to_owned();
    let mut parts = base.clone().into_parts();
    parts.path_and_query = Some(PathAndQuery::try_from(text).map_err(|_| wrong())?);
    Uri::from_parts(parts).map_err(|_| wrong())
}

/// What the target of a subscription adds to each request.
pub(super) struct TargetParameters {
    /// Into the event's envelope.
    paths: Paths,
    path: Vec<Value>,
    query: Vec<(String, Value)>,
    headers: Vec<(HeaderName, Value)>,
}

enum Value {
    Text(String),
    /// What the path of this number finds; its text.
    Path(usize, String),
}

impl Value {
    /// Its path, if it is one, is put to the others.
    fn new(text: &str, paths: &mut Vec<InputPath>) -> Result<Value, String> {
        if !text.starts_with("$.") {
            return Ok(Value::Text(text.to_owned()));
        }
        paths.push(InputPath::new(text).map_err(|error| error.message)?);
        Ok(Value::Path(paths.len() - 1, text.to_owned()))
    }
}

/// What a target adds to the request of one event.
pub(super) struct EventParameters<'a> {
    target: &'a TargetParameters,
    /// What each path found.
    found: Vec<Option<String>>,
}

impl EventParameters<'_> {
    /// The error says that the event has none.
    fn value<'v>(&'v self, value: &'v Value) -> Result<&'v str, String> {
        match value {
            Value::Text(text) => Ok(text),
            Value::Path(number, path) => self.found[*number]
                .as_deref()
                .ok_or_else(|| format!("the event has nothing at {path}, which the target asks for")),
        }
    }

    fn url_value<'v>(&'v self, value: &'v Value) -> Result<&'v str, String> {
        let text = self.value(value)?;
        match text.len() <= URL_BYTES_MAX {
            true => Ok(text),
            false => Err("a value for the URL is longer than a URL may be".to_owned()),
        }
    }
}

impl TargetParameters {
    /// Those of a target, if it has any.
    pub(super) fn of(target: &TargetSpec) -> Result<Option<TargetParameters>, String> {
        if !target.has_parameters() {
            return Ok(None);
        }
        let mut paths = Vec::new();
        let mut value = |text: &String| Value::new(text, &mut paths);
        let path: Result<_, String> = target.path.iter().map(&mut value).collect();
        let query = target.query.iter();
        let query: Result<_, String> = query.map(|(name, text)| Ok((name.clone(), value(text)?))).collect();
        let header = |(name, text): (&String, &String)| {
            let name = HeaderName::from_bytes(name.as_bytes());
            Ok((name.map_err(|_| "a header's name is none".to_owned())?, value(text)?))
        };
        let headers: Result<_, String> = target.headers.iter().map(header).collect();
        let (path, query, headers) = (path?, query?, headers?);
        Ok(Some(TargetParameters {
            paths: Paths::new(&paths),
            path,
            query,
            headers,
        }))
    }

    /// Those of one event. The error is about the event.
    pub(super) fn of_event(&self, member: &Member<'_>) -> Result<EventParameters<'_>, String> {
        Ok(EventParameters {
            target: self,
            found: member.texts_at(&self.paths)?,
        })
    }
}

/// Where the request of an event goes. The error is about the event.
pub(super) fn address(
    address: &Address,
    parameters: Option<&EventParameters<'_>>,
    secrets: Secrets,
) -> Result<Uri, String> {
    let adds_to_url = |target: &TargetParameters| !(target.path.is_empty() && target.query.is_empty());
    let Some(parameters) = parameters.filter(|parameters| adds_to_url(parameters.target)) else {
        return Ok(address.plain(secrets).clone());
    };
    let path = path(address.base.path(), parameters)?;
    let mut query = Vec::with_capacity(parameters.target.query.len());
    for (name, value) in &parameters.target.query {
        if !address.own.iter().any(|own| own.name == *name) {
            query.push((name.as_str(), parameters.url_value(value)?));
        }
    }
    let query = query.into_iter().chain(pairs(&address.own, secrets));
    with_query(&address.base, &path, query)
}

/// With values in its places, each one segment or a part of one.
fn path(template: &str, parameters: &EventParameters<'_>) -> Result<String, String> {
    let values = &parameters.target.path;
    if values.is_empty() {
        return Ok(template.to_owned());
    }
    let mut path = String::new();
    let mut values = values.iter();
    for (index, part) in template.split(PLACE).enumerate() {
        if index > 0
            && let Some(value) = values.next()
        {
            let text = parameters.url_value(value)?;
            // They would make another path of it, encoded or not.
            if matches!(text, "" | "." | "..") {
                return Err("a value for the path is empty or made of dots alone".to_owned());
            }
            path.extend(utf8_percent_encode(text, SEGMENT));
        }
        path.push_str(part);
    }
    Ok(path)
}

/// The headers of a target, where the connection has none of that name. The error is about the event.
pub(super) fn headers(parameters: Option<&EventParameters<'_>>, headers: &mut HeaderMap) -> Result<(), String> {
    let Some(parameters) = parameters else {
        return Ok(());
    };
    for (name, value) in &parameters.target.headers {
        if headers.contains_key(name) {
            continue;
        }
        let text = parameters.value(value)?;
        // HTTP takes white space at an end for none of the value, and the receiver would see another one.
        let value = HeaderValue::from_str(text).ok().filter(|_| text.trim_ascii() == text);
        let value = value.ok_or_else(|| format!("the value for header {name} fits into no header as it is"))?;
        headers.insert(name.clone(), value);
    }
    Ok(())
}

/// A body with the connection's own parameters among the members of its JSON object, in place of those of the same names. The
/// error is about the event.
pub(super) fn body(own: &[Opened], body: Bytes, secrets: Secrets) -> Result<Bytes, String> {
    if own.is_empty() {
        return Ok(body);
    }
    let members: Result<BTreeMap<String, &RawValue>, _> = serde_json::from_slice(&body);
    let members = members.map_err(|_| {
        "the connection has parameters for the body, and the body is no JSON object to put them into".to_owned()
    })?;
    let is_replaced = |name: &str| own.iter().any(|one| one.name == name);
    let mut out = b"{".to_vec();
    let mut put = |name: &str, value: &str| {
        if out.len() > 1 {
            out.push(b',');
        }
        serde_json::to_writer(&mut out, name).expect("a text is written to memory");
        out.push(b':');
        out.extend_from_slice(value.as_bytes());
    };
    for (name, value) in members.iter().filter(|(name, _)| !is_replaced(name)) {
        put(name, value.get());
    }
    for one in own {
        put(&one.name, &serde_json::Value::from(one.value(secrets)).to_string());
    }
    out.push(b'}');
    Ok(Bytes::from(out))
}
