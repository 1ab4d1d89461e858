//! What a run finds, and what it notices.

use super::*;
use crate::{TopicId, embedded::disk::SimulatedDisk};
use std::path::Path;

fn identified(bus: u32, lookup: u64, offset: Offset) -> Identified {
    Identified {
        partition: PartitionId {
            topic: TopicId { bus, topic: 2 },
            index: 3,
        },
        offset,
        append_time: 1_000 + offset as i64,
        identity: Identity {
            lookup,
            unique: u128::from(lookup) << 64 | 5,
        },
        primary: offset.is_multiple_of(2),
    }
}

fn written(identities: Vec<Identified>) -> (SimulatedDisk, Disk, Layout, Run) {
    let simulated = SimulatedDisk::new(1);
    let disk = Disk::Simulated(simulated.clone());
    let layout = Layout::new(Path::new("d"));
    disk.create_directory(&layout.identities()).unwrap();
    let covered = vec![Covered {
        partition: identities[0].partition,
        from: 0,
        to: 1_000,
    }];
    let run = Run::write(&disk, &layout, 1, identities, covered).unwrap();
    (simulated, disk, layout, run)
}

#[test]
fn a_run_finds_every_identity_it_holds_and_no_other() {
    let identities: Vec<_> = (0..1_000)
        .map(|place| identified(1 + place as u32 % 2, place / 2 % 300, place))
        .collect();
    let (_, disk, layout, run) = written(identities.clone());
    let opened = Run::open(&disk, &layout, 1).unwrap();
    assert_eq!(
        (opened.count, opened.newest, &opened.covered),
        (1_000, 1_999, &run.covered)
    );
    let file = opened.open_file(&disk).unwrap();
    let filter = opened.filter(&file).unwrap();
    for lookup in 0..400 {
        let mut expected: Vec<_> = identities
            .iter()
            .filter(|one| one.partition.topic.bus == 2 && one.identity.lookup == lookup)
            .copied()
            .collect();
        expected.sort_unstable_by_key(Identified::key);
        assert_eq!(opened.find(&disk, 2, lookup).unwrap(), expected);
        assert_eq!(
            opened.find_filtered(&file, &filter, &Probe::new(2, lookup)).unwrap(),
            expected
        );
    }
    assert_eq!(opened.read_all(&disk).unwrap().len(), 1_000);
}

#[test]
fn no_flipped_byte_of_a_run_goes_unseen() {
    let identities: Vec<_> = (0..100).map(|place| identified(1, place, place)).collect();
    let (simulated, disk, layout, run) = written(identities);
    let path = layout.run(1);
    let good = disk.read(&path).unwrap();
    for at in 0..good.len() {
        let mut bad = good.clone();
        bad[at] ^= 4;
        simulated.overwrite(&path, bad);
        let seen = Run::open(&disk, &layout, 1).and_then(|run| run.verify(&disk)).is_err();
        assert!(seen, "byte {at}");
    }
    assert_eq!(run.count, 100);
}

#[test]
fn a_run_begins_with_these_bytes() {
    let (_, disk, layout, _) = written(vec![identified(1, 7, 4)]);
    let bytes = disk.read(&layout.run(1)).unwrap();
    let hex: String = bytes[..HEAD_LEN].iter().map(|byte| format!("{byte:02x}")).collect();
    assert_eq!(
        hex,
        concat!(
            "544c494452554e31",
            "0100000000000000",
            "ec03000000000000",
            "ec03000000000000",
            "01000000",
            "01000000",
            "fc72e301",
        )
    );
}

#[test]
fn a_search_goes_straight_to_the_pages_where_a_hash_must_be() {
    let mut hash = 1_u64;
    let identities: Vec<_> = (0..100 * PAGE_ENTRIES as u64)
        .map(|place| {
            hash = hash.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
            identified(1, hash, place)
        })
        .collect();
    let (simulated, disk, layout, run) = written(identities.clone());
    let good = disk.read(&layout.run(1)).unwrap();
    let sorted = run.read_all(&disk).unwrap();
    for wanted in identities.iter().step_by(97) {
        let place = sorted.iter().position(|one| one == wanted).unwrap() / PAGE_ENTRIES;
        let mut bad = good.clone();
        let pages = bad[run.pages_at() as usize..].chunks_exact_mut(PAGE_LEN);
        let far = (0..).zip(pages).filter(|(at, _)| place.abs_diff(*at) > 4);
        far.for_each(|(_, page)| page[0] ^= 1);
        simulated.overwrite(&layout.run(1), bad);
        let found = run.find(&disk, 1, wanted.identity.lookup).unwrap();
        assert_eq!(found, [*wanted], "no other page is read");
    }
}
