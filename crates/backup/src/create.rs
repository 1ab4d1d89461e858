//! Making a backup: the store as of one moment, then the journal as of a later one, then the history; each file whole, or what
//! its parent lacks of it; then all that was written is read again; then the manifest.

use crate::{
    Entry, Error, JournalState, Manifest, Name, Part, PartitionState, Phase, Progress, Recipients, Sources, StoreState,
    Timeline, catalog,
    error::Named,
    manifest::{self, Encryption},
    sources::{ATTEMPTS, JOURNAL, STORE},
    stored,
};
use journal::embedded::backup::{Held, HeldFile, checkpoint_path};
use std::{
    collections::{BTreeMap, BTreeSet},
    fs::{self, File},
    io::{Read as _, Seek as _, SeekFrom},
    path::{Path, PathBuf},
    sync::Arc,
    time::{SystemTime, UNIX_EPOCH},
};

/// Where a backup is put together until it is whole.
pub(crate) const PARTIAL: &str = "partial";
/// Where the store's copy lies until it is in the backup, encrypted; within the data directory, because it is not.
const STAGING: &str = "backup.tmp";
/// A file that has come in so many parts is copied whole again: a restore opens each of them.
const PARTS_MAX: usize = 64;

/// What is asked for.
#[derive(Clone, Debug, Default)]
pub struct Options {
    /// Where backups lie, a directory each.
    pub root: PathBuf,
    /// Copies only what this one lacks.
    pub parent: Option<Name>,
    /// Encrypts to them, if there are any.
    pub recipients: Recipients,
}

/// Makes a backup; its manifest when it is complete.
///
/// # Errors
/// Whatever ends it. Nothing of an unfinished backup stays.
pub async fn create(
    sources: Arc<Sources>,
    name: Name,
    options: Options,
    progress: Progress,
) -> Result<Manifest, Error> {
    let timeline = Timeline::open(&sources.data)?;
    let work = Work::begin(&sources, name, timeline, options, progress)?;
    // A rotation may go on meanwhile: keys of before and after the copy open it.
    let mut keys: BTreeSet<String> = (sources.master_keys)().into_iter().collect();
    let store = work.copy_store(&sources).await;
    keys.extend((sources.master_keys)());
    let copied = match store {
        Ok((state, part)) => {
            let store = CopiedStore { state, part, keys };
            let held = sources.journal.hold().await.map_err(Error::from);
            let (work, sources) = (work.clone(), sources.clone());
            let copied = tokio::task::spawn_blocking(move || work.copy_rest(&sources, store, held?));
            copied.await.unwrap_or(Err(Error::Stopped))
        }
        Err(error) => Err(error),
    };
    if copied.is_err() {
        work.give_up(&sources);
    }
    copied
}

/// The name of a backup of this data directory that begins now.
///
/// # Errors
/// When its timeline cannot be read or begun.
pub fn new_name(data: &Path) -> Result<Name, Error> {
    Ok(Name::new(now(), &Timeline::open(data)?))
}

/// The time now, milliseconds since the epoch.
pub(crate) fn now() -> i64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH);
    since.map_or(0, |since| i64::try_from(since.as_millis()).unwrap_or(i64::MAX))
}

/// What one backup works with.
#[derive(Clone, Debug)]
struct Work {
    name: Name,
    timeline: Timeline,
    options: Options,
    parent: Option<Arc<Manifest>>,
    progress: Progress,
    /// Made under this name, and renamed when it is whole.
    partial: PathBuf,
}

/// The store's copy, and the ids of the master keys that open it.
struct CopiedStore {
    state: StoreState,
    part: Part,
    keys: BTreeSet<String>,
}

/// A file that is to be copied, or part of it.
struct Planned {
    source: PathBuf,
    path: String,
    /// Parts that the parent has.
    parts: Vec<Part>,
    from: u64,
    bytes: u64,
    is_final: bool,
}

impl Work {
    fn begin(
        sources: &Sources,
        name: Name,
        timeline: Timeline,
        options: Options,
        progress: Progress,
    ) -> Result<Self, Error> {
        stored::make_directory(&options.root)?;
        remove_unfinished(&options.root, &timeline)?;
        remove_staging(&sources.data)?;
        let parent = match &options.parent {
            Some(parent) => Some(Arc::new(checked_parent(&options, &timeline, parent)?)),
            None => None,
        };
        let partial = options.root.join(format!("{name}.{PARTIAL}"));
        stored::make_directory(&partial.join("data"))?;
        Ok(Self {
            name,
            timeline,
            options,
            parent,
            progress,
            partial,
        })
    }

    fn data(&self) -> PathBuf {
        self.partial.join("data")
    }

    /// The store, before the journal.
    async fn copy_store(&self, sources: &Sources) -> Result<(StoreState, Part), Error> {
        (sources.save_positions)().await;
        self.progress.begin(Phase::Store, 0);
        let staging = match self.options.recipients.is_empty() {
            true => self.partial.join(STAGING),
            false => sources.data.join(STAGING),
        };
        stored::make_directory(&staging)?;
        let (copy, progress) = (staging.join(STORE), self.progress.clone());
        let seen = move |bytes, of| {
            progress.set(bytes, of);
            !progress.is_stopped()
        };
        let copied = match sources.store.copy_to(&copy, seen).await {
            Err(store::Error::Closed) if self.progress.is_stopped() => return Err(Error::Stopped),
            copied => copied?,
        };
        let work = self.clone();
        let written = tokio::task::spawn_blocking(move || {
            let mut file = File::open(&copy).named("open", &copy)?;
            work.progress.begin(Phase::Store, copied.bytes);
            let part = work.write(STORE, &mut file)?;
            fs::remove_dir_all(&staging).named("remove", &staging)?;
            Ok(part)
        });
        let part = written.await.unwrap_or(Err(Error::Stopped))?;
        let state = StoreState {
            format: store::FORMAT,
            revision: copied.revision,
        };
        Ok((state, part))
    }

    fn write(&self, path: &str, content: &mut dyn std::io::Read) -> Result<Part, Error> {
        let data = self.data();
        stored::write(
            (&data, path),
            &self.name,
            &self.options.recipients,
            content,
            &self.progress,
        )
    }

    /// Everything else, in a thread that may block.
    fn copy_rest(&self, sources: &Sources, store: CopiedStore, held: Held) -> Result<Manifest, Error> {
        let CopiedStore {
            state: store,
            part,
            keys,
        } = store;
        let (mut entries, mut notes) = (BTreeMap::new(), Vec::new());
        add(&mut entries, STORE.into(), part.bytes, false, vec![part]);
        let journal = self.plan_journal(sources, &held, &mut notes)?;
        self.copy_all(Phase::Journal, journal, &mut entries)?;
        let checkpoint = format!("{JOURNAL}/{}", checkpoint_path().display());
        let part = self.write(&checkpoint, &mut held.checkpoint.as_slice())?;
        add(&mut entries, checkpoint, part.bytes, false, vec![part]);
        let state = state_of(&held);
        // From here on the journal may remove what it likes.
        drop(held);
        let attempts = self.plan_attempts(sources)?;
        self.copy_all(Phase::Attempts, attempts, &mut entries)?;
        let manifest = Manifest {
            format: manifest::FORMAT,
            name: self.name.clone(),
            created: now(),
            program: env!("CARGO_PKG_VERSION").into(),
            timeline: self.timeline.id().into(),
            parent: self.parent.as_ref().map(|parent| parent.name.clone()),
            encryption: (!self.options.recipients.is_empty()).then(|| Encryption {
                scheme: crate::cipher::SCHEME.into(),
                recipients: self.options.recipients.texts().to_vec(),
            }),
            master_key: Manifest::joined(keys),
            store,
            journal: state,
            files: entries.into_values().collect(),
            notes,
        };
        self.finish(manifest)
    }

    fn plan_journal(&self, sources: &Sources, held: &Held, notes: &mut Vec<String>) -> Result<Vec<Planned>, Error> {
        let mut planned = Vec::new();
        for file in &held.files {
            let source = sources.data.join(JOURNAL).join(&file.path);
            let path = format!("{JOURNAL}/{}", file.path.display());
            match length(&source, file)? {
                Some(bytes) => {
                    if file.bytes.is_some_and(|counted| bytes < counted) {
                        notes.push(format!(
                            "{path} is shorter than the journal wrote it: what is there was copied"
                        ));
                    }
                    planned.push(self.plan(source, path, bytes, file.is_final));
                }
                None if file.is_derived => {}
                None => notes.push(format!(
                    "{path} is missing: the journal serves a damaged range in its place"
                )),
            }
        }
        Ok(planned)
    }

    fn plan_attempts(&self, sources: &Sources) -> Result<Vec<Planned>, Error> {
        let directory = sources.data.join(ATTEMPTS);
        let files = store::attempts::history_files(&directory)?;
        let planned = files.into_iter().map(|file| {
            let path = format!("{ATTEMPTS}/{}", file.name.to_string_lossy());
            self.plan(directory.join(&file.name), path, file.bytes, file.is_final)
        });
        Ok(planned.collect())
    }

    /// What of a file its parent lacks. What counts of it never changes: it only grows, until it is final.
    fn plan(&self, source: PathBuf, path: String, bytes: u64, is_final: bool) -> Planned {
        let known = self.parent.as_ref().and_then(|parent| parent.entry(&path));
        let usable = known.filter(|entry| match entry.is_final {
            true => entry.bytes == bytes,
            false => entry.bytes <= bytes && entry.parts.len() < PARTS_MAX,
        });
        Planned {
            source,
            path,
            from: usable.map_or(0, |entry| entry.bytes),
            parts: usable.map(|entry| entry.parts.clone()).unwrap_or_default(),
            bytes,
            is_final,
        }
    }

    fn copy_all(&self, phase: Phase, all: Vec<Planned>, entries: &mut BTreeMap<String, Entry>) -> Result<(), Error> {
        self.progress
            .begin(phase, all.iter().map(|one| one.bytes - one.from).sum());
        for mut one in all {
            // An empty file has a part all the same: it has to be made.
            if one.from < one.bytes || one.parts.is_empty() {
                let part = match self.copy(&one) {
                    // Retention takes whole days of history, whoever is copying them.
                    Err(Error::Io { source, .. })
                        if phase == Phase::Attempts && source.kind() == std::io::ErrorKind::NotFound =>
                    {
                        continue;
                    }
                    part => part?,
                };
                let counted = one.bytes - one.from;
                if part.bytes != counted {
                    let reason = format!("yielded {} bytes where it has {counted}", part.bytes);
                    return Err(Error::damaged(&one.source, reason));
                }
                one.parts.push(part);
            }
            add(entries, one.path, one.bytes, one.is_final, one.parts);
        }
        Ok(())
    }

    fn copy(&self, one: &Planned) -> Result<Part, Error> {
        let mut file = File::open(&one.source).named("open", &one.source)?;
        file.seek(SeekFrom::Start(one.from)).named("read", &one.source)?;
        self.write(&one.path, &mut file.take(one.bytes - one.from))
    }

    /// Reads again what was written, then lets it be a backup.
    fn finish(&self, manifest: Manifest) -> Result<Manifest, Error> {
        self.progress.begin(Phase::Verifying, manifest.stored_bytes());
        let data = self.data();
        for entry in &manifest.files {
            for part in entry.parts.iter().filter(|part| part.backup == self.name) {
                let file = stored::path_of(&data, &entry.path, manifest.encryption.is_some());
                stored::read(
                    &file,
                    part,
                    stored::Open::AsStored,
                    &mut std::io::sink(),
                    &self.progress,
                )?;
            }
        }
        sync_directories(&data)?;
        stored::replace(&self.partial.join(catalog::MANIFEST), &manifest.encode())?;
        let whole = self.options.root.join(self.name.as_str());
        fs::rename(&self.partial, &whole).named("rename", &self.partial)?;
        stored::sync_directory(&self.options.root)?;
        self.progress.begin(Phase::Done, manifest.stored_bytes());
        Ok(manifest)
    }

    /// What cannot be removed now is removed by the next backup.
    fn give_up(&self, sources: &Sources) {
        for removed in [
            fs::remove_dir_all(&self.partial).named("remove", &self.partial),
            remove_staging(&sources.data),
        ] {
            if let Err(error) = removed {
                tracing::warn!(%error, "what an unfinished backup left stays for now");
            }
        }
    }
}

fn add(entries: &mut BTreeMap<String, Entry>, path: String, bytes: u64, is_final: bool, parts: Vec<Part>) {
    let entry = Entry {
        path: path.clone(),
        bytes,
        is_final,
        parts,
    };
    entries.insert(path, entry);
}

/// How much of a file is to be copied; `None` if it is not there.
fn length(source: &Path, file: &HeldFile) -> Result<Option<u64>, Error> {
    match fs::metadata(source) {
        Ok(metadata) => Ok(Some(
            file.bytes.map_or(metadata.len(), |counted| counted.min(metadata.len())),
        )),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(error).named("look at", source),
    }
}

fn state_of(held: &Held) -> JournalState {
    let partition = |partition: &journal::embedded::backup::HeldPartition| PartitionState {
        bus: partition.id.topic.bus,
        topic: partition.id.topic.topic,
        index: partition.id.index,
        start: partition.start,
        next: partition.next,
    };
    JournalState {
        format: journal::embedded::backup::FORMAT,
        sequence: held.sequence,
        append_time: held.append_time,
        partitions: held.partitions.iter().map(partition).collect(),
    }
}

/// The parent's manifest, if it can be built upon.
fn checked_parent(options: &Options, timeline: &Timeline, name: &Name) -> Result<Manifest, Error> {
    let parent = catalog::load(&options.root, name)?;
    let cannot = |reason: &str| Error::Parent {
        name: name.to_string(),
        reason: reason.into(),
    };
    if parent.timeline != timeline.id() {
        return Err(cannot(
            "it is of another timeline: this data directory was restored since, or is another one",
        ));
    }
    let recipients = parent
        .encryption
        .as_ref()
        .map_or(&[][..], |encryption| &encryption.recipients);
    if recipients != options.recipients.texts() {
        return Err(cannot("it is encrypted to others"));
    }
    Ok(parent)
}

/// What a crash left of backups of this installation.
fn remove_unfinished(root: &Path, timeline: &Timeline) -> Result<(), Error> {
    for entry in fs::read_dir(root).named("list", root)? {
        let path = entry.named("list", root)?.path();
        let name = path.file_name().and_then(|name| name.to_str()).unwrap_or_default();
        let unfinished = name.strip_suffix(PARTIAL).and_then(|name| name.strip_suffix('.'));
        if unfinished
            .and_then(Name::parse)
            .is_some_and(|name| name.is_of(timeline))
        {
            fs::remove_dir_all(&path).named("remove", &path)?;
        }
    }
    Ok(())
}

fn remove_staging(data: &Path) -> Result<(), Error> {
    let staging = data.join(STAGING);
    match fs::remove_dir_all(&staging) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => Err(error).named("remove", &staging),
        _ => Ok(()),
    }
}

/// Makes every name below durable.
pub(crate) fn sync_directories(path: &Path) -> Result<(), Error> {
    for entry in fs::read_dir(path).named("list", path)? {
        let entry = entry.named("list", path)?;
        if entry.file_type().named("look at", path)?.is_dir() {
            sync_directories(&entry.path())?;
        }
    }
    stored::sync_directory(path)
}
