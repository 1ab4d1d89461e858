//! Measures the embedded journal against a plain loop that writes and syncs the same group sizes, in one run, and prints
//! ratios. `cargo run --release -p journal --example bench_journal -- [directory] [seconds per row]`
//!
//! Figures of one machine and one minute mean little; the ratios are what is looked at. A row and its raw loop take turns of a
//! tenth of a second, so that a disk that changes its mind hits both.

use journal::{
    Append, Deduplicate, EncodedRecord, Entry, Identity, Journal, PartitionId, TopicId,
    embedded::{Embedded, Settings},
};
use std::{
    fs::{File, OpenOptions},
    os::unix::fs::FileExt,
    path::{Path, PathBuf},
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    time::{Duration, Instant},
};
use tokio::runtime::Runtime;

const RECORD_BYTES: usize = 1_024;
const RAW_FILE_BYTES: u64 = 64 << 20;
const TURN: Duration = Duration::from_millis(100);

/// The next event's id: none is sent twice.
static NUMBER: AtomicU64 = AtomicU64::new(0);

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
    cpu: Duration,
    latencies: Vec<Duration>,
    raw_records: f64,
    raw_seconds: f64,
}

fn main() {
    let mut arguments = std::env::args().skip(1);
    let directory = PathBuf::from(arguments.next().unwrap_or_else(|| "bench-journal".into()));
    let seconds: f64 = arguments.next().and_then(|seconds| seconds.parse().ok()).unwrap_or(3.0);
    let only: Option<usize> = arguments.next().and_then(|producers| producers.parse().ok());
    let turns = (seconds / TURN.as_secs_f64()).ceil() as u32;
    std::fs::create_dir_all(&directory).expect("a directory");
    let raw = raw_file(&directory.join("raw"));
    println!("producers partitions flusher |  records/s   CPU µs  group    p50 µs    p99 µs |  raw records/s  ratio");
    for producers in [1, 64, 512]
        .into_iter()
        .filter(|producers| only.is_none_or(|only| only == *producers))
    {
        for (partitions, flusher) in [(12, false), (12, true), (1_000, true)] {
            let row = Row {
                producers,
                partitions,
                flusher,
            };
            print_row(&row, &measure(&row, &directory, &raw, turns));
        }
    }
    // With 0 producers only this.
    if only.is_none_or(|only| only == 0) {
        print_recovery(&directory);
    }
    drop(std::fs::remove_dir_all(&directory));
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
        "{:>9} {:>10} {:>7} | {:>10.0} {:>8.2} {:>6.1} {:>9} {:>9} | {:>14.0} {:>6.2}",
        row.producers,
        row.partitions,
        if row.flusher { "on" } else { "off" },
        rate,
        sums.cpu.as_secs_f64() * 1e6 / sums.records as f64,
        sums.records as f64 / sums.syncs as f64,
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

fn measure(row: &Row, directory: &Path, raw: &File, turns: u32) -> Sums {
    let data = directory.join("data");
    drop(std::fs::remove_dir_all(&data));
    let topic = TopicId { bus: 1, topic: 1 };
    let opened = Embedded::open(settings(&data, row.flusher), &[(topic, row.partitions)]).expect("it opens");
    let journal = Arc::new(opened);
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_time()
        .build()
        .expect("a runtime");
    // Files are made while it warms up.
    runtime.block_on(produce(&journal, row));
    let mut sums = Sums::default();
    let mut position = 0;
    for _ in 0..turns {
        let (records, syncs) = journal_turn(&journal, row, &runtime, &mut sums);
        let group_records = records as f64 / syncs.max(1) as f64;
        raw_turn(raw, &mut position, group_records, &mut sums);
    }
    sums.latencies.sort_unstable();
    drop(journal);
    drop(std::fs::remove_dir_all(&data));
    sums
}

fn journal_turn(journal: &Arc<Embedded>, row: &Row, runtime: &Runtime, sums: &mut Sums) -> (u64, u64) {
    let before = journal.stats();
    let (cpu, began) = (cpu_time(), Instant::now());
    sums.latencies.extend(runtime.block_on(produce(journal, row)));
    sums.seconds += began.elapsed().as_secs_f64();
    sums.cpu += cpu_time() - cpu;
    let after = journal.stats();
    let (records, syncs) = (after.records - before.records, after.syncs - before.syncs);
    sums.records += records;
    sums.syncs += syncs;
    (records, syncs)
}

/// Producers that each wait for their record to be durable before the next one; gives one latency in sixteen.
async fn produce(journal: &Arc<Embedded>, row: &Row) -> Vec<Duration> {
    let stop = Arc::new(AtomicBool::new(false));
    let record = EncodedRecord::new(None, Some(&[7; RECORD_BYTES]), std::iter::empty());
    let mut tasks = Vec::new();
    for producer in 0..row.producers {
        let (journal, stop, record) = (journal.clone(), stop.clone(), record.clone());
        let partitions = u64::from(row.partitions);
        tasks.push(tokio::spawn(async move {
            let mut latencies = Vec::new();
            let mut random = producer as u64 + 1;
            while !stop.load(Ordering::Relaxed) {
                random = random
                    .wrapping_mul(6_364_136_223_846_793_005)
                    .wrapping_add(1_442_695_040_888_963_407);
                let id = NUMBER.fetch_add(1, Ordering::Relaxed);
                let append = request((random >> 33) % partitions, id, &record);
                let began = Instant::now();
                match journal.append(append) {
                    Ok(durable) => drop(durable.await.expect("it is durable")),
                    Err(_) => tokio::task::yield_now().await,
                }
                if random >> 60 == 0 {
                    latencies.push(began.elapsed());
                }
            }
            latencies
        }));
    }
    tokio::time::sleep(TURN).await;
    stop.store(true, Ordering::Relaxed);
    let mut latencies = Vec::new();
    for task in tasks {
        latencies.extend(task.await.expect("a producer ends"));
    }
    latencies
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

/// Writes and syncs groups of this many records, one after the other, over a file that was written before.
fn raw_turn(file: &File, position: &mut u64, group_records: f64, sums: &mut Sums) {
    let bytes = (group_records * (RECORD_BYTES + 16) as f64) as u64 + 256;
    let group = vec![7; usize::try_from(bytes.next_multiple_of(4_096)).expect("a group fits memory")];
    let began = Instant::now();
    while began.elapsed() < TURN {
        if *position + group.len() as u64 > RAW_FILE_BYTES {
            *position = 0;
        }
        file.write_all_at(&group, *position).expect("it is written");
        file.sync_data().expect("it is synced");
        *position += group.len() as u64;
        sums.raw_records += group_records;
    }
    sums.raw_seconds += began.elapsed().as_secs_f64();
}

fn raw_file(path: &Path) -> File {
    let file = OpenOptions::new()
        .create(true)
        .truncate(true)
        .write(true)
        .open(path)
        .expect("a file");
    let zeros = vec![0; 1 << 20];
    for position in (0..RAW_FILE_BYTES).step_by(zeros.len()) {
        file.write_all_at(&zeros, position).expect("it is written");
    }
    file.sync_all().expect("it is synced");
    file
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
