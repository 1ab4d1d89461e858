//! The task that sends spans away in batches. It rests while there are none.

use super::{Target, encode};
use bytes::Bytes;
use connector::{Client, Timeouts};
use delivery::trace::{Span, Tracer};
use http::{HeaderValue, Method, Request, StatusCode, header};
use http_body_util::Full;
use std::time::Duration;
use tokio::{
    sync::{mpsc, oneshot},
    task::JoinHandle,
    time::{Instant, sleep, timeout},
};

/// Spans in one request, as OpenTelemetry's own exporters have it.
const BATCH_SPANS_MAX: usize = 512;
/// How long the first span of a batch waits for others.
const BATCH_WAIT: Duration = Duration::from_secs(1);
/// For a whole request.
const SEND_WAIT_MAX: Duration = Duration::from_secs(10);
/// How often a batch is sent, and the wait after the first failure; each one doubles it.
const TRIES: u32 = 3;
const AGAIN: Duration = Duration::from_secs(1);
/// Bytes of an answer that are read: nothing in it is needed.
const ANSWER_BYTES_MAX: usize = 4 << 10;
/// How long the last batches may take when the server ends.
const END_WAIT_MAX: Duration = Duration::from_secs(3);

/// A running exporter.
pub struct Exporter {
    stop: oneshot::Sender<()>,
    task: JoinHandle<()>,
}

impl Exporter {
    /// Starts to send what comes out of a tracer.
    pub fn start((target, client): (Target, Client), tracer: Tracer, spans: mpsc::Receiver<Span>) -> Self {
        let (stop, stopped) = oneshot::channel();
        let sending = Sending {
            target,
            client,
            tracer,
            fails: false,
        };
        let task = tokio::spawn(sending.run(spans, stopped));
        Self { stop, task }
    }

    /// Sends what is left, within a bound, and ends.
    pub async fn stop(self) {
        // It may have ended already.
        let _ = self.stop.send(());
        let aborted = self.task.abort_handle();
        if timeout(END_WAIT_MAX, self.task).await.is_err() {
            aborted.abort();
        }
    }
}

struct Sending {
    target: Target,
    client: Client,
    tracer: Tracer,
    /// Whether the last batch could not be sent: said once.
    fails: bool,
}

impl Sending {
    async fn run(mut self, mut spans: mpsc::Receiver<Span>, mut stopped: oneshot::Receiver<()>) {
        let mut batch = Vec::with_capacity(BATCH_SPANS_MAX);
        loop {
            let is_last = tokio::select! {
                biased;
                _ = &mut stopped => true,
                got = spans.recv_many(&mut batch, BATCH_SPANS_MAX) => got == 0,
            };
            if is_last {
                break;
            }
            gather(&mut spans, &mut batch).await;
            self.send(&batch, TRIES).await;
            batch.clear();
        }
        while spans.try_recv().is_ok_and(|span| {
            batch.push(span);
            true
        }) {
            if batch.len() == BATCH_SPANS_MAX {
                self.send(&batch, 1).await;
                batch.clear();
            }
        }
        if !batch.is_empty() {
            self.send(&batch, 1).await;
        }
    }

    async fn send(&mut self, batch: &[Span], tries: u32) {
        let body = Bytes::from(encode::request(&self.target.service, batch));
        let mut wait = AGAIN;
        let mut failure = String::new();
        for tried in 1..=tries {
            match self.try_send(body.clone()).await {
                Ok(()) => {
                    if std::mem::take(&mut self.fails) {
                        tracing::info!("spans are exported again");
                    }
                    return;
                }
                Err((reason, can_pass)) => {
                    failure = reason;
                    if !can_pass || tried == tries {
                        break;
                    }
                }
            }
            sleep(wait).await;
            wait *= 2;
        }
        self.tracer.count_dropped(batch.len() as u64);
        if !std::mem::replace(&mut self.fails, true) {
            tracing::warn!(
                reason = failure,
                "spans cannot be exported, and are dropped until they can"
            );
        }
    }

    /// The reason of a failure, and whether it may pass.
    async fn try_send(&self, body: Bytes) -> Result<(), (String, bool)> {
        let mut request = Request::new(Full::new(body));
        *request.method_mut() = Method::POST;
        *request.uri_mut() = self.target.uri.clone();
        *request.headers_mut() = self.target.headers.clone();
        let protobuf = HeaderValue::from_static("application/x-protobuf");
        request.headers_mut().insert(header::CONTENT_TYPE, protobuf);
        let timeouts = Timeouts {
            first_byte: SEND_WAIT_MAX,
            total: SEND_WAIT_MAX,
        };
        let sent = self.client.send(request, timeouts, ANSWER_BYTES_MAX).await;
        let answer = sent.map_err(|error| (error.to_string(), true))?;
        match answer.status {
            status if status.is_success() => Ok(()),
            status => Err((format!("the collector answered {status}"), may_pass(status))),
        }
    }
}

/// The statuses that OTLP says to try again after.
fn may_pass(status: StatusCode) -> bool {
    matches!(status.as_u16(), 429 | 502 | 503 | 504)
}

/// Adds what comes within a moment to a batch that has begun.
async fn gather(spans: &mut mpsc::Receiver<Span>, batch: &mut Vec<Span>) {
    let until = Instant::now() + BATCH_WAIT;
    while batch.len() < BATCH_SPANS_MAX {
        let room = BATCH_SPANS_MAX - batch.len();
        match tokio::time::timeout_at(until, spans.recv_many(batch, room)).await {
            Ok(got) if got > 0 => {}
            _ => return,
        }
    }
}
