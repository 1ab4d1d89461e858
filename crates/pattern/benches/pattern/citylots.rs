//! 213,068 events of 860 bytes, classes of five patterns each: the benchmark that this field compares itself by.
//!
//! Three readers take turns over the same bytes: ours with every byte of a text checked, ours with a text known to be well formed
//! (the peer checks nothing of what it skips either), and the peer.

use std::collections::BTreeMap;
use std::path::Path;
use std::process::Command;
use std::sync::Arc;
use std::time::Duration;

use pattern::{Document, Filter, Matcher, Mounts, Scratch};
use quamina::Quamina;
use serde::Deserialize;
use serde_json::value::RawValue;

use crate::{median, timed};

/// Passes that are measured, after one to warm up.
const PASSES: usize = 5;

#[derive(Deserialize)]
struct Case {
    pattern: Box<RawValue>,
    expected_matches: u64,
}

/// What the passes of one reader came to.
struct Row {
    median: Duration,
    counts: Vec<u64>,
}

/// Measures these classes; all of them if none is named.
pub fn run(directory: &Path, asked: &[String]) {
    let bytes = read(directory);
    let events: Vec<&[u8]> = bytes
        .split(|byte| *byte == b'\n')
        .filter(|line| !line.is_empty())
        .collect();
    let rules = std::fs::read(directory.join("cl2_rules.json")).expect("cl2_rules.json lies beside the events");
    let classes: BTreeMap<String, Vec<Case>> = serde_json::from_slice(&rules).expect("the classes are JSON");
    println!("citylots: {} events, thousands of events/s on one thread", events.len());
    println!(
        "{:26} {:>8} {:>11} {:>8} {:>8} {:>11}",
        "class", "checked", "well-formed", "quamina", "ratio", "ratio w-f"
    );
    let is_asked = |class: &String| asked.is_empty() || asked.contains(class);
    for (class, cases) in classes.iter().filter(|(class, _)| is_asked(class)) {
        measure(class, cases, &events);
    }
}

fn read(directory: &Path) -> Vec<u8> {
    if let Ok(bytes) = std::fs::read(directory.join("citylots2.json")) {
        return bytes;
    }
    let gzip = Command::new("gzip")
        .arg("-dc")
        .arg(directory.join("citylots2.json.gz"))
        .output();
    gzip.expect("gzip unpacks citylots2.json.gz").stdout
}

fn measure(class: &str, cases: &[Case], events: &[&[u8]]) {
    let compile = |(index, case): (usize, &Case)| {
        let filter = Filter::eventbridge(case.pattern.get().as_bytes(), &Mounts::bare()).expect("every class compiles");
        (index, Arc::new(filter))
    };
    let matcher = Matcher::build(cases.iter().enumerate().map(compile));
    let peer = peer(cases);
    let (mut checked, mut well_formed, mut quamina) = (Vec::new(), Vec::new(), Vec::new());
    let mut scratch = Scratch::new();
    let mut counts = [vec![0; cases.len()], vec![0; cases.len()], vec![0; cases.len()]];
    for pass in 0..=PASSES {
        let times = [
            timed(|| counts[0] = ours(&matcher, cases.len(), events, &mut scratch, Document::bare)),
            timed(|| counts[1] = ours(&matcher, cases.len(), events, &mut scratch, Document::bare_well_formed)),
            timed(|| {
                if let Some(peer) = &peer {
                    counts[2] = theirs(peer, cases.len(), events)
                }
            }),
        ];
        if pass > 0 {
            checked.push(times[0]);
            well_formed.push(times[1]);
            quamina.push(times[2]);
        }
    }
    let [of_checked, of_well_formed, of_peer] = counts;
    let rows = [(checked, of_checked), (well_formed, of_well_formed), (quamina, of_peer)];
    let [checked, well_formed, quamina] = rows.map(|(times, counts)| Row {
        median: median(times),
        counts,
    });
    let expected: Vec<u64> = cases.iter().map(|case| case.expected_matches).collect();
    assert_eq!(checked.counts, expected, "{class}");
    assert_eq!(well_formed.counts, expected, "{class} of well-formed texts");
    print_row(
        class,
        events.len(),
        [&checked, &well_formed],
        peer.map(|_| &quamina),
        &expected,
    );
}

fn print_row(class: &str, events: usize, ours: [&Row; 2], peer: Option<&Row>, expected: &[u64]) {
    let rate = |row: &Row| events as f64 / row.median.as_secs_f64() / 1e3;
    let [checked, well_formed] = ours.map(rate);
    let Some(peer) = peer else {
        println!("{class:26} {checked:8.0} {well_formed:11.0}  refuses");
        return;
    };
    let note = if peer.counts == expected {
        ""
    } else {
        " (its counts are wrong)"
    };
    let (theirs, ratio) = (rate(peer), checked / rate(peer));
    println!(
        "{class:26} {checked:8.0} {well_formed:11.0} {theirs:8.0} {ratio:7.2}x {:10.2}x{note}",
        well_formed / theirs
    );
}

fn peer(cases: &[Case]) -> Option<Quamina<usize>> {
    let mut peer = Quamina::new();
    let added = cases
        .iter()
        .enumerate()
        .all(|(index, case)| peer.add_pattern(index, case.pattern.get()).is_ok());
    added.then_some(peer)
}

fn ours<'e>(
    matcher: &Matcher<usize>,
    patterns: usize,
    events: &[&'e [u8]],
    scratch: &mut Scratch,
    document: fn(&'e [u8]) -> Document<'e>,
) -> Vec<u64> {
    let mut counts = vec![0; patterns];
    let mut matched = Vec::new();
    for event in events {
        matched.clear();
        matcher.matches(&document(event), scratch, &mut matched);
        matched.iter().for_each(|index| counts[*index] += 1);
    }
    counts
}

fn theirs(peer: &Quamina<usize>, patterns: usize, events: &[&[u8]]) -> Vec<u64> {
    let mut counts = vec![0; patterns];
    for event in events {
        let matched = peer.matches_for_event(event).unwrap_or_default();
        matched.iter().for_each(|index| counts[*index] += 1);
    }
    counts
}
