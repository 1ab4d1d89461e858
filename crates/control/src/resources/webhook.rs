//! Webhook connections: where, and how Trunkline shows itself there.

use super::{Parameter, ParameterPlace, Secret, TokenMethod, wire};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// A webhook connection.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct WebhookConfig {
    /// Where to send; http or https, no user information.
    pub url: String,
    /// How; absent: POST. GET, HEAD and OPTIONS carry no body.
    #[serde(default, skip_serializing_if = "Method::is_post")]
    pub method: Method,
    /// Sent with every request; reserved names (`host`, `content-length`, `webhook-*`, `ce-*`, …) are refused.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub headers: BTreeMap<String, String>,
    /// What every request carries beside that, in the open or as secrets.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub parameters: Vec<Parameter>,
    /// How to authenticate there.
    #[serde(default, skip_serializing_if = "Auth::is_none")]
    pub auth: Auth,
    /// How deliveries are signed; absent: with Standard Webhooks if a secret is given, else not at all.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub signing: Option<Signing>,
    /// Whom to trust and what to show in TLS; absent: the public authorities, nothing.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tls: Option<TlsConfig>,
    /// Ask the endpoint before anything is delivered; absent: deliver at once.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub handshake: Option<Handshake>,
}

impl WebhookConfig {
    /// How many places (`*`) the path of its URL has, for values of a subscription's target.
    pub fn places(&self) -> usize {
        let rest = self.url.split_once("://").map_or("", |(_, rest)| rest);
        let path = rest.split_once('/').map_or("", |(_, path)| path);
        path.split('?').next().unwrap_or_default().matches('*').count()
    }

    /// Whether its parameters make a body another one.
    pub fn adds_to_bodies(&self) -> bool {
        self.parameters.iter().any(|one| one.place == ParameterPlace::Body)
    }
}

/// The method of a webhook's requests.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "UPPERCASE")]
pub enum Method {
    /// What webhooks are.
    #[default]
    Post,
    /// With a body.
    Put,
    /// With a body.
    Patch,
    /// With a body.
    Delete,
    /// Without a body.
    Get,
    /// Without a body.
    Head,
    /// Without a body.
    Options,
}

impl Method {
    fn is_post(&self) -> bool {
        *self == Method::Post
    }

    /// Its word.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Post => "POST",
            Self::Put => "PUT",
            Self::Patch => "PATCH",
            Self::Delete => "DELETE",
            Self::Get => "GET",
            Self::Head => "HEAD",
            Self::Options => "OPTIONS",
        }
    }

    /// Whether its requests have a body.
    pub fn has_body(self) -> bool {
        !matches!(self, Self::Get | Self::Head | Self::Options)
    }
}

/// How Trunkline authenticates to a destination.
#[derive(Clone, Debug, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(tag = "type", rename_all = "kebab-case", try_from = "wire::Auth")]
pub enum Auth {
    /// Not at all.
    #[default]
    None,
    /// HTTP basic.
    Basic {
        /// The user name.
        username: String,
        /// The password.
        password: Secret,
    },
    /// `Authorization: Bearer`.
    Bearer {
        /// The token.
        token: Secret,
    },
    /// A header of its own.
    ApiKey {
        /// The header's name.
        header: String,
        /// Its value.
        value: Secret,
    },
    /// A bearer token of OAuth 2.0's client credentials (RFC 6749, 4.4).
    #[serde(rename = "oauth2-client-credentials")]
    ClientCredentials(ClientCredentials),
}

/// A client of an OAuth 2.0 server.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ClientCredentials {
    /// Where tokens are asked for.
    pub token_url: String,
    /// The client.
    pub client_id: String,
    /// Its secret.
    pub client_secret: Secret,
    /// What the token is to be good for, space-separated.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub scope: Option<String>,
    /// Whom the token is for, where the server wants to be told.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub audience: Option<String>,
    /// How the client shows its secret.
    pub style: ClientStyle,
    /// How a token is asked for; absent: POST.
    #[serde(default, skip_serializing_if = "TokenMethod::is_post")]
    pub method: TokenMethod,
    /// What the request for a token carries beside that.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub parameters: Vec<Parameter>,
}

/// How an OAuth client shows its secret to the token endpoint.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum ClientStyle {
    /// With HTTP basic.
    #[default]
    Basic,
    /// In the body.
    Body,
}

impl Auth {
    pub(super) fn is_none(&self) -> bool {
        *self == Auth::None
    }
}

/// How deliveries are signed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "style", rename_all = "kebab-case", from = "wire::Signing")]
pub enum Signing {
    /// Standard Webhooks 1.0.0: one signature for each secret, the first is the newest.
    StandardWebhooks {
        /// `whsec_` and base64 of 24 to 64 bytes (HMAC-SHA256), or `whsk_` and base64 of an ed25519 key's seed of 32 bytes, or of
        /// seed and public key; at most 10.
        secrets: Vec<Secret>,
        /// What receivers verify `whsk_` keys with, `whpk_` and base64. Made by the server; what comes in is not looked at.
        #[serde(skip_serializing_if = "Vec::is_empty")]
        public_keys: Vec<String>,
    },
    /// `x-magento-signature`: HMAC-SHA256 of the body in hex, under the text of the one secret.
    XMagentoSignature {
        /// One.
        secrets: Vec<Secret>,
    },
}

impl Signing {
    /// Its secrets.
    pub fn secrets(&self) -> &[Secret] {
        match self {
            Self::StandardWebhooks { secrets, .. } | Self::XMagentoSignature { secrets } => secrets,
        }
    }
}

/// Whom a connection trusts and what it shows of itself.
#[derive(Clone, Debug, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct TlsConfig {
    /// The client's certificate and its chain, PEM.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub certificate: Option<String>,
    /// Its private key, PEM without a password.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub key: Option<Secret>,
    /// The authorities that the server's certificate must come from, PEM; absent: the public ones.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub ca: Option<String>,
    /// The name that the server's certificate must be for; absent: the URL's host.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub server_name: Option<String>,
    /// When the client's certificate ends, RFC 3339. Made by the server; what comes in is not looked at.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub certificate_ends: Option<String>,
}

/// The handshake of the CloudEvents HTTP webhook specification, as its sender.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Handshake {
    /// The name that the endpoint is asked to allow, and that every delivery carries.
    pub origin: String,
    /// Requests per minute that are asked for; absent: no rate is spoken of.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rate: Option<u32>,
    /// Where the endpoint may say yes later: an address of yours. Trunkline asks again before each delivery until it may.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub callback: Option<String>,
}
