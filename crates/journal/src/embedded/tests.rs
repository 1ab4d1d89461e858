//! The engine against the contract's suite, a lying disk, and damaged files.

mod alone;
mod backup;
mod damage;
mod faults;
mod simulation;
mod tier;

use super::*;
use crate::conformance::{self, Harness};
use std::{path::PathBuf, sync::Arc};

/// Small files, so that rolling, flushing, checkpoints and recycling happen all the time.
fn small(directory: impl Into<PathBuf>) -> Settings {
    Settings {
        write_ahead_file_bytes: 64 << 10,
        write_ahead_bytes_max: 512 << 10,
        checkpoint_bytes: 128 << 10,
        flush_bytes: 32 << 10,
        tail_bytes: 16 << 10,
        unflushed_bytes_max: 64 << 10,
        segment_bytes: 24 << 10,
        identities_max: 64,
        run_identities: 128,
        publish_mark_percent: 0,
        ..Settings::new(directory, conformance::identify)
    }
}

/// Large enough for the suite's largest requests.
fn middling(directory: impl Into<PathBuf>) -> Settings {
    Settings {
        write_ahead_file_bytes: 24 << 20,
        write_ahead_bytes_max: 192 << 20,
        checkpoint_bytes: 16 << 20,
        flush_bytes: 64 << 10,
        tail_bytes: 16 << 10,
        segment_bytes: 256 << 10,
        run_identities: 1_000,
        publish_mark_percent: 0,
        ..Settings::new(directory, conformance::identify)
    }
}

fn harness(settings: Settings, wipe: Box<dyn Fn() + Send + Sync>) -> Harness {
    Harness {
        open: Box::new(move |topics| {
            let settings = settings.clone();
            Box::pin(async move {
                let opened = tokio::task::spawn_blocking(move || Embedded::open(settings, &topics));
                Ok(Arc::new(opened.await.expect("opening does not panic")?) as Arc<dyn Journal>)
            })
        }),
        wipe,
        hold_sync: None,
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_engine_on_a_real_disk_keeps_the_contract() {
    let directory = tempfile::tempdir().unwrap();
    let data = directory.path().join("data");
    let settings = middling(&data);
    let wipe = move || drop(std::fs::remove_dir_all(&data));
    conformance::run(&harness(settings, Box::new(wipe))).await;
}

/// What needs a sync that does not return can only be seen on a disk that holds it.
#[tokio::test(flavor = "multi_thread")]
async fn nothing_is_visible_before_its_sync_returns() {
    let disk = SimulatedDisk::new(1);
    let settings = Settings {
        disk: Disk::Simulated(disk.clone()),
        ..small("data")
    };
    let (wiped, held) = (Disk::Simulated(disk.clone()), disk);
    let wipe = move || {
        wiped
            .remove_directory(std::path::Path::new("data"))
            .expect("it is removed")
    };
    let mut harness = harness(settings, Box::new(wipe));
    harness.hold_sync = Some(Box::new(move |hold| held.hold_syncs(hold)));
    conformance::run_one(&harness, "an_accepted_append_is_invisible_until_it_is_durable").await;
    conformance::run_one(&harness, "a_duplicate_waits_for_the_first_to_be_durable").await;
    conformance::run_one(&harness, "an_abandoned_append_is_kept").await;
}
