//! Which webhooks for Azure Event Grid's schema have said that they want their events: Event Grid's validation handshake, as its
//! sender. A subscription's events wait until then, in the journal.
//!
//! A webhook says yes by giving the code of a validation back, or somebody says it for it by opening the validation's address in
//! time. What was said is kept in the store, and counts for one endpoint: another one is asked anew. It sends nothing itself;
//! destinations do.

use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use ring::{
    digest::{SHA256, digest},
    rand::{SecureRandom as _, SystemRandom},
};
use serde::{Deserialize, Serialize};
use std::{
    collections::HashMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};
use store::{Document, Expect, Kind, Operation, Store, SubscriptionId};

/// Persisted; the name of the setting that holds what a subscription's webhook said, before its number.
const PREFIX: &str = "validation/";
/// The shape of that setting.
const FORMAT: u32 = 1;
/// How long an address can be opened, as with Event Grid itself.
pub const ADDRESS_LIFE: Duration = Duration::from_secs(10 * 60);
/// Without an address that somebody could open, how long until a webhook is asked again that has not said yes, or not answered.
const ASK_AGAIN: Duration = Duration::from_secs(60);
/// While somebody may open the address, how often deliveries look whether that has happened.
const LOOK_AGAIN: Duration = Duration::from_secs(5);
/// Random bytes of a code: it is as good as a key for saying yes.
const CODE_BYTES: usize = 32;
/// The path of a validation's address, before the code.
pub const PATH: &str = "/v1/validations/";

/// Where a webhook stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum ValidationState {
    /// It was asked and has not said yes; until a time, somebody may open the address.
    AwaitingManualAction,
    /// It said yes.
    Succeeded,
    /// It did not say yes; it is asked again.
    Failed,
}

/// What one subscription's webhook said.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Said {
    format: u32,
    /// Hex of the SHA-256 of its address.
    endpoint: String,
    state: ValidationState,
    /// Hex of the SHA-256 of the code that is out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    code: Option<String>,
    /// When the address ends, or when it is asked again; seconds since the epoch.
    until: i64,
    /// Why it did not say yes.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    reason: String,
}

/// Where a subscription's webhook stands, for whoever looks.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Validation {
    /// The state.
    pub state: ValidationState,
    /// Why it did not say yes; empty if it did.
    pub reason: String,
    /// Until when the address can be opened, seconds since the epoch.
    pub address_ends: Option<i64>,
}

/// Whether a delivery may be made.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Permit {
    /// It may.
    Yes,
    /// Not before so long: somebody else has been asked, or will be.
    Wait(Duration),
    /// The webhook is to be asked first.
    Ask,
}

/// What a webhook is asked with.
#[derive(Clone)]
pub struct Asked {
    /// To be given back.
    pub code: String,
    /// To be opened instead, where the server knows an address of its own.
    pub url: Option<String>,
}

/// What all webhooks said. Cheap to clone.
#[derive(Clone)]
pub struct Validations(Arc<Inner>);

struct Inner {
    store: Arc<dyn Store>,
    /// Without a slash at its end; empty: unknown.
    public_url: String,
    said: Mutex<HashMap<SubscriptionId, Said>>,
}

impl Validations {
    /// What the store remembers. `public_url` is where this server is reached from outside; empty: nobody knows.
    pub async fn open(store: Arc<dyn Store>, public_url: &str) -> Result<Validations, store::Error> {
        let documents = store.documents().await?;
        let said = documents.iter().filter_map(read).collect();
        Ok(Validations(Arc::new(Inner {
            store,
            public_url: public_url.trim_end_matches('/').to_owned(),
            said: Mutex::new(said),
        })))
    }

    /// Where this server is reached from outside, without a slash at its end; empty: nobody said.
    pub fn public_url(&self) -> &str {
        &self.0.public_url
    }

    /// Whether a delivery to this address may be made, at this second since the epoch.
    pub fn permit(&self, subscription: SubscriptionId, endpoint: &str, now: i64) -> Permit {
        let said = self.lock();
        let Some(said) = said.get(&subscription).filter(|said| said.endpoint == hex_of(endpoint)) else {
            return Permit::Ask;
        };
        match said.state {
            ValidationState::Succeeded => Permit::Yes,
            _ if now >= said.until => Permit::Ask,
            ValidationState::AwaitingManualAction => Permit::Wait(LOOK_AGAIN),
            ValidationState::Failed => {
                Permit::Wait(Duration::from_secs((said.until - now).unsigned_abs()).min(ASK_AGAIN))
            }
        }
    }

    /// Begins a validation. It is durable when this returns, so that an address that is opened after a restart still counts.
    pub async fn begin(&self, subscription: SubscriptionId, endpoint: &str, now: i64) -> Result<Asked, String> {
        let mut random = [0; CODE_BYTES];
        let drawn = SystemRandom::new().fill(&mut random);
        drawn.map_err(|_| "no random bytes for a code".to_owned())?;
        let code = URL_SAFE_NO_PAD.encode(random);
        let life = match self.0.public_url.is_empty() {
            true => ASK_AGAIN,
            false => ADDRESS_LIFE,
        };
        let said = Said {
            format: FORMAT,
            endpoint: hex_of(endpoint),
            state: ValidationState::AwaitingManualAction,
            code: Some(hex_of(&code)),
            until: now.saturating_add(life.as_secs().cast_signed()),
            reason: "it was asked, and has not answered yet".to_owned(),
        };
        self.keep(subscription, said).await?;
        let base = &self.0.public_url;
        let url = (!base.is_empty()).then(|| format!("{base}{PATH}{code}"));
        Ok(Asked { code, url })
    }

    /// The webhook's answer to the validation with this code: yes, or why not. If somebody opened the address meanwhile, that
    /// stays.
    pub async fn answered(
        &self,
        subscription: SubscriptionId,
        asked: &Asked,
        answer: Result<(), String>,
        now: i64,
    ) -> Result<(), String> {
        let current = self.lock().get(&subscription).cloned();
        let Some(mut said) = current.filter(|said| said.code.as_deref() == Some(&hex_of(&asked.code))) else {
            return Ok(());
        };
        match answer {
            Ok(()) => succeed(&mut said),
            Err(reason) if asked.url.is_some() => said.reason = reason,
            Err(reason) => {
                said.state = ValidationState::Failed;
                (said.reason, said.code) = (reason, None);
                said.until = now.saturating_add(ASK_AGAIN.as_secs().cast_signed());
            }
        }
        self.keep(subscription, said).await
    }

    /// Somebody opened the address with this code, at this second since the epoch. Whether there is such a validation.
    pub async fn opened(&self, code: &str, now: i64) -> Result<bool, String> {
        let hash = hex_of(code);
        let found = self.lock().iter().find_map(|(subscription, said)| {
            let is_it = said.state == ValidationState::AwaitingManualAction
                && said.code.as_deref() == Some(&hash)
                && now < said.until;
            is_it.then(|| (*subscription, said.clone()))
        });
        let Some((subscription, mut said)) = found else {
            return Ok(false);
        };
        succeed(&mut said);
        self.keep(subscription, said).await.map(|()| true)
    }

    /// A person wants a webhook to be asked again that has not said yes: its address is good no more, and the next delivery asks.
    pub async fn ask_again(&self, subscription: SubscriptionId) -> Result<(), String> {
        let current = self.lock().get(&subscription).cloned();
        let Some(mut said) = current.filter(|said| said.state != ValidationState::Succeeded) else {
            return Ok(());
        };
        (said.code, said.until) = (None, 0);
        self.keep(subscription, said).await
    }

    /// Where a subscription's webhook stands; `None`: it was never asked.
    pub fn shown(&self, subscription: SubscriptionId) -> Option<Validation> {
        let said = self.lock();
        let said = said.get(&subscription)?;
        let awaits = said.state == ValidationState::AwaitingManualAction && said.code.is_some();
        let awaits = awaits && !self.0.public_url.is_empty();
        Some(Validation {
            state: said.state,
            reason: said.reason.clone(),
            address_ends: awaits.then_some(said.until),
        })
    }

    async fn keep(&self, subscription: SubscriptionId, said: Said) -> Result<(), String> {
        let body = serde_json::to_vec(&said).expect("plain data with string keys");
        let operation = Operation::PutDocument {
            bus: 0,
            kind: Kind::Setting,
            name: validation_name(subscription),
            expect: Expect::Any,
            body: body.into(),
        };
        let applied = self.0.store.apply(0, vec![operation]).await;
        applied.map_err(|error| {
            tracing::warn!(%error, "what a webhook said of its validation could not be kept");
            error.to_string()
        })?;
        self.lock().insert(subscription, said);
        Ok(())
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<SubscriptionId, Said>> {
        self.0.said.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn succeed(said: &mut Said) {
    said.state = ValidationState::Succeeded;
    (said.code, said.reason) = (None, String::new());
}

/// The name of a subscription's setting.
pub(crate) fn validation_name(subscription: SubscriptionId) -> String {
    format!("{PREFIX}{subscription}")
}

/// A setting of a later format is none: the webhook is asked again.
fn read(document: &Document) -> Option<(SubscriptionId, Said)> {
    let number = document
        .name
        .strip_prefix(PREFIX)
        .filter(|_| document.kind == Kind::Setting)?;
    let said: Said = serde_json::from_slice(&document.body).ok()?;
    (said.format == FORMAT).then_some((number.parse().ok()?, said))
}

/// A hash is compared, never the text, so that time tells nothing of it.
fn hex_of(text: &str) -> String {
    let hash = digest(&SHA256, text.as_bytes());
    hash.as_ref().iter().map(|byte| format!("{byte:02x}")).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    const HOOK: &str = "https://example.com/hook";
    const NOW: i64 = 1_800_000_000;

    async fn open(store: &Arc<dyn Store>, public_url: &str) -> Validations {
        let opened = Validations::open(store.clone(), public_url).await;
        opened.expect("memory opens")
    }

    fn memory() -> Arc<dyn Store> {
        Arc::new(store::Memory::new())
    }

    #[tokio::test]
    async fn a_webhook_that_gives_the_code_back_has_said_yes_for_good() {
        let store = memory();
        let validations = open(&store, "").await;
        assert_eq!(validations.permit(7, HOOK, NOW), Permit::Ask);
        let asked = validations.begin(7, HOOK, NOW).await.expect("kept");
        assert!(asked.url.is_none() && asked.code.len() == 43);
        assert_eq!(validations.permit(7, HOOK, NOW), Permit::Wait(LOOK_AGAIN));
        validations.answered(7, &asked, Ok(()), NOW).await.expect("kept");
        for validations in [&validations, &open(&store, "").await] {
            assert_eq!(validations.permit(7, HOOK, NOW), Permit::Yes);
            assert_eq!(validations.permit(7, "https://example.com/other", NOW), Permit::Ask);
            assert_eq!(validations.permit(8, HOOK, NOW), Permit::Ask);
            let shown = validations.shown(7).expect("it was asked");
            assert_eq!((shown.state, shown.address_ends), (ValidationState::Succeeded, None));
        }
    }

    #[tokio::test]
    async fn a_webhook_that_did_not_say_yes_is_asked_again_when_somebody_wants_it() {
        let store = memory();
        let validations = open(&store, "https://bus.example.com").await;
        validations.ask_again(7).await.expect("there is nothing to do");
        let asked = validations.begin(7, HOOK, NOW).await.expect("kept");
        validations.ask_again(7).await.expect("kept");
        for validations in [&validations, &open(&store, "https://bus.example.com").await] {
            assert_eq!(validations.permit(7, HOOK, NOW), Permit::Ask);
            assert_eq!(validations.opened(&asked.code, NOW).await, Ok(false));
            assert_eq!(validations.shown(7).expect("it was asked").address_ends, None);
        }
        // The answer to what was asked before comes too late.
        validations.answered(7, &asked, Ok(()), NOW).await.expect("kept");
        assert_eq!(validations.permit(7, HOOK, NOW), Permit::Ask);
        let asked = validations.begin(7, HOOK, NOW).await.expect("kept");
        validations.answered(7, &asked, Ok(()), NOW).await.expect("kept");
        validations.ask_again(7).await.expect("kept");
        assert_eq!(validations.permit(7, HOOK, NOW), Permit::Yes);
    }

    #[tokio::test]
    async fn without_an_address_one_that_has_not_answered_is_asked_again_after_a_minute() {
        let store = memory();
        open(&store, "").await.begin(7, HOOK, NOW).await.expect("kept");
        let restarted = open(&store, "").await;
        assert_eq!(restarted.permit(7, HOOK, NOW + 59), Permit::Wait(LOOK_AGAIN));
        assert_eq!(restarted.permit(7, HOOK, NOW + 60), Permit::Ask);
    }

    #[tokio::test]
    async fn an_address_counts_once_in_time_and_after_a_restart() {
        let store = memory();
        let first = open(&store, "https://bus.example.com/").await;
        let asked = first.begin(7, HOOK, NOW).await.expect("kept");
        let url = asked.url.clone().expect("it has one");
        assert_eq!(url, format!("https://bus.example.com/v1/validations/{}", asked.code));
        first
            .answered(7, &asked, Err("it answered 404".to_owned()), NOW)
            .await
            .expect("kept");
        let shown = first.shown(7).expect("it was asked");
        assert_eq!(
            (shown.state, shown.reason.as_str()),
            (ValidationState::AwaitingManualAction, "it answered 404")
        );
        let validations = open(&store, "https://bus.example.com").await;
        let end = NOW + 600;
        assert_eq!(validations.permit(7, HOOK, end - 1), Permit::Wait(LOOK_AGAIN));
        assert_eq!(validations.permit(7, HOOK, end), Permit::Ask);
        assert_eq!(validations.opened(&asked.code, end).await, Ok(false));
        assert_eq!(validations.opened("wrong", NOW).await, Ok(false));
        assert_eq!(validations.opened(&asked.code, end - 1).await, Ok(true));
        assert_eq!(validations.permit(7, HOOK, end), Permit::Yes);
        assert_eq!(validations.opened(&asked.code, end - 1).await, Ok(false));
        // An answer that comes late takes nothing back.
        validations
            .answered(7, &asked, Err("late".to_owned()), NOW)
            .await
            .expect("kept");
        assert_eq!(validations.permit(7, HOOK, end), Permit::Yes);
    }

    #[tokio::test]
    async fn without_an_address_a_webhook_that_says_no_is_asked_again() {
        let store = memory();
        let validations = open(&store, "").await;
        let asked = validations.begin(7, HOOK, NOW).await.expect("kept");
        validations
            .answered(7, &asked, Err("it answered 500".to_owned()), NOW)
            .await
            .expect("kept");
        assert_eq!(
            validations.shown(7).map(|shown| shown.state),
            Some(ValidationState::Failed)
        );
        assert_eq!(validations.permit(7, HOOK, NOW), Permit::Wait(ASK_AGAIN));
        assert_eq!(validations.permit(7, HOOK, NOW + 60), Permit::Ask);
        assert_eq!(validations.opened(&asked.code, NOW).await, Ok(false));
    }

    /// The bytes of the setting, as the first program wrote it.
    #[test]
    fn the_setting_of_the_first_format_is_read() {
        let document = |body: &'static str| Document {
            bus: 0,
            kind: Kind::Setting,
            name: "validation/7".to_owned(),
            version: 1,
            body: body.into(),
        };
        let golden =
            r#"{"format":1,"endpoint":"ab","state":"awaiting-manual-action","code":"cd","until":5,"reason":"r"}"#;
        let (number, said) = read(&document(golden)).expect("it is read");
        assert_eq!(
            (number, serde_json::to_string(&said).expect("JSON").as_str()),
            (7, golden)
        );
        assert_eq!(read(&document(r#"{"format":2}"#)), None);
    }
}
