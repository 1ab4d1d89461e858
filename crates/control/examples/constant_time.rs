//! `cargo run -p control --example constant_time`: whether the time of the one comparison of secrets tells anything about them, by
//! Welch's t-test over a million comparisons (check 42). Half of what is shown is right but for its last byte, half wrong from its
//! first on; a comparison that stops early is told apart by the same test, so that it is known to see.

use std::{hint::black_box, process::ExitCode, time::Instant};

const SAMPLES: usize = 1_000_000;
/// Comparisons of one sample: the clock is coarser than one.
const TOGETHER: usize = 16;
/// Beyond this the two halves are told apart.
const T_MAX: f64 = 10.0;

/// The times of one half, as Welford sums them.
#[derive(Default)]
struct Half {
    count: f64,
    mean: f64,
    squares: f64,
}

impl Half {
    fn add(&mut self, time: f64) {
        self.count += 1.0;
        let off = time - self.mean;
        self.mean += off / self.count;
        self.squares += off * (time - self.mean);
    }

    fn variance_of_mean(&self) -> f64 {
        self.squares / (self.count - 1.0) / self.count
    }
}

fn t_of(compare: impl Fn(&[u8], &[u8]) -> bool) -> f64 {
    let mut times = timed(compare);
    let mut sorted: Vec<f64> = times.iter().map(|(_, time)| *time).collect();
    sorted.sort_by(f64::total_cmp);
    // What the machine did meanwhile belongs to neither half.
    let most = sorted[SAMPLES * 95 / 100];
    times.retain(|(_, time)| *time <= most);
    let mut halves = [Half::default(), Half::default()];
    for (which, time) in times {
        halves[which].add(time);
    }
    let [one, other] = halves;
    (one.mean - other.mean) / (one.variance_of_mean() + other.variance_of_mean()).sqrt()
}

fn timed(compare: impl Fn(&[u8], &[u8]) -> bool) -> Vec<(usize, f64)> {
    let kept = [0x5a_u8; 64];
    let (mut nearly, mut not_at_all) = (kept, kept);
    nearly[63] ^= 1;
    not_at_all[0] ^= 1;
    let mut state = 1_u64;
    let sample = |_| {
        // Xorshift: no branch predictor knows which one comes next.
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        let which = usize::from(state & 1 == 1);
        let shown = black_box([&nearly, &not_at_all][which]);
        let start = Instant::now();
        for _ in 0..TOGETHER {
            black_box(compare(black_box(shown), black_box(&kept)));
        }
        (which, start.elapsed().as_nanos() as f64)
    };
    (0..SAMPLES).map(sample).collect()
}

fn main() -> ExitCode {
    let early = t_of(|one, other| one.iter().zip(other).all(|(one, other)| one == other));
    println!("a comparison that stops early: t = {early:.1}");
    let ours = t_of(control::is_same);
    println!("is_same: t = {ours:.1}, at most {T_MAX}");
    match ours.abs() < T_MAX && early.abs() > T_MAX {
        true => ExitCode::SUCCESS,
        false => ExitCode::FAILURE,
    }
}
