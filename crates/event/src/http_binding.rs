//! The HTTP protocol binding of CloudEvents 1.0: which mode a request is in, and the binary mode. Structured and batched
//! bodies are read by [`crate::json`]. It knows headers and bodies, no requests and no status codes.

use crate::{Event, EventView, Invalid, codes, json, media_type::MediaType};
use bytes::Bytes;
use http::{HeaderMap, HeaderName, HeaderValue, header::CONTENT_TYPE};
use percent_encoding::{AsciiSet, CONTROLS, utf8_percent_encode};
use std::borrow::Cow;

/// What the names of headers begin with that carry attributes in binary mode.
const PREFIX: &str = "ce-";

/// How a message carries its event or events.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mode {
    /// Attributes in `ce-` headers, data in the body.
    Binary,
    /// One event in the JSON format.
    Structured,
    /// A JSON array of events.
    Batch,
}

/// Tells the mode from the headers. Media types are compared without case and parameters; a format other than JSON and a
/// charset other than UTF-8 are refused.
pub fn mode(headers: &HeaderMap) -> Result<Mode, Invalid> {
    let Some(value) = content_type(headers)? else {
        return Ok(Mode::Binary);
    };
    let Some(media_type) = MediaType::parse(value) else {
        return Err(unsupported("the Content-Type header is not a media type (RFC 2046)"));
    };
    if !media_type.is_cloudevents() {
        return Ok(Mode::Binary);
    }
    let mode = match () {
        () if media_type.is("application", "cloudevents+json") => Mode::Structured,
        () if media_type.is("application", "cloudevents-batch+json") => Mode::Batch,
        () => {
            let rule = format!(
                "of CloudEvents formats only {} and {} are supported",
                json::MEDIA_TYPE,
                json::BATCH_MEDIA_TYPE
            );
            return Err(unsupported(&rule));
        }
    };
    if media_type.is_utf8() {
        Ok(mode)
    } else {
        Err(unsupported("the charset must be utf-8"))
    }
}

/// Whether the message looks like CloudEvents at all: a `ce-` header, or the media type of a CloudEvents format. A door that
/// takes other things as well asks this first.
pub fn is_event(headers: &HeaderMap) -> bool {
    let structured = headers
        .get(CONTENT_TYPE)
        .and_then(|value| value.to_str().ok())
        .and_then(MediaType::parse);
    headers.contains_key("ce-specversion") || structured.is_some_and(|media_type| media_type.is_cloudevents())
}

fn unsupported(rule: &str) -> Invalid {
    Invalid::new(codes::MEDIA_TYPE_UNSUPPORTED, "datacontenttype", rule)
}

fn content_type(headers: &HeaderMap) -> Result<Option<&str>, Invalid> {
    let mut values = headers.get_all(CONTENT_TYPE).iter();
    let Some(value) = values.next() else { return Ok(None) };
    if values.next().is_some() {
        return Err(Invalid::attribute(
            "datacontenttype",
            "the Content-Type header is given twice",
        ));
    }
    let text = value
        .to_str()
        .map_err(|_| unsupported("the Content-Type header is not ASCII"))?;
    Ok(Some(text.trim_matches([' ', '\t'])).filter(|text| !text.is_empty()))
}

/// Decodes a binary-mode message. An empty body is no data.
pub fn decode_binary(headers: &HeaderMap, body: Bytes) -> Result<Event, Invalid> {
    let specversion = single(headers, "specversion")?;
    if specversion.is_none() && !headers.keys().any(|header| header.as_str().starts_with(PREFIX)) {
        let rule = format!(
            "is required, in the header ce-specversion; an event that is all in the body has the content type {}, a batch {}",
            json::MEDIA_TYPE,
            json::BATCH_MEDIA_TYPE
        );
        return Err(Invalid::new(codes::ATTRIBUTE_MISSING, "specversion", rule));
    }
    json::check_specversion(specversion.as_deref())?;
    let required = |name: &'static str| single(headers, name)?.ok_or_else(|| Invalid::missing(name));
    let mut builder = Event::builder(required("id")?, required("source")?, required("type")?);
    if let Some(media_type) = content_type(headers)? {
        builder = builder.data_content_type(media_type);
    }
    for (header, value) in headers {
        let Some(name) = header.as_str().strip_prefix(PREFIX) else {
            continue;
        };
        builder = match name {
            "specversion" | "id" | "source" | "type" => builder,
            "subject" => builder.subject(required("subject")?),
            "time" => builder.time(required("time")?),
            "dataschema" => builder.data_schema(required("dataschema")?),
            "datacontenttype" => {
                return Err(Invalid::attribute(
                    name,
                    "is carried by the Content-Type header, not by ce-datacontenttype",
                ));
            }
            _ => builder.extension(name, decode(name, value)?),
        };
    }
    builder.body(body).build()
}

/// The decoded value of an attribute's header, which may be there once.
fn single(headers: &HeaderMap, name: &'static str) -> Result<Option<String>, Invalid> {
    let header = match name {
        "specversion" => &CE_SPECVERSION,
        "id" => &CE_ID,
        "source" => &CE_SOURCE,
        "type" => &CE_TYPE,
        "subject" => &CE_SUBJECT,
        "time" => &CE_TIME,
        _ => &CE_DATASCHEMA,
    };
    let mut values = headers.get_all(header).iter();
    let Some(value) = values.next() else { return Ok(None) };
    match values.next() {
        Some(_) => Err(Invalid::attribute(name, "is given twice")),
        None => decode(name, value).map(Some),
    }
}

fn decode(name: &str, value: &HeaderValue) -> Result<String, Invalid> {
    decode_value(value.as_bytes()).map_err(|rule| Invalid::attribute(crate::event::shown(name), rule))
}

/// Undoes quoting, then one round of percent-encoding, as the binding says in "HTTP Header Values".
fn decode_value(raw: &[u8]) -> Result<String, &'static str> {
    let unquoted = unquote(raw.trim_ascii())?;
    let decoded = percent_decode(&unquoted)?;
    String::from_utf8(decoded.into_owned()).map_err(|_| "its percent-decoded bytes must be UTF-8")
}

/// Removes double quotes and, within them, the backslash of an escape.
fn unquote(raw: &[u8]) -> Result<Cow<'_, [u8]>, &'static str> {
    if !raw.contains(&b'"') {
        return Ok(Cow::Borrowed(raw));
    }
    let mut plain = Vec::with_capacity(raw.len());
    let (mut quoted, mut bytes) = (false, raw.iter());
    while let Some(&byte) = bytes.next() {
        match byte {
            b'"' => quoted = !quoted,
            b'\\' if quoted => plain.push(*bytes.next().ok_or("it has an unfinished escape in quotes")?),
            _ => plain.push(byte),
        }
    }
    if quoted {
        Err("it has an unclosed double quote")
    } else {
        Ok(Cow::Owned(plain))
    }
}

fn percent_decode(raw: &[u8]) -> Result<Cow<'_, [u8]>, &'static str> {
    if !raw.contains(&b'%') {
        return Ok(Cow::Borrowed(raw));
    }
    let hex = |byte: Option<&u8>| byte.and_then(|&byte| char::from(byte).to_digit(16));
    let mut plain = Vec::with_capacity(raw.len());
    let mut bytes = raw.iter();
    while let Some(&byte) = bytes.next() {
        plain.push(match byte {
            b'%' => match (hex(bytes.next()), hex(bytes.next())) {
                (Some(high), Some(low)) => u8::try_from(high * 16 + low).expect("two hex digits make a byte"),
                _ => return Err("a percent sign must be followed by two hex digits (a literal one is %25)"),
            },
            _ => byte,
        });
    }
    Ok(Cow::Owned(plain))
}

/// What must be percent-encoded: space, double quote, percent, and all beyond printable ASCII (which the crate adds).
const ENCODED: &AsciiSet = &CONTROLS.add(b' ').add(b'"').add(b'%');

/// The value of an attribute's header, percent-encoded as the binding says.
pub fn encode_value(value: &str) -> HeaderValue {
    let encoded: Cow<'_, str> = utf8_percent_encode(value, ENCODED).into();
    HeaderValue::from_str(&encoded).expect("what is percent-encoded is printable ASCII")
}

const CE_SPECVERSION: HeaderName = HeaderName::from_static("ce-specversion");
const CE_ID: HeaderName = HeaderName::from_static("ce-id");
const CE_SOURCE: HeaderName = HeaderName::from_static("ce-source");
const CE_TYPE: HeaderName = HeaderName::from_static("ce-type");
const CE_SUBJECT: HeaderName = HeaderName::from_static("ce-subject");
const CE_TIME: HeaderName = HeaderName::from_static("ce-time");
const CE_DATASCHEMA: HeaderName = HeaderName::from_static("ce-dataschema");

/// The headers of a binary-mode message; its body is the event's data as it is.
pub fn encode_binary(event: &EventView<'_>) -> HeaderMap {
    let mut headers = HeaderMap::with_capacity(8 + event.extensions().len());
    encode_binary_into(event, &mut headers);
    headers
}

/// Sets the headers of a binary-mode message in a map that may hold others.
pub fn encode_binary_into(event: &EventView<'_>, headers: &mut HeaderMap) {
    headers.insert(CE_SPECVERSION, HeaderValue::from_static(crate::SPECVERSION));
    let optional = [
        (CE_ID, Some(event.id())),
        (CE_SOURCE, Some(event.source())),
        (CE_TYPE, Some(event.event_type())),
        (CE_SUBJECT, event.subject()),
        (CE_TIME, event.time()),
        (CE_DATASCHEMA, event.data_schema()),
    ];
    for (name, value) in optional {
        if let Some(value) = value {
            headers.insert(name, encode_value(value));
        }
    }
    for extension in event.extensions() {
        headers.insert(extension_header(extension.name), encode_value(extension.value));
    }
    // A media type is not percent-encoded; the event's own is ASCII, a Kafka client's may be anything printable.
    if let Some(value) = event
        .data_content_type()
        .and_then(|text| HeaderValue::from_str(text).ok())
    {
        headers.insert(CONTENT_TYPE, value);
    }
}

fn extension_header(name: &str) -> HeaderName {
    match name {
        "traceparent" => HeaderName::from_static("ce-traceparent"),
        "tracestate" => HeaderName::from_static("ce-tracestate"),
        _ => HeaderName::from_bytes(format!("ce-{name}").as_bytes()).expect("letters and digits make a header name"),
    }
}

#[cfg(test)]
mod tests;
