//! Backups of a real journal and a real store: made while both are written to, built upon, verified, restored; and refused when
//! a byte of them is not as it was written. Checks 70 to 73, as far as they are this crate's.

use backup::{
    Error, Identities, Listed, Manifest, Name, Options, Phase, Progress, Request, Restored, Service, Settings, Sources,
    State, Timeline, create, list, new_name, restore, verify,
};
use journal::{Append, Deduplicate, EncodedRecord, Entry, Journal, PartitionId, TopicId, records};
use std::{
    collections::BTreeMap,
    fs,
    path::{Path, PathBuf},
    sync::Arc,
};
use store::{Expect, Kind, Operation, Store};

const TOPIC: TopicId = TopicId { bus: 1, topic: 1 };
const PARTITIONS: u32 = 2;

/// A data directory with its parts running.
struct Bus {
    sources: Arc<Sources>,
}

fn open_journal(data: &Path) -> journal::Embedded {
    let mut settings = journal::embedded::Settings::new(data.join("journal"), |_, _| None);
    settings.segment_bytes = 64 << 10;
    settings.publish_mark_percent = 0;
    journal::Embedded::open(settings, &[(TOPIC, PARTITIONS)]).expect("the journal opens")
}

fn open_store(data: &Path) -> store::Embedded {
    store::Embedded::open(&data.join("store.db"), store::Settings::default()).expect("the store opens")
}

impl Bus {
    fn open(data: &Path) -> Self {
        let sources = Sources {
            data: data.to_owned(),
            journal: Arc::new(open_journal(data)),
            store: Arc::new(open_store(data)),
            save_positions: Box::new(|| Box::pin(async {})),
            master_keys: Box::new(|| vec!["0a0b0c0d".into()]),
            ended: Box::new(|_, _| Box::pin(async {})),
        };
        fs::create_dir_all(data.join("attempts")).expect("a directory");
        Self {
            sources: Arc::new(sources),
        }
    }

    async fn append(&self, numbers: std::ops::Range<u64>) {
        let mut durable = Vec::new();
        for number in numbers {
            let partition = PartitionId {
                topic: TOPIC,
                index: (number % u64::from(PARTITIONS)) as u32,
            };
            let value = vec![number as u8; 1_000];
            let record = EncodedRecord::new(None, Some(&value), std::iter::empty());
            let entry = Entry {
                identity: None,
                deduplicate: Deduplicate::No,
                records: vec![(partition, record)],
            };
            durable.push(
                self.sources
                    .journal
                    .append(Append { entries: vec![entry] })
                    .expect("it is taken"),
            );
        }
        for durable in durable {
            durable.await.expect("it is durable");
        }
    }

    async fn document(&self, name: &str) {
        let put = Operation::PutDocument {
            bus: 1,
            kind: Kind::Topic,
            name: name.into(),
            body: vec![1; 100].into(),
            expect: Expect::Any,
        };
        self.sources.store.apply(1, vec![put]).await.expect("it is written");
    }

    async fn backup(&self, options: &Options) -> Result<Manifest, Error> {
        let name = new_name(&self.sources.data)?;
        create(self.sources.clone(), name, options.clone(), Progress::default()).await
    }

    async fn close(self) {
        self.sources.journal.shutdown().await.expect("it closes");
        self.sources.store.shutdown().await.expect("it closes");
    }
}

async fn content(journal: &journal::Embedded) -> BTreeMap<(u32, u64), Vec<u8>> {
    let mut content = BTreeMap::new();
    for partition in journal.partitions() {
        let bounds = journal.bounds(partition).expect("it exists");
        let mut from = bounds.start;
        while from < bounds.high_water {
            let chunk = journal.read(partition, from, 1 << 20).await.expect("it is read");
            for record in chunk.batches.iter().flat_map(records) {
                content.insert(
                    (partition.index, record.offset),
                    record.value.expect("a value").to_vec(),
                );
            }
            from = chunk.next;
        }
    }
    content
}

struct Place(tempfile::TempDir);

impl Place {
    fn new() -> Self {
        Self(tempfile::tempdir().expect("a directory"))
    }

    fn at(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    fn options(&self) -> Options {
        Options {
            root: self.at("backups"),
            ..Options::default()
        }
    }
}

async fn restored(root: &Path, name: &Name, target: &Path, secret: Option<&str>) -> Result<Restored, Error> {
    let identities = secret.map_or_else(Identities::default, |secret| {
        Identities::parse(secret).expect("an identity")
    });
    restore((root, name), target, &identities, &Progress::default()).await
}

fn files_below(directory: &Path) -> Vec<PathBuf> {
    let mut files = Vec::new();
    for entry in fs::read_dir(directory).expect("a directory") {
        let path = entry.expect("an entry").path();
        match path.is_dir() {
            true => files.extend(files_below(&path)),
            false => files.push(path),
        }
    }
    files.sort();
    files
}

#[tokio::test(flavor = "multi_thread")]
async fn a_backup_made_under_load_holds_all_that_was_acknowledged_before_and_opens_elsewhere_checks_70_and_71() {
    let place = Place::new();
    let bus = Arc::new(Bus::open(&place.at("data")));
    bus.append(0..300).await;
    bus.document("before").await;
    let writing = bus.clone();
    let load = tokio::spawn(async move {
        for round in 0..40 {
            writing.append(1_000 + round * 20..1_020 + round * 20).await;
            writing.document(&format!("during-{round}")).await;
        }
    });
    let before = content(&bus.sources.journal).await;
    let manifest = bus.backup(&place.options()).await.expect("a backup");
    load.await.expect("the load ends");
    let all = content(&bus.sources.journal).await;

    let target = place.at("elsewhere");
    let put = restored(&place.at("backups"), &manifest.name, &target, None)
        .await
        .expect("restored");
    assert!(put.damage.is_empty());
    let other = Bus::open(&target);
    let found = content(&other.sources.journal).await;
    assert!(found.len() >= before.len() && before.keys().all(|place| found.contains_key(place)));
    for partition in &manifest.journal.partitions {
        let of = |content: &BTreeMap<(u32, u64), Vec<u8>>| {
            let range = (partition.index, 0)..(partition.index, partition.next);
            content
                .range(range)
                .map(|(place, value)| (*place, value.clone()))
                .collect::<Vec<_>>()
        };
        assert_eq!(of(&found), of(&all), "a prefix, and the same bytes");
    }
    let documents = other.sources.store.documents().await.expect("documents");
    assert!(documents.iter().any(|document| document.name == "before"));
    assert_ne!(put.timeline.id(), manifest.timeline);
    assert_eq!(Timeline::open(&target).expect("a timeline"), put.timeline);
    assert!(!target.join("master.key").exists() && !target.join(backup::RESTORING).exists());
    other.append(0..10).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_incremental_backup_holds_only_what_its_parent_lacks_and_restores_all() {
    let place = Place::new();
    let bus = Bus::open(&place.at("data"));
    bus.append(0..500).await;
    let full = bus.backup(&place.options()).await.expect("a full one");
    bus.append(500..520).await;
    let options = Options {
        parent: Some(full.name.clone()),
        ..place.options()
    };
    let second = bus.backup(&options).await.expect("an incremental one");
    bus.append(520..540).await;
    let options = Options {
        parent: Some(second.name.clone()),
        ..place.options()
    };
    let third = bus.backup(&options).await.expect("another");
    let store = third.entry("store.db").expect("a store").bytes;
    assert!(third.stored_bytes() < store + 40_000, "{} bytes", third.stored_bytes());
    assert!(full.stored_bytes() > 500_000);
    let all = content(&bus.sources.journal).await;

    verify(
        &place.at("backups"),
        &third.name,
        &Identities::default(),
        &Progress::default(),
    )
    .expect("it verifies");
    let target = place.at("elsewhere");
    restored(&place.at("backups"), &third.name, &target, None)
        .await
        .expect("restored");
    assert_eq!(content(&Bus::open(&target).sources.journal).await, all);
    // The restored directory tells another story from here on: it cannot build on the original's backups.
    let other = place.at("third");
    restored(&place.at("backups"), &third.name, &other, None)
        .await
        .expect("restored");
    let options = Options {
        parent: Some(third.name.clone()),
        ..place.options()
    };
    let refused = Bus::open(&other).backup(&options).await;
    assert!(matches!(refused, Err(Error::Parent { .. })), "{refused:?}");
    bus.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn every_file_of_a_backup_is_missed_when_flipped_cut_or_gone_and_nothing_half_restored_stays_check_72() {
    let place = Place::new();
    let bus = Bus::open(&place.at("data"));
    bus.append(0..200).await;
    let full = bus.backup(&place.options()).await.expect("a full one");
    bus.append(200..210).await;
    let options = Options {
        parent: Some(full.name.clone()),
        ..place.options()
    };
    let name = bus.backup(&options).await.expect("an incremental one").name;
    let root = place.at("backups");
    let needed = |path: &PathBuf| {
        let own = path.starts_with(root.join(name.as_str()));
        let manifest: Manifest = match &list(&root).expect("a list")[1] {
            Listed::Complete(manifest) => (**manifest).clone(),
            other => panic!("{other:?}"),
        };
        let data = root.join(full.name.as_str()).join("data");
        let of_parent = path
            .strip_prefix(&data)
            .ok()
            .and_then(|path| manifest.entry(path.to_str()?).cloned());
        own || of_parent.is_some_and(|entry| entry.parts[0].backup == full.name)
    };
    let files: Vec<PathBuf> = files_below(&root).into_iter().filter(needed).collect();
    assert!(files.len() > 6, "{files:?}");
    for file in &files {
        let good = fs::read(file).expect("it is read");
        let mut flipped = good.clone();
        // Not the manifest's last byte, which is a line's end.
        let at = (good.len() / 2).min(good.len() - 2);
        flipped[at] ^= 0x10;
        for bad in [Some(flipped), Some(good[..good.len() - 2].to_vec()), None] {
            match &bad {
                Some(bytes) => fs::write(file, bytes).expect("written"),
                None => fs::remove_file(file).expect("removed"),
            }
            let target = place.at("elsewhere");
            let refused = restored(&root, &name, &target, None).await.expect_err("refused");
            let said = refused.to_string();
            let named = said.contains(&file.display().to_string()) || said.contains(name.as_str());
            assert!(named, "{}: {said}", file.display());
            let is_damage = matches!(&refused, Error::Damaged { file: of, .. } if of == file);
            assert!(is_damage || bad.is_some(), "{}: {said}", file.display());
            assert!(!target.exists(), "{}", file.display());
            let verified = verify(&root, &name, &Identities::default(), &Progress::default());
            assert!(verified.is_err(), "{}", file.display());
            fs::write(file, &good).expect("written");
        }
    }
    let target = place.at("taken");
    fs::create_dir(&target).expect("a directory");
    fs::write(target.join("mine"), "mine").expect("written");
    let refused = restored(&root, &name, &target, None).await.expect_err("refused");
    assert!(matches!(refused, Error::NotEmpty(_)));
    assert_eq!(files_below(&target), [target.join("mine")]);
}

#[cfg(feature = "encryption")]
#[tokio::test(flavor = "multi_thread")]
async fn an_encrypted_backup_shows_nothing_and_opens_with_its_identity_only() {
    let place = Place::new();
    let bus = Bus::open(&place.at("data"));
    bus.document("canary-document-name").await;
    bus.append(0..100).await;
    let (secret, public) = backup::generate_identity().expect("an identity");
    let (other, _) = backup::generate_identity().expect("an identity");
    let options = Options {
        recipients: backup::Recipients::parse(&[public]).expect("a recipient"),
        ..place.options()
    };
    let full = bus.backup(&options).await.expect("a full one");
    bus.append(100..110).await;
    let incremental = Options {
        parent: Some(full.name.clone()),
        ..options.clone()
    };
    let name = bus.backup(&incremental).await.expect("an incremental one").name;
    let plainly = Options {
        parent: Some(full.name.clone()),
        ..place.options()
    };
    assert!(matches!(bus.backup(&plainly).await, Err(Error::Parent { .. })));
    let all = content(&bus.sources.journal).await;

    let root = place.at("backups");
    for file in files_below(&root) {
        let bytes = fs::read(&file).expect("it is read");
        let shows = |text: &[u8]| bytes.windows(text.len()).any(|window| window == text);
        assert!(
            !shows(b"canary-document-name") && !shows(&[5; 100]),
            "{}",
            file.display()
        );
    }
    let target = place.at("elsewhere");
    let without = restored(&root, &name, &target, None).await;
    assert!(matches!(without, Err(Error::NeedsIdentity)), "{without:?}");
    let wrong = restored(&root, &name, &target, Some(&other)).await;
    assert!(matches!(wrong, Err(Error::Key(_))), "{wrong:?}");
    assert!(!target.exists());
    let identities = Identities::parse(&secret).expect("an identity");
    verify(&root, &name, &Identities::default(), &Progress::default()).expect("its checksums hold");
    verify(&root, &name, &identities, &Progress::default()).expect("it opens");
    restored(&root, &name, &target, Some(&secret)).await.expect("restored");
    assert_eq!(content(&Bus::open(&target).sources.journal).await, all);
    assert!(
        !place.at("data").join("backup.tmp").exists(),
        "no plain copy of the store stays"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_service_makes_one_at_a_time_and_says_how_it_went() {
    let place = Place::new();
    let bus = Bus::open(&place.at("data"));
    bus.append(0..50).await;
    let sources = Arc::into_inner(bus.sources).expect("nobody else has them");
    let service = Service::new(sources, Settings::default());
    let off = service.start(Request::default()).await;
    assert!(matches!(off, Err(Error::Off)));
    let settings = Settings {
        directory: Some(place.at("backups")),
        ..Settings::default()
    };
    service.set(settings);
    let prepared = service.prepare(Request::default()).await.expect("it could begin");
    let other = service.prepare(Request::default()).await;
    assert!(
        matches!(other, Err(Error::Running(_))),
        "it is the other one's turn: {other:?}"
    );
    drop(prepared);
    let incremental = Request {
        is_incremental: true,
        recipients: None,
    };
    let first = service.start(incremental.clone()).await.expect("it begins");
    assert_eq!(first.parent, None, "there is none to build on");
    let second = service.start(Request::default()).await;
    assert!(matches!(second, Err(Error::Running(_))), "{second:?}");
    let done = ended(&service, &first.name).await;
    assert!(
        matches!(done.state, State::Done(_)) && done.seen.phase == Phase::Done,
        "{done:?}"
    );
    let third = service.start(incremental).await.expect("it begins");
    assert_eq!(third.parent, Some(first.name));
    ended(&service, &third.name).await;
    assert_eq!(service.list().await.expect("a list").len(), 2);
    // A file where a directory should be: the failure is told, and nothing half done stays.
    fs::write(place.at("file"), "").expect("written");
    let settings = Settings {
        directory: Some(place.at("file").join("backups")),
        ..Settings::default()
    };
    service.set(settings);
    let fourth = service.start(Request::default()).await.expect("it begins");
    let failed = ended(&service, &fourth.name).await;
    assert!(
        matches!(&failed.state, State::Failed(reason) if reason.contains("make directory")),
        "{failed:?}"
    );
    service.stop().await;
    assert!(matches!(service.start(Request::default()).await, Err(Error::Stopped)));
}

async fn ended(service: &Service, name: &Name) -> backup::Job {
    for _ in 0..100_000 {
        let job = service.job(name).expect("it is known");
        if !matches!(job.state, State::Running) {
            return job;
        }
        tokio::task::yield_now().await;
        tokio::time::sleep(std::time::Duration::from_millis(1)).await;
    }
    panic!("the backup does not end");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_backup_that_is_stopped_or_was_cut_off_by_a_crash_leaves_nothing_that_counts() {
    let place = Place::new();
    let bus = Bus::open(&place.at("data"));
    bus.append(0..50).await;
    let name = new_name(&bus.sources.data).expect("a name");
    let progress = Progress::default();
    progress.stop();
    let stopped = create(bus.sources.clone(), name.clone(), place.options(), progress).await;
    assert!(matches!(stopped, Err(Error::Stopped)), "{stopped:?}");
    let root = place.at("backups");
    assert!(list(&root).expect("a list").is_empty());
    // As by a crash.
    fs::create_dir_all(root.join(format!("{name}.partial/data"))).expect("made");
    assert!(matches!(list(&root).expect("a list")[0], Listed::Unfinished(_)));
    let made = bus.backup(&place.options()).await.expect("the next one");
    let listed = list(&root).expect("a list");
    assert!(
        matches!(&listed[..], [Listed::Complete(manifest)] if manifest.name == made.name),
        "{listed:?}"
    );
}
