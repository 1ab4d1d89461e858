//! How a connection authenticates: AWS's parameters, as the connection that holds them and as an answer shows them, without secrets.

use super::super::super::fault::Fault;
use serde::Deserialize;
use serde_json::{Map, Value, json};

const BASIC: &str = "BASIC";
const API_KEY: &str = "API_KEY";
const OAUTH: &str = "OAUTH_CLIENT_CREDENTIALS";
/// How a token can be asked for, by the model.
const TOKEN_METHODS: [&str; 3] = ["GET", "POST", "PUT"];

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
        let parameters = self.invocation_http_parameters.as_ref();
        let parameters = parameters.map(HttpParameters::listed).unwrap_or_default();
        Ok(json!({"auth": auth, "parameters": parameters}))
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
        if !TOKEN_METHODS.contains(&self.http_method.as_str()) {
            let rule = "Member must satisfy enum value set: [GET, POST, PUT]";
            return Err(Fault::constraint(&self.http_method, "httpMethod", rule));
        }
        let parameters = self.http_parameters.as_ref();
        Ok(json!({
            "type": "oauth2-client-credentials",
            "token_url": self.authorization_endpoint,
            "client_id": self.client_parameters.id,
            "client_secret": self.client_parameters.secret,
            "method": self.http_method,
            "parameters": parameters.map(HttpParameters::listed).unwrap_or_default(),
        }))
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
    /// As a connection has them.
    fn listed(&self) -> Vec<Value> {
        let places = [
            ("header", &self.header_parameters),
            ("query", &self.query_string_parameters),
            ("body", &self.body_parameters),
        ];
        let each = places
            .into_iter()
            .flat_map(|(place, parameters)| parameters.iter().map(move |one| (place, one)));
        each.map(|(place, one)| match one.is_value_secret {
            true => json!({"in": place, "name": one.key, "secret": one.value}),
            false => json!({"in": place, "name": one.key, "value": one.value}),
        })
        .collect()
    }

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
