//! `trunkline serve`: the rules of a start, what is said to the person who started it, signals, and the end.

use crate::{
    check::{check_backups, check_values},
    cli::Serve,
    config::{self, AllowNetworks, Config, Current},
    diagnostics,
    exit::{Code, Failure},
    output,
    reload::Reloader,
    wiring::{self, Running},
};
use rustix::process::{Resource, getrlimit, setrlimit};
use std::{io::Write, time::Duration};
use tokio::signal::unix::{Signal, SignalKind, signal};

/// How long deliveries in flight may go on after the journal was poisoned: nothing new can be kept.
const POISONED_DRAIN: Duration = Duration::from_secs(10);

/// Runs the bus until it is told to stop.
pub async fn run(arguments: Serve) -> Result<(), Failure> {
    if arguments.print_config {
        output::write(config::DEFAULTS);
        return Ok(());
    }
    let usage = |message| Failure::new(Code::Usage, message);
    let current = Current::load(&arguments.overrides).map_err(usage)?;
    let config = current.get();
    check_values(&config).map_err(usage)?;
    let level = diagnostics::start(&config.log)?;
    if let Err(reason) = check_backups(&config) {
        tracing::error!(reason, "no backup can be made until this is mended");
    }
    raise_file_limit();
    let mut signals = Signals::new()?;
    let running = wiring::start(&config, Reloader::new(current, level)).await?;
    announce(&config, &running);
    let reason = signals.wait(&running).await;
    let drain = match &reason {
        End::Asked => running.drain(),
        End::Poisoned(_) => POISONED_DRAIN,
    };
    running.stop(drain).await;
    match reason {
        End::Asked => Ok(()),
        End::Poisoned(reason) => Err(
            Failure::new(Code::Poisoned, format!("the journal is poisoned: {reason}"))
                .hint("nothing acknowledged is lost; look at the disk, then start again"),
        ),
    }
}

/// Takes as many file descriptors as the system lets it: connections and segments need more than the usual soft limit.
fn raise_file_limit() {
    let mut limit = getrlimit(Resource::Nofile);
    limit.current = limit.maximum;
    if let Err(error) = setrlimit(Resource::Nofile, limit) {
        tracing::warn!(%error, "the limit of open files stays as it is");
    }
}

/// What `serve` refuses before it touches anything: keys and plaintext off loopback.
pub fn refuse_exposure(config: &Config, has_keys: bool) -> Result<(), Failure> {
    if config.on_loopback() {
        return Ok(());
    }
    let refused = |message: &str, hint: &str| Err(Failure::new(Code::Usage, message).hint(hint));
    if !has_keys {
        return refused(
            "listening off loopback needs a key, and there is none",
            "make one with `trunkline key create --data-dir PATH`, or set TRUNKLINE_ADMIN_KEY",
        );
    }
    if !config.has_tls() && !config.allow_plaintext {
        return refused(
            "listening off loopback without TLS would show keys to the network",
            "give --tls-cert and --tls-key, or --allow-plaintext if a proxy in front ends TLS",
        );
    }
    Ok(())
}

/// Says where it listens, what is unusual, and what to type next. An empty line ends the addresses. Nobody may be reading
/// any more: that is no reason to stop.
fn announce(config: &Config, running: &Running) {
    let _ = std::io::stdout().lock().write_all(greeting(config, running).as_bytes());
}

fn greeting(config: &Config, running: &Running) -> String {
    let scheme = if config.has_tls() { "https" } else { "http" };
    let mut text: String = running
        .addresses()
        .iter()
        .map(|address| format!("listening on {scheme}://{address}\n"))
        .collect();
    text.push('\n');
    for address in running.eventbridge_addresses() {
        text.push_str(&format!("EventBridge alone on {scheme}://{address}\n"));
    }
    text.push_str(&format!("data in {}\n", config.data_dir.display()));
    if !running.has_keys() {
        text.push_str("no keys: only this machine may use it (`trunkline key create` makes the first)\n");
        if config.allow_networks == AllowNetworks::Word("automatic".into()) {
            text.push_str("no keys: deliveries to 127.0.0.0/8 and ::1 are allowed (--allow-network says otherwise)\n");
        }
    }
    let server = running
        .addresses()
        .first()
        .map(|address| format!("{scheme}://{address}"))
        .unwrap_or_default();
    let option = if server == "http://127.0.0.1:8080" {
        String::new()
    } else {
        format!(" --server {server}")
    };
    let data = "'{\"greeting\":\"hello\"}'";
    let next = format!("  trunkline publish{option} --type com.example.hello --data {data}\n");
    text + "next, in another terminal:\n" + &next
}

/// Why it ends.
enum End {
    /// Somebody asked it to.
    Asked,
    /// A sync failed.
    Poisoned(String),
}

/// The signals that matter.
struct Signals {
    terminate: Signal,
    interrupt: Signal,
    hang_up: Signal,
}

impl Signals {
    fn new() -> Result<Signals, Failure> {
        let listen =
            |kind| signal(kind).map_err(|error| Failure::new(Code::Failed, format!("listen to signals: {error}")));
        Ok(Signals {
            terminate: listen(SignalKind::terminate())?,
            interrupt: listen(SignalKind::interrupt())?,
            hang_up: listen(SignalKind::hangup())?,
        })
    }

    /// Waits for a reason to end; SIGHUP reads the configuration again meanwhile.
    async fn wait(&mut self, running: &Running) -> End {
        loop {
            tokio::select! {
                _ = self.terminate.recv() => return End::Asked,
                _ = self.interrupt.recv() => return End::Asked,
                _ = self.hang_up.recv() => running.reload().await,
                reason = running.poisoned() => return End::Poisoned(reason),
            }
        }
    }
}
