//! What the core costs by itself: an endpoint that answers at once. Prints; judges nothing.

use crate::support::{World, event};
use serde_json::json;
use std::time::Instant;

const EVENTS: usize = 50_000;
const BATCH: usize = 500;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "measures: cargo test --release -p delivery --test core speed -- --ignored --nocapture"]
async fn deliveries_per_second_with_an_endpoint_that_answers_at_once() {
    let world = World::new().await;
    let data = json!({"text": "x".repeat(1_000)});
    for batch in 0..EVENTS / BATCH {
        let events = (0..BATCH)
            .map(|at| event(&format!("{batch}-{at}"), "order", data.clone()))
            .collect();
        world.core.publish("default", events).await.unwrap();
    }
    for concurrency in [16, 64] {
        world.endpoint.count_only();
        let before = Instant::now();
        let more = json!({"start": "earliest", "delivery": {"concurrency": concurrency}});
        world.subscribe(&format!("c{concurrency}"), more).await;
        while world.endpoint.counted() < EVENTS {
            tokio::task::yield_now().await;
            std::thread::sleep(std::time::Duration::from_millis(5));
        }
        let seconds = before.elapsed().as_secs_f64();
        println!("concurrency {concurrency}: {:.0} deliveries/s", EVENTS as f64 / seconds);
    }
}
