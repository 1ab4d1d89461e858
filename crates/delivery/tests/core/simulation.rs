//! A seeded simulation: publishing, failing endpoints, failing stores, crashes and good ends at any moment; then peace, and a
//! model that counts every event in and out.

use crate::support::{Received, Reply, World, event, ok, somebody, subscription};
use control::{
    audit::Actor,
    resources::{RedriveSpec, ReplaySpec, ResourceKind},
};
use delivery::{DeadSelection, ReplayState, Verdict};
use serde_json::json;
use std::{
    collections::{BTreeMap, BTreeSet},
    sync::{
        Arc, Mutex,
        atomic::{AtomicU64, Ordering::Relaxed},
    },
    time::Duration,
};
use store::{RangeReason, Store as _};

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
    /// Where the events are on the topic that is their first.
    places: Vec<journal::Position>,
    /// Replays that were begun, and how many events there were then.
    replays: Vec<(String, usize)>,
    /// The same, of those to a subscription whose filter changes; and how many crashes there had been.
    narrowed: Vec<(String, usize, u32)>,
    /// Events whose deaths were seen, of the subscription whose dead letters are copied.
    mourned: BTreeSet<String>,
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
        let webhook = json!({"provider": "webhook", "config": {"url": "https://example.com/"}});
        world.put(ResourceKind::Connection, "morgue", webhook).await;
        let mourned = json!({"dead_letter": {"connection": "morgue"}, "delivery": {"retry": retry}});
        world.subscribe("mourned", mourned).await;
        let skipping = json!({"topics": ["orders"], "delivery": {"retry": retry}});
        world.subscribe(SKIPPING, skipping).await;
        world.put(ResourceKind::Topic, "quiet", json!({"partitions": 1})).await;
        world.subscribe(NARROWED, narrowed(EVERYTHING)).await;
        Self {
            world,
            dice: Dice(seed),
            weather,
            published: Vec::new(),
            places: Vec::new(),
            replays: Vec::new(),
            narrowed: Vec::new(),
            mourned: BTreeSet::new(),
            crashes: 0,
        }
    }

    async fn act(&mut self) {
        match self.dice.roll(47) {
            0..=2 => *self.weather.lock().unwrap() = weather(&mut self.dice),
            3 => {
                self.world.crash().await;
                self.crashes += 1;
            }
            4 => self.world.restart().await,
            5 => self.world.store.fail_next(store::Error::OutOfSpace),
            6..=9 => tokio::time::sleep(Duration::from_millis(self.dice.roll(20_000))).await,
            // These may meet a failure of the store; then nothing has changed.
            10 => drop(self.world.redrive(DeadSelection::default()).await),
            11 => self.edit().await,
            16 => self.change_manners().await,
            12 => self.resume().await,
            40 => self.replay().await,
            41 => self.command_a_replay().await,
            42 => self.redrive().await,
            43 => drop(self.world.core.skip_to_now("default", SKIPPING, None).await),
            44 => self.replay_narrowed().await,
            45..=46 => self.narrow().await,
            13..=15 => tokio::time::sleep(Duration::from_millis(self.dice.roll(50))).await,
            _ => self.publish().await,
        }
    }

    /// All that there is once more, to one of the subscriptions.
    async fn replay(&mut self) {
        let name = format!("replay-of-{}", self.replays.len());
        if let Some(count) = self.replay_into("plain", &name, None).await {
            self.replays.push((name, count));
        }
    }

    /// The same, to the one whose filter changes meanwhile: slowly, so that there is a meanwhile.
    async fn replay_narrowed(&mut self) {
        let name = format!("narrowed-{}", self.narrowed.len());
        let rate = ["5/s", "50/s"][self.dice.roll(2) as usize];
        if let Some(count) = self.replay_into(NARROWED, &name, Some(rate)).await {
            self.narrowed.push((name, count, self.crashes));
        }
    }

    /// How many events there were; `None`: the store owed a failure, or only so many may run.
    async fn replay_into(&self, subscription: &str, name: &str, rate: Option<&str>) -> Option<usize> {
        let document =
            json!({"from": "earliest", "into": {"subscription": subscription}, "rate": rate, "topics": ["orders"]});
        let spec = ReplaySpec::read(&document).unwrap();
        let count = self.published.len();
        let (core, name) = (&self.world.core, Some(name.to_owned()));
        let begun = core.replay("default", name, spec, Actor::System("a test")).await;
        begun.is_ok().then_some(count)
    }

    /// It wants everything, or less, or is paused.
    async fn narrow(&mut self) {
        let filter = [EVERYTHING, SOME, SOME][self.dice.roll(3) as usize];
        let mut body = narrowed(filter);
        body["enabled"] = json!(self.dice.roll(3) > 0);
        self.world
            .try_put(ResourceKind::Subscription, NARROWED, subscription(body))
            .await;
    }

    async fn command_a_replay(&mut self) {
        let all = self.replay_names();
        let Some(last) = all.len().checked_sub(1) else {
            return;
        };
        let name = all[self.dice.roll(last as u64 + 1) as usize].clone();
        let core = &self.world.core;
        // Those that are over refuse.
        match self.dice.roll(4) {
            0 => drop(core.cancel_replay("default", &name, somebody()).await),
            1 => drop(core.pause_replay("default", &name, somebody()).await),
            _ => drop(core.resume_replay("default", &name, somebody()).await),
        }
    }

    /// Dead letters that are seen are mourned; then some of them go out again, at a rate.
    async fn redrive(&mut self) {
        let selection = DeadSelection {
            subscription: Some("mourned".to_owned()),
            ..DeadSelection::default()
        };
        let dead = self
            .world
            .core
            .dead_letters("default", selection, None, 1_000)
            .await
            .unwrap();
        self.mourned.extend(dead.into_iter().map(|dead| dead.event_id));
        let rate = ["5/s", "100/s"][self.dice.roll(2) as usize];
        let spec = RedriveSpec::read(&json!({"reason": "http_4*", "rate": rate})).unwrap();
        drop(self.world.core.start_redrive("default", None, spec, somebody()).await);
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
        for name in SUBSCRIPTIONS.into_iter().chain([SKIPPING, NARROWED]) {
            self.world.core.resume("default", name).await.unwrap();
        }
        for name in self.replay_names() {
            // Those that are over refuse.
            drop(self.world.core.resume_replay("default", &name, somebody()).await);
        }
    }

    fn replay_names(&self) -> Vec<String> {
        let replays = self.replays.iter().map(|(name, _)| name);
        let narrowed = self.narrowed.iter().map(|(name, ..)| name);
        replays.chain(narrowed).cloned().collect()
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
            let published = self
                .world
                .publish_event(event(&id, "order", json!({"key": format!("k{key}")})))
                .await;
            self.places.push(published.position);
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
        for _ in 0..150 {
            let some = subscription(narrowed(SOME));
            self.world.try_put(ResourceKind::Subscription, NARROWED, some).await;
        }
        let expected = self.published.len() * SUBSCRIPTIONS.len();
        for _ in 0..100 {
            tokio::time::sleep(Duration::from_secs(30)).await;
            self.resume().await;
            // The store may still owe a failure.
            let redriven = self.world.redrive(DeadSelection::default()).await;
            assert!(
                matches!(redriven, Ok(_) | Err(delivery::Error::Store(_))),
                "{redriven:?}"
            );
            let delivered = self.world.endpoint.delivered();
            let count = delivered
                .keys()
                .filter(|(name, _)| SUBSCRIPTIONS.contains(&&**name))
                .count();
            if count == expected && self.is_empty() && self.replays_are_over() {
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

    fn replays_are_over(&self) -> bool {
        let replays = self.world.core.replays("default").unwrap();
        let redrives = self.world.core.redrives("default").unwrap();
        replays.iter().all(|replay| replay.state.is_over()) && redrives.iter().all(|redrive| redrive.state.is_over())
    }

    /// A replay that was completed has attempted every event that there was when it began.
    fn check_replays(&self) {
        let received = self.world.endpoint.received();
        for (name, count) in &self.replays {
            let replay = self.world.core.replay_of("default", name).unwrap();
            if replay.state != ReplayState::Completed {
                continue;
            }
            let attempted: BTreeSet<&str> = received
                .iter()
                .filter(|one| one.replay.as_deref() == Some(name))
                .map(|one| one.id.as_str())
                .collect();
            let missing = self.published[..*count]
                .iter()
                .filter(|(id, _)| !attempted.contains(id.as_str()));
            assert_eq!(missing.count(), 0, "{name}: {replay:?}");
        }
    }

    /// A replay that was completed has attempted what its subscription wanted all the time, and says what became of everything that
    /// belongs to it, whatever that was.
    fn check_narrowed(&self) {
        let received = self.world.endpoint.received();
        for (name, count, crashes) in &self.narrowed {
            let replay = self.world.core.replay_of("default", name).unwrap();
            if replay.state != ReplayState::Completed {
                continue;
            }
            let of_it = received.iter().filter(|one| one.replay.as_deref() == Some(name));
            let attempted: BTreeSet<&str> = of_it.map(|one| one.id.as_str()).collect();
            let wanted = self.published[..*count].iter().filter(|(id, _)| id.ends_with('7'));
            let missing: Vec<_> = wanted.filter(|(id, _)| !attempted.contains(id.as_str())).collect();
            assert!(missing.is_empty(), "{name} lacks {missing:?}: {replay:?}");
            // A crash may lose the last second of counts.
            let ended = replay.counts.delivered + replay.counts.dead_lettered;
            assert!(
                *crashes < self.crashes || replay.counts.matched <= ended,
                "{name}: {replay:?}"
            );
        }
    }

    /// Check 27: what was not delivered has been skipped, and that is recorded.
    async fn check_skipped(&self) {
        let ranges = self.world.store.ranges(self.world.status(SKIPPING).id).await.unwrap();
        let delivered: BTreeSet<_> = self.world.endpoint.delivered_ids(SKIPPING).into_iter().collect();
        for (number, place) in self.places.iter().enumerate() {
            let (topic, index) = (place.partition.topic.topic, place.partition.index);
            let is_skipped = ranges.iter().any(|range| {
                let is_there = (range.partition.topic, range.partition.index) == (topic, index);
                is_there && range.reason == RangeReason::Skipped && (range.from..range.to).contains(&place.offset)
            });
            assert!(
                is_skipped || delivered.contains(&number.to_string()),
                "{number} is neither delivered nor recorded as skipped"
            );
        }
    }

    /// Check 28: every death that was seen had a copy, which has arrived.
    fn check_copies(&self) {
        let received = self.world.endpoint.received().into_iter();
        let copies: BTreeSet<String> = received
            .filter(|one| one.connection == "morgue" && one.verdict == Verdict::Delivered)
            .map(|one| one.id)
            .collect();
        let missing: Vec<_> = self.mourned.difference(&copies).collect();
        assert!(missing.is_empty(), "no copies of {missing:?}");
    }

    fn is_empty(&self) -> bool {
        let status = self.world.core.status("default");
        status.iter().all(|(_, status)| {
            let waiting = status.copies.as_ref().map_or(0, |copies| copies.waiting);
            status.parked == 0 && status.dead == 0 && status.lag_events == 0 && waiting == 0
        })
    }

    /// What live traffic delivered, without copies of dead letters.
    fn live(&self) -> BTreeMap<(String, String), u32> {
        let mut delivered = BTreeMap::new();
        let received = self.world.endpoint.received().into_iter();
        for one in received.filter(|one| is_own(one) && one.replay.is_none() && one.verdict == Verdict::Delivered) {
            *delivered.entry((one.subscription, one.id)).or_default() += 1;
        }
        delivered
    }

    /// Guarantee 2 and check 32: everything arrived, and no crash cost more than one repetition of an event.
    fn check_counts(&self) {
        for ((subscription, id), count) in self.live() {
            // A dead letter of a replay is redriven by the subscription's own lane.
            let more = if subscription == "plain" {
                self.replays.len() as u32
            } else {
                0
            };
            assert!(
                count <= 1 + self.crashes + more,
                "{subscription} got {id} {count} times in {} crashes",
                self.crashes
            );
        }
        let mut ids: BTreeMap<(String, String), BTreeSet<String>> = BTreeMap::new();
        for received in self.world.endpoint.received().into_iter().filter(is_own) {
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

const SUBSCRIPTIONS: [&str; 6] = ["plain", "ordered", "whole", "batched", "batched-in-order", "mourned"];
/// The one that goes on from now at times.
const SKIPPING: &str = "skipping";
/// The one that gets replays alone, and whose filter changes while they run.
const NARROWED: &str = "narrowed";
const EVERYTHING: &str = "TRUE";
const SOME: &str = "id LIKE '%7'";

fn narrowed(filter: &str) -> serde_json::Value {
    json!({"topics": ["quiet"], "filter": {"cesql": filter}, "delivery": {"retry": retry()}})
}

/// Whether it came by a subscription's own connection.
fn is_own(received: &Received) -> bool {
    received.connection == "endpoint"
}

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
    simulation.check_replays();
    simulation.check_narrowed();
    simulation.check_skipped().await;
    simulation.check_copies();
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
