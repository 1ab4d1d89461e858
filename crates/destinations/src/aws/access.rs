//! What all subscriptions of a connection share: where its service answers, as whom it is asked, and one signed request.

use super::{
    answer::{self, Answer},
    credentials::{Credentials, Source},
    errors::Service,
};
use crate::{dry_run, outcomes};
use aws_sigv4::{
    http_request::{SignableBody, SignableRequest, SigningSettings, sign},
    sign::v4,
};
use bytes::Bytes;
use connector::{BodyEnd, Client, SendError, Timeouts};
use control::resources::ConnectionSpec;
use delivery::{Outcome, Verdict};
use http::{HeaderMap, HeaderName, HeaderValue, Method, Request, Uri, header};
use http_body_util::Full;
use std::time::{Duration, SystemTime};
use tokio::time::Instant;

/// Bytes of an answer: five hundred records of Kinesis, with a sentence each.
const ANSWER_BYTES_MAX: usize = 1 << 20;
/// How long an answer's body may take beyond the attempt's timeout.
const ANSWER_WAIT_MAX: Duration = Duration::from_secs(1);
/// The header that says which operation of a JSON protocol is meant.
const AMZ_TARGET: HeaderName = HeaderName::from_static("x-amz-target");

/// What all subscriptions of a connection share.
pub struct Access {
    client: Client,
    /// Where it answers; or why not, since the operator may have closed a network after the connection was saved.
    endpoint: Result<Uri, SendError>,
    pub(super) service: Service,
    region: String,
    pub(super) credentials: Source,
    pub(super) dry_run: bool,
}

/// A request, not signed yet.
#[derive(Clone, Debug, Default)]
pub(super) struct Call {
    /// The operation, in JSON protocols.
    pub target: Option<&'static str>,
    /// Path and query.
    pub path: String,
    /// The media type of the body.
    pub media_type: &'static str,
    /// Further headers.
    pub headers: Vec<(HeaderName, HeaderValue)>,
    /// The body.
    pub body: Bytes,
}

impl Access {
    /// What of a connection the subscriptions share that reach this: a service in a region under a role.
    pub fn part_of(spec: &ConnectionSpec) -> String {
        let aws = spec.aws();
        let role = aws
            .and_then(|aws| aws.assume_role.as_ref())
            .map(|role| role.role_arn.as_str());
        let region = aws.map_or("", |aws| aws.region.as_str());
        format!("{} {region} {}", spec.provider(), role.unwrap_or_default())
    }

    /// Secrets must be plain. The error is a sentence without secrets.
    pub fn new(client: &Client, spec: &ConnectionSpec, dry_run: bool) -> Result<Access, String> {
        let service = Service::of(spec).ok_or("the connection is not to one of Amazon's services")?;
        let aws = spec.aws().ok_or("the connection names no region")?;
        let endpoint = match &aws.endpoint {
            Some(url) => url.clone(),
            None => service.url(&aws.region),
        };
        let target = client.guard().check_url(&endpoint);
        Ok(Access {
            client: client.clone(),
            endpoint: target.map(|target| target.uri().clone()).map_err(SendError::from),
            service,
            region: aws.region.clone(),
            credentials: Source::new(client, aws)?,
            dry_run,
        })
    }

    /// Sends a request and reads its answer. Credentials that are not taken any more are renewed once.
    pub(super) async fn send(&self, call: Call, end: Instant) -> Result<Answer, Outcome> {
        let unanswered = |error: &SendError| outcomes::unanswered(error);
        let endpoint = self.endpoint.as_ref().map_err(unanswered)?;
        let unsigned = unsigned(endpoint, call)?;
        if self.dry_run {
            return Err(dry_run::outcome(&marked(unsigned)));
        }
        let credentials = self.credentials.get(left(end)).await.map_err(|none| none.outcome())?;
        let answer = self.send_as(&credentials, unsigned.clone(), end).await?;
        if !answer.is_about_credentials() || !self.credentials.refused(&credentials) {
            return Ok(answer);
        }
        let credentials = self.credentials.get(left(end)).await.map_err(|none| none.outcome())?;
        self.send_as(&credentials, unsigned, end).await
    }

    async fn send_as(
        &self,
        credentials: &Credentials,
        mut request: Request<Bytes>,
        end: Instant,
    ) -> Result<Answer, Outcome> {
        self.sign(credentials, &mut request)?;
        let left = left(end);
        let timeouts = Timeouts {
            first_byte: left,
            total: left + ANSWER_WAIT_MAX,
        };
        let sent = self.client.send_head(request.map(Full::new), timeouts).await;
        let mut head = sent.map_err(|error| outcomes::unanswered(&error))?;
        let (status, headers) = (head.status, std::mem::take(&mut head.headers));
        let (body, ended) = head.read(ANSWER_BYTES_MAX).await;
        let unread = match ended {
            BodyEnd::Whole => return Ok(Answer::new(self.service, status, headers, body)),
            BodyEnd::Truncated => format!("it has more than {ANSWER_BYTES_MAX} bytes"),
            BodyEnd::Late => "it did not end in time".to_owned(),
            BodyEnd::Broken(error) => format!("it broke off: {error}"),
        };
        Err(answer::unclear(status, &body, &unread))
    }

    fn sign(&self, credentials: &Credentials, request: &mut Request<Bytes>) -> Result<(), Outcome> {
        let failed = |detail: String| outcomes::failed(Verdict::Retry { after: None }, "signature", detail);
        let identity = credentials.clone().into();
        let params = v4::SigningParams::builder()
            .identity(&identity)
            .region(&self.region)
            .name(self.service.signing_name())
            .time(SystemTime::now())
            .settings(SigningSettings::default())
            .build();
        let params = params.map_err(|error| failed(error.to_string()))?.into();
        let headers = request.headers().iter();
        let headers = headers.filter_map(|(name, value)| Some((name.as_str(), value.to_str().ok()?)));
        let method = request.method().as_str();
        let body = SignableBody::Bytes(request.body());
        let signable = SignableRequest::new(method, request.uri().to_string(), headers, body);
        let signed = signable.and_then(|signable| sign(signable, &params));
        let (instructions, _) = signed.map_err(|error| failed(error.to_string()))?.into_parts();
        instructions.apply_to_request_http1x(request);
        Ok(())
    }
}

fn left(end: Instant) -> Duration {
    end.saturating_duration_since(Instant::now())
}

fn unsigned(endpoint: &Uri, call: Call) -> Result<Request<Bytes>, Outcome> {
    let base = endpoint.to_string();
    let uri = Uri::try_from(format!("{}{}", base.trim_end_matches('/'), call.path));
    let wrong = |_| {
        let detail = "the endpoint and the path make no URL".to_owned();
        outcomes::failed(Verdict::Retry { after: None }, "misconfigured", detail)
    };
    let mut headers = HeaderMap::with_capacity(call.headers.len() + 8);
    let agent = HeaderValue::from_static(concat!("Trunkline/", env!("CARGO_PKG_VERSION")));
    headers.insert(header::USER_AGENT, agent);
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(call.media_type));
    if let Some(target) = call.target {
        headers.insert(AMZ_TARGET, HeaderValue::from_static(target));
    }
    headers.extend(call.headers);
    let mut request = Request::new(call.body);
    (*request.method_mut(), *request.uri_mut()) = (Method::POST, uri.map_err(wrong)?);
    *request.headers_mut() = headers;
    Ok(request)
}

/// As it would go, with a place where the signature would be: nobody is asked for credentials.
fn marked(mut request: Request<Bytes>) -> Request<Bytes> {
    let mut value = HeaderValue::from_static("AWS4-HMAC-SHA256");
    value.set_sensitive(true);
    request.headers_mut().insert(header::AUTHORIZATION, value);
    request
}
