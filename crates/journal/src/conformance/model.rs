//! Random operations against a model: what a journal is, in forty lines.

use super::{Random, Seen, Session, Subject, event, expected, partition, plain, topic};
use crate::{Appended, Entry, PartitionId};
use std::collections::{BTreeMap, HashMap};

const SEEDS: u64 = 4;
const STEPS: u32 = 150;
const TOPICS: u32 = 3;
const PARTITIONS: u32 = 2;
/// Few, so that duplicates happen.
const IDS: u64 = 60;

/// What the journal must hold.
#[derive(Default)]
struct Model {
    records: BTreeMap<PartitionId, Vec<Seen>>,
    firsts: HashMap<u64, Appended>,
}

pub(super) async fn random_operations_agree_with_a_model(session: &Session<'_>) {
    for seed in 0..SEEDS {
        run_seed(session, seed).await;
    }
}

async fn run_seed(session: &Session<'_>, seed: u64) {
    let mut random = Random(seed);
    let mut subject = Subject::start(session).await;
    let mut model = Model::default();
    for number in 0..TOPICS {
        subject.create(topic(number), PARTITIONS).await;
        model
            .records
            .extend((0..PARTITIONS).map(|index| (partition(topic(number), index), Vec::new())));
    }
    let deduplicates = subject.journal.capabilities().deduplication;
    for _ in 0..STEPS {
        match random.below(20) {
            0 => subject = subject.restart().await,
            1 | 2 => trim(&subject, &mut model, &mut random).await,
            _ if deduplicates => append_some(&subject, &mut model, &mut random).await,
            _ => append_plain(&subject, &mut model, &mut random).await,
        }
    }
    for (partition, wanted) in &model.records {
        assert_eq!(
            &subject.read_all(*partition).await,
            wanted,
            "seed {seed}, {partition:?}"
        );
    }
}

fn any_partition(random: &mut Random) -> PartitionId {
    partition(
        topic(random.below(TOPICS.into()) as u32),
        random.below(PARTITIONS.into()) as u32,
    )
}

async fn trim(subject: &Subject<'_>, model: &mut Model, random: &mut Random) {
    let partition = any_partition(random);
    let records = model.records.get_mut(&partition).expect("the model knows it");
    let cut = random.below(records.len() as u64 + 1) as usize;
    let bounds = subject.journal.bounds(partition).expect("it exists");
    let start = records.get(cut).map_or(bounds.high_water, |seen| seen.offset);
    subject.journal.trim(partition, start).await.expect("it is trimmed");
    records.drain(..cut);
}

async fn append_plain(subject: &Subject<'_>, model: &mut Model, random: &mut Random) {
    let partition = any_partition(random);
    let len = random.below(2_000) as usize;
    let entry = plain(partition, &random.bytes(len));
    let appended = subject.append_one(entry.clone()).await;
    model.keep(&entry, &appended);
}

/// Appends a request of several events, some of them known.
async fn append_some(subject: &Subject<'_>, model: &mut Model, random: &mut Random) {
    let entries: Vec<_> = (0..1 + random.below(8))
        .map(|_| (random.below(IDS), any_partition(random)))
        .map(|(id, partition)| (id, event(id, &[partition])))
        .collect();
    let outcome = subject
        .append(entries.iter().map(|(_, entry)| entry.clone()).collect())
        .await;
    assert_eq!(outcome.len(), entries.len());
    for ((id, entry), appended) in entries.iter().zip(&outcome) {
        match model.firsts.get(id) {
            Some(first) => assert_eq!(
                *appended,
                Appended {
                    duplicate: true,
                    ..*first
                }
            ),
            None => {
                assert!(!appended.duplicate, "event {id} is new");
                model.firsts.insert(*id, *appended);
                model.keep(entry, appended);
            }
        }
    }
}

impl Model {
    fn keep(&mut self, entry: &Entry, appended: &Appended) {
        let (partition, record) = &entry.records[0];
        assert_eq!(appended.position.partition, *partition);
        let records = self.records.get_mut(partition).expect("the model knows it");
        assert!(records.last().is_none_or(|last| last.offset < appended.position.offset));
        records.push(expected(appended, record));
    }
}
