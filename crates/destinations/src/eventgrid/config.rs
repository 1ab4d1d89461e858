//! What a connection says, made ready: a webhook's way out with Event Grid's address and credentials.

use super::sas::Sas;
use crate::webhook;
use connector::Client;
use control::resources::{Auth, EventGridAuth, EventGridConfig, EventGridSchema, Method, Secret, WebhookConfig};
use std::collections::BTreeMap;

/// The version of the protocol.
const API_VERSION: &str = "2018-01-01";
/// The parameter that says it.
const API_VERSION_NAME: &str = "api-version=";
const SAS_KEY: &str = "aeg-sas-key";

/// What all subscriptions of a connection share.
pub struct Shared {
    /// The way out, with the headers that never change, and with tokens where there are such.
    pub(super) webhook: webhook::Shared,
    /// Signs, where the connection does.
    pub(super) sas: Option<Sas>,
    /// The topic's schema.
    pub(super) schema: EventGridSchema,
}

impl Shared {
    /// Secrets must be plain. The error is a sentence without secrets.
    pub fn new(client: &Client, config: &EventGridConfig, dry_run: bool) -> Result<Shared, String> {
        let sas = match &config.auth {
            EventGridAuth::Sas {
                key: Secret::Plain(key),
            } => Some(Sas::new(&config.endpoint, API_VERSION, key)?),
            EventGridAuth::Sas { .. } => return Err("a secret of the connection was not opened".to_owned()),
            _ => None,
        };
        Ok(Shared {
            webhook: webhook::Shared::new(client, &as_webhook(config))?.in_dry_run(dry_run),
            sas,
            schema: config.schema,
        })
    }
}

/// The webhook that a topic is.
fn as_webhook(config: &EventGridConfig) -> WebhookConfig {
    let auth = match (&config.auth, config.auth.credentials()) {
        (_, Some(credentials)) => Auth::ClientCredentials(credentials),
        (EventGridAuth::Key { key }, None) => Auth::ApiKey {
            header: SAS_KEY.to_owned(),
            value: key.clone(),
        },
        _ => Auth::None,
    };
    WebhookConfig {
        url: with_version(&config.endpoint),
        method: Method::Post,
        headers: BTreeMap::new(),
        parameters: Vec::new(),
        auth,
        signing: None,
        tls: None,
        handshake: None,
    }
}

fn with_version(endpoint: &str) -> String {
    match endpoint.split_once('?') {
        Some((_, query)) if query.split('&').any(|pair| pair.starts_with(API_VERSION_NAME)) => endpoint.to_owned(),
        Some(_) => format!("{endpoint}&{API_VERSION_NAME}{API_VERSION}"),
        None => format!("{endpoint}?{API_VERSION_NAME}{API_VERSION}"),
    }
}
