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

/// How so many exact filters are named, if they alone are to be measured.
const LARGE_KIND: &str = "million";

/// Filters that are asked about every event, and events that they are asked about.
const ALWAYS: u32 = 1_000;

const EVENT_BYTES: usize = 1_024;

/// Events of one pass.
const EVENTS: u32 = 20_000;

/// Passes of each size, after one to warm up. The sizes take turns, so that a slow moment of the machine is one of all of them.
const PASSES: usize = 9;

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
    if kinds.is_empty() || kinds.iter().any(|asked| asked == LARGE_KIND) {
        print_row("exact", &[1, LARGE]);
    }
    if kinds.is_empty() {
        print_asked_always();
    }
}

/// Filters that could hold for anything, and so are asked about every event: what each of them costs.
fn print_asked_always() {
    let not = |index: u32| {
        let text = format!(r#"{{"$not": {{"detail": {{"order": {{"id": ["order-{index:07}"]}}}}}}}}"#);
        Filter::eventbridge_extended(text.as_bytes(), &Mounts::bare()).expect("the patterns compile")
    };
    let query = |index: u32| {
        let text = format!("$.detail.order[?@.id != {index}]");
        Filter::jsonpath(&text).expect("the queries compile")
    };
    let kinds: [(&str, &dyn Fn(u32) -> Filter); 2] = [("$not", &not), ("JSONPath !=", &query)];
    let events = Events::new(LARGE);
    for (kind, filter) in kinds {
        let times = [1, ALWAYS].map(|count| {
            let matcher = Matcher::build((0..count).map(|index| (index, Arc::new(filter(index)))));
            let (mut scratch, mut matched) = (Scratch::new(), Vec::new());
            let time = timed(|| {
                for event in events.texts.as_bytes().chunks(EVENT_BYTES).take(ALWAYS as usize) {
                    matched.clear();
                    matcher.matches(&Document::bare(event), &mut scratch, &mut matched);
                }
            });
            time.as_secs_f64() * 1e9 / f64::from(ALWAYS)
        });
        let each = (times[1] - times[0]) / f64::from(ALWAYS - 1);
        println!("{kind:16} asked about every event: {each:.0} ns a filter and event");
    }
}

fn print_row(kind: &str, sizes: &[u32]) {
    let mut sets: Vec<Set> = sizes.iter().map(|size| Set::new(kind, *size)).collect();
    for pass in 0..=PASSES {
        for set in &mut sets {
            let time = timed(|| set.pass(kind));
            if pass > 0 {
                set.times.push(time);
            }
        }
    }
    let first = sets[0].times.clone();
    let last = sets.pop().expect("there are sizes");
    let nanoseconds = |times: &[Duration]| median(times.to_vec()).as_secs_f64() * 1e9 / f64::from(EVENTS);
    let columns = sets
        .iter()
        .chain([&last])
        .map(|set| format!("{:9.0}", nanoseconds(&set.times)));
    let line: String = columns.collect();
    let rate = f64::from(last.size) / last.loading.as_secs_f64();
    let bytes = last.matcher.memory() as f64 / f64::from(last.size);
    let more = one_more(kind, last.size, &last.matcher);
    println!(
        "{kind:16}{line} {:6.2}x {rate:7.0} {:6.0} us {bytes:11.0}",
        ratio(&last.times, &first),
        more.as_secs_f64() * 1e6
    );
}

/// How many times as long the one took as the other, pass by pass: what lies in the middle.
fn ratio(times: &[Duration], of: &[Duration]) -> f64 {
    let pairs = times.iter().zip(of);
    let mut ratios: Vec<f64> = pairs.map(|(time, of)| time.as_secs_f64() / of.as_secs_f64()).collect();
    ratios.sort_by(f64::total_cmp);
    ratios[ratios.len() / 2]
}

/// So many filters of a kind, and the events that are asked about.
struct Set {
    size: u32,
    events: Events,
    matcher: Matcher<u32>,
    loading: Duration,
    scratch: Scratch,
    matched: Vec<u32>,
    times: Vec<Duration>,
}

impl Set {
    fn new(kind: &str, size: u32) -> Self {
        let events = Events::new(size);
        let (matcher, loading) = load(kind, size);
        Self {
            size,
            events,
            matcher,
            loading,
            scratch: Scratch::new(),
            matched: Vec::new(),
            times: Vec::new(),
        }
    }

    fn pass(&mut self, kind: &str) {
        let texts = self.events.texts.as_bytes().chunks(EVENT_BYTES);
        for (wanted, event) in self.events.wanted.iter().zip(texts) {
            self.matched.clear();
            self.matcher
                .matches(&Document::bare(event), &mut self.scratch, &mut self.matched);
            assert_eq!(self.matched, [*wanted], "{kind}");
        }
    }
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
