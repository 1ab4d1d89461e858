//! The rules of a webhook connection: its URL, headers, authentication and signing secrets.

use super::{count, parameters, unique};
use crate::{
    limits,
    parse::{echo, token},
    refusal::Refusal,
    resources::{Auth, ClientCredentials, Handshake, ParameterPlace, Secret, Signing, TlsConfig, WebhookConfig},
    rules::Rules,
    signing_key::SigningKey,
};
use std::collections::BTreeMap;

const SIGNING_SECRET_RULE: &str = "a signing secret is whsec_ and base64 of 24 to 64 bytes, or whsk_ and base64 of an ed25519 key: its seed of 32 bytes, or seed and public key";

/// Names that Trunkline or HTTP itself writes.
const RESERVED_HEADERS: [&str; 18] = [
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
    "x-magento-signature",
];
const RESERVED_PREFIXES: [&str; 2] = ["ce-", "webhook-"];

pub(super) fn check(config: &WebhookConfig, rules: &Rules) -> Result<(), Refusal> {
    url("/config/url", &config.url, rules)?;
    headers(&config.headers)?;
    parameters::list("/config/parameters", &config.parameters, &config.headers)?;
    auth(config, rules)?;
    match &config.signing {
        None => {}
        Some(Signing::StandardWebhooks { secrets, .. }) => signing_secrets(secrets)?,
        Some(Signing::XMagentoSignature { secrets }) => magento_secret(secrets)?,
    }
    if let Some(tls) = &config.tls {
        self::tls(tls, &config.url)?;
    }
    match &config.handshake {
        None => Ok(()),
        Some(handshake) => self::handshake(handshake),
    }
}

/// The public keys of its signing keys, and when its certificate ends.
pub(super) fn derived(mut config: WebhookConfig) -> WebhookConfig {
    if let Some(Signing::StandardWebhooks { secrets, public_keys }) = &mut config.signing {
        let plain = secrets.iter().filter_map(Secret::plain);
        *public_keys = plain.filter_map(|text| SigningKey::parse(text)?.public_key()).collect();
    }
    if let Some(tls) = &mut config.tls {
        let ends = tls.certificate.as_deref().and_then(connector::certificate_ends);
        let ends = ends.and_then(|seconds| jiff::Timestamp::from_second(seconds).ok());
        tls.certificate_ends = ends.map(|ends| ends.to_string());
    }
    config
}

fn tls(tls: &TlsConfig, url: &str) -> Result<(), Refusal> {
    const AT: &str = "/config/tls";
    if !url.starts_with("https:") {
        return Err(Refusal::invalid(AT, "tls is for https URLs"));
    }
    for (name, pem) in [("certificate", &tls.certificate), ("ca", &tls.ca)] {
        if pem.as_ref().is_some_and(|pem| pem.len() > limits::PEM_BYTES_MAX) {
            return Err(Refusal::invalid(
                format!("{AT}/{name}"),
                "a PEM text has at most 64 KiB",
            ));
        }
    }
    let identity_pem = match (&tls.certificate, &tls.key) {
        (Some(certificate), Some(key)) => Some((certificate.clone(), plain(&format!("{AT}/key"), key)?.to_owned())),
        (None, None) => None,
        _ => return Err(Refusal::invalid(AT, "certificate and key go together")),
    };
    if let Some((_, key)) = &identity_pem
        && key.len() > limits::PEM_BYTES_MAX
    {
        return Err(Refusal::invalid(format!("{AT}/key"), "a PEM text has at most 64 KiB"));
    }
    let made = connector::ClientTls {
        identity_pem,
        ca_pem: tls.ca.clone(),
        server_name: tls.server_name.clone(),
    };
    made.check()
        .map_err(|(field, reason)| Refusal::invalid(format!("{AT}/{field}"), format!("failed to {reason}")))
}

fn handshake(handshake: &Handshake) -> Result<(), Refusal> {
    const AT: &str = "/config/handshake";
    let legal = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'-');
    let origin = &handshake.origin;
    if !(1..=limits::ORIGIN_BYTES_MAX).contains(&origin.len()) || !origin.bytes().all(legal) {
        return Err(Refusal::invalid(
            format!("{AT}/origin"),
            "origin is a DNS name, such as bus.example.com",
        ));
    }
    if handshake
        .rate
        .is_some_and(|rate| !(1..=limits::RATE_COUNT_MAX).contains(&rate))
    {
        return Err(Refusal::invalid(
            format!("{AT}/rate"),
            "rate is requests per minute, from 1 to 1000000",
        ));
    }
    match &handshake.callback {
        Some(callback) if !callback.starts_with("https://") || header_value("", callback).is_err() => {
            Err(Refusal::invalid(format!("{AT}/callback"), "callback is an https URL"))
        }
        _ => Ok(()),
    }
}

pub(super) fn url(pointer: &str, text: &str, rules: &Rules) -> Result<(), Refusal> {
    let refused = |detail: &str| Refusal::invalid(pointer, detail);
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

pub(super) fn header_name(pointer: &str, name: &str) -> Result<(), Refusal> {
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

pub(super) fn header_value(pointer: &str, value: &str) -> Result<(), Refusal> {
    let legal = value.bytes().all(|byte| matches!(byte, b' '..=b'~' | b'\t')) && value.trim() == value;
    match legal && value.len() <= limits::HEADER_VALUE_BYTES_MAX {
        true => Ok(()),
        false => {
            let rule = "a header value is at most 4096 visible ASCII characters, spaces and tabs, none at an end";
            Err(Refusal::invalid(pointer, rule))
        }
    }
}

fn auth(config: &WebhookConfig, rules: &Rules) -> Result<(), Refusal> {
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
        Auth::ClientCredentials(client) => client_credentials(client, rules),
    }
}

fn client_credentials(client: &ClientCredentials, rules: &Rules) -> Result<(), Refusal> {
    const AT: &str = "/config/auth";
    url(&format!("{AT}/token_url"), &client.token_url, rules)?;
    let texts = [
        ("client_id", Some(&client.client_id)),
        ("scope", client.scope.as_ref()),
        ("audience", client.audience.as_ref()),
    ];
    for (name, text) in texts {
        let legal = |text: &&String| {
            (1..=limits::SECRET_BYTES_MAX).contains(&text.len()) && !text.chars().any(char::is_control)
        };
        if text.is_some_and(|text| !legal(&text)) {
            let detail = format!("{name} is 1 to 4096 bytes without control characters");
            return Err(Refusal::invalid(format!("{AT}/{name}"), detail));
        }
    }
    parameters::list(&format!("{AT}/parameters"), &client.parameters, &BTreeMap::new())?;
    let legal = |text: &str| !text.chars().any(char::is_control);
    let rule = "client_secret has no control characters";
    sent_secret(&format!("{AT}/client_secret"), &client.client_secret, legal, rule)
}

/// One, because its header holds one signature; its bytes are the text's, as Magento has them.
fn magento_secret(secrets: &[Secret]) -> Result<(), Refusal> {
    const AT: &str = "/config/signing/secrets";
    let [secret] = secrets else {
        return Err(Refusal::invalid(AT, "x-magento-signature has exactly one secret"));
    };
    let legal = |text: &str| !text.chars().any(char::is_control);
    sent_secret(
        &format!("{AT}/0"),
        secret,
        legal,
        "the secret has no control characters",
    )
}

/// `authorization` is legal here: schemes of their own (`Token …`) have no type.
fn api_key(config: &WebhookConfig, header: &str, value: &Secret) -> Result<(), Refusal> {
    let pointer = "/config/auth/header";
    token_name(pointer, header)?;
    let lower = header.to_ascii_lowercase();
    if lower != "authorization" && is_reserved(&lower) {
        return Err(Refusal::invalid(pointer, format!("header {lower} is reserved")));
    }
    let of_parameters = config
        .parameters
        .iter()
        .filter(|one| one.place == ParameterPlace::Header);
    let mut names = config.headers.keys().chain(of_parameters.map(|one| &one.name));
    if names.any(|name| name.eq_ignore_ascii_case(header)) {
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

pub(super) fn sent_secret(
    pointer: &str,
    secret: &Secret,
    legal: impl Fn(&str) -> bool,
    rule: &str,
) -> Result<(), Refusal> {
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
    let mut seen = Vec::new();
    for (index, secret) in secrets.iter().enumerate() {
        let pointer = format!("{AT}/{index}");
        let key = SigningKey::parse(plain(&pointer, secret)?);
        let key = key.ok_or_else(|| Refusal::invalid(&pointer, SIGNING_SECRET_RULE))?;
        if seen.contains(&key) {
            return Err(Refusal::invalid(pointer, "this secret stands in the list twice"));
        }
        seen.push(key);
    }
    Ok(())
}

fn plain<'a>(pointer: &str, secret: &'a Secret) -> Result<&'a str, Refusal> {
    secret
        .plain()
        .ok_or_else(|| Refusal::invalid(pointer, "the secret itself is needed"))
}
