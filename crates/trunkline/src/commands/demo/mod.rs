//! `trunkline demo`: a bus in a temporary directory, endpoints that fail at times, a stream of shop events, and a narrator who says
//! what happens. Everything is real: the server is the one of `trunkline serve`, and what is said comes from its answers and
//! its operational events. Nothing is left behind.

mod endpoints;
mod shop;

use crate::{
    cli::ServerOptions,
    client::Client,
    config::{self, Current, Overrides},
    diagnostics::Level,
    exit::{Code, Failure},
    output::{Format, Output},
    reload::Reloader,
    wiring::{self, Running},
};
use endpoints::{Endpoints, Told};
use http::Method;
use serde_json::json;
use shop::Shop;
use std::{
    path::PathBuf,
    time::{Duration, Instant},
};
use tokio::{
    signal::unix::{Signal, SignalKind, signal},
    sync::mpsc,
    time::MissedTickBehavior,
};

/// The shortest and the longest demo: shorter, nothing can happen; longer, `trunkline serve` is meant.
const FOR_MIN: Duration = Duration::from_secs(5);
const FOR_MAX: Duration = Duration::from_secs(60 * 60);
/// Between two orders.
const ORDER_EVERY: Duration = Duration::from_millis(200);
/// How long the last deliveries are waited for: a breaker may rest for half of it.
const DRAIN: Duration = Duration::from_secs(60);
/// How often it is looked whether everything has arrived.
const LOOK_EVERY: Duration = Duration::from_millis(200);
/// How long the bus may take to tell what it saw last: it gathers for a moment, and publishes once a second at most.
const LAST_WORDS: Duration = Duration::from_millis(1_500);
/// For the server's own end.
const STOP: Duration = Duration::from_secs(5);

/// Watch a bus at work: failing endpoints, retries, a breaker, dead letters, a redrive.
#[derive(Clone, Debug, clap::Args)]
pub struct Demo {
    /// How long orders come in, 5s to 1h.
    #[arg(long = "for", default_value = "30s", value_name = "DURATION", value_parser = control::units::parse_duration)]
    pub duration: Duration,
}

/// What is said, and when.
struct Narrator {
    began: Instant,
    output: Output,
}

impl Narrator {
    fn say(&self, text: &str) {
        let at = self.began.elapsed().as_secs_f64();
        match self.output.is_json() {
            true => self
                .output
                .line(&json!({"seconds": (at * 10.0).round() / 10.0, "says": text}).to_string()),
            false => self.output.line(&format!("[{at:5.1}s] {text}")),
        }
    }

    /// Whether anybody reads it.
    fn is_heard(&self) -> bool {
        self.output.is_open()
    }

    /// A command for another terminal, without a time so that it pastes well.
    fn suggest(&self, command: &str) {
        match self.output.is_json() {
            true => self.output.line(&json!({"try": command}).to_string()),
            false => self.output.line(&format!("             $ {command}")),
        }
    }
}

/// A directory that goes with it.
struct Temporary(PathBuf);

impl Drop for Temporary {
    fn drop(&mut self) {
        // What cannot be removed lies in the system's directory for such things.
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

impl Demo {
    /// Runs it until its time is over or somebody interrupts it.
    pub async fn run(self, output: Output) -> Result<(), Failure> {
        if !(FOR_MIN..=FOR_MAX).contains(&self.duration) {
            return Err(Failure::new(Code::Usage, "--for takes 5s to 1h"));
        }
        let mut interrupts = Interrupts::new()?;
        let name = format!("trunkline-demo-{}-{}", std::process::id(), super::publish::fresh_id(0));
        let directory = Temporary(std::env::temp_dir().join(name));
        let overrides = Overrides {
            listen: vec![([127, 0, 0, 1], 0).into()],
            data_dir: Some(directory.0.clone()),
            ..Overrides::default()
        };
        // The environment is about servers that stay.
        let config = config::load_from(&overrides, []);
        let config = config.map_err(|message| Failure::new(Code::Failed, message))?;
        let running = wiring::start(&config, Reloader::new(Current::fixed(config.clone()), Level::fixed())).await?;
        let told = tokio::select! {
            told = self.tell(output, &running) => told,
            () = interrupts.wait() => Ok(()),
        };
        running.stop(STOP).await;
        told
    }

    async fn tell(&self, output: Output, running: &Running) -> Result<(), Failure> {
        let narrator = Narrator {
            began: Instant::now(),
            output,
        };
        let server = running.addresses().first().map(|address| format!("http://{address}"));
        let server = server.unwrap_or_default();
        let client = Client::new(&ServerOptions {
            server: server.clone(),
            key: None,
            ca: None,
            bus: control::limits::DEFAULT_BUS.to_owned(),
            output: Format::Table,
        })?;
        let (endpoints, told) = Endpoints::start().await?;
        narrator.say(&format!(
            "a bus listens on {server}, in a temporary directory; it has one topic, orders, of 3 partitions"
        ));
        shop::declare(&client, endpoints.address()).await?;
        narrator.say("three endpoints subscribe: crm takes every order, billing too, in order by customer; fraud-check those over 500");
        narrator.say("a fourth one is this narrator, who subscribes to io.trunkline.*: what the bus tells of itself");
        narrator.say("look at it from another terminal while it runs:");
        narrator.suggest(&format!("trunkline --server {server} subscription list"));
        narrator.suggest(&format!("trunkline --server {server} event order-1"));
        narrator.suggest(&format!("curl -s {server}/metrics | grep lag"));
        let shop = Story {
            narrator: &narrator,
            client: &client,
            endpoints: &endpoints,
            told,
            shop: Shop::default(),
        };
        shop.run(self.duration).await
    }
}

/// The signals that end it; listened to before there is anything to leave behind.
struct Interrupts {
    interrupt: Signal,
    terminate: Signal,
}

impl Interrupts {
    fn new() -> Result<Self, Failure> {
        let listen =
            |kind| signal(kind).map_err(|error| Failure::new(Code::Failed, format!("listen to signals: {error}")));
        Ok(Self {
            interrupt: listen(SignalKind::interrupt())?,
            terminate: listen(SignalKind::terminate())?,
        })
    }

    async fn wait(&mut self) {
        tokio::select! {
            _ = self.interrupt.recv() => {}
            _ = self.terminate.recv() => {}
        }
    }
}

/// The story, and what it is told with.
struct Story<'a> {
    narrator: &'a Narrator,
    client: &'a Client,
    endpoints: &'a Endpoints,
    told: mpsc::UnboundedReceiver<Told>,
    shop: Shop,
}

impl Story<'_> {
    /// Orders come in while things happen at shares of the time; then everything has to arrive.
    async fn run(mut self, duration: Duration) -> Result<(), Failure> {
        let mut scenes = [0.2, 0.55, 0.8]
            .map(|share| duration.mul_f64(share))
            .into_iter()
            .enumerate()
            .peekable();
        let began = Instant::now();
        let mut ticks = tokio::time::interval(ORDER_EVERY);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        self.narrator
            .say("orders come in, five a second; each is synced to disk before the shop hears of it");
        while began.elapsed() < duration && self.narrator.is_heard() {
            tokio::select! {
                _ = ticks.tick() => self.shop.publish_next(self.client).await?,
                Some(told) = self.told.recv() => self.narrator.say(&told.0),
            }
            if let Some((scene, _)) = scenes.next_if(|(_, at)| began.elapsed() >= *at) {
                self.play(scene).await?;
            }
        }
        self.end().await
    }

    async fn play(&mut self, scene: usize) -> Result<(), Failure> {
        match scene {
            0 => {
                self.endpoints.set_billing_down(true);
                self.narrator
                    .say("billing goes down: it answers 503 from now on. crm and fraud-check notice nothing");
            }
            1 => {
                self.endpoints.set_billing_down(false);
                self.narrator.say(
                    "billing is back. Its next probe will succeed, and it gets what waited in the journal, in order",
                );
            }
            _ => self.redrive().await?,
        }
        Ok(())
    }

    async fn redrive(&mut self) -> Result<(), Failure> {
        self.endpoints.repair_fraud_check();
        let selection = json!({"subscription": "fraud-check"}).to_string().into_bytes();
        let answer = self
            .client
            .send(
                Method::POST,
                "/v1/buses/default/dead-letters:redrive",
                Some(("application/json", selection)),
            )
            .await?;
        let count = answer["redriven"].as_u64().unwrap_or_default();
        self.narrator.say(&format!(
            "fraud-check is repaired; all its dead letters are sent again ({count}), with the same webhook-id as before"
        ));
        Ok(())
    }

    /// Waits for what is under way, and says how it came out.
    async fn end(mut self) -> Result<(), Failure> {
        let (all, large) = self.shop.expected();
        self.narrator.say(&format!(
            "the shop closes after {all} orders; what is under way goes on"
        ));
        let until = Instant::now() + DRAIN;
        let mut looks = tokio::time::interval(LOOK_EVERY);
        while !self.endpoints.have(all, large) && self.narrator.is_heard() {
            tokio::select! {
                _ = looks.tick() => {}
                Some(told) = self.told.recv() => self.narrator.say(&told.0),
            }
            if Instant::now() > until {
                let message = format!("not everything arrived: {}", self.endpoints.counts());
                return Err(Failure::new(Code::Failed, message));
            }
        }
        while self.narrator.is_heard()
            && let Ok(Some(told)) = tokio::time::timeout(LAST_WORDS, self.told.recv()).await
        {
            self.narrator.say(&told.0);
        }
        self.narrator
            .say(&format!("every order arrived everywhere: {}", self.endpoints.counts()));
        self.narrator
            .say("that was all; the directory is removed. A bus of your own:");
        self.narrator.suggest("trunkline serve");
        Ok(())
    }
}
