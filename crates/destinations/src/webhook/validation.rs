//! Event Grid's validation, sent: an event with a code that the webhook gives back. Events wait until it has.

use super::{config::Shared, wire};
use bytes::Bytes;
use connector::BodyEnd;
use delivery::{Asked, Attempt, Permit, Validations};
use http::{HeaderValue, Request, StatusCode, header};
use http_body_util::Full;
use serde::Deserialize;
use serde_json::json;
use std::time::Duration;
use tokio::time::{Instant, timeout_at};

/// Bytes of an answer: a code in a little JSON.
const ANSWER_BYTES_MAX: usize = 64 << 10;
/// How long to wait when the webhook did not answer as long as an attempt may take, or when what it said could not be kept.
const ASKED_WAIT: Duration = Duration::from_secs(1);
/// The type of the event, by which Event Grid's SDKs know it.
const TYPE: &str = "Microsoft.EventGrid.SubscriptionValidationEvent";

/// What a subscription's webhook has said, and how it is asked.
pub struct Gate {
    validations: Validations,
    /// The number of the subscription.
    subscription: u64,
    bus: String,
    /// Held while it is asked: one at a time.
    asking: tokio::sync::Mutex<()>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Answer {
    validation_response: String,
}

impl Gate {
    /// For one subscription, by its number.
    pub fn new(validations: Validations, bus: &str, subscription: u64) -> Gate {
        Gate {
            validations,
            subscription,
            bus: bus.to_owned(),
            asking: tokio::sync::Mutex::default(),
        }
    }

    /// Whether the webhook wants its events; else how long to wait. It is asked if it has to be.
    pub(super) async fn pass(&self, shared: &Shared, attempt: &Attempt<'_>, end: Instant) -> Result<(), Duration> {
        // An address that must not be called refuses the attempt itself, with its reason.
        let Ok(address) = &shared.address else { return Ok(()) };
        // It is kept and shown, so without secrets.
        let endpoint = address.shown().to_string();
        let permit = || self.validations.permit(self.subscription, &endpoint, attempt.now);
        if permit() == Permit::Yes {
            return Ok(());
        }
        let Ok(_asking) = self.asking.try_lock() else {
            return Err(self.hear(permit, end).await);
        };
        match permit() {
            Permit::Yes => return Ok(()),
            Permit::Wait(after) => return Err(after),
            Permit::Ask => {}
        }
        // What cannot be kept is asked again.
        let kept = self.ask(shared, &endpoint, attempt, end).await;
        kept.map_err(|_| ASKED_WAIT)?;
        match permit() {
            Permit::Yes => Ok(()),
            Permit::Wait(after) => Err(after),
            Permit::Ask => Err(ASKED_WAIT),
        }
    }

    /// Waits for what the webhook says to who is asking it, and tells how long to wait then: not at all after a yes, so that an
    /// attempt with all of its time follows.
    async fn hear(&self, permit: impl Fn() -> Permit, end: Instant) -> Duration {
        match timeout_at(end, self.asking.lock()).await.map(|_| permit()) {
            Ok(Permit::Yes) => Duration::ZERO,
            Ok(Permit::Wait(after)) => after,
            Ok(Permit::Ask) | Err(_) => ASKED_WAIT,
        }
    }

    async fn ask(&self, shared: &Shared, endpoint: &str, attempt: &Attempt<'_>, end: Instant) -> Result<(), String> {
        let asked = self.validations.begin(self.subscription, endpoint, attempt.now).await?;
        let answer = self.answer(shared, &asked, attempt, end).await;
        let (validations, now) = (&self.validations, attempt.now);
        validations.answered(self.subscription, &asked, answer, now).await
    }

    /// What the webhook answers: yes, or why not.
    async fn answer(&self, shared: &Shared, asked: &Asked, attempt: &Attempt<'_>, end: Instant) -> Result<(), String> {
        let request = self
            .request(shared, asked, attempt)
            .map_err(|error| error.to_string())?;
        let head = shared.send(request, end).await.map_err(|outcome| outcome.detail)?;
        let status = head.status;
        if status != StatusCode::OK {
            head.discard();
            return Err(format!(
                "the webhook answered its validation with {status}; 200 and the code are wanted"
            ));
        }
        let (body, end) = head.read(ANSWER_BYTES_MAX).await;
        let answer = matches!(end, BodyEnd::Whole).then(|| serde_json::from_slice::<Answer>(&body).ok());
        match answer.flatten() {
            Some(answer) if answer.validation_response == asked.code => Ok(()),
            Some(_) => Err("the webhook answered its validation with another code".to_owned()),
            None => Err("the webhook answered its validation without a validationResponse".to_owned()),
        }
    }

    fn request(
        &self,
        shared: &Shared,
        asked: &Asked,
        attempt: &Attempt<'_>,
    ) -> Result<Request<Full<Bytes>>, connector::SendError> {
        let mut data = json!({"validationCode": asked.code});
        if let Some(url) = &asked.url {
            data["validationUrl"] = url.as_str().into();
        }
        let id = format!("validation-{}-{}", self.subscription, attempt.now);
        let body = json!([{
            "id": id, "topic": format!("/v1/buses/{}", self.bus), "subject": "", "data": data, "eventType": TYPE,
            "eventTime": crate::eventgrid::rfc_3339(attempt.now), "metadataVersion": "1", "dataVersion": "2",
        }]);
        let body = Bytes::from(body.to_string());
        let mut headers = shared.headers.clone();
        wire::grid_headers("SubscriptionValidation", attempt.subscription, 0, "2", &mut headers);
        headers.insert(
            header::CONTENT_TYPE,
            HeaderValue::from_static(event::eventgrid::MEDIA_TYPE),
        );
        wire::sign(shared, &id, attempt.now, &body, &mut headers);
        let mut request = Request::new(Full::new(body));
        (*request.method_mut(), *request.uri_mut()) = (http::Method::POST, shared.uri()?.clone());
        *request.headers_mut() = headers;
        Ok(request)
    }
}
