//! As whom requests are signed: a connection's own access key, or what the official chain finds on the machine, and a role taken
//! with either. Kept, renewed before they end, one caller asking at a time.

use super::transport::Transport;
use crate::outcomes::failed;
use aws_config::{
    BehaviorVersion, Region, SdkConfig, default_provider::credentials::DefaultCredentialsChain,
    ecs::EcsCredentialsProvider, environment::EnvironmentVariableCredentialsProvider,
    imds::credentials::ImdsCredentialsProvider, profile::ProfileFileCredentialsProvider,
    provider_config::ProviderConfig, retry::RetryConfig, sts::AssumeRoleProvider,
    web_identity_token::WebIdentityTokenCredentialsProvider,
};
pub(super) use aws_credential_types::Credentials;
use aws_credential_types::provider::{ProvideCredentials, SharedCredentialsProvider};
use aws_smithy_async::{rt::sleep::TokioSleep, time::SystemTimeSource};
use connector::Client;
use control::resources::{AssumeRole, AwsAccess, AwsCredentials, Secret};
use delivery::{Outcome, Verdict};
use std::{
    error::Error as StdError,
    sync::{Mutex, MutexGuard, PoisonError},
    time::{Duration, SystemTime},
};
use tokio::{sync::OnceCell, time::Instant};

/// Credentials that end are renewed so long before, as Amazon's own clients do.
const RENEW_BEFORE: Duration = Duration::from_secs(300);
/// Credentials of the machine that do not say when they end are looked at again after so long: files change.
const LIFE_DEFAULT: Duration = Duration::from_secs(300);
/// After a failure, nobody asks again for so long: many deliveries wait for one answer.
const FAILED_PAUSE: Duration = Duration::from_secs(1);
/// Characters of the reason why there are none.
const REASON_CHARACTERS_MAX: usize = 400;
/// The name of a role's session where the connection gives none.
const SESSION_NAME: &str = "trunkline";

/// Where a connection's credentials come from.
pub(super) enum Source {
    /// An access key that signs itself.
    Fixed(Credentials),
    /// Somebody is asked.
    Asked(Box<Asked>),
}

/// Credentials that somebody is asked for.
pub(super) struct Asked {
    how: How,
    transport: Transport,
    region: String,
    provider: OnceCell<SharedCredentialsProvider>,
    known: Mutex<Option<Known>>,
    failed: Mutex<Option<(Instant, NoCredentials)>>,
    /// Held while somebody is asked: one at a time.
    asking: tokio::sync::Mutex<()>,
}

/// Who is asked.
struct How {
    base: AwsCredentials,
    role: Option<AssumeRole>,
}

/// Credentials, and until when they are used.
struct Known {
    credentials: Credentials,
    renew: SystemTime,
    ends: SystemTime,
}

/// Why there are none.
#[derive(Clone, Debug)]
pub(super) struct NoCredentials(String);

impl NoCredentials {
    /// Nothing was delivered, and it is worth trying again.
    pub(super) fn outcome(&self) -> Outcome {
        failed(Verdict::Retry { after: None }, "aws_credentials", self.0.clone())
    }
}

impl Source {
    /// Asks nobody yet.
    pub(super) fn new(client: &Client, aws: &AwsAccess) -> Result<Source, String> {
        if let (AwsCredentials::Static { .. }, None) = (&aws.credentials, &aws.assume_role) {
            return fixed(&aws.credentials).map(Source::Fixed);
        }
        Ok(Source::Asked(Box::new(Asked {
            how: How {
                base: aws.credentials.clone(),
                role: aws.assume_role.clone(),
            },
            transport: Transport::new(client)?,
            region: aws.region.clone(),
            provider: OnceCell::new(),
            known: Mutex::default(),
            failed: Mutex::default(),
            asking: tokio::sync::Mutex::default(),
        })))
    }

    /// Credentials that are good now.
    pub(super) async fn get(&self, timeout: Duration) -> Result<Credentials, NoCredentials> {
        match self {
            Source::Fixed(credentials) => Ok(credentials.clone()),
            Source::Asked(asked) => asked.get(timeout).await,
        }
    }

    /// The service does not take these: they are not used any more. Whether there may be others.
    pub(super) fn refused(&self, refused: &Credentials) -> bool {
        let Source::Asked(asked) = self else { return false };
        let same = |known: &mut Known| known.credentials.access_key_id() == refused.access_key_id();
        lock(&asked.known).take_if(|known| same(known));
        true
    }
}

impl Asked {
    async fn get(&self, timeout: Duration) -> Result<Credentials, NoCredentials> {
        let now = SystemTime::now();
        let known = lock(&self.known)
            .as_ref()
            .filter(|known| now < known.ends)
            .map(|known| (known.credentials.clone(), now < known.renew));
        match known {
            Some((credentials, true)) => Ok(credentials),
            // One caller renews, while the others go on with what there is.
            Some((credentials, false)) => match self.asking.try_lock() {
                Ok(_asking) => Ok(self.ask(timeout).await.unwrap_or(credentials)),
                Err(_) => Ok(credentials),
            },
            None => self.get_new(timeout).await,
        }
    }

    async fn get_new(&self, timeout: Duration) -> Result<Credentials, NoCredentials> {
        let late = |_| NoCredentials("there were no credentials in time".to_owned());
        let _asking = tokio::time::timeout(timeout, self.asking.lock()).await.map_err(late)?;
        let now = SystemTime::now();
        let known = lock(&self.known)
            .as_ref()
            .filter(|known| now < known.ends)
            .map(|known| known.credentials.clone());
        match known {
            Some(credentials) => Ok(credentials),
            None => self.ask(timeout).await,
        }
    }

    async fn ask(&self, timeout: Duration) -> Result<Credentials, NoCredentials> {
        let before = lock(&self.failed).clone();
        if let Some((_, failed)) = before.filter(|(until, _)| Instant::now() < *until) {
            return Err(failed);
        }
        let asked = tokio::time::timeout(timeout, self.provided()).await;
        let asked = asked.unwrap_or_else(|_| Err(NoCredentials("there were no credentials in time".to_owned())));
        match &asked {
            Ok(credentials) => *lock(&self.known) = Some(known(credentials)),
            Err(failed) => *lock(&self.failed) = Some((Instant::now() + FAILED_PAUSE, failed.clone())),
        }
        asked
    }

    async fn provided(&self) -> Result<Credentials, NoCredentials> {
        // Made once, and so large that every attempt would otherwise carry room for it.
        let made = async || Box::pin(self.how.provider(&self.transport, &self.region)).await;
        let provider = self.provider.get_or_try_init(made).await.map_err(NoCredentials)?;
        let provided = provider.provide_credentials().await;
        provided.map_err(|error| NoCredentials(format!("no credentials: {}", in_words(chain_of(&error)))))
    }
}

impl How {
    async fn provider(&self, transport: &Transport, region: &str) -> Result<SharedCredentialsProvider, String> {
        let region = Region::new(region.to_owned());
        let base = self.base(transport, &region).await?;
        let Some(role) = &self.role else { return Ok(base) };
        let mut config = SdkConfig::builder()
            .behavior_version(BehaviorVersion::latest())
            .http_client(transport.clone())
            .sleep_impl(TokioSleep::new())
            .time_source(SystemTimeSource::new())
            .retry_config(RetryConfig::disabled())
            .region(region.clone())
            .credentials_provider(base.clone());
        config.set_endpoint_url(role.sts_endpoint.clone());
        let mut assumed = AssumeRoleProvider::builder(&role.role_arn)
            .region(region)
            .session_name(role.session_name.as_deref().unwrap_or(SESSION_NAME))
            .configure(&config.build());
        if let Some(id) = &role.external_id {
            assumed = assumed.external_id(id);
        }
        let assumed = assumed.build_from_provider(base).await;
        Ok(SharedCredentialsProvider::new(assumed))
    }

    /// Who is asked before a role is taken. Programs that a profile names are not run: that part of the chain is not built in.
    async fn base(&self, transport: &Transport, region: &Region) -> Result<SharedCredentialsProvider, String> {
        let config = ProviderConfig::empty()
            .with_region(Some(region.clone()))
            .with_http_client(transport.clone())
            .with_sleep_impl(TokioSleep::new())
            .with_time_source(SystemTimeSource::new())
            .with_behavior_version(Some(BehaviorVersion::latest()));
        Ok(match &self.base {
            AwsCredentials::Static { .. } => SharedCredentialsProvider::new(fixed(&self.base)?),
            AwsCredentials::Default {} => {
                let chain = DefaultCredentialsChain::builder().configure(config);
                SharedCredentialsProvider::new(chain.region(region.clone()).build().await)
            }
            AwsCredentials::Environment {} => {
                SharedCredentialsProvider::new(EnvironmentVariableCredentialsProvider::new())
            }
            AwsCredentials::Profile { profile } => {
                let provider = ProfileFileCredentialsProvider::builder().configure(&config);
                SharedCredentialsProvider::new(provider.profile_name(profile).build())
            }
            AwsCredentials::WebIdentity {} => {
                let provider = WebIdentityTokenCredentialsProvider::builder().configure(&config);
                SharedCredentialsProvider::new(provider.build())
            }
            AwsCredentials::Container {} => {
                SharedCredentialsProvider::new(EcsCredentialsProvider::builder().configure(&config).build())
            }
            AwsCredentials::Instance {} => {
                SharedCredentialsProvider::new(ImdsCredentialsProvider::builder().configure(&config).build())
            }
        })
    }
}

fn fixed(credentials: &AwsCredentials) -> Result<Credentials, String> {
    let AwsCredentials::Static {
        access_key_id,
        secret_access_key,
        session_token,
    } = credentials
    else {
        return Err("the connection has no access key".to_owned());
    };
    let token = session_token.as_ref().map(plain).transpose()?;
    let secret = plain(secret_access_key)?;
    Ok(Credentials::new(access_key_id, secret, token, None, "trunkline"))
}

fn plain(secret: &Secret) -> Result<String, String> {
    match secret.plain() {
        Some(text) => Ok(text.to_owned()),
        None => Err("a secret of the connection was not opened".to_owned()),
    }
}

fn known(credentials: &Credentials) -> Known {
    let now = SystemTime::now();
    let ends = credentials.expiry().unwrap_or(now + LIFE_DEFAULT);
    let renew = ends.checked_sub(RENEW_BEFORE).unwrap_or(ends);
    Known {
        credentials: credentials.clone(),
        renew: if credentials.expiry().is_none() { ends } else { renew },
        ends,
    }
}

/// What the chain says of its own parts helps nobody who has only the binary.
fn in_words(text: String) -> String {
    match text.contains("cargo feature") {
        true => "the profile names a program (credential_process) or single sign-on, which this server does not use"
            .to_owned(),
        false => text,
    }
}

/// An error with what caused it, which says more than itself.
fn chain_of(error: &dyn StdError) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(next) = cause {
        let more = next.to_string();
        if !text.contains(&more) {
            text = format!("{text}: {more}");
        }
        cause = next.source();
    }
    text.chars().take(REASON_CHARACTERS_MAX).collect()
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
