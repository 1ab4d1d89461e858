//! What an idle server costs: memory and processor time. Run by `cargo xtask prove`.

use crate::support::{
    process::{cpu_ticks, resident_bytes},
    receiver::Receiver,
    server::Server,
};
use serde_json::json;
use std::time::Duration;

/// What a server may hold that has done nothing yet.
const RESIDENT_FRESH_MAX: u64 = 40 << 20;
/// And after some work: unflushed records and the allocator's spare pages are kept.
const RESIDENT_USED_MAX: u64 = 64 << 20;
/// How long the processor time is watched.
const WATCHED: Duration = Duration::from_secs(10);
/// Ticks of 10 ms in that time.
const TICKS_MAX: u64 = 1;

#[tokio::test]
#[ignore = "a measurement of a release build: cargo xtask prove idle"]
async fn an_idle_server_is_small_and_does_nothing() {
    let directory = tempfile::tempdir().expect("a directory");
    let receiver = Receiver::healthy().await;
    let server = Server::start(directory.path());
    for name in ["one", "two", "three"] {
        server.subscribe(name, &receiver, json!({})).await;
    }
    watch(&server, "fresh", RESIDENT_FRESH_MAX).await;
    for number in 0..1_000 {
        server
            .publish("a.type", &number.to_string(), json!({"n": number}))
            .await;
    }
    receiver.took(3_000).await;
    // Positions are saved a second after the last delivery.
    tokio::time::sleep(Duration::from_secs(3)).await;
    watch(&server, "after 1,000 events to 3 subscriptions", RESIDENT_USED_MAX).await;
}

async fn watch(server: &Server, when: &str, resident_max: u64) {
    let before = cpu_ticks(server.pid());
    tokio::time::sleep(WATCHED).await;
    let ticks = cpu_ticks(server.pid()) - before;
    let resident = resident_bytes(server.pid());
    println!(
        "idle, {when}: {:.1} MiB resident, {ticks} ticks of 10 ms in {WATCHED:?}",
        resident as f64 / f64::from(1 << 20)
    );
    assert!(resident < resident_max, "{resident} bytes resident");
    assert!(ticks <= TICKS_MAX, "{ticks} ticks");
}
