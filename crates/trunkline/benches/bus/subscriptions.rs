//! What ten thousand subscriptions cost: the delivery throughput of ten that match every event, alone and among 9,990 that
//! match none, and everything that is done to so many.
//!
//! Two servers run at the same time and take turns; one that is not asked costs nothing, which is measured as well. Events are
//! published while the subscriptions follow, as in use.

use super::*;
use std::path::{Path, PathBuf};

/// Subscriptions that match every event.
const MATCHING: usize = 10;
/// All subscriptions: as many as a bus may have.
const ALL: usize = 10_000;
/// Events of a round: a tenth of its deliveries.
const EVENTS: u64 = 4_000;
/// Subscriptions that are changed, to see what one change costs.
const CHANGES: usize = 50;
/// How long nothing happens while the processor's time is looked at.
const IDLE: Duration = Duration::from_secs(10);
/// The processor's ticks in a second, as Linux has them.
const TICKS: f64 = 100.0;

/// Measures and prints it all.
pub async fn compare() {
    let received = Arc::new(AtomicU64::new(0));
    let receiver = count_everything(received.clone()).await;
    println!("subscriptions, {MATCHING} that match every event, alone and among {ALL} (mixed EventBridge filters)");
    let alone = server(receiver).await;
    let fresh = memory(&alone, "VmRSS");
    let among = server(receiver).await;
    println!("  memory with {MATCHING}             {fresh:>9.0} MiB resident");
    create_all(&among).await;
    throughput(&alone, &among, &received).await;
    look_at(&among).await;
    change_some(&among).await;
    idle(&among).await;
    restart(among).await;
    drop(alone);
    apply_all(receiver).await;
}

/// A server with a connection and the subscriptions that match.
async fn server(receiver: SocketAddr) -> Bus {
    let bus = Bus::start();
    bus.put("connections/bench", &connection(receiver)).await;
    for number in 0..MATCHING {
        let body = subscription(r#"{"detail":{"kind":["bench"]}}"#);
        bus.put(&format!("subscriptions/all-{number}"), &body).await;
    }
    bus
}

fn connection(receiver: SocketAddr) -> String {
    format!("{{\"provider\":\"webhook\",\"config\":{{\"url\":\"http://{receiver}/\"}}}}")
}

fn subscription(filter: &str) -> String {
    format!("{{\"connection\":\"bench\",\"filter\":{{\"eventbridge\":{filter}}}}}")
}

/// A filter that no event of the bench matches, another one for each number.
fn filter(number: usize) -> String {
    let test = match number % 6 {
        0 => format!(r#""customer":["customer-{number}"]"#),
        1 => format!(r#""customer":[{{"prefix":"region-{number}-"}}]"#),
        2 => format!(r#""customer":[{{"suffix":"-{number}-tail"}}]"#),
        3 => format!(
            r#""total":[{{"numeric":[">",{},"<",{}]}}]"#,
            1_000 + number,
            1_001 + number
        ),
        4 => format!(r#""status":["paid"],"customer":["other-{number}"],"total":[{{"numeric":["=",{number}]}}]"#),
        _ => format!(r#""status":[{{"equals-ignore-case":"State-{number}"}}],"kind":[{{"anything-but":"none"}}]"#),
    };
    format!("{{\"detail\":{{{test}}}}}")
}

/// Batches of events with 1 KiB of data that every field of the filters is found in.
fn events(round: u64) -> Template {
    let filler = "x".repeat(DATA_BYTES - 110);
    let data =
        format!(r#"{{"kind":"bench","status":"paid","customer":"customer-x","total":120.5,"filler":"{filler}"}}"#);
    let events: Vec<String> = (0..BATCH)
        .map(|index| {
            format!(
                r#"{{"specversion":"1.0","id":"s{round}-{index}-#{}","source":"/bench","type":"bench","data":{data}}}"#,
                Template::NUMBER
            )
        })
        .collect();
    Template::request(
        "POST",
        "events",
        "application/cloudevents-batch+json",
        &format!("[{}]", events.join(",")),
    )
}

async fn throughput(alone: &Bus, among: &Bus, received: &AtomicU64) {
    let (mut of_alone, mut of_among) = (Vec::new(), Vec::new());
    for round in 0..ROUNDS as u64 {
        of_alone.push(deliver(alone, received, round).await);
        of_among.push(deliver(among, received, round).await);
    }
    let (alone, among) = (median(of_alone), median(of_among));
    println!("  {MATCHING} alone                 {alone:>9.0} deliveries/s");
    println!(
        "  the same among {ALL}      {among:>9.0} deliveries/s   {:.2} of alone (0.7 wanted)",
        among / alone
    );
}

async fn deliver(bus: &Bus, received: &AtomicU64, round: u64) -> f64 {
    received.store(0, Ordering::SeqCst);
    let deliveries = EVENTS * MATCHING as u64;
    let began = Instant::now();
    load(bus.address, EVENTS / BATCH, &events(round)).await;
    wait_for(received, deliveries).await;
    deliveries as f64 / began.elapsed().as_secs_f64()
}

/// One after the other over one connection, as a program would that declares what it wants.
async fn create_all(bus: &Bus) {
    let began = Instant::now();
    let mut client = Client::new(bus.address).await;
    let (mut first, mut last) = (0.0, 0.0);
    for number in MATCHING..ALL {
        let one = Instant::now();
        let path = format!("subscriptions/other-{number}");
        client.ask("PUT", &path, &subscription(&filter(number))).await;
        let took = one.elapsed().as_secs_f64() * 1e3;
        match number {
            _ if number < 1_000 => first += took / (1_000 - MATCHING) as f64,
            _ if number >= ALL - 1_000 => last += took / 1e3,
            _ => {}
        }
    }
    println!(
        "  created through /v1      {:>9.1} s, {first:.2} ms each of the first thousand, {last:.2} ms of the last",
        began.elapsed().as_secs_f64()
    );
}

/// What shows so many.
async fn look_at(bus: &Bus) {
    println!(
        "  memory with {ALL}          {:>9.0} MiB resident, {:.0} at most (300 wanted)",
        memory(bus, "VmRSS"),
        memory(bus, "VmHWM")
    );
    let mut client = Client::new(bus.address).await;
    for path in ["/metrics", "/readyz", "/v1/buses/default/subscriptions?limit=100"] {
        let mut times = Vec::new();
        let mut bytes = 0;
        for _ in 0..ROUNDS {
            let began = Instant::now();
            bytes = client.get(path).await;
            times.push(began.elapsed().as_secs_f64() * 1e3);
        }
        println!(
            "  {path:<24} {:>9.1} ms, {:.1} KiB",
            median(times),
            bytes as f64 / 1024.0
        );
    }
    println!("  memory after that        {:>9.0} MiB resident", memory(bus, "VmRSS"));
}

/// One goes, and one more comes, at the bound.
async fn change_some(bus: &Bus) {
    let mut client = Client::new(bus.address).await;
    let (mut gone, mut come) = (Vec::new(), Vec::new());
    for number in 0..CHANGES {
        let path = format!("subscriptions/other-{}", ALL / 2 + number);
        let began = Instant::now();
        client.ask("DELETE", &path, "").await;
        gone.push(began.elapsed().as_secs_f64() * 1e3);
        let began = Instant::now();
        client.ask("PUT", &path, &subscription(&filter(ALL / 2 + number))).await;
        come.push(began.elapsed().as_secs_f64() * 1e3);
    }
    println!("  one more at {ALL}          {:>9.2} ms", median(come));
    println!("  one less                 {:>9.2} ms", median(gone));
}

async fn idle(bus: &Bus) {
    // What the changes left to save is saved.
    tokio::time::sleep(IDLE / 2).await;
    let before = ticks(bus);
    tokio::time::sleep(IDLE).await;
    let share = (ticks(bus) - before) / TICKS / IDLE.as_secs_f64();
    println!("  processor when idle      {:>9.2} %", share * 100.0);
}

async fn restart(bus: Bus) {
    let directory = bus.end();
    let began = Instant::now();
    let bus = Bus::on(directory);
    println!(
        "  start with {ALL}           {:>9.2} s, {:.0} MiB resident",
        began.elapsed().as_secs_f64(),
        memory(&bus, "VmRSS")
    );
}

/// All of them from a file, by the command line, on a server of their own.
async fn apply_all(receiver: SocketAddr) {
    let bus = server(receiver).await;
    let directory = tempfile::tempdir().expect("a directory");
    let files = declare(directory.path());
    let began = Instant::now();
    apply(&bus, &files);
    let first = began.elapsed().as_secs_f64();
    let began = Instant::now();
    apply(&bus, &files);
    println!(
        "  created through `apply`  {first:>9.1} s, and applied again without a change in {:.1} s",
        began.elapsed().as_secs_f64()
    );
}

/// A file for each thousand: the parser takes 1,024 documents of one.
fn declare(directory: &Path) -> Vec<PathBuf> {
    let one = |number: usize| {
        format!(
            "---\nkind: subscription\nname: other-{number}\nconnection: bench\nfilter: {{eventbridge: {}}}\n",
            filter(number)
        )
    };
    let file = |first: usize| {
        let path = directory.join(format!("{first}.yaml"));
        let documents: String = (first.max(MATCHING)..first + 1_000).map(one).collect();
        std::fs::write(&path, documents).expect("written");
        path
    };
    (0..ALL).step_by(1_000).map(file).collect()
}

fn apply(bus: &Bus, files: &[PathBuf]) {
    let applied = Command::new(env!("CARGO_BIN_EXE_trunkline"))
        .args(["apply", "--server", &format!("http://{}", bus.address)])
        .args(
            files
                .iter()
                .flat_map(|file| [std::ffi::OsStr::new("-f"), file.as_os_str()]),
        )
        .stdout(Stdio::null())
        .status()
        .expect("the binary runs");
    assert!(applied.success(), "applied");
}

/// One connection, one request after the other.
struct Client {
    stream: TcpStream,
    buffer: Vec<u8>,
}

impl Client {
    async fn new(address: SocketAddr) -> Client {
        let stream = TcpStream::connect(address).await.expect("it listens");
        stream.set_nodelay(true).expect("a socket option");
        Client {
            stream,
            buffer: Vec::new(),
        }
    }

    async fn ask(&mut self, method: &str, path: &str, body: &str) {
        let request = Template::request(method, path, "application/json", body);
        self.stream.write_all(&request.bytes).await.expect("written");
        read_answer(&mut self.stream, &mut self.buffer).await;
    }

    /// Gives the answer's bytes.
    async fn get(&mut self, path: &str) -> usize {
        let request = format!("GET {path} HTTP/1.1\r\nhost: localhost\r\n\r\n");
        self.stream.write_all(request.as_bytes()).await.expect("written");
        read_answer(&mut self.stream, &mut self.buffer).await;
        self.buffer.len()
    }
}

/// A line of the process's status, in MiB.
fn memory(bus: &Bus, line: &str) -> f64 {
    let status = std::fs::read_to_string(format!("/proc/{}/status", bus.id())).unwrap_or_default();
    let found = status.lines().find_map(|text| text.strip_prefix(line));
    let kibibytes = found.and_then(|text| text.trim_start_matches(':').trim().strip_suffix(" kB")?.parse().ok());
    kibibytes.unwrap_or(f64::NAN) / 1024.0
}

/// Processor time that the process has used, in ticks.
fn ticks(bus: &Bus) -> f64 {
    let stat = std::fs::read_to_string(format!("/proc/{}/stat", bus.id())).unwrap_or_default();
    let fields: Vec<&str> = stat.rsplit(')').next().unwrap_or_default().split_whitespace().collect();
    let used = |at: usize| fields.get(at).and_then(|text| text.parse::<f64>().ok());
    used(11).zip(used(12)).map_or(f64::NAN, |(user, system)| user + system)
}
