//! How a connection authenticates: AWS's parameters, as the connection that holds them and as an answer shows them, without secrets.

use super::super::super::fault::Fault;
use serde::Deserialize;
use serde_json::{Map, Value, json};

const BASIC: &str = "BASIC";
const API_KEY: &str = "API_KEY";
const OAUTH: &str = "OAUTH_CLIENT_CREDENTIALS";
/// The one grant of a connection that needs no person.
const GRANT: (&str, &str) = ("grant_type", "client_credentials");

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(super) struct AuthParameters {
    basic_auth_parameters: Option<Basic>,
    #[serde(rename = "OAuthParameters")]
    oauth_parameters: Option<OAuth>,
    api_key_auth_parameters: Option<ApiKey>,
    invocation_http_parameters: Option<HttpParameters>,
    connectivity_parameters: Option<Value>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Basic {
    username: String,
    password: String,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct ApiKey {
    api_key_name: String,
    api_key_value: String,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct OAuth {
    client_parameters: Client,
    authorization_endpoint: String,
    http_method: String,
    #[serde(rename = "OAuthHttpParameters")]
    http_parameters: Option<HttpParameters>,
}

#[derive(Deserialize)]
struct Client {
    #[serde(rename = "ClientID")]
    id: String,
    #[serde(rename = "ClientSecret")]
    secret: String,
}

#[derive(Default, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
struct HttpParameters {
    header_parameters: Vec<Parameter>,
    query_string_parameters: Vec<Parameter>,
    body_parameters: Vec<Parameter>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Parameter {
    key: String,
    value: String,
    #[serde(default)]
    is_value_secret: bool,
}

fn refused(parameter: &str, why: &str) -> Fault {
    Fault::validation(format!("Parameter {parameter} is not valid. Reason: {why}"))
}

impl AuthParameters {
    /// The configuration of the connection that holds them, but for its URL.
    pub(super) fn config(&self, kind: &str) -> Result<Value, Fault> {
        if self.connectivity_parameters.is_some() {
            return Err(refused(
                "ConnectivityParameters",
                "there are no private endpoints of AWS here.",
            ));
        }
        let missing = |member: &'static str| move || Fault::validation(format!("{member} must be given for {kind}."));
        let auth = match kind {
            BASIC => {
                let basic = self
                    .basic_auth_parameters
                    .as_ref()
                    .ok_or_else(missing("BasicAuthParameters"))?;
                json!({"type": "basic", "username": basic.username, "password": basic.password})
            }
            API_KEY => {
                let key = self
                    .api_key_auth_parameters
                    .as_ref()
                    .ok_or_else(missing("ApiKeyAuthParameters"))?;
                json!({"type": "api-key", "header": key.api_key_name, "value": key.api_key_value})
            }
            OAUTH => self
                .oauth_parameters
                .as_ref()
                .ok_or_else(missing("OAuthParameters"))?
                .auth()?,
            other => {
                let rule = "Member must satisfy enum value set: [BASIC, OAUTH_CLIENT_CREDENTIALS, API_KEY]";
                return Err(Fault::constraint(other, "authorizationType", rule));
            }
        };
        Ok(json!({"auth": auth, "headers": self.headers()?}))
    }

    fn headers(&self) -> Result<Map<String, Value>, Fault> {
        const PLACE: &str = "InvocationHttpParameters";
        let Some(parameters) = &self.invocation_http_parameters else {
            return Ok(Map::new());
        };
        if !parameters.query_string_parameters.is_empty() || !parameters.body_parameters.is_empty() {
            return Err(refused(
                PLACE,
                "headers are taken here; the query belongs into the endpoint, the body into the target.",
            ));
        }
        if parameters.header_parameters.iter().any(|header| header.is_value_secret) {
            return Err(refused(
                PLACE,
                "a header is shown to whoever may read; a secret goes in as an API key.",
            ));
        }
        let headers = parameters.header_parameters.iter();
        Ok(headers
            .map(|header| (header.key.clone(), header.value.as_str().into()))
            .collect())
    }

    /// As an answer shows them.
    pub(super) fn shown(&self) -> Value {
        let mut shown = Map::new();
        if let Some(basic) = &self.basic_auth_parameters {
            shown.insert("BasicAuthParameters".to_owned(), json!({"Username": basic.username}));
        }
        if let Some(key) = &self.api_key_auth_parameters {
            shown.insert(
                "ApiKeyAuthParameters".to_owned(),
                json!({"ApiKeyName": key.api_key_name}),
            );
        }
        if let Some(oauth) = &self.oauth_parameters {
            shown.insert("OAuthParameters".to_owned(), oauth.shown());
        }
        if let Some(parameters) = &self.invocation_http_parameters {
            shown.insert("InvocationHttpParameters".to_owned(), parameters.shown());
        }
        Value::Object(shown)
    }
}

impl OAuth {
    fn auth(&self) -> Result<Value, Fault> {
        if self.http_method != "POST" {
            return Err(refused("HttpMethod", "a token is asked for with POST (RFC 6749)."));
        }
        let mut auth = json!({
            "type": "oauth2-client-credentials",
            "token_url": self.authorization_endpoint,
            "client_id": self.client_parameters.id,
            "client_secret": self.client_parameters.secret,
        });
        let Some(parameters) = &self.http_parameters else {
            return Ok(auth);
        };
        if !parameters.header_parameters.is_empty() || !parameters.query_string_parameters.is_empty() {
            return Err(refused("OAuthHttpParameters", "parameters of the body are taken here."));
        }
        for Parameter { key, value, .. } in &parameters.body_parameters {
            match key.as_str() {
                "scope" | "audience" => auth[key] = value.as_str().into(),
                name if (name, value.as_str()) == GRANT => {}
                _ => return Err(refused("OAuthHttpParameters", "scope and audience are taken here.")),
            }
        }
        Ok(auth)
    }

    fn shown(&self) -> Value {
        let mut shown = json!({
            "ClientParameters": {"ClientID": self.client_parameters.id},
            "AuthorizationEndpoint": self.authorization_endpoint,
            "HttpMethod": self.http_method,
        });
        if let Some(parameters) = &self.http_parameters {
            shown["OAuthHttpParameters"] = parameters.shown();
        }
        shown
    }
}

impl HttpParameters {
    fn shown(&self) -> Value {
        let shown = |parameters: &[Parameter]| -> Vec<Value> {
            let parameters = parameters.iter();
            parameters
                .map(|parameter| match parameter.is_value_secret {
                    true => json!({"Key": parameter.key, "IsValueSecret": true}),
                    false => json!({"Key": parameter.key, "Value": parameter.value, "IsValueSecret": false}),
                })
                .collect()
        };
        json!({
            "HeaderParameters": shown(&self.header_parameters),
            "QueryStringParameters": shown(&self.query_string_parameters),
            "BodyParameters": shown(&self.body_parameters),
        })
    }
}
