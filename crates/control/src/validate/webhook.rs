//! The rules of a webhook connection: its URL, headers, authentication and signing secrets.

use super::{count, unique};
use crate::{
    limits,
    parse::{echo, token},
    refusal::Refusal,
    resources::{Auth, Secret, Signing, WebhookConfig},
    rules::Rules,
};
use base64::{Engine as _, engine::general_purpose::STANDARD};
use std::collections::BTreeMap;

const SIGNING_SECRET_PREFIX: &str = "whsec_";
const SIGNING_SECRET_RULE: &str = "a signing secret is whsec_ and base64 of 24 to 64 bytes";

/// Names that Trunkline or HTTP itself writes.
const RESERVED_HEADERS: [&str; 17] = [
    "authorization",
    "connection",
    "content-encoding",
    "content-length",
    "content-type",
    "expect",
    "host",
    "http2-settings",
    "keep-alive",
    "proxy-authorization",
    "proxy-connection",
    "te",
    "traceparent",
    "tracestate",
    "trailer",
    "transfer-encoding",
    "upgrade",
];
const RESERVED_PREFIXES: [&str; 2] = ["ce-", "webhook-"];

pub(super) fn check(config: &WebhookConfig, rules: &Rules) -> Result<(), Refusal> {
    url(&config.url, rules)?;
    headers(&config.headers)?;
    auth(config)?;
    match &config.signing {
        None => Ok(()),
        Some(Signing::StandardWebhooks { secrets }) => signing_secrets(secrets),
    }
}

fn url(text: &str, rules: &Rules) -> Result<(), Refusal> {
    let refused = |detail: &str| Refusal::invalid("/config/url", detail);
    if text.len() > limits::URL_CHARACTERS_MAX {
        return Err(refused("the URL has at most 2048 characters"));
    }
    if text.contains('#') {
        return Err(refused("the URL has no fragment: it is never sent"));
    }
    rules.destination(text).map_err(|(code, reason)| Refusal {
        code,
        ..refused(&reason)
    })
}

fn headers(headers: &BTreeMap<String, String>) -> Result<(), Refusal> {
    count("/config/headers", "headers", headers.len(), 0..=limits::HEADERS_MAX)?;
    for (name, value) in headers {
        let pointer = format!("/config/headers{}", token(name));
        header_name(&pointer, name)?;
        header_value(&pointer, value)?;
    }
    let lower: Vec<String> = headers.keys().map(|name| name.to_ascii_lowercase()).collect();
    unique("/config/headers", "", "header", lower.iter().map(String::as_str)).map_err(|refusal| Refusal {
        pointer: Some("/config/headers".to_owned()),
        ..refusal
    })
}

fn header_name(pointer: &str, name: &str) -> Result<(), Refusal> {
    token_name(pointer, name)?;
    let lower = name.to_ascii_lowercase();
    match lower.as_str() {
        "authorization" => Err(Refusal::invalid(
            pointer,
            "header authorization is reserved; use config.auth",
        )),
        lower if is_reserved(lower) => Err(Refusal::invalid(pointer, format!("header {lower} is reserved"))),
        _ => Ok(()),
    }
}

fn is_reserved(lower: &str) -> bool {
    RESERVED_HEADERS.contains(&lower) || RESERVED_PREFIXES.iter().any(|prefix| lower.starts_with(prefix))
}

/// RFC 9110's token.
fn token_name(pointer: &str, name: &str) -> Result<(), Refusal> {
    let legal = |byte: u8| byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte);
    let short = (1..=limits::HEADER_NAME_BYTES_MAX).contains(&name.len());
    match short && name.bytes().all(legal) {
        true => Ok(()),
        false => Err(Refusal::invalid(
            pointer,
            format!("{} is not a header name", echo(name)),
        )),
    }
}

fn header_value(pointer: &str, value: &str) -> Result<(), Refusal> {
    let legal = value.bytes().all(|byte| matches!(byte, b' '..=b'~' | b'\t')) && value.trim() == value;
    match legal && value.len() <= limits::HEADER_VALUE_BYTES_MAX {
        true => Ok(()),
        false => {
            let rule = "a header value is at most 4096 visible ASCII characters, spaces and tabs, none at an end";
            Err(Refusal::invalid(pointer, rule))
        }
    }
}

fn auth(config: &WebhookConfig) -> Result<(), Refusal> {
    const AT: &str = "/config/auth";
    match &config.auth {
        Auth::None => Ok(()),
        Auth::Basic { username, password } => {
            let legal = !username.contains(':') && !username.chars().any(char::is_control);
            if !legal || username.len() > limits::SECRET_BYTES_MAX {
                return Err(Refusal::invalid(
                    format!("{AT}/username"),
                    "username has no colon and no control characters",
                ));
            }
            let legal = |text: &str| !text.chars().any(char::is_control);
            sent_secret(
                &format!("{AT}/password"),
                password,
                legal,
                "password has no control characters",
            )
        }
        Auth::Bearer { token } => {
            let legal = |text: &str| text.bytes().all(|byte| byte.is_ascii_graphic());
            sent_secret(
                &format!("{AT}/token"),
                token,
                legal,
                "token is visible ASCII without spaces",
            )
        }
        Auth::ApiKey { header, value } => api_key(config, header, value),
    }
}

/// `authorization` is legal here: schemes of their own (`Token …`) have no type.
fn api_key(config: &WebhookConfig, header: &str, value: &Secret) -> Result<(), Refusal> {
    let pointer = "/config/auth/header";
    token_name(pointer, header)?;
    let lower = header.to_ascii_lowercase();
    if lower != "authorization" && is_reserved(&lower) {
        return Err(Refusal::invalid(pointer, format!("header {lower} is reserved")));
    }
    if config.headers.keys().any(|name| name.eq_ignore_ascii_case(header)) {
        return Err(Refusal::invalid(
            pointer,
            format!("header {lower} stands in config.headers already"),
        ));
    }
    let legal = |text: &str| header_value("", text).is_ok();
    sent_secret(
        "/config/auth/value",
        value,
        legal,
        "value is visible ASCII with no space at an end",
    )
}

fn sent_secret(pointer: &str, secret: &Secret, legal: impl Fn(&str) -> bool, rule: &str) -> Result<(), Refusal> {
    let text = plain(pointer, secret)?;
    match (1..=limits::SECRET_BYTES_MAX).contains(&text.len()) && legal(text) {
        true => Ok(()),
        false => Err(Refusal::invalid(
            pointer,
            format!("{rule}, and is 1 to 4096 bytes long"),
        )),
    }
}

fn signing_secrets(secrets: &[Secret]) -> Result<(), Refusal> {
    const AT: &str = "/config/signing/secrets";
    count(AT, "secrets", secrets.len(), 1..=limits::SIGNING_SECRETS_MAX)?;
    let mut seen: Vec<Vec<u8>> = Vec::new();
    for (index, secret) in secrets.iter().enumerate() {
        let pointer = format!("{AT}/{index}");
        let bytes = signing_secret(plain(&pointer, secret)?);
        let bytes = bytes.ok_or_else(|| Refusal::invalid(&pointer, SIGNING_SECRET_RULE))?;
        if seen.contains(&bytes) {
            return Err(Refusal::invalid(pointer, "this secret stands in the list twice"));
        }
        seen.push(bytes);
    }
    Ok(())
}

fn signing_secret(text: &str) -> Option<Vec<u8>> {
    let bytes = STANDARD.decode(text.strip_prefix(SIGNING_SECRET_PREFIX)?).ok()?;
    limits::SIGNING_SECRET_BYTES.contains(&bytes.len()).then_some(bytes)
}

fn plain<'a>(pointer: &str, secret: &'a Secret) -> Result<&'a str, Refusal> {
    secret
        .plain()
        .ok_or_else(|| Refusal::invalid(pointer, "the secret itself is needed"))
}
