//! `trunkline bench`: publishes and receives by itself against a running server, on a bus of its own that it removes again,
//! and prints rates and percentiles. It measures the server as this machine's clients see it.

use crate::{
    client::{Client, segment},
    commands::publish::fresh_id,
    exit::{Code, Failure},
    output::Output,
};
use axum::{Router, extract::State, http::HeaderMap, http::StatusCode, routing::post};
use http::Method;
use serde_json::{Value, json};
use std::{
    sync::{
        Arc, Mutex,
        atomic::{AtomicU64, Ordering},
    },
    time::{Duration, Instant},
};

/// How long the last deliveries are waited for.
const DRAIN: Duration = Duration::from_secs(30);

/// Publish and receive, and print rates and percentiles.
#[derive(Clone, Debug, clap::Args)]
pub struct Bench {
    /// Events in all.
    #[arg(long, default_value_t = 20_000, value_parser = clap::value_parser!(u64).range(1..=10_000_000))]
    pub events: u64,
    /// Requests in flight at once.
    #[arg(long, default_value_t = 64, value_parser = clap::value_parser!(u64).range(1..=1024))]
    pub connections: u64,
    /// Events in a request.
    #[arg(long, default_value_t = 1, value_parser = clap::value_parser!(u64).range(1..=1000))]
    pub batch: u64,
    /// Bytes of an event's data.
    #[arg(long, default_value_t = 1024, value_parser = clap::value_parser!(u64).range(2..=1_000_000))]
    pub size: u64,
    /// Events a second; absent: as fast as it goes.
    #[arg(long, value_parser = clap::value_parser!(u64).range(1..))]
    pub rate: Option<u64>,
    /// Publish only.
    #[arg(long)]
    pub no_delivery: bool,
}

/// Where deliveries arrive: the time from publish to receipt, by the event's number.
struct Receiver {
    began: Instant,
    latencies: Mutex<Vec<Duration>>,
    received: AtomicU64,
}

/// What the publishing side saw.
struct Published {
    took: Duration,
    latencies: Vec<Duration>,
}

impl Bench {
    /// Runs it and removes its bus, whatever happened.
    pub async fn run(self, client: &Client, output: Output) -> Result<(), Failure> {
        let bus = format!("bench-{}", fresh_id(0));
        let began = Instant::now();
        let receiver = Arc::new(Receiver {
            began,
            latencies: Mutex::default(),
            received: AtomicU64::new(0),
        });
        let address = serve(receiver.clone()).await?;
        declare(client, &bus, address, self.no_delivery).await?;
        let measured = self.measure(client, &bus, began, &receiver).await;
        let removed = remove(client, &bus).await;
        let (published, delivered_in) = measured?;
        print(output, &self, published, &receiver, delivered_in);
        removed
    }

    async fn measure(
        &self,
        client: &Client,
        bus: &str,
        began: Instant,
        receiver: &Receiver,
    ) -> Result<(Published, Duration), Failure> {
        let start = Instant::now();
        let published = self.publish(client, bus, began).await?;
        if !self.no_delivery {
            let deadline = Instant::now() + DRAIN;
            while receiver.received.load(Ordering::Relaxed) < self.events && Instant::now() < deadline {
                tokio::time::sleep(Duration::from_millis(2)).await;
            }
        }
        Ok((published, start.elapsed()))
    }

    /// All requests, `connections` at a time, paced when a rate was given.
    async fn publish(&self, client: &Client, bus: &str, began: Instant) -> Result<Published, Failure> {
        let path = format!("/v1/buses/{}/events", segment(bus));
        let filler = "x".repeat(self.size as usize - 2);
        let requests = self.events.div_ceil(self.batch);
        let next = AtomicU64::new(0);
        let start = Instant::now();
        let worker = || async {
            let mut latencies = Vec::new();
            loop {
                let request = next.fetch_add(1, Ordering::Relaxed);
                if request >= requests {
                    return Ok::<_, Failure>(latencies);
                }
                if let Some(rate) = self.rate {
                    let due = Duration::from_secs_f64((request * self.batch) as f64 / rate as f64);
                    tokio::time::sleep_until((start + due).into()).await;
                }
                let events = self.batch.min(self.events - request * self.batch);
                let sent = Instant::now();
                let body = batch(request, events, began, &filler);
                client
                    .send(Method::POST, &path, Some(("application/cloudevents-batch+json", body)))
                    .await?;
                latencies.push(sent.elapsed());
            }
        };
        let workers = (0..self.connections).map(|_| worker());
        let results = futures_util::future::try_join_all(workers).await?;
        Ok(Published {
            took: start.elapsed(),
            latencies: results.into_iter().flatten().collect(),
        })
    }
}

/// A request's body. The time of publishing travels in an extension, in microseconds since the run began.
fn batch(request: u64, events: u64, began: Instant, filler: &str) -> Vec<u8> {
    let mut body = String::with_capacity((filler.len() + 160) * events as usize);
    let sent = began.elapsed().as_micros();
    for index in 0..events {
        body.push(if index == 0 { '[' } else { ',' });
        body.push_str(&format!(
            "{{\"specversion\":\"1.0\",\"id\":\"{request}-{index}\",\"source\":\"/bench\",\"type\":\"bench\",\
             \"benchsent\":\"{sent}\",\"data\":\"{filler}\"}}"
        ));
    }
    body.push(']');
    body.into_bytes()
}

async fn serve(receiver: Arc<Receiver>) -> Result<std::net::SocketAddr, Failure> {
    let failed = |error: std::io::Error| Failure::new(Code::Failed, format!("listen on loopback: {error}"));
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.map_err(failed)?;
    let address = listener.local_addr().map_err(failed)?;
    let router = Router::new().route("/", post(receive)).with_state(receiver);
    // Ends with the process, like the run itself.
    tokio::spawn(async move { axum::serve(listener, router).await });
    Ok(address)
}

async fn receive(State(receiver): State<Arc<Receiver>>, headers: HeaderMap, _body: axum::body::Bytes) -> StatusCode {
    let sent = headers
        .get("ce-benchsent")
        .and_then(|value| value.to_str().ok()?.parse().ok());
    let latency = receiver
        .began
        .elapsed()
        .saturating_sub(Duration::from_micros(sent.unwrap_or_default()));
    receiver.latencies.lock().expect("no holder panics").push(latency);
    receiver.received.fetch_add(1, Ordering::Relaxed);
    StatusCode::NO_CONTENT
}

async fn declare(client: &Client, bus: &str, receiver: std::net::SocketAddr, no_delivery: bool) -> Result<(), Failure> {
    let bus = format!("/v1/buses/{}", segment(bus));
    put(
        client,
        &bus,
        json!({"description": "trunkline bench; removed after the run"}),
    )
    .await?;
    if no_delivery {
        return Ok(());
    }
    let secret = "whsec_dHJ1bmtsaW5lIGJlbmNoIHNpZ25pbmcgc2VjcmV0ISE=";
    let config =
        json!({"url": format!("http://{receiver}/"), "signing": {"style": "standard-webhooks", "secrets": [secret]}});
    put(
        client,
        &format!("{bus}/connections/bench"),
        json!({"provider": "webhook", "config": config}),
    )
    .await?;
    let subscription = json!({"connection": "bench", "delivery": {"concurrency": 64}});
    put(client, &format!("{bus}/subscriptions/bench"), subscription).await
}

async fn put(client: &Client, path: &str, body: Value) -> Result<(), Failure> {
    client
        .send(
            Method::PUT,
            path,
            Some(("application/json", body.to_string().into_bytes())),
        )
        .await
        .map(drop)
}

async fn remove(client: &Client, bus: &str) -> Result<(), Failure> {
    let bus = format!("/v1/buses/{}", segment(bus));
    for path in ["/subscriptions/bench", "/connections/bench", ""] {
        match client.send(Method::DELETE, &format!("{bus}{path}"), None).await {
            Err(failure) if failure.code != Code::NotFound => return Err(failure),
            _ => {}
        }
    }
    Ok(())
}

fn print(output: Output, bench: &Bench, published: Published, receiver: &Receiver, delivered_in: Duration) {
    let received = receiver.received.load(Ordering::Relaxed);
    let mut rows = vec![measured("publish", bench.events, published.took, published.latencies)];
    if !bench.no_delivery {
        let latencies = std::mem::take(&mut *receiver.latencies.lock().expect("no holder panics"));
        rows.push(measured("publish to receipt", received, delivered_in, latencies));
    }
    let columns = ["what", "events", "per second", "p50 ms", "p90 ms", "p99 ms", "max ms"];
    let table = rows
        .iter()
        .map(|row| columns.iter().map(|column| shown(&row[*column])).collect())
        .collect::<Vec<_>>();
    output.print(&Value::from(rows.clone()), &columns, table);
}

fn measured(what: &str, events: u64, took: Duration, mut latencies: Vec<Duration>) -> Value {
    latencies.sort_unstable();
    let at = |share: f64| {
        let index = ((latencies.len() as f64 * share) as usize).min(latencies.len().saturating_sub(1));
        latencies
            .get(index)
            .map_or(0.0, |latency| (latency.as_secs_f64() * 1e6).round() / 1e3)
    };
    let rate = (events as f64 / took.as_secs_f64()).round();
    json!({"what": what, "events": events, "per second": rate, "p50 ms": at(0.5), "p90 ms": at(0.9), "p99 ms": at(0.99), "max ms": at(1.0)})
}

fn shown(value: &Value) -> String {
    value.as_str().map_or_else(|| value.to_string(), str::to_string)
}
