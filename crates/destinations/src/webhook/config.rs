//! What a connection and a subscription say, checked once and made ready, so that an attempt adds only what is the event's.

use super::{
    handshake::{Consent, REQUEST_ORIGIN},
    parameters::{Address, Opened, TargetParameters},
    signature::Signer,
    tokens::Tokens,
};
use base64::{Engine as _, engine::general_purpose::STANDARD};
use connector::{Client, ClientTls, SendError};
use control::resources::{
    Auth, Method, OutcomeOverride, ParameterPlace, Secret, Signing, SubscriptionSpec, TargetMode, TlsConfig,
    WebhookConfig,
};
use delivery::Limits;
use http::{HeaderMap, HeaderName, HeaderValue, Uri, header};
use std::{collections::BTreeMap, sync::Arc};

/// What all subscriptions of a connection share.
pub struct Shared {
    /// Its way out: the common one, or one with a TLS of its own.
    pub(crate) client: Client,
    /// How.
    pub(super) method: Method,
    /// Where to send; or why not, since the operator may have closed a network after the connection was saved.
    pub(crate) address: Result<Address, SendError>,
    /// What goes into the JSON object of each body.
    pub(super) body: Vec<Opened>,
    /// The headers that every request has: the user's own, authentication, the user agent.
    pub(crate) headers: HeaderMap,
    /// Signs, if there is a secret.
    pub(super) signer: Option<Signer>,
    /// Where its bearer tokens come from, if it has such.
    pub(crate) tokens: Option<Tokens>,
    /// What its endpoint allows, if it is to be asked.
    pub(super) consent: Option<Consent>,
    /// Whether everything happens but the call.
    pub(crate) dry_run: bool,
}

impl Shared {
    /// Secrets must be plain. The error is a sentence without secrets.
    pub fn new(client: &Client, config: &WebhookConfig) -> Result<Shared, String> {
        let consent = config.handshake.clone().map(Consent::new);
        let mut headers = headers(config)?;
        headers.extend(
            consent
                .as_ref()
                .and_then(Consent::origin)
                .map(|origin| (REQUEST_ORIGIN, origin)),
        );
        let tokens = match &config.auth {
            Auth::ClientCredentials(credentials) => {
                let secret = plain(&credentials.client_secret)?;
                Some(Tokens::new(client.clone(), credentials, secret)?)
            }
            _ => None,
        };
        let query = Opened::of(&config.parameters, ParameterPlace::Query)?;
        let address = match client.guard().check_url(&config.url) {
            Ok(target) => Ok(Address::new(target.uri().clone(), query)?),
            Err(refused) => Err(SendError::from(refused)),
        };
        Ok(Shared {
            address,
            body: Opened::of(&config.parameters, ParameterPlace::Body)?,
            method: config.method,
            client: own_client(client, config.tls.as_ref())?,
            headers,
            signer: signer(config.signing.as_ref())?,
            tokens,
            consent,
            dry_run: false,
        })
    }

    /// Where to send what no target says anything of.
    pub(crate) fn uri(&self) -> Result<&Uri, SendError> {
        self.address.as_ref().map(Address::sent).map_err(Clone::clone)
    }

    /// The same, but that nothing is sent.
    pub fn in_dry_run(self, dry_run: bool) -> Shared {
        Shared { dry_run, ..self }
    }
}

/// A webhook made ready for one subscription.
pub(super) struct Prepared {
    /// What its connection's subscriptions share.
    pub shared: Arc<Shared>,
    /// How events are put into the request.
    pub form: Form,
    /// What the subscription's target adds to each request.
    pub parameters: Option<TargetParameters>,
    /// What statuses mean instead of the default.
    pub outcomes: BTreeMap<u16, OutcomeOverride>,
}

impl Prepared {
    pub(super) fn new(shared: Arc<Shared>, subscription: &SubscriptionSpec) -> Result<Prepared, String> {
        Ok(Prepared {
            shared,
            form: Form::of(subscription),
            parameters: TargetParameters::of(&subscription.target)?,
            outcomes: subscription.delivery.outcomes.clone(),
        })
    }
}

/// How events are put into a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Form {
    /// One event in the CloudEvents binary mode.
    Binary,
    /// One event in the CloudEvents JSON format.
    Structured,
    /// One event's data.
    Data,
    /// Events in the CloudEvents JSON batch format.
    Batched(Limits),
    /// A JSON array of events' data.
    DataList(Limits),
    /// An array in Event Grid's schema.
    EventGrid(Limits),
}

impl Form {
    fn of(subscription: &SubscriptionSpec) -> Form {
        let batch = &subscription.delivery.batch;
        let events = batch.events.unwrap_or(1);
        let limits = Limits {
            events: usize::try_from(events).unwrap_or(usize::MAX),
            bytes: usize::try_from(batch.bytes).unwrap_or(usize::MAX),
        };
        match subscription.target.mode.unwrap_or(TargetMode::Binary) {
            TargetMode::Binary => Form::Binary,
            TargetMode::Structured => Form::Structured,
            TargetMode::Batched => Form::Batched(limits),
            TargetMode::Data | TargetMode::Envelope if events > 1 => Form::DataList(limits),
            // The envelope stands in place of the data already.
            TargetMode::Data | TargetMode::Envelope => Form::Data,
            TargetMode::EventGrid => Form::EventGrid(limits),
        }
    }

    /// What one request holds.
    pub(super) fn limits(self) -> Limits {
        match self {
            Form::Binary | Form::Structured | Form::Data => Limits::ONE,
            Form::Batched(limits) | Form::DataList(limits) | Form::EventGrid(limits) => limits,
        }
    }

    /// Whether the receiver may say something of each event.
    pub(super) fn holds_several(self) -> bool {
        matches!(self, Form::Batched(_) | Form::DataList(_) | Form::EventGrid(_))
    }
}

/// With a TLS of its own where the connection has one.
fn own_client(client: &Client, tls: Option<&TlsConfig>) -> Result<Client, String> {
    let Some(tls) = tls else { return Ok(client.clone()) };
    let identity_pem = match (&tls.certificate, &tls.key) {
        (Some(certificate), Some(key)) => Some((certificate.clone(), plain(key)?.to_owned())),
        _ => None,
    };
    let tls = ClientTls {
        identity_pem,
        ca_pem: tls.ca.clone(),
        server_name: tls.server_name.clone(),
    };
    client.with_tls(&tls).map_err(|error| error.to_string())
}

fn headers(config: &WebhookConfig) -> Result<HeaderMap, String> {
    // No more room than it takes: every request begins with a copy.
    let mut headers = HeaderMap::with_capacity(config.headers.len() + 3);
    headers.insert(
        header::USER_AGENT,
        HeaderValue::from_static(concat!("Trunkline/", env!("CARGO_PKG_VERSION"))),
    );
    for (name, value) in &config.headers {
        let parsed =
            HeaderName::from_bytes(name.as_bytes()).map_err(|_| format!("header {name:?} is not a header name"))?;
        let value = HeaderValue::from_str(value).map_err(|_| format!("the value of header {name:?} is not one"))?;
        headers.insert(parsed, value);
    }
    for parameter in Opened::of(&config.parameters, ParameterPlace::Header)? {
        let (name, value) = parameter.header()?;
        headers.insert(name, value);
    }
    if let Some((name, value)) = authentication(&config.auth)? {
        headers.insert(name, value);
    }
    Ok(headers)
}

fn authentication(auth: &Auth) -> Result<Option<(HeaderName, HeaderValue)>, String> {
    let (name, value) = match auth {
        Auth::None | Auth::ClientCredentials(_) => return Ok(None),
        Auth::Basic { username, password } => {
            let credentials = STANDARD.encode(format!("{username}:{}", plain(password)?));
            (header::AUTHORIZATION, format!("Basic {credentials}"))
        }
        Auth::Bearer { token } => (header::AUTHORIZATION, format!("Bearer {}", plain(token)?)),
        Auth::ApiKey { header, value } => {
            let name = HeaderName::from_bytes(header.as_bytes());
            (
                name.map_err(|_| format!("header {header:?} is not a header name"))?,
                plain(value)?.to_owned(),
            )
        }
    };
    let mut value =
        HeaderValue::from_str(&value).map_err(|_| "the secret of auth does not fit into a header".to_owned())?;
    value.set_sensitive(true);
    Ok(Some((name, value)))
}

fn signer(signing: Option<&Signing>) -> Result<Option<Signer>, String> {
    let Some(signing) = signing else { return Ok(None) };
    let plain: Vec<&str> = signing.secrets().iter().map(plain).collect::<Result<_, _>>()?;
    match (signing, plain.as_slice()) {
        (_, []) => Ok(None),
        (Signing::StandardWebhooks { .. }, secrets) => Signer::standard_webhooks(secrets).map(Some),
        (Signing::XMagentoSignature { .. }, [secret, ..]) => Ok(Some(Signer::magento(secret))),
    }
}

pub(super) fn plain(secret: &Secret) -> Result<&str, String> {
    match secret {
        Secret::Plain(text) => Ok(text),
        Secret::Sealed(_) | Secret::Fingerprint(_) => Err("a secret of the connection was not opened".to_owned()),
    }
}
