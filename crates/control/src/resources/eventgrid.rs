//! Connections to Azure Event Grid's topics, and to whatever speaks as they do.

use super::{ClientCredentials, ClientStyle, Secret};
use serde::{Deserialize, Serialize};

/// Where Entra's tokens come from, unless a connection says otherwise.
const AUTHORITY_DEFAULT: &str = "https://login.microsoftonline.com";
/// What tokens are for.
const SCOPE: &str = "https://eventgrid.azure.net/.default";

/// A connection to an Azure Event Grid topic.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct EventGridConfig {
    /// The topic's endpoint, `https://….eventgrid.azure.net/api/events`.
    pub endpoint: String,
    /// As whom.
    pub auth: EventGridAuth,
    /// The schema that the topic takes.
    #[serde(default, skip_serializing_if = "EventGridSchema::is_default")]
    pub schema: EventGridSchema,
}

/// How Trunkline shows itself to a topic.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "type", rename_all = "kebab-case", deny_unknown_fields)]
pub enum EventGridAuth {
    /// With one of the topic's keys, in `aeg-sas-key`.
    Key {
        /// The key, Base64.
        key: Secret,
    },
    /// With signatures of an hour, made with one of the topic's keys, in `aeg-sas-token`.
    Sas {
        /// The key, Base64.
        key: Secret,
    },
    /// As an application of Microsoft Entra ID, with a client secret.
    Entra {
        /// The directory.
        tenant: String,
        /// The application.
        client_id: String,
        /// Its secret.
        client_secret: Secret,
        /// Where tokens come from; absent: Azure's public cloud.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        authority: Option<String>,
    },
}

impl EventGridAuth {
    /// The secret.
    pub fn secret(&self) -> &Secret {
        match self {
            Self::Key { key } | Self::Sas { key } => key,
            Self::Entra { client_secret, .. } => client_secret,
        }
    }

    /// The secret, to be replaced, and its pointer.
    pub(crate) fn secret_mut(&mut self) -> (&mut Secret, &'static str) {
        match self {
            Self::Key { key } | Self::Sas { key } => (key, "/config/auth/key"),
            Self::Entra { client_secret, .. } => (client_secret, "/config/auth/client_secret"),
        }
    }

    /// What tokens are asked for with, where tokens are asked for.
    pub fn credentials(&self) -> Option<ClientCredentials> {
        let Self::Entra {
            tenant,
            client_id,
            client_secret,
            authority,
        } = self
        else {
            return None;
        };
        let authority = authority.as_deref().unwrap_or(AUTHORITY_DEFAULT).trim_end_matches('/');
        Some(ClientCredentials {
            token_url: format!("{authority}/{tenant}/oauth2/v2.0/token"),
            client_id: client_id.clone(),
            client_secret: client_secret.clone(),
            scope: Some(SCOPE.to_owned()),
            audience: None,
            style: ClientStyle::Body,
            method: Default::default(),
            parameters: Vec::new(),
        })
    }
}

/// The schema of a topic's events.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum EventGridSchema {
    /// CloudEvents 1.0.
    #[default]
    #[serde(rename = "cloudevents")]
    CloudEvents,
    /// Event Grid's own.
    #[serde(rename = "eventgrid")]
    EventGrid,
}

impl EventGridSchema {
    fn is_default(&self) -> bool {
        *self == Self::default()
    }
}
