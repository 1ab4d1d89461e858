//! The bus beside a bare server and a bare client, in one run: ratios for `docs/benchmarks.md`.
//!
//! Every party is a process of its own, as in use: the load comes from this process, the bus is the real binary, the bare
//! server and the receiver are this program started again. Rounds of the two sides alternate; medians are printed. The
//! load shares the processors with whoever answers it, so it does as little as it can: each connection has its request
//! ready and writes new ids into it. `cargo bench -p trunkline --bench bus -- publish` (or `deliver`, `latency`, `eventbridge`, `subscriptions`,
//! `amazon`) runs a part.

#[path = "bus/amazon.rs"]
mod amazon;
#[path = "bus/eventbridge.rs"]
mod eventbridge;
#[path = "bus/subscriptions.rs"]
mod subscriptions;

use bytes::Bytes;
use http_body_util::{BodyExt, Full};
use hyper::{Request, Response, Uri, service::service_fn};
use hyper_util::{client::legacy, rt::TokioExecutor, rt::TokioIo};
use std::{
    convert::Infallible,
    io::{BufRead, BufReader},
    net::SocketAddr,
    process::{Child, Command, Stdio},
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::{Duration, Instant},
};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream},
};

/// Keep-alive connections of the publishing load.
const CONNECTIONS: usize = 64;
/// Requests in a round.
const REQUESTS: u64 = 60_000;
/// Events in a batch request.
const BATCH: u64 = 100;
/// Batch requests in a round: about as many seconds as the single ones take.
const BATCHES: u64 = 3_000;
/// Events delivered in a round.
const DELIVERIES: u64 = 30_000;
/// Rounds of each side.
const ROUNDS: usize = 5;
/// Bytes of an event's data.
const DATA_BYTES: usize = 1024;
/// Deliveries in flight, for both the bus and the bare client.
const CONCURRENCY: usize = 64;

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() {
    let arguments: Vec<String> = std::env::args().collect();
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()
        .expect("a runtime");
    match arguments.get(1).map(String::as_str) {
        Some("bare-server") => runtime.block_on(answer_everything()),
        // For a profile: `load ADDRESS single|hyper|batch REQUESTS`, against a server that is there already.
        Some("load") => runtime.block_on(load_alone(&arguments[2..])),
        Some("bare-client") => runtime.block_on(post_everything(&arguments[2], &arguments[3])),
        // `cargo test --benches` must not take minutes.
        _ if arguments.iter().any(|argument| argument == "--test") => {}
        _ => runtime.block_on(compare(&arguments[1..])),
    }
}

/// Runs the parts that are named, or all.
async fn compare(arguments: &[String]) {
    let named: Vec<&str> = arguments
        .iter()
        .map(String::as_str)
        .filter(|name| !name.starts_with('-'))
        .collect();
    let wanted = |part| named.is_empty() || named.contains(&part);
    if wanted("publish") {
        publishing().await;
    }
    if wanted("deliver") {
        delivering().await;
    }
    if wanted("latency") {
        latency().await;
    }
    if wanted("eventbridge") {
        eventbridge::compare().await;
    }
    if wanted("subscriptions") {
        subscriptions::compare().await;
    }
    if wanted("amazon") {
        amazon::compare().await;
    }
}

// ---- publishing ----

async fn publishing() {
    let (bare, mut singles, mut batches) = (Process::again(&["bare-server"]), Vec::new(), Vec::new());
    let bus = Bus::start();
    let (mut bare_rates, mut bare_by_hyper, mut by_hyper) = (Vec::new(), Vec::new(), Vec::new());
    for round in 0..ROUNDS as u64 {
        let (one, many) = (Template::single(round), Template::batch(round, "bench.batch"));
        bare_rates.push(load(bare.address, REQUESTS, &one).await);
        singles.push(load(bus.address, REQUESTS, &one).await);
        bare_by_hyper.push(load_by_hyper(bare.address, REQUESTS, round).await);
        by_hyper.push(load_by_hyper(bus.address, REQUESTS, round).await);
        batches.push(load(bus.address, BATCHES, &many).await * BATCH as f64);
    }
    let (single, batch) = (median(singles), median(batches));
    println!("publish, 1 KiB binary CloudEvents, {CONNECTIONS} connections");
    for (client, bare, single) in [
        ("plain sockets", median(bare_rates), single),
        ("hyper's client", median(bare_by_hyper), median(by_hyper)),
    ] {
        println!("  load by {client}");
        println!("    bare hyper server        {bare:>9.0} requests/s");
        println!(
            "    trunkline, one by one    {single:>9.0} events/s   {:.2} of bare (0.5 wanted)",
            single / bare
        );
    }
    println!(
        "  trunkline, batches of {BATCH}   {batch:>9.0} events/s   {:.1} of one by one (5 wanted)",
        batch / single
    );
}

/// Publishes to a server that somebody else started, and prints the rate.
async fn load_alone(arguments: &[String]) {
    let address = arguments[0].parse().expect("an address");
    let requests = arguments[2].parse().expect("a number");
    let round = u64::from(std::process::id());
    let rate = match arguments[1].as_str() {
        "batch" => load(address, requests, &Template::batch(round, "bench.batch")).await * BATCH as f64,
        "hyper" => load_by_hyper(address, requests, round).await,
        _ => load(address, requests, &Template::single(round)).await,
    };
    println!("{rate:.0} events/s");
}

/// Sends requests over all connections, one in flight on each; requests a second.
async fn load(address: SocketAddr, requests: u64, template: &Template) -> f64 {
    let next = Arc::new(AtomicU64::new(0));
    let began = Instant::now();
    let workers: Vec<_> = (0..CONNECTIONS)
        .map(|_| {
            let (next, mut request) = (next.clone(), template.clone());
            tokio::spawn(async move {
                let mut stream = TcpStream::connect(address).await.expect("it listens");
                stream.set_nodelay(true).expect("a socket option");
                let mut buffer = Vec::with_capacity(16 << 10);
                loop {
                    let number = next.fetch_add(1, Ordering::Relaxed);
                    if number >= requests {
                        return;
                    }
                    stream.write_all(request.numbered(number)).await.expect("written");
                    read_answer(&mut stream, &mut buffer).await;
                }
            })
        })
        .collect();
    for worker in workers {
        worker.await.expect("a worker ends well");
    }
    requests as f64 / began.elapsed().as_secs_f64()
}

/// The same single events sent by the client library that the bare side of delivering uses; requests a second.
async fn load_by_hyper(address: SocketAddr, requests: u64, round: u64) -> f64 {
    let client = legacy::Client::builder(TokioExecutor::new()).build_http();
    let (next, body) = (Arc::new(AtomicU64::new(0)), Bytes::from(data()));
    let url: Uri = format!("http://{address}/v1/buses/default/events")
        .parse()
        .expect("a URL");
    let began = Instant::now();
    let workers: Vec<_> = (0..CONNECTIONS)
        .map(|_| {
            let (client, next, body, url) = (client.clone(), next.clone(), body.clone(), url.clone());
            tokio::spawn(async move {
                loop {
                    let number = next.fetch_add(1, Ordering::Relaxed);
                    if number >= requests {
                        return;
                    }
                    let request = Request::post(url.clone())
                        .header("ce-specversion", "1.0")
                        .header("ce-id", format!("h{round}-{number:08}"))
                        .header("ce-source", "/bench")
                        .header("ce-type", "bench.single")
                        .header("content-type", "application/json")
                        .body(Full::new(body.clone()));
                    let request = request.expect("a request");
                    let answer: Response<hyper::body::Incoming> = client.request(request).await.expect("an answer");
                    assert!(answer.status().is_success(), "{answer:?}");
                    let _ = answer.into_body().collect().await;
                }
            })
        })
        .collect();
    for worker in workers {
        worker.await.expect("a worker ends well");
    }
    requests as f64 / began.elapsed().as_secs_f64()
}

/// Reads one answer with a content length, and insists on its success.
async fn read_answer(stream: &mut TcpStream, buffer: &mut Vec<u8>) {
    buffer.clear();
    loop {
        assert!(
            stream.read_buf(buffer).await.expect("read") > 0,
            "closed: {}",
            String::from_utf8_lossy(buffer)
        );
        let Some(end) = buffer.windows(4).position(|window| window == b"\r\n\r\n") else {
            continue;
        };
        let head = String::from_utf8_lossy(&buffer[..end]).to_ascii_lowercase();
        assert!(head.starts_with("http/1.1 2"), "{}", String::from_utf8_lossy(buffer));
        let length = head
            .lines()
            .find_map(|line| line.strip_prefix("content-length:"))
            .map_or(0, |text| text.trim().parse().expect("a length"));
        if buffer.len() >= end + 4 + length {
            return;
        }
    }
}

fn data() -> String {
    format!("{{\"filler\":\"{}\"}}", "x".repeat(DATA_BYTES - 13))
}

/// A whole request whose events' ids all end in the number of the request, which is written over for each.
#[derive(Clone)]
struct Template {
    bytes: Vec<u8>,
    /// Where the numbers stand.
    numbers: Vec<usize>,
}

impl Template {
    /// Stands for a request's number in a text.
    const NUMBER: &str = "00000000";

    fn single(round: u64) -> Template {
        let data = data();
        let length = data.len();
        Template::new(format!(
            "POST /v1/buses/default/events HTTP/1.1\r\nhost: localhost\r\nce-specversion: 1.0\r\nce-id: {round}-#{}\r\n\
             ce-source: /bench\r\nce-type: bench.single\r\ncontent-type: application/json\r\ncontent-length: {length}\r\n\r\n\
             {data}",
            Template::NUMBER
        ))
    }

    fn batch(round: u64, event_type: &str) -> Template {
        let data = data();
        let events: Vec<String> = (0..BATCH)
            .map(|index| {
                format!(
                    "{{\"specversion\":\"1.0\",\"id\":\"b{round}-{index}-#{}\",\"source\":\"/bench\",\"type\":\"{event_type}\",\
                     \"datacontenttype\":\"application/json\",\"data\":{data}}}",
                    Template::NUMBER
                )
            })
            .collect();
        let body = format!("[{}]", events.join(","));
        Template::request("POST", "events", "application/cloudevents-batch+json", &body)
    }

    /// Any request about the bus `default`.
    fn request(method: &str, path: &str, content_type: &str, body: &str) -> Template {
        Template::new(format!(
            "{method} /v1/buses/default/{path} HTTP/1.1\r\nhost: localhost\r\ncontent-type: {content_type}\r\n\
             content-length: {}\r\n\r\n{body}",
            body.len()
        ))
    }

    fn new(text: String) -> Template {
        let mark = format!("#{}", Template::NUMBER);
        let numbers = text.match_indices(&mark).map(|(at, _)| at + 1).collect();
        Template {
            numbers,
            bytes: text.into_bytes(),
        }
    }

    /// The request with this number.
    fn numbered(&mut self, number: u64) -> &[u8] {
        let digits = format!("{number:08}");
        for at in &self.numbers {
            self.bytes[*at..*at + digits.len()].copy_from_slice(digits.as_bytes());
        }
        &self.bytes
    }
}

// ---- delivering ----

async fn delivering() {
    let received = Arc::new(AtomicU64::new(0));
    let receiver = count_everything(received.clone()).await;
    let bus = Bus::start();
    let secret = "whsec_dHJ1bmtsaW5lIGJlbmNoIHNpZ25pbmcgc2VjcmV0ISE=";
    let connection = format!(
        "{{\"provider\":\"webhook\",\"config\":{{\"url\":\"http://{receiver}/\",\"signing\":{{\"style\":\"standard-webhooks\",\"secrets\":[\"{secret}\"]}}}}}}"
    );
    bus.put("connections/bench", &connection).await;
    let (mut ours, mut bare) = (Vec::new(), Vec::new());
    for round in 0..ROUNDS as u64 {
        // Paused from the start, so that all events are in the journal before the first delivery.
        let subscription = |enabled| {
            format!(
                "{{\"connection\":\"bench\",\"types\":[\"bench.{round}\"],\"enabled\":{enabled},\"delivery\":{{\"concurrency\":{CONCURRENCY}}}}}"
            )
        };
        let name = format!("subscriptions/bench-{round}");
        bus.put(&name, &subscription(false)).await;
        let events = Template::batch(100 + round, &format!("bench.{round}"));
        load(bus.address, DELIVERIES / BATCH, &events).await;
        received.store(0, Ordering::SeqCst);
        let began = Instant::now();
        bus.put(&name, &subscription(true)).await;
        wait_for(&received, DELIVERIES).await;
        ours.push(DELIVERIES as f64 / began.elapsed().as_secs_f64());
        received.store(0, Ordering::SeqCst);
        let began = Instant::now();
        let client = Process::start(&["bare-client", &receiver.to_string(), &DELIVERIES.to_string()]);
        wait_for(&received, DELIVERIES).await;
        bare.push(DELIVERIES as f64 / began.elapsed().as_secs_f64());
        drop(client);
    }
    let (ours, bare) = (median(ours), median(bare));
    println!("deliver, signed, 1 KiB, {CONCURRENCY} in flight, events already in the journal");
    println!("  bare hyper client        {bare:>9.0} requests/s");
    println!(
        "  trunkline                {ours:>9.0} deliveries/s   {:.2} of bare (0.5 wanted)",
        ours / bare
    );
}

async fn wait_for(count: &AtomicU64, wanted: u64) {
    let deadline = Instant::now() + Duration::from_secs(120);
    while count.load(Ordering::SeqCst) < wanted {
        assert!(
            Instant::now() < deadline,
            "only {} of {wanted} arrived",
            count.load(Ordering::SeqCst)
        );
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
}

// ---- latency ----

async fn latency() {
    println!("publish to receipt at 100 events/s (median under 1.5 ms, p99 under 6 ms wanted on a quiet machine)");
    let bus = Bus::start();
    let url = format!("http://{}", bus.address);
    let output = Command::new(env!("CARGO_BIN_EXE_trunkline"))
        .args([
            "bench",
            "--server",
            &url,
            "--events",
            "2000",
            "--rate",
            "100",
            "--connections",
            "4",
        ])
        .output()
        .expect("the binary runs");
    print!(
        "{}{}",
        String::from_utf8_lossy(&output.stdout),
        String::from_utf8_lossy(&output.stderr)
    );
    println!(
        "  one 1 KiB write and fdatasync: median {:.2} ms",
        sync_median().as_secs_f64() * 1e3
    );
}

/// What one write and sync costs here, for the share of it in the latency.
fn sync_median() -> Duration {
    use std::os::unix::fs::FileExt;
    let directory = tempfile::tempdir().expect("a directory");
    let file = std::fs::File::create(directory.path().join("probe")).expect("a file");
    file.write_all_at(&vec![0; 4 << 20], 0).expect("written");
    file.sync_all().expect("synced");
    let mut times: Vec<Duration> = (0..500)
        .map(|number| {
            let began = Instant::now();
            file.write_all_at(&[1; 1024], number * 4096).expect("written");
            file.sync_data().expect("synced");
            began.elapsed()
        })
        .collect();
    times.sort_unstable();
    times[times.len() / 2]
}

// ---- processes ----

/// A child that listens, ended with its value.
struct Process {
    child: Child,
    address: SocketAddr,
}

impl Process {
    /// This program again, in another role, once it says where it listens.
    fn again(arguments: &[&str]) -> Process {
        let mut child = Process::spawn(arguments);
        let mut line = String::new();
        BufReader::new(child.stdout.take().expect("piped"))
            .read_line(&mut line)
            .expect("a line");
        Process {
            child,
            address: line.trim().parse().expect("an address"),
        }
    }

    /// This program again, in a role that does not listen.
    fn start(arguments: &[&str]) -> Process {
        Process {
            child: Process::spawn(arguments),
            address: "127.0.0.1:0".parse().expect("an address"),
        }
    }

    fn spawn(arguments: &[&str]) -> Child {
        let program = std::env::current_exe().expect("this program");
        Command::new(program)
            .args(arguments)
            .stdout(Stdio::piped())
            .spawn()
            .expect("it starts")
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// The real binary on a fresh directory.
struct Bus {
    process: Process,
    address: SocketAddr,
    directory: tempfile::TempDir,
}

impl Bus {
    fn start() -> Bus {
        Bus::on(tempfile::tempdir().expect("a directory"))
    }

    /// On a directory that may hold something already.
    fn on(directory: tempfile::TempDir) -> Bus {
        let mut child = Command::new(env!("CARGO_BIN_EXE_trunkline"))
            .args(["serve", "--listen", "127.0.0.1:0", "--log-level", "error", "--data-dir"])
            .arg(directory.path())
            .stdout(Stdio::piped())
            .spawn()
            .expect("it starts");
        let stdout = BufReader::new(child.stdout.take().expect("piped"));
        let line = stdout
            .lines()
            .map_while(Result::ok)
            .find_map(|line| line.strip_prefix("listening on http://").map(str::to_string));
        let address = line.expect("it listens").trim().parse().expect("an address");
        Bus {
            process: Process { child, address },
            address,
            directory,
        }
    }

    /// The process's id.
    fn id(&self) -> u32 {
        self.process.child.id()
    }

    /// Kills it; what it kept is left.
    fn end(self) -> tempfile::TempDir {
        drop(self.process);
        self.directory
    }

    async fn put(&self, path: &str, body: &str) {
        let mut stream = TcpStream::connect(self.address).await.expect("it listens");
        let request = Template::request("PUT", path, "application/json", body);
        stream.write_all(&request.bytes).await.expect("written");
        read_answer(&mut stream, &mut Vec::new()).await;
    }
}

// ---- the bare sides ----

async fn answer_everything() {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
    println!("{}", listener.local_addr().expect("an address"));
    accept(listener, || {}).await;
}

async fn count_everything(received: Arc<AtomicU64>) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
    let address = listener.local_addr().expect("an address");
    tokio::spawn(accept(listener, move || {
        received.fetch_add(1, Ordering::SeqCst);
    }));
    address
}

/// Reads every request whole and answers 200.
async fn accept(listener: TcpListener, seen: impl Fn() + Clone + Send + Sync + 'static) {
    while let Ok((stream, _)) = listener.accept().await {
        let _ = stream.set_nodelay(true);
        let seen = seen.clone();
        let service = service_fn(move |request: Request<hyper::body::Incoming>| {
            let seen = seen.clone();
            async move {
                let _ = request.into_body().collect().await;
                seen();
                Ok::<_, Infallible>(Response::new(Full::new(Bytes::new())))
            }
        });
        tokio::spawn(hyper::server::conn::http1::Builder::new().serve_connection(TokioIo::new(stream), service));
    }
}

/// Posts the same body again and again, as many at once as the bus does.
async fn post_everything(address: &str, count: &str) {
    let client = legacy::Client::builder(TokioExecutor::new()).build_http();
    let (next, count) = (Arc::new(AtomicU64::new(0)), count.parse::<u64>().expect("a number"));
    let (body, url) = (Bytes::from(data()), format!("http://{address}/"));
    let workers: Vec<_> = (0..CONCURRENCY)
        .map(|_| {
            let (client, next, body, url) = (client.clone(), next.clone(), body.clone(), url.clone());
            tokio::spawn(async move {
                while next.fetch_add(1, Ordering::Relaxed) < count {
                    let request = Request::post(&url)
                        .header("content-type", "application/json")
                        .body(Full::new(body.clone()));
                    let answer: Response<hyper::body::Incoming> =
                        client.request(request.expect("a request")).await.expect("an answer");
                    let _ = answer.into_body().collect().await;
                }
            })
        })
        .collect();
    for worker in workers {
        worker.await.expect("a worker ends well");
    }
}

fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    values[values.len() / 2]
}
