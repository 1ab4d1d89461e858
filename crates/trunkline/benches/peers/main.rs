//! Durable publishing beside what others run for it, in one run on one machine: Redis with `appendfsync always`, a RabbitMQ quorum
//! queue with publisher confirms, PostgreSQL with `synchronous_commit=on`; for `docs/benchmarks.md`.
//!
//! Every party is a server process of its own, as Debian ships it, with its data in one directory of one file system; every
//! acknowledgement is synced. All clients are written alike: this process, tokio, plain sockets, messages of 1 KiB made
//! beforehand, answers parsed as far as they must be. *In flight* is unacknowledged messages: with HTTP, Redis and PostgreSQL
//! one connection each; with RabbitMQ a window over at most eight connections, which it prefers. Parties take turns; medians of
//! the rounds are printed. `cargo xtask bench peers` installs the servers and runs it.

mod http;
mod postgres;
mod rabbitmq;
mod redis;
mod servers;

use servers::Servers;
use std::{
    net::SocketAddr,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64, Ordering::Relaxed},
    },
    time::{Duration, Instant},
};

/// Bytes of a message.
const MESSAGE_BYTES: usize = 1024;
/// Unacknowledged messages, or requests of many.
const IN_FLIGHT: [usize; 3] = [1, 64, 512];
/// Messages in a request, where that is measured.
const BATCH: usize = 100;
/// One party's turn, and what of it is not counted.
const TURN: Duration = Duration::from_millis(3_000);
const WARM_UP: Duration = Duration::from_millis(700);
/// Turns of each party.
const ROUNDS: usize = 3;

/// Who is measured.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Party {
    Trunkline,
    Redis,
    RabbitMq,
    Postgres,
}

/// A connection to one of them.
enum Connection {
    Http(http::Connection),
    Redis(redis::Connection),
    RabbitMq(rabbitmq::Connection),
    Postgres(postgres::Connection),
}

impl Connection {
    async fn open(party: Party, address: SocketAddr, batch: usize) -> Self {
        match party {
            Party::Trunkline => Self::Http(http::Connection::open(address, batch).await),
            Party::Redis => Self::Redis(redis::Connection::open(address, batch).await),
            Party::RabbitMq => Self::RabbitMq(rabbitmq::Connection::open(address).await),
            Party::Postgres => Self::Postgres(postgres::Connection::open(address).await),
        }
    }

    /// Sends one request, whose ids come from the number.
    async fn send(&mut self, number: u64) {
        match self {
            Self::Http(connection) => connection.send(number).await,
            Self::Redis(connection) => connection.send().await,
            Self::RabbitMq(connection) => connection.send().await,
            Self::Postgres(connection) => connection.send().await,
        }
    }

    /// Waits for acknowledgements: how many requests they are for.
    async fn acknowledged(&mut self) -> u64 {
        match self {
            Self::Http(connection) => connection.acknowledged().await,
            Self::Redis(connection) => connection.acknowledged().await,
            Self::RabbitMq(connection) => connection.acknowledged().await,
            Self::Postgres(connection) => connection.acknowledged().await,
        }
    }
}

/// One measurement.
#[derive(Clone, Copy)]
struct Load {
    in_flight: usize,
    batch: usize,
}

impl Load {
    /// Connections, and the window of each.
    fn spread(self, party: Party) -> (usize, usize) {
        match party {
            Party::RabbitMq => {
                let connections = self.in_flight.min(rabbitmq::CONNECTIONS_MAX);
                (connections, self.in_flight / connections)
            }
            _ => (self.in_flight, 1),
        }
    }
}

/// Messages acknowledged per second in one turn.
async fn turn(party: Party, address: SocketAddr, load: Load, numbers: &Arc<AtomicU64>) -> f64 {
    let (connections, window) = load.spread(party);
    let acknowledged = Arc::new(AtomicU64::new(0));
    let is_over = Arc::new(AtomicBool::new(false));
    let mut workers = Vec::new();
    for _ in 0..connections {
        let mut connection = Connection::open(party, address, load.batch).await;
        let (acknowledged, is_over, numbers) = (acknowledged.clone(), is_over.clone(), numbers.clone());
        workers.push(tokio::spawn(async move {
            for _ in 0..window {
                connection.send(numbers.fetch_add(1, Relaxed)).await;
            }
            let mut open = window as u64;
            while open > 0 {
                let count = connection.acknowledged().await;
                acknowledged.fetch_add(count, Relaxed);
                open -= count;
                while !is_over.load(Relaxed) && open < window as u64 {
                    connection.send(numbers.fetch_add(1, Relaxed)).await;
                    open += 1;
                }
            }
        }));
    }
    tokio::time::sleep(WARM_UP).await;
    let (began, before) = (Instant::now(), acknowledged.load(Relaxed));
    tokio::time::sleep(TURN - WARM_UP).await;
    let (after, took) = (acknowledged.load(Relaxed), began.elapsed());
    is_over.store(true, Relaxed);
    for worker in workers {
        worker.await.expect("a worker ends well");
    }
    (after - before) as f64 * load.batch as f64 / took.as_secs_f64()
}

fn main() {
    let arguments: Vec<String> = std::env::args().collect();
    // `cargo test --benches` must not take minutes.
    if arguments.iter().any(|argument| argument == "--test") {
        return;
    }
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build();
    runtime.expect("a runtime").block_on(compare());
}

async fn compare() {
    let servers = Servers::start().await;
    let numbers = Arc::new(AtomicU64::new(1));
    let all = [Party::Trunkline, Party::RabbitMq, Party::Postgres, Party::Redis];
    println!(
        "durable publishing, {MESSAGE_BYTES} bytes, every acknowledgement synced; messages/s, medians of {ROUNDS}"
    );
    for in_flight in IN_FLIGHT {
        row(&servers, &all, Load { in_flight, batch: 1 }, &numbers).await;
    }
    let both = [Party::Trunkline, Party::Redis];
    for in_flight in [64, 512] {
        row(
            &servers,
            &both,
            Load {
                in_flight,
                batch: BATCH,
            },
            &numbers,
        )
        .await;
    }
    println!("{}", servers.versions());
}

async fn row(servers: &Servers, parties: &[Party], load: Load, numbers: &Arc<AtomicU64>) {
    let mut rates = vec![Vec::new(); parties.len()];
    for _ in 0..ROUNDS {
        for (party, rates) in parties.iter().zip(&mut rates) {
            rates.push(turn(*party, servers.address(*party), load, numbers).await);
        }
    }
    let shown = parties.iter().zip(rates).map(|(party, mut rates)| {
        rates.sort_by(f64::total_cmp);
        format!(
            "{party:?} {:.0} ({:.0} to {:.0})",
            rates[rates.len() / 2],
            rates[0],
            rates[rates.len() - 1]
        )
    });
    let Load { in_flight, batch } = load;
    println!(
        "{in_flight:>4} in flight, {batch:>3} each: {}",
        shown.collect::<Vec<_>>().join(", ")
    );
}
