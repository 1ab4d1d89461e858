//! Check 2 while the commit is one group ahead: steps are taken a few at a time between appends, trims and checkpoints, and what
//! fails does so while another group is assembled behind what is written.

use super::{Random, Story, poll_once};
use crate::{
    Append, Durable, Error, Journal, PartitionId,
    embedded::{Drivers, Embedded, Fault, Operation, SyncFault, shared::lock, tests::tier},
};

/// A request on its way: its number, what is expected of it, and what to send again if it is refused.
struct Sent {
    request: u64,
    append: Append,
    expected: Vec<Vec<(PartitionId, u64)>>,
    durable: Durable,
    /// It was sent before, and may still be in work.
    again: bool,
}

/// Counts of what a story came across.
#[derive(Default)]
struct Seen {
    /// Something failed, or power was cut, while a group was ahead.
    ahead: u64,
    /// Requests refused because of a full volume.
    refused: u64,
    duplicates: u64,
}

fn groups_ahead(journal: &Embedded) -> usize {
    match &*lock(&journal.drivers) {
        Drivers::Steps(machines) => machines.assembled.len(),
        Drivers::Threads(_) => 0,
    }
}

/// Moves and asks so many times; gives what is still waited for, and what was refused.
fn work(story: &mut Story, journal: &Embedded, operations: u64, seen: &mut Seen) -> (Vec<Sent>, Vec<Sent>) {
    let (mut sent, mut refused) = (Vec::new(), Vec::new());
    for _ in 0..operations {
        match story.random.below(16) {
            0 => story.trim(journal),
            1 => drop(poll_once(journal.checkpoint())),
            2 => story.clock.pass(1),
            3 => send_again(&sent, &mut story.random, journal)
                .into_iter()
                .for_each(|again| sent.push(again)),
            _ => send(story, journal, &mut sent),
        }
        for _ in 0..story.random.below(4) {
            let troubled = journal.shared.status.is_troubled();
            let ahead = groups_ahead(journal) > 1;
            journal.step();
            seen.ahead += u64::from(ahead && !troubled && journal.shared.status.is_troubled());
        }
        answers(story, journal, &mut sent, &mut refused, seen);
    }
    seen.ahead += u64::from(groups_ahead(journal) > 1);
    (sent, refused)
}

fn send(story: &mut Story, journal: &Embedded, sent: &mut Vec<Sent>) {
    let (request, append, expected) = story.request();
    if let Ok(durable) = journal.append(append.clone()) {
        sent.push(Sent {
            request,
            append,
            expected,
            durable,
            again: false,
        });
    }
}

/// What a client does that is out of patience.
fn send_again(sent: &[Sent], random: &mut Random, journal: &Embedded) -> Option<Sent> {
    let first = sent.get(random.below(sent.len().max(1) as u64) as usize)?;
    let durable = journal.append(first.append.clone()).ok()?;
    Some(Sent {
        request: first.request,
        append: first.append.clone(),
        expected: first.expected.clone(),
        durable,
        again: true,
    })
}

fn answers(story: &mut Story, journal: &Embedded, sent: &mut Vec<Sent>, refused: &mut Vec<Sent>, seen: &mut Seen) {
    let mut waiting = Vec::new();
    for mut one in std::mem::take(sent) {
        match poll_once(&mut one.durable) {
            None => waiting.push(one),
            Some(Ok(appended)) if one.again && appended[0].duplicate => {
                seen.duplicates += 1;
                for (appended, entry) in appended.iter().zip(&one.expected) {
                    let at = (appended.position.partition, appended.position.offset);
                    let first = journal.bounds(at.0).unwrap();
                    assert!(at.1 < first.high_water, "the first one is durable");
                    let value = story.model.acknowledged.get(&at);
                    assert!(
                        value.is_none_or(|value| *value == entry[0].1),
                        "it is the first one's place"
                    );
                }
            }
            // Its first one was refused, and took nothing with it.
            Some(Ok(appended)) => story.acknowledge(one.request, &appended, &one.expected),
            Some(Err(Error::OutOfSpace { .. })) => {
                seen.refused += 1;
                refused.push(one);
            }
            Some(Err(_)) => {}
        }
    }
    *sent = waiting;
}

fn no_space(name: &str) -> Fault {
    Fault {
        operation: Operation::Write,
        name: name.to_owned(),
        bytes: 0..u64::MAX,
        code: Some(rustix::io::Errno::NOSPC.raw_os_error()),
    }
}

/// The disk refuses frames for a while: what is refused leaves no trace, and is taken when it is sent again.
fn refuse_frames(story: &mut Story, journal: &Embedded, seen: &mut Seen) {
    story.disk.set_fault(Some(no_space(".frames")));
    let (mut left, refused) = work(story, journal, 6, seen);
    story.disk.set_fault(None);
    // Full or not is looked up when somebody asks.
    journal.health();
    while journal.step() {}
    answers(story, journal, &mut left, &mut Vec::new(), seen);
    assert!(left.is_empty(), "all are answered");
    for one in refused {
        let durable = journal.append(one.append).unwrap();
        while journal.step() {}
        let appended = poll_once(durable).unwrap().unwrap();
        // The same may have been sent twice, and taken once by now.
        let values = one.expected.iter().map(|entry| entry[0].1);
        let is_known = |value| story.model.acknowledged.values().any(|known| *known == value);
        let known: Vec<bool> = values.map(is_known).collect();
        let duplicates: Vec<bool> = appended.iter().map(|appended| appended.duplicate).collect();
        assert_eq!(duplicates, known, "what was refused left nothing");
        if !known[0] {
            story.acknowledge(one.request, &appended, &one.expected);
        }
    }
}

#[test]
fn groups_that_are_assembled_ahead_share_the_fate_of_those_before_them_check_2() {
    let mut seen = Seen::default();
    for seed in tier::seeds(60) {
        let mut story = Story::new(seed);
        story.adjust = |settings| settings.ahead_bytes = 1;
        let journal = story.open().unwrap();
        work(&mut story, &journal, 20, &mut seen);
        match seed % 3 {
            0 => story.disk.cut_power_after(1 + story.random.below(30)),
            1 => story
                .disk
                .fail_sync_after(1 + story.random.below(4), SyncFault::PagesDropped),
            _ => refuse_frames(&mut story, &journal, &mut seen),
        }
        work(&mut story, &journal, 20, &mut seen);
        drop(journal);
        story.disk = story.disk.power_cycle();
        let journal = story.open().unwrap_or_else(|error| panic!("seed {seed}: {error}"));
        story.verify(&journal);
    }
    assert!(
        seen.ahead > 0 && seen.refused > 0 && seen.duplicates > 0,
        "all of it was met"
    );
}
