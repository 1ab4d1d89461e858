//! `trunkline listen`: a receiver on this machine for trying things out. It verifies signatures when it is given the secret,
//! prints what arrives, allows whoever asks (`OPTIONS`), and fails or dawdles on purpose when asked to.

mod verify;

use crate::{
    answer::compact,
    exit::{Code, Failure},
    output::{Output, printable, say},
};
use axum::{
    Router,
    body::{Bytes, to_bytes},
    extract::{Request, State},
    http::{HeaderMap, HeaderValue, Method, StatusCode},
    response::{IntoResponse, Response},
};
use serde_json::{Value, json, value::RawValue};
use std::{
    net::SocketAddr,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::{Duration, SystemTime, UNIX_EPOCH},
};
use verify::{Signature, Verifier};

/// Bytes of a delivery that are read: the largest event, its attributes, and some room for structured mode.
const BODY_BYTES_MAX: usize = 4 << 20;

/// Receive deliveries here.
#[derive(Clone, Debug, clap::Args)]
pub struct Listen {
    /// Where to listen.
    #[arg(long, default_value = "127.0.0.1:9000", value_name = "ADDRESS")]
    pub listen: SocketAddr,
    /// The signing secret (`whsec_…`) or public key (`whpk_…`); repeat it during a rotation. Without one, signatures are not
    /// looked at.
    #[arg(long, env = "TRUNKLINE_LISTEN_SECRET", hide_env_values = true, value_name = "SECRET")]
    pub secret: Vec<String>,
    /// The secret of `x-magento-signature`, instead.
    #[arg(
        long,
        env = "TRUNKLINE_LISTEN_MAGENTO_SECRET",
        hide_env_values = true,
        value_name = "TEXT",
        conflicts_with = "secret"
    )]
    pub magento_secret: Option<String>,
    /// Answer with this status for a share of the deliveries, as `500:0.3`; the status alone fails all.
    #[arg(long, value_name = "STATUS[:SHARE]", value_parser = parse_fail)]
    pub fail: Option<(u16, f64)>,
    /// Wait this long before answering, e.g. `200ms`.
    #[arg(long, value_name = "DURATION", value_parser = control::units::parse_duration)]
    pub delay: Option<Duration>,
    /// Print one line per delivery, without its data.
    #[arg(long)]
    pub quiet: bool,
    /// Stop after this many deliveries.
    #[arg(long, value_name = "N")]
    pub count: Option<u64>,
}

struct Receiver {
    arguments: Listen,
    verifier: Verifier,
    output: Output,
    received: AtomicU64,
    done: tokio::sync::Notify,
}

impl Listen {
    /// Receives until interrupted, until nobody reads what is printed, or until `--count` deliveries came.
    pub async fn run(self, output: Output) -> Result<(), Failure> {
        let verifier = Verifier::new(&self.secret, self.magento_secret.as_deref())?;
        let address = self.listen;
        let listener = tokio::net::TcpListener::bind(address)
            .await
            .map_err(|error| Failure::new(Code::Failed, format!("cannot listen on {address}: {error}")))?;
        let bound = listener
            .local_addr()
            .map_err(|error| Failure::new(Code::Failed, error.to_string()))?;
        say!("listening on http://{bound}; stop with Ctrl-C");
        let received = AtomicU64::new(0);
        let receiver = Arc::new(Receiver {
            arguments: self,
            verifier,
            output,
            received,
            done: tokio::sync::Notify::new(),
        });
        let stop = receiver.clone();
        let router = Router::new().fallback(receive).with_state(receiver);
        let served = axum::serve(listener, router).with_graceful_shutdown(async move {
            tokio::select! {
                _ = stop.done.notified() => {}
                _ = tokio::signal::ctrl_c() => {}
            }
        });
        served
            .await
            .map_err(|error| Failure::new(Code::Failed, format!("serve: {error}")))
    }
}

async fn receive(State(receiver): State<Arc<Receiver>>, request: Request) -> Response {
    let (parts, body) = request.into_parts();
    if parts.method == Method::OPTIONS {
        return allow(&parts.headers).into_response();
    }
    // A look whether somebody is there (`trunkline connection test`) is no delivery, and nobody signs it.
    if parts.method == Method::HEAD {
        return StatusCode::NO_CONTENT.into_response();
    }
    let Ok(body) = to_bytes(body, BODY_BYTES_MAX).await else {
        return StatusCode::PAYLOAD_TOO_LARGE.into_response();
    };
    let number = receiver.received.fetch_add(1, Ordering::Relaxed) + 1;
    let signature = receiver.verifier.verify(&parts.headers, &body, unix_seconds());
    let status = if signature == Signature::Wrong {
        StatusCode::UNAUTHORIZED
    } else {
        receiver.status(number)
    };
    if let Some(delay) = receiver.arguments.delay {
        tokio::time::sleep(delay).await;
    }
    receiver.print(number, &parts.headers, &body, signature, status);
    if receiver.arguments.count.is_some_and(|count| number >= count) || !receiver.output.is_open() {
        receiver.done.notify_one();
    }
    status.into_response()
}

/// The yes of the CloudEvents webhook handshake.
fn allow(asked: &HeaderMap) -> (StatusCode, HeaderMap) {
    let mut answer = HeaderMap::new();
    if let Some(origin) = asked.get("webhook-request-origin") {
        answer.insert("webhook-allowed-origin", origin.clone());
        answer.insert("webhook-allowed-rate", HeaderValue::from_static("*"));
    }
    (StatusCode::NO_CONTENT, answer)
}

impl Receiver {
    /// The status to answer with: the share of failures is spread evenly and is the same at every run.
    fn status(&self, number: u64) -> StatusCode {
        let Some((status, share)) = self.arguments.fail else {
            return StatusCode::NO_CONTENT;
        };
        let failures = |count: u64| (count as f64 * share) as u64;
        let fails = failures(number) > failures(number - 1);
        if fails {
            StatusCode::from_u16(status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR)
        } else {
            StatusCode::NO_CONTENT
        }
    }

    fn print(&self, number: u64, headers: &HeaderMap, body: &Bytes, signature: Signature, status: StatusCode) {
        let header = |name: &str| {
            headers
                .get(name)
                .and_then(|value| value.to_str().ok())
                .unwrap_or_default()
        };
        let verdict = match signature {
            Signature::NotLookedAt => "not looked at",
            Signature::Good => "good",
            Signature::Wrong => "WRONG",
        };
        if self.output.is_json() {
            let shown: serde_json::Map<_, _> = headers
                .iter()
                .map(|(name, value)| (name.to_string(), json!(String::from_utf8_lossy(value.as_bytes()))))
                .collect();
            let line = json!({"number": number, "status": status.as_u16(), "signature": verdict, "headers": shown});
            return self.output.line(&with_body(&line, body));
        }
        self.output.line(&printable(&format!(
            "{number}  {}  {}  {}  id {}  signature {verdict}",
            status.as_u16(),
            header("ce-type"),
            header("ce-source"),
            header("ce-id")
        )));
        if !self.arguments.quiet && !body.is_empty() {
            self.output
                .line(&format!("   {}", printable(&String::from_utf8_lossy(body))));
        }
    }
}

/// The line of a delivery and what came in it: JSON as it is written, anything else as text.
fn with_body(line: &Value, body: &[u8]) -> String {
    let body = match serde_json::from_slice::<&RawValue>(body) {
        Ok(json) => compact(json.get()),
        Err(_) => json!(String::from_utf8_lossy(body)).to_string(),
    };
    let line = line.to_string();
    let members = line.strip_suffix('}').expect("the line is an object");
    format!("{members},\"body\":{body}}}")
}

fn parse_fail(text: &str) -> Result<(u16, f64), String> {
    let (status, share) = text.split_once(':').unwrap_or((text, "1"));
    let status = status.parse().ok().filter(|status| (200..600).contains(status));
    let share = share.parse().ok().filter(|share| (0.0..=1.0).contains(share));
    match (status, share) {
        (Some(status), Some(share)) => Ok((status, share)),
        _ => Err("write it as STATUS:SHARE, e.g. 500:0.3".into()),
    }
}

fn unix_seconds() -> i64 {
    SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .map_or(0, |elapsed| elapsed.as_secs() as i64)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::output::Format;

    fn receiver(fail: Option<(u16, f64)>) -> Receiver {
        let arguments = Listen {
            listen: "127.0.0.1:0".parse().expect("an address"),
            secret: Vec::new(),
            magento_secret: None,
            fail,
            delay: None,
            quiet: true,
            count: None,
        };
        let verifier = Verifier::new(&[], None).expect("no secrets");
        Receiver {
            arguments,
            verifier,
            output: Output::new(Format::Table),
            received: AtomicU64::new(0),
            done: tokio::sync::Notify::new(),
        }
    }

    #[test]
    fn the_share_of_failures_is_exact_over_ten_deliveries() {
        let receiver = receiver(Some((503, 0.3)));
        let failures = (1..=10).filter(|number| receiver.status(*number) == 503).count();
        assert_eq!(failures, 3);
    }

    #[test]
    fn a_line_has_the_body_as_it_came() {
        let line = |body: &str| with_body(&json!({"number": 1}), body.as_bytes());
        assert_eq!(
            line("{\"a\": 1e400,\n \"f\": 1.10}"),
            r#"{"number":1,"body":{"a":1e400,"f":1.10}}"#
        );
        assert_eq!(line("{a"), r#"{"number":1,"body":"{a"}"#);
    }

    #[tokio::test]
    async fn whoever_looks_whether_it_is_there_needs_no_signature_and_counts_for_nothing() {
        let mut receiver = receiver(None);
        let secret = format!("whsec_{}", "A".repeat(32));
        receiver.verifier = Verifier::new(&[secret], None).expect("a secret");
        let receiver = Arc::new(receiver);
        let ask = |method: Method| {
            let request = axum::http::Request::builder()
                .method(method)
                .body(axum::body::Body::empty());
            receive(State(Arc::clone(&receiver)), request.expect("a request"))
        };
        assert_eq!(ask(Method::HEAD).await.status(), StatusCode::NO_CONTENT);
        assert_eq!(receiver.received.load(Ordering::Relaxed), 0);
        assert_eq!(ask(Method::POST).await.status(), StatusCode::UNAUTHORIZED);
        assert_eq!(receiver.received.load(Ordering::Relaxed), 1);
    }
}
