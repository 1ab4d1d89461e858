//! The rules of connections to Azure Event Grid: the endpoint, keys, and names of directories and applications.

use super::webhook::{sent_secret, url};
use crate::{
    limits,
    refusal::Refusal,
    resources::{EventGridAuth, EventGridConfig, Secret},
    rules::Rules,
};
use base64::{Engine as _, engine::general_purpose::STANDARD};

const AT: &str = "/config/auth";

pub(super) fn check(config: &EventGridConfig, rules: &Rules) -> Result<(), Refusal> {
    url("/config/endpoint", &config.endpoint, rules)?;
    match &config.auth {
        EventGridAuth::Key { key: secret } | EventGridAuth::Sas { key: secret } => key(secret),
        EventGridAuth::Entra {
            tenant,
            client_id,
            client_secret,
            authority,
        } => {
            name("tenant", tenant)?;
            name("client_id", client_id)?;
            if let Some(authority) = authority {
                url(&format!("{AT}/authority"), authority, rules)?;
                if authority.contains('?') {
                    return Err(Refusal::invalid(format!("{AT}/authority"), "an authority has no query"));
                }
            }
            let legal = |text: &str| !text.chars().any(char::is_control);
            let rule = "client_secret has no control characters";
            sent_secret(&format!("{AT}/client_secret"), client_secret, legal, rule)
        }
    }
}

/// It is sent in a header, and what it stands for signs.
fn key(secret: &Secret) -> Result<(), Refusal> {
    let legal = |text: &str| STANDARD.decode(text).is_ok_and(|bytes| !bytes.is_empty());
    let rule = "key is Base64, as the portal and `az eventgrid topic key list` show it";
    sent_secret(&format!("{AT}/key"), secret, legal, rule)
}

/// A GUID or a domain; it becomes a part of an address.
fn name(field: &str, text: &str) -> Result<(), Refusal> {
    let legal = |byte: u8| byte.is_ascii_alphanumeric() || b"-._".contains(&byte);
    match (1..=limits::AZURE_NAME_BYTES_MAX).contains(&text.len()) && text.bytes().all(legal) {
        true => Ok(()),
        false => {
            let detail = format!(
                "{field} is 1 to {} letters, digits and - . _",
                limits::AZURE_NAME_BYTES_MAX
            );
            Err(Refusal::invalid(format!("{AT}/{field}"), detail))
        }
    }
}
