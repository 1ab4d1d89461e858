//! Measures the matcher against the `quamina` crate, and against itself as filters grow many, in one run; prints ratios.
//! `cargo bench -p pattern -- --citylots DIR`: about two minutes, on one thread pinned to one processor. `--only-many` and
//! `--only-citylots` leave out the other part, `--kind=mix` all other kinds of filters, `--class=EXACT` all other classes.
//!
//! DIR (or the variable `PATTERN_CITYLOTS`) holds `citylots2.json` or `citylots2.json.gz`, one event a line, and `cl2_rules.json`,
//! which names classes of patterns with the matches each must have. Without it that part is left out. What stands before the
//! other figures is asserted: counts are right, or the bench fails.

#[path = "pattern/citylots.rs"]
mod citylots;
#[path = "pattern/many.rs"]
mod many;

use std::path::PathBuf;
use std::time::{Duration, Instant};

fn main() {
    let arguments: Vec<String> = std::env::args().collect();
    // `cargo test --benches` runs this too, and does not say that it is to measure.
    if !arguments.iter().any(|argument| argument == "--bench") {
        return;
    }
    pin();
    let only = |name: &str| {
        !arguments.iter().any(|argument| argument.starts_with("--only-"))
            || arguments.iter().any(|argument| argument == name)
    };
    if only("--only-citylots") {
        match directory(&arguments) {
            Some(directory) => citylots::run(&directory, &named(&arguments, "--class=")),
            None => println!("citylots: left out; `--citylots DIR` or PATTERN_CITYLOTS names the generated data"),
        }
    }
    if only("--only-many") {
        many::run(&named(&arguments, "--kind="));
    }
}

/// What is asked for by name; everything, if nothing is.
fn named(arguments: &[String], option: &str) -> Vec<String> {
    let names = arguments.iter().filter_map(|argument| argument.strip_prefix(option));
    names.map(String::from).collect()
}

fn directory(arguments: &[String]) -> Option<PathBuf> {
    let at = arguments.iter().position(|argument| argument == "--citylots");
    let named = at.and_then(|at| arguments.get(at + 1).map(PathBuf::from));
    named.or_else(|| std::env::var_os("PATTERN_CITYLOTS").map(PathBuf::from))
}

/// Stays on the last of the processors it may use: interrupts usually go to the first.
fn pin() {
    let allowed = rustix::thread::sched_getaffinity(None).expect("the processors of a thread can be asked for");
    let last = (0..rustix::thread::CpuSet::MAX_CPU)
        .rev()
        .find(|cpu| allowed.is_set(*cpu));
    let mut one = rustix::thread::CpuSet::new();
    one.set(last.expect("a thread that runs may use a processor"));
    if rustix::thread::sched_setaffinity(None, &one).is_err() {
        println!("(not pinned to a processor)");
    }
}

fn timed(work: impl FnOnce()) -> Duration {
    let begin = Instant::now();
    work();
    begin.elapsed()
}

fn median(mut times: Vec<Duration>) -> Duration {
    times.sort_unstable();
    times[times.len() / 2]
}
