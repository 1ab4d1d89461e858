//! A seeded simulation: publishing, failing endpoints, failing stores, crashes and good ends at any moment; then peace, and a
//! model that counts every event in and out.

use crate::support::{Received, Reply, World, event, ok, subscription};
use control::resources::ResourceKind;
use delivery::{DeadSelection, Verdict};
use serde_json::json;
use std::{
    collections::{BTreeMap, BTreeSet},
    sync::{
        Arc, Mutex,
        atomic::{AtomicU64, Ordering::Relaxed},
    },
    time::Duration,
};

const KEYS: u64 = 7;

/// SplitMix64.
struct Dice(u64);

impl Dice {
    fn roll(&mut self, sides: u64) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        (z ^ (z >> 31)) % sides
    }
}

/// What the endpoint does at the moment: per mille of failures, of refusals and of 410, and how slow it is.
#[derive(Clone, Copy)]
struct Weather {
    failing: u64,
    refusing: u64,
    gone: u64,
    slow: u64,
}

const FAIR: Weather = Weather {
    failing: 0,
    refusing: 0,
    gone: 0,
    slow: 5,
};

fn weather(dice: &mut Dice) -> Weather {
    match dice.roll(7) {
        0 => Weather { failing: 1_000, ..FAIR },
        1 => Weather {
            failing: 300,
            slow: 400,
            ..FAIR
        },
        2 => Weather { refusing: 50, ..FAIR },
        3 => Weather { slow: 3_000, ..FAIR },
        4 => Weather { gone: 10, ..FAIR },
        _ => FAIR,
    }
}

fn answer(weather: Weather, dice: &mut Dice, _: &Received) -> Reply {
    let delay = Duration::from_millis(dice.roll(weather.slow.max(1)));
    let verdict = match dice.roll(1_000) {
        roll if roll < weather.failing => match dice.roll(4) {
            0 => Verdict::Retry {
                after: Some(Duration::from_secs(dice.roll(20))),
            },
            _ => Verdict::Retry { after: None },
        },
        roll if roll < weather.failing + weather.refusing => Verdict::Refused,
        roll if roll < weather.failing + weather.refusing + weather.gone => Verdict::Gone,
        _ => ok().verdict,
    };
    Reply { delay, verdict }
}

struct Simulation {
    world: World,
    dice: Dice,
    weather: Arc<Mutex<Weather>>,
    published: Vec<(String, u64)>,
    crashes: u32,
}

impl Simulation {
    async fn new(seed: u64) -> Self {
        let world = World::with(|settings| {
            settings.seed = Some(seed);
            settings.lane.span_events = 40;
        })
        .await;
        let weather = Arc::new(Mutex::new(FAIR));
        let (shared, salt) = (Arc::clone(&weather), AtomicU64::new(seed));
        world.endpoint.script(move |received| {
            let mut dice = Dice(salt.fetch_add(0x51_7C_C1, Relaxed));
            answer(*shared.lock().unwrap(), &mut dice, received)
        });
        world.put(ResourceKind::Topic, "orders", json!({"partitions": 3})).await;
        let routes = json!([{"topic": "orders", "key": "key"}, {"topic": "events"}]);
        world
            .put(ResourceKind::EventType, "order", json!({"routes": routes}))
            .await;
        let retry = retry();
        world
            .subscribe(
                "plain",
                json!({"topics": ["orders"], "delivery": {"retry": retry, "concurrency": 8}}),
            )
            .await;
        let ordered = json!({"topics": ["orders"], "delivery": {"retry": retry, "ordering": "key", "concurrency": 8}});
        world.subscribe("ordered", ordered).await;
        world.subscribe("whole", json!({"delivery": {"retry": retry}})).await;
        world
            .subscribe("batched", batched(json!({"events": 8, "window": "2s"})))
            .await;
        let in_order = json!({"retry": retry, "ordering": "key", "batch": {"events": 5}});
        let in_order = json!({"topics": ["orders"], "target": {"mode": "batched"}, "delivery": in_order});
        world.subscribe("batched-in-order", in_order).await;
        Self {
            world,
            dice: Dice(seed),
            weather,
            published: Vec::new(),
            crashes: 0,
        }
    }

    async fn act(&mut self) {
        match self.dice.roll(40) {
            0..=2 => *self.weather.lock().unwrap() = weather(&mut self.dice),
            3 => {
                self.world.crash().await;
                self.crashes += 1;
            }
            4 => self.world.restart().await,
            5 => self.world.store.fail_next(store::Error::OutOfSpace),
            6..=9 => tokio::time::sleep(Duration::from_millis(self.dice.roll(20_000))).await,
            // These may meet a failure of the store; then nothing has changed.
            10 => drop(self.world.core.redrive("default", DeadSelection::default()).await),
            11 => self.edit().await,
            16 => self.change_manners().await,
            12 => self.resume().await,
            13..=15 => tokio::time::sleep(Duration::from_millis(self.dice.roll(50))).await,
            _ => self.publish().await,
        }
    }

    /// The endpoint speaks of each event or of the whole request; it takes few or many at once; the batch is another one.
    async fn change_manners(&mut self) {
        let endpoint = &self.world.endpoint;
        endpoint.says_each.store(self.dice.roll(2) == 0, Relaxed);
        endpoint.fits.store(1 + self.dice.roll(8) as usize, Relaxed);
        let batch = json!({"events": 1 + self.dice.roll(20), "bytes": 1_024 + self.dice.roll(4_096)});
        self.world
            .try_put(ResourceKind::Subscription, "batched", subscription(batched(batch)))
            .await;
    }

    /// Whatever 410 or a bound has stopped goes on.
    async fn resume(&self) {
        for name in SUBSCRIPTIONS {
            self.world.core.resume("default", name).await.unwrap();
        }
    }

    /// Changes a subscription so that it wants what it wanted: another policy, another filter that lets everything through, a
    /// pause, and the topics of its events or the whole bus.
    async fn edit(&mut self) {
        let mut body = json!({"delivery": {"retry": retry(), "concurrency": 1 + self.dice.roll(8)}});
        let name = ["plain", "ordered"][self.dice.roll(2) as usize];
        if name == "ordered" {
            body["delivery"]["ordering"] = json!("key");
            body["topics"] = json!(["orders"]);
        } else if self.dice.roll(2) == 0 {
            body["topics"] = json!(["orders"]);
        }
        if self.dice.roll(2) == 0 {
            body["types"] = json!(["order"]);
        }
        body["enabled"] = json!(self.dice.roll(4) > 0);
        self.world
            .try_put(ResourceKind::Subscription, name, subscription(body))
            .await;
    }

    async fn publish(&mut self) {
        for _ in 0..=self.dice.roll(5) {
            let key = self.dice.roll(KEYS);
            let id = self.published.len().to_string();
            self.world
                .publish_event(event(&id, "order", json!({"key": format!("k{key}")})))
                .await;
            self.published.push((id, key));
        }
    }

    /// Fair weather, dead letters out again, and time.
    async fn peace(&mut self) {
        *self.weather.lock().unwrap() = FAIR;
        for name in ["plain", "ordered"] {
            let mut body = json!({"topics": ["orders"], "delivery": {"retry": retry()}});
            if name == "ordered" {
                body["delivery"]["ordering"] = json!("key");
            }
            // The store may still owe failures.
            for _ in 0..150 {
                self.world
                    .try_put(ResourceKind::Subscription, name, subscription(body.clone()))
                    .await;
            }
        }
        let expected = self.published.len() * SUBSCRIPTIONS.len();
        for _ in 0..100 {
            tokio::time::sleep(Duration::from_secs(30)).await;
            self.resume().await;
            // The store may still owe a failure.
            let redriven = self.world.core.redrive("default", DeadSelection::default()).await;
            assert!(
                matches!(redriven, Ok(_) | Err(delivery::Error::Store(_))),
                "{redriven:?}"
            );
            if self.world.endpoint.delivered().len() == expected && self.is_empty() {
                return;
            }
        }
        let delivered = self.world.endpoint.delivered();
        for name in SUBSCRIPTIONS {
            let missing = self
                .published
                .iter()
                .filter(|(id, _)| !delivered.contains_key(&(name.to_owned(), id.clone())));
            println!("{name} lacks {:?}", missing.collect::<Vec<_>>());
        }
        panic!("something is missing: {:#?}", self.world.core.status("default"));
    }

    fn is_empty(&self) -> bool {
        let status = self.world.core.status("default");
        status
            .iter()
            .all(|(_, status)| status.parked == 0 && status.dead == 0 && status.lag_events == 0)
    }

    /// Guarantee 2 and check 32: everything arrived, and no crash cost more than one repetition of an event.
    fn check_counts(&self) {
        for ((subscription, id), count) in self.world.endpoint.delivered() {
            assert!(
                count <= 1 + self.crashes,
                "{subscription} got {id} {count} times in {} crashes",
                self.crashes
            );
        }
        let mut ids: BTreeMap<(String, String), BTreeSet<String>> = BTreeMap::new();
        for received in self.world.endpoint.received() {
            ids.entry((received.subscription, received.id))
                .or_default()
                .insert(received.message_id);
        }
        assert!(ids.values().all(|ids| ids.len() == 1), "an event keeps its message id");
    }

    /// First deliveries of a key come in order, but for what was refused on the way.
    fn check_order(&self, subscription: &str) {
        let received = self.world.endpoint.received();
        let refused: BTreeSet<_> = received
            .iter()
            .filter(|received| received.subscription == subscription && received.verdict == Verdict::Refused)
            .map(|received| received.id.clone())
            .collect();
        let mut last: BTreeMap<u64, usize> = BTreeMap::new();
        let mut seen = BTreeSet::new();
        for id in self.world.endpoint.delivered_ids(subscription) {
            if refused.contains(&id) || !seen.insert(id.clone()) {
                continue;
            }
            let number: usize = id.parse().unwrap();
            let key = self.published[number].1;
            let before = last.insert(key, number);
            assert!(
                before.is_none_or(|before| before < number),
                "key {key}: {number} came after {before:?}"
            );
        }
    }
}

const SUBSCRIPTIONS: [&str; 5] = ["plain", "ordered", "whole", "batched", "batched-in-order"];

fn batched(batch: serde_json::Value) -> serde_json::Value {
    let delivery = json!({"retry": retry(), "concurrency": 3, "batch": batch});
    json!({"topics": ["orders"], "target": {"mode": "batched"}, "delivery": delivery})
}

fn retry() -> serde_json::Value {
    json!({"schedule": ["0s", "1s", "2s", "15s", "30s"], "age": "24h"})
}

async fn simulate(seed: u64, steps: u32) {
    println!("seed {seed}");
    let mut simulation = Simulation::new(seed).await;
    for _ in 0..steps {
        simulation.act().await;
    }
    simulation.peace().await;
    simulation.check_counts();
    simulation.check_order("ordered");
    simulation.check_order("batched-in-order");
    simulation.world.core.shutdown(Duration::from_secs(1)).await;
}

/// Checks 26, 27, 28 and 32, and guarantee 2: whatever fails in between, every event is accounted for.
#[tokio::test(start_paused = true)]
async fn every_event_is_accounted_for_under_faults() {
    let seeds = std::env::var("TRUNKLINE_SEEDS")
        .ok()
        .and_then(|seeds| seeds.parse().ok())
        .unwrap_or(5);
    let first = std::env::var("TRUNKLINE_SEED")
        .ok()
        .and_then(|seed| seed.parse().ok())
        .unwrap_or(1);
    for seed in first..first + seeds {
        simulate(seed, 150).await;
    }
}
