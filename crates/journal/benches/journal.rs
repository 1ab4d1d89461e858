//! Measures the embedded journal against a plain loop that writes and syncs the same group sizes, and against fjall, in one
//! run, and prints ratios. `cargo bench -p journal`: about 90 seconds, in a directory below the target directory; behind `--`,
//! parts by name: a number of producers, of whose rows `off`, `on` or `1000` may be picked, `bare`, `fjall`, `recovery`.
//!
//! Figures of one machine and one minute mean little; the ratios are what is looked at. A row and what it is compared with
//! take turns of a tenth of a second, so that a disk that changes its mind hits both.
//!
//! The plain loop writes as the journal does: whole pages past the page cache over files that were written before, as many
//! bytes as the average group of the turn before. Without the flusher, what it would have done is done between the turns and
//! not counted, so that write-ahead files are used again as in a server; with it, a turn ends when it has caught up.

#[path = "journal/bare.rs"]
mod bare;
#[path = "journal/peer.rs"]
mod peer;

use bare::{Bare, PlainFile};
use journal::{
    Append, BoxFuture, Deduplicate, EncodedRecord, Entry, Identity, Journal, PartitionId, TopicId,
    embedded::{Embedded, Settings},
};
use peer::Peer;
use rustix::process::{Resource, getrlimit, setrlimit};
use std::{
    path::Path,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    time::{Duration, Instant},
};
use tokio::runtime::Runtime;

const RECORD_BYTES: usize = 1_024;

/// What a batch takes in a frame beside its records: its header and its span.
const BATCH_OVERHEAD: f64 = 77.0;

/// What a record takes beside its value.
const RECORD_OVERHEAD: f64 = 9.0;

/// Bytes at which the flusher starts by default.
const FLUSH_BYTES: u64 = 8 << 20;

const TURN: Duration = Duration::from_millis(100);

/// Turns of each row: with their raw loops all rows take a minute.
const TURNS: u32 = 30;

/// As the product has.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// Producers of all turns so far: each has ids of its own, so that none is sent twice and they share nothing.
static PRODUCERS: AtomicU64 = AtomicU64::new(0);

/// Bits of an id that count the events of its producer.
const COUNT_BITS: u32 = 32;

struct Row {
    producers: usize,
    partitions: u32,
    flusher: bool,
}

/// What all turns of a row came to.
#[derive(Default)]
struct Sums {
    records: u64,
    syncs: u64,
    seconds: f64,
    sync_seconds: f64,
    cpu: Duration,
    latencies: Vec<Duration>,
    raw_records: f64,
    raw_seconds: f64,
}

fn main() {
    // `cargo test --benches` runs this too, and does not say that it is to measure.
    if !std::env::args().any(|argument| argument == "--bench") {
        return;
    }
    raise_file_limit();
    let directory = Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("bench-{}", std::process::id()));
    std::fs::create_dir_all(&directory).expect("a directory");
    print_rows(&directory);
    for part in ["bare", "fjall", "recovery"].into_iter().filter(|part| is_wanted(part)) {
        match part {
            "bare" => print_bare(&directory),
            "fjall" => print_peer(&directory),
            _ => print_recovery(&directory),
        }
    }
    drop(std::fs::remove_dir_all(&directory));
}

/// Whether a part was named, or none was.
fn is_wanted(part: &str) -> bool {
    let mut named = std::env::args()
        .skip(1)
        .filter(|argument| !argument.starts_with("--"))
        .peekable();
    named.peek().is_none() || named.any(|name| name == part)
}

/// Whether a row of each number of producers was named, by its flusher or its partitions, or none was.
fn is_row_wanted(row: &str) -> bool {
    let is_row = |argument: &String| ["off", "on", "1000"].contains(&argument.as_str());
    let mut named = std::env::args().filter(is_row).peekable();
    named.peek().is_none() || named.any(|name| name == row)
}

fn print_rows(directory: &Path) {
    let wanted: Vec<_> = [1, 64, 512]
        .into_iter()
        .filter(|producers| is_wanted(&producers.to_string()))
        .collect();
    if wanted.is_empty() {
        return;
    }
    let mut raw = PlainFile::create(&directory.join("raw"));
    println!(
        "producers partitions flusher |  records/s   CPU µs  group  sync µs  share    p50 µs    p99 µs |  raw records/s  ratio"
    );
    for producers in wanted {
        for (name, partitions, flusher) in [("off", 12, false), ("on", 12, true), ("1000", 1_000, true)] {
            if !is_row_wanted(name) {
                continue;
            }
            let row = Row {
                producers,
                partitions,
                flusher,
            };
            print_row(&row, &measure(&row, directory, &mut raw));
        }
    }
}

/// As the server does: every growing segment stays open.
fn raise_file_limit() {
    let mut limit = getrlimit(Resource::Nofile);
    limit.current = limit.maximum;
    setrlimit(Resource::Nofile, limit).expect("the limit is within what is allowed");
}

/// The journal and the least that lets as many producers wait for their records, in turns.
fn print_bare(directory: &Path) {
    let row = Row {
        producers: 512,
        partitions: 12,
        flusher: false,
    };
    let data = directory.join("data");
    let topic = TopicId { bus: 1, topic: 1 };
    let runtime = runtime();
    let _entered = runtime.enter();
    let journal = Embedded::open(settings(&data, false), &[(topic, row.partitions)]).expect("it opens");
    let (journal, bare) = (Arc::new(journal), Arc::new(Bare::open(&directory.join("bare"))));
    let (mut ours, mut theirs) = (Side::default(), Side::default());
    for turn in 0..=TURNS {
        let count = turn > 0;
        runtime.block_on(journal.checkpoint()).expect("it is taken");
        ours.turn(&runtime, &row, count, append_to(&journal));
        theirs.turn(&runtime, &row, count, {
            let bare = bare.clone();
            move |_, _, record| {
                let bare = bare.clone();
                async move {
                    bare.append(record).await;
                    true
                }
            }
        });
    }
    println!(
        "512 producers: journal {:.0} records/s at {:.2} µs CPU, bare group commit {:.0} at {:.2}, ratio {:.2}",
        ours.rate(),
        ours.cpu_per_record(),
        theirs.rate(),
        theirs.cpu_per_record(),
        ours.rate() / theirs.rate()
    );
    drop((journal, bare));
    drop(std::fs::remove_dir_all(&data));
}

/// The journal and fjall in turns, with the same producers.
fn print_peer(directory: &Path) {
    let row = Row {
        producers: 512,
        partitions: 12,
        flusher: true,
    };
    let (data, peer_data) = (directory.join("data"), directory.join("peer"));
    let topic = TopicId { bus: 1, topic: 1 };
    let runtime = runtime();
    let _entered = runtime.enter();
    let journal = Embedded::open(settings(&data, true), &[(topic, row.partitions)]).expect("it opens");
    let (journal, peer) = (Arc::new(journal), Arc::new(Peer::open(&peer_data)));
    let (mut ours, mut theirs) = (Side::default(), Side::default());
    for turn in 0..=TURNS {
        let count = turn > 0;
        ours.turn(&runtime, &row, count, append_to(&journal));
        theirs.turn(&runtime, &row, count, {
            let peer = peer.clone();
            move |partition, id, record: EncodedRecord| {
                let peer = peer.clone();
                async move {
                    peer.append(partition, id, record.as_bytes()).await;
                    true
                }
            }
        });
    }
    let (ours, theirs) = (ours.rate(), theirs.rate());
    println!(
        "512 producers, 12 partitions: journal {ours:.0} records/s, fjall {theirs:.0} records/s, ratio {:.2}",
        ours / theirs
    );
    drop((journal, peer));
    drop(std::fs::remove_dir_all(&data));
    drop(std::fs::remove_dir_all(&peer_data));
}

/// One of two that are compared.
#[derive(Default)]
struct Side {
    records: u64,
    seconds: f64,
    cpu: Duration,
}

impl Side {
    fn turn<A, F>(&mut self, runtime: &Runtime, row: &Row, count: bool, append: A)
    where
        A: Fn(u64, u64, EncodedRecord) -> F + Clone + Send + 'static,
        F: Future<Output = bool> + Send,
    {
        let (cpu, began) = (cpu_time(), Instant::now());
        let (records, _) = runtime.block_on(produce(row, append));
        if count {
            self.cpu += cpu_time() - cpu;
            self.records += records;
            self.seconds += began.elapsed().as_secs_f64();
        }
    }

    fn rate(&self) -> f64 {
        self.records as f64 / self.seconds
    }

    /// In microseconds.
    fn cpu_per_record(&self) -> f64 {
        self.cpu.as_secs_f64() * 1e6 / self.records as f64
    }
}

fn runtime() -> Runtime {
    tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_time()
        .build()
        .expect("a runtime")
}

/// Appends one record and waits for it; false if the journal was busy.
fn append_to(
    journal: &Arc<Embedded>,
) -> impl Fn(u64, u64, EncodedRecord) -> BoxFuture<'static, bool> + Clone + Send + use<> {
    let journal = journal.clone();
    move |partition, id, record| {
        let durable = journal.append(request(partition, id, &record));
        Box::pin(async move {
            match durable {
                Ok(durable) => durable.await.is_ok(),
                Err(_) => {
                    tokio::task::yield_now().await;
                    false
                }
            }
        })
    }
}

/// Opens a copy of a directory with 1 GiB of frames that no checkpoint covers.
fn print_recovery(directory: &Path) {
    let (data, copy) = (directory.join("data"), directory.join("copy"));
    let topic = TopicId { bus: 1, topic: 1 };
    let mut settings = settings(&data, false);
    settings.write_ahead_bytes_max = 4 << 30;
    let journal = Embedded::open(settings, &[(topic, 12)]).expect("it opens");
    let record = EncodedRecord::new(None, Some(&[7; RECORD_BYTES]), std::iter::empty());
    let runtime = tokio::runtime::Builder::new_current_thread()
        .build()
        .expect("a runtime");
    for place in 0..1_024 {
        let mut append = Append::default();
        for entry in 0..1_024 {
            append
                .entries
                .append(&mut request(entry % 12, place << 32 | entry, &record).entries);
        }
        let durable = journal.append(append).expect("it is taken");
        runtime.block_on(durable).expect("it is durable");
    }
    let copied = std::process::Command::new("cp")
        .arg("-r")
        .arg(&data)
        .arg(&copy)
        .status()
        .expect("it is copied");
    assert!(copied.success());
    // What the copy left in the page cache is not the recovery's to write.
    assert!(std::process::Command::new("sync").status().expect("it runs").success());
    drop(journal);
    let (cpu, began) = (cpu_time(), Instant::now());
    let journal = Embedded::open(Settings::new(&copy, |_, _| None), &[(topic, 12)]).expect("it recovers");
    let (took, used) = (began.elapsed().as_secs_f64(), (cpu_time() - cpu).as_secs_f64());
    println!("recovery of 1 GiB behind the checkpoint: {took:.2} s, {used:.2} s of CPU");
    drop(journal);
    let began = Instant::now();
    drop(Embedded::open(Settings::new(&copy, |_, _| None), &[(topic, 12)]).expect("it opens"));
    println!("the next start and shutdown: {:.3} s", began.elapsed().as_secs_f64());
}

fn print_row(row: &Row, sums: &Sums) {
    let rate = sums.records as f64 / sums.seconds;
    let raw = sums.raw_records / sums.raw_seconds;
    println!(
        "{:>9} {:>10} {:>7} | {:>10.0} {:>8.2} {:>6.1} {:>8.0} {:>6.2} {:>9} {:>9} | {:>14.0} {:>6.2}",
        row.producers,
        row.partitions,
        if row.flusher { "on" } else { "off" },
        rate,
        sums.cpu.as_secs_f64() * 1e6 / sums.records as f64,
        sums.records as f64 / sums.syncs as f64,
        sums.sync_seconds * 1e6 / sums.syncs as f64,
        sums.sync_seconds / sums.seconds,
        percentile(&sums.latencies, 50),
        percentile(&sums.latencies, 99),
        raw,
        rate / raw,
    );
}

fn settings(directory: &Path, flusher: bool) -> Settings {
    let mut settings = Settings::new(directory, |_, _| None);
    if !flusher {
        // Nothing reaches these within a turn, so that the write-ahead path is measured alone.
        settings.flush_bytes = 64 << 30;
        settings.unflushed_bytes_max = 128 << 30;
        settings.write_ahead_bytes_max = 64 << 30;
        settings.checkpoint_bytes = 64 << 30;
    }
    settings
}

fn measure(row: &Row, directory: &Path, raw: &mut PlainFile) -> Sums {
    let data = directory.join("data");
    drop(std::fs::remove_dir_all(&data));
    let topic = TopicId { bus: 1, topic: 1 };
    let runtime = runtime();
    // As a server does.
    let _entered = runtime.enter();
    let opened = Embedded::open(settings(&data, row.flusher), &[(topic, row.partitions)]).expect("it opens");
    let journal = Arc::new(opened);
    // Files are made while it warms up.
    runtime.block_on(produce(row, append_to(&journal)));
    let mut sums = Sums::default();
    for _ in 0..TURNS {
        if !row.flusher {
            runtime.block_on(journal.checkpoint()).expect("it is taken");
        }
        let (records, syncs) = journal_turn(&journal, row, &runtime, &mut sums);
        let group_records = records as f64 / syncs.max(1) as f64;
        raw_turn(raw, row, group_records, &mut sums);
    }
    sums.latencies.sort_unstable();
    drop(journal);
    drop(std::fs::remove_dir_all(&data));
    sums
}

fn journal_turn(journal: &Arc<Embedded>, row: &Row, runtime: &Runtime, sums: &mut Sums) -> (u64, u64) {
    let before = journal.stats();
    let (cpu, began) = (cpu_time(), Instant::now());
    let (_, latencies) = runtime.block_on(produce(row, append_to(journal)));
    sums.latencies.extend(latencies);
    // What is left to the flusher would be done in the other's turn.
    while row.flusher && journal.stats().unflushed_bytes >= FLUSH_BYTES {
        std::thread::sleep(Duration::from_micros(500));
    }
    sums.seconds += began.elapsed().as_secs_f64();
    sums.cpu += cpu_time() - cpu;
    let after = journal.stats();
    let (records, syncs) = (after.records - before.records, after.syncs - before.syncs);
    sums.records += records;
    sums.syncs += syncs;
    sums.sync_seconds += after.sync_seconds - before.sync_seconds;
    (records, syncs)
}

/// Producers that each wait for their record to be durable before the next one; gives how many were, and one latency in
/// sixteen.
async fn produce<A, F>(row: &Row, append: A) -> (u64, Vec<Duration>)
where
    A: Fn(u64, u64, EncodedRecord) -> F + Clone + Send + 'static,
    F: Future<Output = bool> + Send,
{
    let stop = Arc::new(AtomicBool::new(false));
    let mut tasks = Vec::new();
    for producer in 0..row.producers {
        let (append, stop) = (append.clone(), stop.clone());
        let record = EncodedRecord::new(None, Some(&[7; RECORD_BYTES]), std::iter::empty());
        let partitions = u64::from(row.partitions);
        tasks.push(tokio::spawn(async move {
            let (mut count, mut latencies) = (0, Vec::new());
            let mut random = producer as u64 + 1;
            let mut id = PRODUCERS.fetch_add(1, Ordering::Relaxed) << COUNT_BITS;
            while !stop.load(Ordering::Relaxed) {
                random = random
                    .wrapping_mul(6_364_136_223_846_793_005)
                    .wrapping_add(1_442_695_040_888_963_407);
                id += 1;
                let began = (random >> 60 == 0).then(Instant::now);
                count += u64::from(append((random >> 33) % partitions, id, record.clone()).await);
                latencies.extend(began.map(|began| began.elapsed()));
            }
            (count, latencies)
        }));
    }
    tokio::time::sleep(TURN).await;
    stop.store(true, Ordering::Relaxed);
    let (mut count, mut latencies) = (0, Vec::new());
    for task in tasks {
        let (more, taken) = task.await.expect("a producer ends");
        count += more;
        latencies.extend(taken);
    }
    (count, latencies)
}

fn request(index: u64, id: u64, record: &EncodedRecord) -> Append {
    let partition = PartitionId {
        topic: TopicId { bus: 1, topic: 1 },
        index: index as u32,
    };
    let hash = id.wrapping_mul(0x9e37_79b9_7f4a_7c15);
    Append {
        entries: vec![Entry {
            identity: Some(Identity {
                lookup: hash,
                unique: u128::from(hash) << 64 | u128::from(id),
            }),
            deduplicate: Deduplicate::Yes,
            records: vec![(partition, record.clone())],
        }],
    }
}

/// Writes and syncs groups of this many records, one after the other.
fn raw_turn(file: &mut PlainFile, row: &Row, group_records: f64, sums: &mut Sums) {
    let batches = f64::from(row.partitions).min(group_records);
    let bytes = group_records * (RECORD_BYTES as f64 + RECORD_OVERHEAD) + batches * BATCH_OVERHEAD;
    let group = file.start();
    group.resize(group.len() + bytes as usize, 7);
    let began = Instant::now();
    while began.elapsed() < TURN {
        file.write_and_sync();
        sums.raw_records += group_records;
    }
    sums.raw_seconds += began.elapsed().as_secs_f64();
}

/// User and system time of this process.
fn cpu_time() -> Duration {
    let time = rustix::time::clock_gettime(rustix::time::ClockId::ProcessCPUTime);
    Duration::new(time.tv_sec.unsigned_abs(), u32::try_from(time.tv_nsec).unwrap_or(0))
}

/// In microseconds, of sorted latencies.
fn percentile(latencies: &[Duration], hundredths: usize) -> u128 {
    latencies
        .get(latencies.len() * hundredths / 100)
        .map_or(0, Duration::as_micros)
}
