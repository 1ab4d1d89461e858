//! From 1 to 1,000,000 filters, events of 1 KiB in the EventBridge envelope, one match each: the time of an event, of loading,
//! and of one filter more, and the memory of a filter.
//!
//! Events go through all filters in turn, in an order that no cache foresees; half of each kind's filters share a second field.

use std::sync::Arc;
use std::time::Duration;

use pattern::{Document, Filter, Matcher, Mounts, Scratch};

use crate::{median, timed};

const SIZES: [u32; 4] = [1, 1_000, 10_000, 100_000];
const LARGE: u32 = 1_000_000;

const EVENT_BYTES: usize = 1_024;

/// Events of one pass.
const EVENTS: u32 = 20_000;
const PASSES: usize = 5;

const KINDS: [&str; 9] = [
    "exact",
    "prefix",
    "suffix",
    "wildcard",
    "wildcard-inside",
    "numeric",
    "anything-but",
    "ignore-case",
    "cidr",
];

/// Measures these kinds; all of them if none is named.
pub fn run(kinds: &[String]) {
    let is_asked = |kind: &&str| kinds.is_empty() || kinds.iter().any(|asked| asked == kind);
    println!();
    println!("many filters: ns an event of 1 KiB, one match each; loading with compilation, one thread");
    let sizes: String = SIZES.iter().map(|size| format!("{size:>9}")).collect();
    println!("{:16}{sizes}   ratio  load/s  one more  bytes each", "kind");
    for kind in KINDS.into_iter().chain(["mix"]).filter(is_asked) {
        print_row(kind, &SIZES);
    }
    if kinds.is_empty() {
        print_row("exact", &[LARGE]);
    }
}

fn print_row(kind: &str, sizes: &[u32]) {
    let mut line = format!("{kind:16}");
    let mut times = Vec::new();
    let mut last = None;
    for size in sizes {
        let events = Events::new(*size);
        let (matcher, loading) = load(kind, *size);
        let time = measure(kind, &events, &matcher);
        times.push(time);
        line.push_str(&format!("{time:9.0}"));
        last = Some((*size, matcher, loading));
    }
    let (size, matcher, loading) = last.expect("there are sizes");
    let ratio = times[times.len() - 1] / times[0];
    let rate = f64::from(size) / loading.as_secs_f64();
    let bytes = matcher.memory() as f64 / f64::from(size);
    let more = one_more(kind, size, &matcher);
    println!(
        "{line} {ratio:6.2}x {rate:7.0} {:6.0} us {bytes:11.0}",
        more.as_secs_f64() * 1e6
    );
}

fn load(kind: &str, size: u32) -> (Matcher<u32>, Duration) {
    let patterns: Vec<String> = (0..size).map(|index| pattern(kind, index)).collect();
    let mut matcher = Matcher::default();
    let time = timed(|| {
        let filters = patterns
            .iter()
            .zip(0..)
            .map(|(pattern, index)| (index, compile(pattern)));
        matcher = Matcher::build(filters);
    });
    (matcher, time)
}

fn compile(pattern: &str) -> Arc<Filter> {
    Arc::new(Filter::eventbridge(pattern.as_bytes(), &Mounts::bare()).expect("the patterns compile"))
}

/// Events one behind the other, made before there are filters: they lie in memory alike however many filters there are.
struct Events {
    texts: String,
    wanted: Vec<u32>,
}

impl Events {
    fn new(size: u32) -> Self {
        let wanted: Vec<u32> = (0..EVENTS)
            .map(|index| index.wrapping_mul(2_654_435_761) % size)
            .collect();
        let texts: String = wanted.iter().map(|wanted| event(*wanted)).collect();
        assert_eq!(texts.len(), wanted.len() * EVENT_BYTES);
        Self { texts, wanted }
    }
}

/// Nanoseconds an event.
fn measure(kind: &str, events: &Events, matcher: &Matcher<u32>) -> f64 {
    let mut scratch = Scratch::new();
    let mut matched = Vec::new();
    let mut pass = || {
        for (wanted, event) in events.wanted.iter().zip(events.texts.as_bytes().chunks(EVENT_BYTES)) {
            matched.clear();
            matcher.matches(&Document::bare(event), &mut scratch, &mut matched);
            assert_eq!(matched, [*wanted], "{kind}");
        }
    };
    pass();
    let times = (0..PASSES).map(|_| timed(&mut pass)).collect();
    median(times).as_secs_f64() * 1e9 / f64::from(EVENTS)
}

/// The time of one filter more, while others read the set as it was.
fn one_more(kind: &str, size: u32, matcher: &Matcher<u32>) -> Duration {
    let filters: Vec<Arc<Filter>> = (0..100).map(|index| compile(&pattern(kind, size + index))).collect();
    let more = |filter: &Arc<Filter>| timed(|| drop(matcher.with(size, Arc::clone(filter))));
    median(filters.iter().map(more).collect())
}

fn pattern(kind: &str, index: u32) -> String {
    let kind = match kind {
        "mix" => KINDS[index as usize % KINDS.len()],
        kind => kind,
    };
    let field = match kind {
        "exact" => format!(r#""id": ["order-{index:07}"]"#),
        "prefix" => format!(r#""sku": [{{"prefix": "{index:07}-sku"}}]"#),
        "suffix" => format!(r#""file": [{{"suffix": "-{index:07}.png"}}]"#),
        "wildcard" => format!(r#""path": [{{"wildcard": "/orders/{index:07}/*/label.*"}}]"#),
        "wildcard-inside" => format!(r#""trace": [{{"wildcard": "*:{index:07}:*"}}]"#),
        "numeric" => format!(
            r#""total": [{{"numeric": [">=", {}, "<", {}]}}]"#,
            index * 10,
            index * 10 + 10
        ),
        "anything-but" => format!(r#""id": ["order-{index:07}"], "state": [{{"anything-but": ["test", "draft"]}}]"#),
        "ignore-case" => format!(r#""email": [{{"equals-ignore-case": "User-{index:07}@Example.com"}}]"#),
        _ => format!(
            r#""address": [{{"cidr": "2001:db8:{:x}:{:x}::/64"}}]"#,
            index >> 16,
            index & 0xFFFF
        ),
    };
    match index % 2 {
        0 => format!(r#"{{"source": ["com.example.shop"], "detail": {{"order": {{{field}}}}}}}"#),
        _ => format!(r#"{{"detail": {{"order": {{{field}}}}}}}"#),
    }
}

/// An event that every kind's filter of this index matches, and no other.
fn event(index: u32) -> String {
    let order = format!(
        r#"{{"id": "order-{index:07}", "sku": "{index:07}-sku-9", "file": "label-{index:07}.png", "path": "/orders/{index:07}/3/label.pdf", "trace": "a1:{index:07}:z9", "total": {}.5, "state": "paid", "email": "user-{index:07}@EXAMPLE.com", "address": "2001:db8:{:x}:{:x}::7"}}"#,
        index * 10 + 4,
        index >> 16,
        index & 0xFFFF
    );
    let lines = r#"[{"sku": "A-1", "quantity": 2, "price": 12.5}, {"sku": "B-22", "quantity": 1, "price": 7.25}]"#;
    let before = format!(
        r#"{{"version": "0", "id": "6a7e8feb-b491-4cf7-a9f1-bf3703467718", "detail-type": "OrderPlaced", "source": "com.example.shop", "account": "111122223333", "time": "2026-11-21T05:30:00Z", "region": "us-east-1", "resources": ["arn:aws:shop:us-east-1:111122223333:order/1"], "detail": {{"order": {order}, "lines": {lines}, "note": ""#
    );
    let after = "\"}}";
    let padding = "lorem ipsum ".repeat(64);
    let length = EVENT_BYTES - before.len() - after.len();
    format!("{before}{}{after}", &padding[..length])
}
