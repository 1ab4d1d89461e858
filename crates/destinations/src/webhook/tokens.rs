//! Bearer tokens of OAuth 2.0's client credentials: asked for once for a connection, kept, renewed before they end.

use super::parameters::{Address, Opened, Secrets};
use base64::{Engine as _, engine::general_purpose::STANDARD};
use bytes::Bytes;
use connector::{Client, SendError, Timeouts};
use control::resources::{ClientCredentials, ClientStyle, ParameterPlace, TokenMethod};
use delivery::{Outcome, Verdict};
use http::{HeaderMap, HeaderValue, Method, Request, StatusCode, header};
use http_body_util::Full;
use ring::rand::{SecureRandom, SystemRandom};
use serde::Deserialize;
use std::{
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};
use tokio::time::Instant;
use url::form_urlencoded;

/// Bytes of a token endpoint's answer.
const ANSWER_BYTES_MAX: usize = 64 << 10;
/// Bytes of a token: it has to fit into a header beside others.
const TOKEN_BYTES_MAX: usize = 16 << 10;
/// The life of a token whose endpoint does not say.
const LIFE_DEFAULT: Duration = Duration::from_secs(300);
/// The longest life that is believed.
const LIFE_MAX: Duration = Duration::from_secs(24 * 3_600);
/// A token is renewed when between this share of its life is over and `RENEW_SHARE_MAX`, drawn anew for each.
const RENEW_SHARE_MIN: f64 = 0.75;
const RENEW_SHARE_MAX: f64 = 0.9;
/// After a failure, nobody asks again for so long: many deliveries wait for one token.
const FAILED_PAUSE: Duration = Duration::from_secs(1);
/// Characters of an error that the endpoint gives, which are shown.
const ERROR_CHARACTERS_MAX: usize = 200;

/// A token.
#[derive(Debug)]
pub(super) struct Token {
    /// The value of `Authorization`.
    pub value: HeaderValue,
    /// From when on it is renewed.
    pub renew: Instant,
    /// From when on it is not used.
    pub ends: Instant,
}

/// Why there is none.
#[derive(Clone, Debug)]
pub(super) struct NoToken {
    reason: String,
    detail: String,
}

impl NoToken {
    /// Nothing was delivered, and it is worth trying again.
    pub(super) fn outcome(&self) -> Outcome {
        Outcome {
            verdict: Verdict::Retry { after: None },
            status: None,
            reason: self.reason.clone(),
            detail: self.detail.clone(),
            answer: Bytes::new(),
        }
    }
}

/// The tokens of a connection.
pub(crate) struct Tokens {
    client: Client,
    asked: Result<Asked, SendError>,
    token: Mutex<Option<Arc<Token>>>,
    failed: Mutex<Option<(Instant, NoToken)>>,
    /// Held while a token is asked for: one at a time.
    pub(super) asking: tokio::sync::Mutex<()>,
}

/// The request for a token.
struct Asked {
    method: Method,
    uri: http::Uri,
    headers: HeaderMap,
    body: Bytes,
}

impl Asked {
    fn new(uri: http::Uri, credentials: &ClientCredentials, secret: &str) -> Result<Asked, String> {
        let of = |place| Opened::of(&credentials.parameters, place);
        let mut headers = HeaderMap::new();
        headers.insert(header::ACCEPT, HeaderValue::from_static("application/json"));
        for parameter in of(ParameterPlace::Header)? {
            let (name, value) = parameter.header()?;
            headers.insert(name, value);
        }
        if credentials.style == ClientStyle::Basic {
            headers.insert(header::AUTHORIZATION, basic(&credentials.client_id, secret)?);
        }
        let form = form(credentials, &of(ParameterPlace::Body)?, secret);
        let uri = Address::new(uri, of(ParameterPlace::Query)?)?.sent().clone();
        if credentials.method == TokenMethod::Get {
            return Ok(Asked {
                method: Method::GET,
                uri: with_form(&uri, &form)?,
                headers,
                body: Bytes::new(),
            });
        }
        let media_type = HeaderValue::from_static("application/x-www-form-urlencoded");
        headers.insert(header::CONTENT_TYPE, media_type);
        Ok(Asked {
            method: match credentials.method {
                TokenMethod::Put => Method::PUT,
                TokenMethod::Post | TokenMethod::Get => Method::POST,
            },
            uri,
            headers,
            body: Bytes::from(form),
        })
    }
}

/// The form as the query, beside the one that is there.
fn with_form(uri: &http::Uri, form: &str) -> Result<http::Uri, String> {
    let separator = if uri.query().is_some() { '&' } else { '?' };
    let text = format!("{uri}{separator}{form}");
    http::Uri::try_from(text).map_err(|_| "the token endpoint and its parameters make no URL".to_owned())
}

impl Tokens {
    /// Asks for nothing yet. The secret must be plain.
    pub(super) fn new(client: Client, credentials: &ClientCredentials, secret: &str) -> Result<Tokens, String> {
        let asked = match client.guard().check_url(&credentials.token_url) {
            Ok(target) => Ok(Asked::new(target.uri().clone(), credentials, secret)?),
            Err(refused) => Err(SendError::from(refused)),
        };
        Ok(Tokens {
            client,
            asked,
            token: Mutex::default(),
            failed: Mutex::default(),
            asking: tokio::sync::Mutex::default(),
        })
    }

    /// A token that is good now. One that will end soon is renewed by one caller, while the others go on with it.
    pub(super) async fn get(&self, timeout: Duration) -> Result<Arc<Token>, NoToken> {
        let now = Instant::now();
        let Some(token) = self.current().filter(|token| now < token.ends) else {
            return self.get_new(timeout).await;
        };
        if now < token.renew {
            return Ok(token);
        }
        match self.asking.try_lock() {
            Ok(_asking) => Ok(self.ask(timeout).await.unwrap_or(token)),
            Err(_) => Ok(token),
        }
    }

    async fn get_new(&self, timeout: Duration) -> Result<Arc<Token>, NoToken> {
        let late = |_| no_token("timeout", "no token in time".to_owned());
        let _asking = tokio::time::timeout(timeout, self.asking.lock()).await.map_err(late)?;
        let now = Instant::now();
        if let Some(token) = self.current().filter(|token| now < token.ends) {
            return Ok(token);
        }
        self.ask(timeout).await
    }

    /// The endpoint does not take this token: it is not used any more, unless it has been replaced already.
    pub(super) fn refused(&self, token: &Arc<Token>) {
        self.lock().take_if(|current| Arc::ptr_eq(current, token));
    }

    fn current(&self) -> Option<Arc<Token>> {
        self.lock().clone()
    }

    pub(super) fn lock(&self) -> MutexGuard<'_, Option<Arc<Token>>> {
        self.token.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn failure(&self) -> MutexGuard<'_, Option<(Instant, NoToken)>> {
        self.failed.lock().unwrap_or_else(PoisonError::into_inner)
    }

    async fn ask(&self, timeout: Duration) -> Result<Arc<Token>, NoToken> {
        let before = self.failure().clone();
        if let Some((_, failed)) = before.filter(|(until, _)| Instant::now() < *until) {
            return Err(failed);
        }
        match self.request(timeout).await {
            Ok(token) => {
                let token = Arc::new(token);
                *self.lock() = Some(token.clone());
                Ok(token)
            }
            Err(failed) => {
                *self.failure() = Some((Instant::now() + FAILED_PAUSE, failed.clone()));
                Err(failed)
            }
        }
    }

    async fn request(&self, timeout: Duration) -> Result<Token, NoToken> {
        let unsent = |error: &SendError| no_token(error.code(), error.to_string());
        let asked = self.asked.as_ref().map_err(unsent)?;
        let mut request = Request::new(Full::new(asked.body.clone()));
        (*request.method_mut(), *request.uri_mut()) = (asked.method.clone(), asked.uri.clone());
        *request.headers_mut() = asked.headers.clone();
        let timeouts = Timeouts {
            first_byte: timeout,
            total: timeout,
        };
        let answer = self.client.send(request, timeouts, ANSWER_BYTES_MAX).await;
        let answer = answer.map_err(|error| unsent(&error))?;
        let granted = read(answer.status, &answer.body).map_err(|detail| no_token("refused", detail))?;
        let now = Instant::now();
        Ok(Token {
            value: granted.authorization,
            renew: now + granted.life.mul_f64(renew_share()),
            ends: now + granted.life,
        })
    }
}

fn no_token(code: &str, detail: String) -> NoToken {
    NoToken {
        reason: format!("token_{code}"),
        detail: format!("no token from the token endpoint: {detail}"),
    }
}

fn renew_share() -> f64 {
    let mut byte = [0; 1];
    // Without randomness the token is renewed early, which harms nobody.
    let _ = SystemRandom::new().fill(&mut byte);
    RENEW_SHARE_MIN + (RENEW_SHARE_MAX - RENEW_SHARE_MIN) * f64::from(byte[0]) / 255.0
}

/// RFC 6749, 2.3.1: both parts are form-encoded before they are joined.
fn basic(id: &str, secret: &str) -> Result<HeaderValue, String> {
    let encode = |text: &str| form_urlencoded::byte_serialize(text.as_bytes()).collect::<String>();
    let pair = format!("{}:{}", encode(id), encode(secret));
    let mut value = HeaderValue::try_from(format!("Basic {}", STANDARD.encode(pair)))
        .map_err(|_| "the client's secret does not fit into a header".to_owned())?;
    value.set_sensitive(true);
    Ok(value)
}

/// The form, in which parameters of the connection stand in place of what we would write.
fn form(credentials: &ClientCredentials, parameters: &[Opened], secret: &str) -> String {
    let given = |name: &str| parameters.iter().any(|parameter| parameter.name == name);
    let mut form = form_urlencoded::Serializer::new(String::new());
    if !given("grant_type") {
        form.append_pair("grant_type", "client_credentials");
    }
    for (name, value) in [("scope", &credentials.scope), ("audience", &credentials.audience)] {
        if let Some(value) = value.as_ref().filter(|_| !given(name)) {
            form.append_pair(name, value);
        }
    }
    if credentials.style == ClientStyle::Body {
        form.append_pair("client_id", &credentials.client_id);
        form.append_pair("client_secret", secret);
    }
    for parameter in parameters {
        form.append_pair(&parameter.name, parameter.value(Secrets::Sent));
    }
    form.finish()
}

/// What a token endpoint grants.
#[derive(Debug)]
pub struct Granted {
    /// The value of `Authorization`.
    pub authorization: HeaderValue,
    /// How long it may be used.
    pub life: Duration,
}

#[derive(Deserialize)]
struct Answer {
    access_token: String,
    token_type: Option<String>,
    expires_in: Option<Seconds>,
}

/// Some servers write the number as a string.
#[derive(Deserialize)]
#[serde(untagged)]
enum Seconds {
    Number(f64),
    Text(String),
}

impl Seconds {
    fn read(&self) -> Option<Duration> {
        let seconds = match self {
            Seconds::Number(number) => *number,
            Seconds::Text(text) => text.trim().parse().ok()?,
        };
        let life = Duration::try_from_secs_f64(seconds).ok()?;
        Some(life.min(LIFE_MAX))
    }
}

#[derive(Deserialize)]
struct Refusal {
    error: String,
    error_description: Option<String>,
}

/// Reads the answer of a token endpoint (RFC 6749, 5.1 and 5.2); the error is a sentence without the token.
pub fn read(status: StatusCode, body: &[u8]) -> Result<Granted, String> {
    if !status.is_success() {
        let said = serde_json::from_slice::<Refusal>(body).ok().map(|refusal| {
            let words = refusal
                .error_description
                .map_or(String::new(), |text| format!(" ({text})"));
            let text: String = format!("{}{words}", refusal.error)
                .chars()
                .take(ERROR_CHARACTERS_MAX)
                .collect();
            format!(": {text}")
        });
        return Err(format!("it answered {status}{}", said.unwrap_or_default()));
    }
    // A message of serde's could repeat what stands there.
    let answer: Answer =
        serde_json::from_slice(body).map_err(|_| format!("it answered {status}, but not JSON with an access_token"))?;
    if answer
        .token_type
        .as_deref()
        .is_some_and(|kind| !kind.eq_ignore_ascii_case("bearer"))
    {
        return Err("its token is of a type other than bearer".to_owned());
    }
    let token = &answer.access_token;
    if !(1..=TOKEN_BYTES_MAX).contains(&token.len()) || !token.bytes().all(|byte| byte.is_ascii_graphic()) {
        return Err("its token does not fit into a header".to_owned());
    }
    let mut authorization = HeaderValue::try_from(format!("Bearer {token}")).map_err(|error| error.to_string())?;
    authorization.set_sensitive(true);
    let life = match &answer.expires_in {
        None => LIFE_DEFAULT,
        Some(seconds) => seconds.read().ok_or("its expires_in is no number of seconds")?,
    };
    Ok(Granted { authorization, life })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn granted(body: &str) -> Result<(String, u64), String> {
        let granted = read(StatusCode::OK, body.as_bytes())?;
        let text = granted.authorization.to_str().expect("ASCII").to_owned();
        Ok((text, granted.life.as_secs()))
    }

    #[test]
    fn tokens_are_read_with_their_life_bounded() {
        for (body, life) in [
            (
                r#"{"access_token": "a.b-c", "token_type": "Bearer", "expires_in": 3600}"#,
                3_600,
            ),
            (
                r#"{"access_token": "a.b-c", "token_type": "bearer", "expires_in": "60"}"#,
                60,
            ),
            (r#"{"access_token": "a.b-c"}"#, 300),
            (r#"{"access_token": "a.b-c", "expires_in": 1e9, "scope": "x"}"#, 86_400),
            (r#"{"access_token": "a.b-c", "expires_in": 0}"#, 0),
        ] {
            assert_eq!(granted(body), Ok(("Bearer a.b-c".to_owned(), life)), "{body}");
        }
    }

    #[test]
    fn what_is_no_token_is_said_without_repeating_it() {
        for body in [
            "SECRET",
            r#"{"access_token": 1, "x": "SECRET"}"#,
            r#"{"access_token": "SECRET\r\nx: y"}"#,
            r#"{"access_token": ""}"#,
            r#"{"access_token": "SECRET", "token_type": "mac"}"#,
            r#"{"access_token": "SECRET", "expires_in": -1}"#,
            r#"{"access_token": "SECRET", "expires_in": "soon"}"#,
        ] {
            let refusal = granted(body).expect_err(body);
            assert!(!refusal.contains("SECRET"), "{refusal}");
        }
    }

    #[test]
    fn a_refusal_is_told_in_the_endpoints_words() {
        let body = br#"{"error": "invalid_client", "error_description": "unknown client"}"#;
        let refusal = read(StatusCode::UNAUTHORIZED, body).expect_err("refused");
        assert_eq!(refusal, "it answered 401 Unauthorized: invalid_client (unknown client)");
    }
}
