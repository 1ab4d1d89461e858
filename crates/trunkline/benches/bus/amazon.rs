//! Out to Amazon EventBridge: how full its requests are under load, and what waiting for others adds when nobody comes. The sink
//! is bare: it counts entries and takes them all.

use super::*;

/// Events of the load, in batches of `BATCH`.
const EVENTS: u64 = 20_000;
/// Single events, one after the other, with nothing else under way.
const SINGLES: u64 = 200;
/// Entries that a request of the service takes.
const FULL: f64 = 10.0;

/// What the sink has seen.
#[derive(Default)]
struct Seen {
    requests: AtomicU64,
    entries: AtomicU64,
}

/// Measures and prints it.
pub async fn compare() {
    let seen = Arc::new(Seen::default());
    let sink = take_entries(seen.clone()).await;
    let plain = Arc::new(AtomicU64::new(0));
    let receiver = count_everything(plain.clone()).await;
    let bus = Bus::start();
    let credentials = r#"{"type":"static","access_key_id":"AKIDEXAMPLE","secret_access_key":"secret"}"#;
    let config = format!(
        "{{\"aws\":{{\"region\":\"eu-central-1\",\"endpoint\":\"http://{sink}\",\"credentials\":{credentials}}}}}"
    );
    bus.put(
        "connections/aws",
        &format!("{{\"provider\":\"eventbridge\",\"config\":{config}}}"),
    )
    .await;
    let webhook = format!("{{\"provider\":\"webhook\",\"config\":{{\"url\":\"http://{receiver}/\"}}}}");
    bus.put("connections/hook", &webhook).await;
    for connection in ["aws", "hook"] {
        let body = format!("{{\"connection\":\"{connection}\",\"types\":[\"{connection}.*\"]}}");
        bus.put(&format!("subscriptions/{connection}"), &body).await;
    }
    println!("out to EventBridge, 1 KiB, a bare sink");
    let began = Instant::now();
    load(bus.address, EVENTS / BATCH, &Template::batch(1, "aws.load")).await;
    wait_for(&seen.entries, EVENTS).await;
    let seconds = began.elapsed().as_secs_f64();
    let filled = EVENTS as f64 / seen.requests.load(Ordering::SeqCst) as f64;
    println!(
        "  under load               {:>9.0} entries/s, {filled:.1} of {FULL} entries a request",
        EVENTS as f64 / seconds
    );
    let before = EVENTS;
    let (mut aws, mut hook) = (Vec::new(), Vec::new());
    for number in 0..SINGLES {
        aws.push(one(&bus, "aws.single", number, &seen.entries, before + number + 1).await);
        hook.push(one(&bus, "hook.single", SINGLES + number, &plain, number + 1).await);
    }
    let (aws, hook) = (median(aws), median(hook));
    println!("  idle, publish to sink    {aws:>9.2} ms, a webhook {hook:.2} ms (median; 10 ms more allowed)");
}

/// Milliseconds from publishing one event to its arrival.
async fn one(bus: &Bus, event_type: &str, number: u64, arrived: &AtomicU64, wanted: u64) -> f64 {
    let event = format!(
        "{{\"specversion\":\"1.0\",\"id\":\"single-{number}\",\"source\":\"/bench\",\"type\":\"{event_type}\",\"data\":{{\"n\":{number}}}}}"
    );
    let request = Template::request("POST", "events", "application/cloudevents+json", &event);
    let mut stream = TcpStream::connect(bus.address).await.expect("it listens");
    let began = Instant::now();
    stream.write_all(&request.bytes).await.expect("written");
    while arrived.load(Ordering::SeqCst) < wanted {
        assert!(
            began.elapsed() < Duration::from_secs(30),
            "{event_type} {number} did not arrive"
        );
        tokio::time::sleep(Duration::from_micros(100)).await;
    }
    let took = began.elapsed().as_secs_f64() * 1e3;
    read_answer(&mut stream, &mut Vec::new()).await;
    took
}

/// Takes every entry, as the service would say it.
async fn take_entries(seen: Arc<Seen>) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
    let address = listener.local_addr().expect("an address");
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            let _ = stream.set_nodelay(true);
            let seen = seen.clone();
            let service = service_fn(move |request: Request<hyper::body::Incoming>| {
                let seen = seen.clone();
                async move {
                    let body = request
                        .into_body()
                        .collect()
                        .await
                        .map(|body| body.to_bytes())
                        .unwrap_or_default();
                    let text = String::from_utf8_lossy(&body);
                    let entries = text.matches("{\"Source\":").count();
                    seen.requests.fetch_add(1, Ordering::SeqCst);
                    seen.entries.fetch_add(entries as u64, Ordering::SeqCst);
                    let said = vec![r#"{"EventId":"e"}"#; entries].join(",");
                    let answer = format!("{{\"FailedEntryCount\":0,\"Entries\":[{said}]}}");
                    Ok::<_, Infallible>(Response::new(Full::new(Bytes::from(answer))))
                }
            });
            tokio::spawn(hyper::server::conn::http1::Builder::new().serve_connection(TokioIo::new(stream), service));
        }
    });
    address
}
