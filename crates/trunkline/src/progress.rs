//! Long work on the way: a bar at a terminal, plain lines otherwise. Always on standard error: results go elsewhere.

use crate::output::say;
use indicatif::{ProgressBar, ProgressStyle};
use std::{
    future::Future,
    io::IsTerminal,
    time::{Duration, Instant},
};

/// How often a bar is drawn, and a server asked.
const LOOK_INTERVAL: Duration = Duration::from_millis(200);
/// How often a line is written where no bar can be.
const LINE_INTERVAL: Duration = Duration::from_secs(5);

/// Shows how far something is.
#[derive(Debug)]
pub struct Shown {
    bar: Option<ProgressBar>,
    phase: String,
    said: Instant,
}

impl Shown {
    /// Shows nothing yet.
    pub fn new() -> Shown {
        let style = ProgressStyle::with_template("{msg:>10} {wide_bar} {bytes}/{total_bytes}  {bytes_per_sec}  {eta}");
        let bar = std::io::stderr().is_terminal().then(|| {
            let style = style.expect("the template is a constant");
            ProgressBar::new(0).with_style(style)
        });
        Shown {
            bar,
            phase: String::new(),
            said: Instant::now(),
        }
    }

    /// It is in this phase, so far.
    pub fn at(&mut self, phase: &str, bytes: u64, bytes_total: u64) {
        if let Some(bar) = &self.bar {
            if self.phase != phase {
                bar.reset();
            }
            bar.set_message(phase.to_string());
            bar.set_length(bytes_total);
            bar.set_position(bytes);
        } else if self.phase != phase || self.said.elapsed() >= LINE_INTERVAL {
            say!("{phase}: {} of {}", size(bytes), size(bytes_total));
            self.said = Instant::now();
        }
        self.phase = phase.to_string();
    }

    /// Waits a moment between two looks.
    pub async fn pause() {
        tokio::time::sleep(LOOK_INTERVAL).await;
    }

    /// Shows local work until it ends.
    pub async fn during<T>(mut self, progress: &backup::Progress, work: impl Future<Output = T>) -> T {
        let mut work = std::pin::pin!(work);
        loop {
            tokio::select! {
                done = &mut work => {
                    self.end();
                    return done;
                }
                () = Shown::pause() => {
                    let seen = progress.seen();
                    self.at(seen.phase.word(), seen.bytes, seen.bytes_total);
                }
            }
        }
    }

    /// Takes the bar away.
    pub fn end(self) {
        if let Some(bar) = self.bar {
            bar.finish_and_clear();
        }
    }
}

/// Bytes for people.
pub fn size(bytes: u64) -> String {
    indicatif::BinaryBytes(bytes).to_string()
}
