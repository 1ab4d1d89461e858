//! Quick ratios on generated events, for whoever changes the matcher: scanning against parsing, many filters against one, loading.
//!
//! Run it with `--release`. It prints ratios; absolute times belong to the machine.

use std::fmt::Write;
use std::hint::black_box;
use std::sync::Arc;
use std::time::{Duration, Instant};

use pattern::{Data, Document, Filter, Matcher, Mounts, Scratch};

const EVENTS: u32 = 2_000;
const COUNTS: [u32; 4] = [1, 100, 10_000, 100_000];

/// A kind of filter: its name, and the tests of the field `detail.order.id` in the filter of an index.
type Kind = (&'static str, fn(u32) -> String);

const KINDS: [Kind; 5] = [
    ("exact", |index| format!("\"order-{index}\"")),
    ("prefix", |index| format!("{{\"prefix\":\"order-{index}\"}}")),
    ("suffix", |index| format!("{{\"suffix\":\"r-{index}\"}}")),
    ("wildcard", |index| format!("{{\"wildcard\":\"order-{index}*\"}}")),
    ("equals-ignore-case", |index| {
        format!("{{\"equals-ignore-case\":\"Order-{index}\"}}")
    }),
];

fn main() {
    let mounts = Mounts::builder()
        .mount("detail-type", "/attr/type")
        .mount("detail", "/data")
        .build();
    let data: Vec<String> = (0..EVENTS).map(event).collect();
    let size = data.iter().map(String::len).sum::<usize>() / data.len();
    let parse = per_event(&data, |json| {
        black_box(serde_json::from_str::<serde_json::Value>(json).is_ok());
    });
    println!("events of {size} bytes; parsing one into a tree with serde_json is 1.00");
    for (kind, tests) in KINDS {
        for count in COUNTS {
            let started = Instant::now();
            let filters: Vec<(u32, Arc<Filter>)> = (0..count)
                .map(|index| (index, compiled(&tests(index), &mounts)))
                .collect();
            let compile = started.elapsed();
            let matcher = Matcher::build(filters);
            let load = started.elapsed();
            let (mut scratch, mut out) = (Scratch::new(), Vec::new());
            let matching = per_event(&data, |json| {
                out.clear();
                let document = Document::new()
                    .text("/attr/type", "order.placed")
                    .data(Data::Json(json.as_bytes()));
                matcher.matches(&document, &mut scratch, &mut out);
                black_box(out.len());
            });
            let ratio = matching.as_secs_f64() / parse.as_secs_f64();
            let (per_second, compiling) = (
                f64::from(count) / load.as_secs_f64(),
                100.0 * compile.as_secs_f64() / load.as_secs_f64(),
            );
            println!(
                "{kind:18} {count:>7} filters: {ratio:>7.2}; loads {per_second:>9.0}/s, {compiling:.0} % of it compiling"
            );
            if kind == "equals-ignore-case" && count >= 10_000 {
                break;
            }
        }
    }
}

fn compiled(tests: &str, mounts: &Mounts) -> Arc<Filter> {
    let pattern = format!("{{\"detail-type\":[\"order.placed\"],\"detail\":{{\"order\":{{\"id\":[{tests}]}}}}}}");
    Arc::new(Filter::eventbridge(pattern.as_bytes(), mounts).expect("the pattern is valid"))
}

/// The time of one event, the best of three rounds.
fn per_event(data: &[String], mut run: impl FnMut(&str)) -> Duration {
    let rounds = (0..3).map(|_| {
        let started = Instant::now();
        data.iter().for_each(|json| run(json));
        started.elapsed()
    });
    rounds.min().unwrap_or_default() / u32::try_from(data.len()).expect("few events")
}

/// About one kibibyte: an order with customer, lines and notes.
fn event(index: u32) -> String {
    let mut lines = String::new();
    for line in 0..6 {
        write!(lines, "{{\"sku\":\"SKU-{index}-{line}\",\"quantity\":{line},\"price\":{{\"amount\":{line}.25,\"currency\":\"EUR\"}}}},")
            .expect("writing to a string");
    }
    lines.pop();
    let note = "Please leave it at the door; the bell does not work. ".repeat(4);
    format!(
        "{{\"customer\":{{\"id\":\"c-{index}\",\"name\":\"Ada Lovelace\",\"tags\":[\"new\",\"vip\",\"eu\"]}},\"lines\":[{lines}],\
         \"note\":\"{note}\",\"order\":{{\"id\":\"order-{}\",\"total\":{index}.5,\"paid\":true}}}}",
        index % 1_000
    )
}
