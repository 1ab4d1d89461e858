//! The official credential chain's way out: the one connector, with its bounds. What answers on the machine itself (the
//! metadata services) is reached by a connector of its own, which may go to exactly those addresses.

use aws_smithy_runtime_api::{
    client::{
        http::{HttpClient, HttpConnector, HttpConnectorFuture, HttpConnectorSettings, SharedHttpConnector},
        orchestrator::{HttpRequest, HttpResponse},
        result::ConnectorError,
        runtime_components::RuntimeComponents,
    },
    http::StatusCode,
};
use aws_smithy_types::body::SdkBody;
use bytes::Bytes;
use connector::{Client, Networks, SendError, Timeouts};
use http::{HeaderName, HeaderValue, Method, Request, Uri};
use http_body_util::Full;
use std::{fmt, net::IpAddr, time::Duration};

/// Where a machine's or a container's own credentials are answered for: EC2, ECS, EKS, and helpers on loopback, as the official
/// chain knows them. The chain decides which of them is asked; a connection cannot name one.
const MACHINE: &str = "169.254.169.254,fd00:ec2::254,169.254.170.2,169.254.170.23,fd00:ec2::23,127.0.0.0/8,::1";
/// Bytes of an answer: credentials, with a token.
const ANSWER_BYTES_MAX: usize = 256 << 10;
/// For a request of the chain, where it does not say.
const TIME_MAX: Duration = Duration::from_secs(10);

/// The way out.
#[derive(Clone)]
pub(super) struct Transport {
    world: Client,
    machine: Client,
    networks: Networks,
}

impl Transport {
    pub(super) fn new(client: &Client) -> Result<Transport, String> {
        let networks: Networks = MACHINE.parse().expect("the text is networks");
        Ok(Transport {
            world: client.clone(),
            machine: client.only_to(networks.clone()).map_err(|error| error.to_string())?,
            networks,
        })
    }

    async fn send(&self, request: HttpRequest, time: Duration) -> Result<HttpResponse, ConnectorError> {
        let request = converted(request).map_err(|reason| ConnectorError::user(reason.into()))?;
        let host = request.uri().host().unwrap_or_default();
        let address = host.trim_matches(['[', ']']).parse::<IpAddr>().ok();
        let client = match address.is_some_and(|address| self.networks.contains(address)) {
            true => &self.machine,
            false => &self.world,
        };
        let checked = client.guard().check_url(&request.uri().to_string());
        checked.map_err(|refused| ConnectorError::user(Box::new(refused)))?;
        let timeouts = Timeouts {
            first_byte: time,
            total: time,
        };
        let answer = client.send(request, timeouts, ANSWER_BYTES_MAX).await;
        let answer = answer.map_err(|error| match error {
            SendError::Timeout(_) => ConnectorError::timeout(Box::new(error)),
            error => ConnectorError::io(Box::new(error)),
        })?;
        let status = StatusCode::try_from(answer.status.as_u16());
        let status = status.map_err(|error| ConnectorError::other(Box::new(error), None))?;
        let mut response = HttpResponse::new(status, SdkBody::from(answer.body));
        for (name, value) in &answer.headers {
            if let Ok(value) = value.to_str() {
                response
                    .headers_mut()
                    .append(name.as_str().to_owned(), value.to_owned());
            }
        }
        Ok(response)
    }
}

fn converted(request: HttpRequest) -> Result<Request<Full<Bytes>>, String> {
    let body = request.body().bytes().ok_or("the body is a stream")?;
    let mut out = Request::new(Full::new(Bytes::copy_from_slice(body)));
    *out.method_mut() = Method::try_from(request.method()).map_err(|error| error.to_string())?;
    *out.uri_mut() = Uri::try_from(request.uri()).map_err(|error| error.to_string())?;
    for (name, value) in request.headers() {
        let name = HeaderName::try_from(name).map_err(|error| error.to_string())?;
        let value = HeaderValue::try_from(value).map_err(|error| error.to_string())?;
        out.headers_mut().append(name, value);
    }
    Ok(out)
}

impl fmt::Debug for Transport {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("Transport")
    }
}

impl HttpClient for Transport {
    fn http_connector(&self, settings: &HttpConnectorSettings, _: &RuntimeComponents) -> SharedHttpConnector {
        SharedHttpConnector::new(Timed {
            transport: self.clone(),
            time: settings.read_timeout().unwrap_or(TIME_MAX).min(TIME_MAX),
        })
    }
}

/// The way out with the time that the chain allows.
#[derive(Debug)]
struct Timed {
    transport: Transport,
    time: Duration,
}

impl HttpConnector for Timed {
    fn call(&self, request: HttpRequest) -> HttpConnectorFuture {
        let (transport, time) = (self.transport.clone(), self.time);
        HttpConnectorFuture::new(async move { transport.send(request, time).await })
    }
}
