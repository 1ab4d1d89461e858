//! Check 54: a body that grows a thousandfold when it is decompressed is refused at the limit, and costs less memory than twice
//! the limit.

use crate::support::{process::peak_resident_bytes, server::Server};
use serde_json::json;
use std::io::Read;

/// A batch takes this much, as docs/api.md says.
const BATCH_BYTES_MAX: u64 = 10 << 20;
/// What a bomb would grow to.
const BOMB_BYTES: u64 = 12 * BATCH_BYTES_MAX;
/// The largest window that a zstd frame may ask its reader to keep.
const ZSTD_WINDOW_BYTES_MAX: u64 = 8 << 20;
/// One by one: what an earlier one held must have been given back.
const BOMBS: usize = 8;

#[tokio::test]
async fn check_54_a_compressed_bomb_is_refused_at_the_limit_in_less_than_twice_its_memory() {
    let directory = tempfile::tempdir().expect("a directory");
    let server = Server::start(directory.path());
    // The first request of all costs what every server has then.
    server.publish("t", "1", json!({"n": 1})).await;
    let before = peak_resident_bytes(server.pid());
    refused(&server, 1).await;
    let growth = peak_resident_bytes(server.pid()) - before;
    println!("{BOMBS} bombs: {} KiB more at the peak", growth >> 10);
    assert!(growth < 2 * BATCH_BYTES_MAX, "{growth} bytes more at the peak");
    // The window comes from the allocator of C, which keeps one for each thread that had one.
    refused(&server, 19).await;
    let growth = peak_resident_bytes(server.pid()) - before;
    println!(
        "{BOMBS} bombs with the largest window: {} KiB more at the peak",
        growth >> 10
    );
    assert!(
        growth < 2 * (BATCH_BYTES_MAX + ZSTD_WINDOW_BYTES_MAX),
        "{growth} bytes more at the peak"
    );
    server.publish("t", "2", json!({"n": 2})).await;
}

/// Sends bombs, compressed at `level`: the higher, the larger the window.
async fn refused(server: &Server, level: i32) {
    let bomb = zstd::encode_all(std::io::repeat(b' ').take(BOMB_BYTES), level).expect("memory takes it");
    assert!((bomb.len() as u64) * 1_000 < BOMB_BYTES, "{} bytes", bomb.len());
    let headers = [
        ("content-type", "application/cloudevents-batch+json"),
        ("content-encoding", "zstd"),
    ];
    for _ in 0..BOMBS {
        let answer = server
            .send("POST", "/v1/buses/default/events", &headers, bomb.clone())
            .await;
        assert_eq!((answer.status, &answer.json()["code"]), (413, &json!("body_too_large")));
    }
}
