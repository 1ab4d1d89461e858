//! Recognising duplicates: the map of the window, and the identities of durable records that no run holds yet. What a
//! duplicate is answered is the commit's.

mod window;

use super::{
    disk::{Disk, File},
    run::{Filter, Identified, Probe, Run, RunError},
};
use crate::{AppendTime, Identity, Offset, PartitionId, Position};
use smallvec::SmallVec;
use std::{
    collections::{HashMap, VecDeque},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};
use window::{Key, Window};

/// Where the first record with an identity stands, and since when.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct First {
    /// The primary record.
    pub position: Position,
    /// When it was appended.
    pub append_time: AppendTime,
}

impl First {
    fn order(&self) -> (AppendTime, PartitionId, Offset) {
        (self.append_time, self.position.partition, self.position.offset)
    }
}

/// A run with its filter; open, because it may be merged into another at any moment.
#[derive(Debug)]
struct OpenRun {
    run: Arc<Run>,
    filter: Filter,
    file: File,
}

impl OpenRun {
    fn new(disk: &Disk, run: Arc<Run>) -> Result<Self, RunError> {
        let file = run.open_file(disk)?;
        let filter = run.filter(&file)?;
        Ok(Self { run, filter, file })
    }
}

/// Identities that are looked for together: a few times what a processor can wait for.
const LOOKED_AT_ONCE: usize = 128;

/// The identities of the window. Owned by the commit.
#[derive(Debug)]
pub struct Deduplication {
    disk: Disk,
    window: AppendTime,
    max: usize,
    known: Window,
    /// Append time of the newest identity that left before its time.
    evicted: Option<AppendTime>,
    /// Frames up to here are in runs.
    in_runs: u64,
    /// The runs of the window, newest first.
    runs: Vec<OpenRun>,
    /// A run of the window could not be opened.
    incomplete: bool,
}

impl Deduplication {
    /// An empty window.
    pub fn new(disk: Disk, window: AppendTime, max: usize) -> Self {
        Self {
            disk,
            window,
            max,
            known: Window::new(),
            evicted: None,
            in_runs: 0,
            runs: Vec::new(),
            incomplete: false,
        }
    }

    /// How many identities are in memory.
    pub fn len(&self) -> usize {
        self.known.len()
    }

    /// The first record with this identity within the window.
    pub fn find(&self, bus: u32, identity: Identity, now: AppendTime) -> Result<Option<First>, RunError> {
        if let Some(first) = self.known.get(&Key::new(bus, identity.unique)) {
            return Ok(Some(first).filter(|first| now - first.append_time < self.window));
        }
        match self.asks_runs(now) {
            Some(evicted) => self.find_in_runs(bus, identity, now, evicted),
            None => Ok(None),
        }
    }

    /// If what is not in memory may be in a run, the append time of the newest such: younger runs hold what is in memory.
    fn asks_runs(&self, now: AppendTime) -> Option<AppendTime> {
        self.evicted.filter(|evicted| now - evicted < self.window)
    }

    /// The runs that may hold what is not in memory.
    fn asked(&self, now: AppendTime, evicted: AppendTime) -> impl Iterator<Item = &OpenRun> {
        let is_asked = move |open: &&OpenRun| now - open.run.newest < self.window && open.run.oldest <= evicted;
        self.runs.iter().filter(is_asked)
    }

    /// Looks where [`find`](Self::find) will look for these: one after the other, each would wait for memory that is not in the
    /// processor's cache; here they wait together, the more of them the less stands between two looks.
    pub fn look_ahead(&self, mut identities: impl Iterator<Item = (u32, Identity)>, now: AppendTime) {
        let evicted = self.asks_runs(now);
        let mut seen = 0;
        let mut wanted = SmallVec::<[_; LOOKED_AT_ONCE]>::new();
        loop {
            wanted.extend(identities.by_ref().take(LOOKED_AT_ONCE).map(|(bus, identity)| {
                let place = self.known.place(&Key::new(bus, identity.unique));
                (place, Probe::new(bus, identity.lookup))
            }));
            if wanted.is_empty() {
                break;
            }
            let touched = wanted.iter().map(|(place, _)| self.known.touch(*place));
            seen = touched.fold(seen, |seen, place| seen ^ place);
            for open in evicted.iter().flat_map(|evicted| self.asked(now, *evicted)) {
                let touched = wanted.iter().map(|(_, probe)| open.filter.touch(probe));
                seen = touched.fold(seen, |seen, byte| seen ^ u64::from(byte));
            }
            wanted.clear();
        }
        std::hint::black_box(seen);
    }

    fn find_in_runs(
        &self,
        bus: u32,
        identity: Identity,
        now: AppendTime,
        evicted: AppendTime,
    ) -> Result<Option<First>, RunError> {
        if self.incomplete {
            return Err(RunError::Damaged);
        }
        let mut first: Option<First> = None;
        let probe = Probe::new(bus, identity.lookup);
        for open in self.asked(now, evicted) {
            let found = open.run.find_filtered(&open.file, &open.filter, &probe)?;
            let same = found.iter().filter(|found| found.primary && found.identity == identity);
            let in_window = same
                .map(First::from)
                .filter(|found| now - found.append_time < self.window);
            // What is not deduplicated may have brought it again.
            first = first.into_iter().chain(in_window).min_by_key(First::order);
        }
        Ok(first)
    }

    /// Notes an identity that the frame `sequence` brings, unless one within the window is known.
    pub fn insert(&mut self, bus: u32, unique: u128, first: First, sequence: u64) {
        let append_time = first.append_time;
        let within = |known: First| append_time - known.append_time < self.window;
        self.known.insert_unless(Key::new(bus, unique), first, sequence, within);
    }

    /// Takes back an identity whose frame was refused.
    pub fn remove(&mut self, bus: u32, unique: u128, refused: First) {
        self.known.remove_if(&Key::new(bus, unique), |known| known == refused);
    }

    /// Forgets what has left the window, and what is too much and in a run.
    pub fn expire(&mut self, now: AppendTime) {
        while let Some((time, sequence)) = self.known.oldest() {
            let over = now - time >= self.window;
            let evictable = self.known.len() > self.max && sequence <= self.in_runs;
            if !over && !evictable {
                break;
            }
            if !over {
                self.evicted = Some(time);
            }
            self.known.drop_oldest();
        }
    }

    /// Learns which runs exist and that they hold all frames up to `sequence`.
    pub fn set_runs(&mut self, runs: &[Arc<Run>], sequence: u64, now: AppendTime) -> Result<(), RunError> {
        let mut known = std::mem::take(&mut self.runs);
        self.in_runs = sequence;
        // Until all are open nobody is told that something is no duplicate.
        self.incomplete = true;
        for run in runs.iter().rev().filter(|run| now - run.newest < self.window) {
            let open = match known.iter().position(|open| open.run.number == run.number) {
                Some(place) => known.swap_remove(place),
                None => OpenRun::new(&self.disk, run.clone())?,
            };
            self.runs.push(open);
        }
        self.incomplete = false;
        Ok(())
    }

    /// Notes that identities up to this time may be in runs only.
    pub fn set_evicted(&mut self, append_time: AppendTime) {
        self.evicted = Some(append_time);
    }

    /// Fills the window after a restart: what runs and replayed frames hold.
    pub fn restore(&mut self, mut identities: Vec<Identified>, now: AppendTime) {
        identities.retain(|identified| identified.primary && now - identified.append_time < self.window);
        identities.sort_by_key(|identified| (identified.append_time, identified.partition, identified.offset));
        for identified in &identities {
            let bus = identified.partition.topic.bus;
            self.insert(bus, identified.identity.unique, First::from(identified), 0);
        }
        self.expire(now);
    }
}

impl From<&Identified> for First {
    fn from(identified: &Identified) -> Self {
        Self {
            position: Position {
                partition: identified.partition,
                offset: identified.offset,
            },
            append_time: identified.append_time,
        }
    }
}

/// A frame's sequence and identities.
type RecentFrame = (u64, Arc<Vec<Identified>>);

/// Frames that a search takes at once: the commit waits as long.
const FRAMES_AT_ONCE: usize = 256;

/// Identities of durable records that no run holds yet: the commit adds, the flusher takes, everybody searches.
#[derive(Debug, Default)]
pub struct Recent {
    frames: Mutex<VecDeque<RecentFrame>>,
}

impl Recent {
    fn frames(&self) -> MutexGuard<'_, VecDeque<RecentFrame>> {
        self.frames.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Adds a durable frame's.
    pub fn add(&self, sequence: u64, identities: Vec<Identified>) {
        if !identities.is_empty() {
            self.frames().push_back((sequence, Arc::new(identities)));
        }
    }

    /// How many there are of frames up to `sequence`.
    pub fn count_through(&self, sequence: u64) -> usize {
        let frames = self.frames();
        frames
            .iter()
            .take_while(|(frame, _)| *frame <= sequence)
            .map(|(_, found)| found.len())
            .sum()
    }

    /// Copies of all of frames up to `sequence`.
    pub fn through(&self, sequence: u64) -> Vec<Identified> {
        let mut found = Vec::with_capacity(self.count_through(sequence));
        self.each_frame(|(frame, identities)| {
            if *frame <= sequence {
                found.extend_from_slice(identities);
            }
        });
        found
    }

    /// For each partition that has some in frames behind `sequence`, the offset of the first.
    pub fn first_behind(&self, sequence: u64) -> HashMap<PartitionId, Offset> {
        let mut first = HashMap::new();
        self.each_frame(|(frame, identities)| {
            for identified in identities.iter().filter(|_| *frame > sequence) {
                let offset = first.entry(identified.partition).or_insert(identified.offset);
                *offset = identified.offset.min(*offset);
            }
        });
        first
    }

    /// Shows all frames, and holds the lock for a few of them at a time only: the commit takes it for every frame.
    fn each_frame(&self, mut each: impl FnMut(&RecentFrame)) {
        let mut next = 0;
        loop {
            let some: Vec<RecentFrame> = {
                let frames = self.frames();
                let first = frames.partition_point(|(frame, _)| *frame < next);
                frames.range(first..).take(FRAMES_AT_ONCE).cloned().collect()
            };
            let Some((last, _)) = some.last() else { return };
            next = last + 1;
            some.iter().for_each(&mut each);
        }
    }

    /// Drops those of frames up to `sequence`: a run holds them.
    pub fn drop_through(&self, sequence: u64) {
        let mut frames = self.frames();
        let count = frames.partition_point(|(frame, _)| *frame <= sequence);
        frames.drain(..count);
    }

    /// Everything of one bus with this lookup hash.
    pub fn find(&self, bus: u32, lookup: u64) -> Vec<Identified> {
        let mut found = Vec::new();
        let is_it = |one: &Identified| one.partition.topic.bus == bus && one.identity.lookup == lookup;
        self.each_frame(|(_, identities)| found.extend(identities.iter().filter(|one| is_it(one))));
        found
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        TopicId,
        embedded::{disk::SimulatedDisk, format::Layout},
    };
    use std::path::Path;

    fn identified(number: u64) -> Identified {
        Identified {
            partition: PartitionId {
                topic: TopicId { bus: 1, topic: 2 },
                index: 0,
            },
            offset: number,
            append_time: number as i64,
            identity: Identity {
                lookup: number,
                unique: number.into(),
            },
            primary: true,
        }
    }

    #[test]
    fn only_runs_that_may_hold_what_left_memory_are_asked() {
        let disk = Disk::Simulated(SimulatedDisk::new(1));
        let layout = Layout::new(Path::new("d"));
        disk.create_directory(&layout.identities()).unwrap();
        let runs: Vec<_> = (1..=3)
            .map(|number| {
                let held = number * 100..number * 100 + 50;
                let run = Run::write(&disk, &layout, number, held.map(identified).collect(), Vec::new());
                Arc::new(run.unwrap())
            })
            .collect();
        let (window, now) = (10_000, 400);
        let mut identities = Deduplication::new(disk.clone(), window, 1_000);
        identities.set_runs(&runs, 0, now).unwrap();
        for (evicted, asked) in [(99, 0), (100, 1), (199, 1), (225, 2), (now, 3)] {
            identities.set_evicted(evicted);
            assert_eq!(identities.asked(now, evicted).count(), asked, "{evicted}");
        }
        identities.set_evicted(225);
        for number in [100, 149, 225] {
            let found = identities.find(1, identified(number).identity, now).unwrap();
            assert_eq!(found, Some(First::from(&identified(number))));
        }
        assert_eq!(identities.find(1, identified(99).identity, now).unwrap(), None);
    }
}
