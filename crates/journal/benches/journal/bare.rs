//! The least there is: a file whose groups are written and synced as the journal writes its frames, and a thread that does so
//! for all producers who wait. No offsets, no duplicates, no checksums, nothing for readers: what it costs, waiting costs.

use journal::EncodedRecord;
use std::{
    fs::{File, OpenOptions},
    os::unix::fs::FileExt,
    path::Path,
    sync::mpsc,
    thread::{self, JoinHandle},
};
use tokio::sync::oneshot;

const PAGE: usize = 4_096;

/// What the write-ahead files of a busy server take together.
const FILE_BYTES: u64 = 320 << 20;

/// A group is below this.
const GROUP_BYTES_MAX: usize = 8 << 20;

/// Records of about a kibibyte that such a group has room for.
const GROUP_RECORDS_MAX: usize = 4_096;

/// Producers that may wait for the sync.
const WAITING_MAX: usize = 16_384;

/// A file that was written before, with memory for a group on a page boundary.
pub struct PlainFile {
    file: File,
    position: u64,
    memory: Vec<u8>,
    origin: usize,
}

impl PlainFile {
    /// Writes it whole once, then goes past the page cache where the system can.
    pub fn create(path: &Path) -> Self {
        let mut options = OpenOptions::new();
        let file = options.create(true).truncate(true).write(true).open(path);
        let file = file.expect("a file");
        let zeros = vec![0; 1 << 20];
        for position in (0..FILE_BYTES).step_by(zeros.len()) {
            file.write_all_at(&zeros, position).expect("it is written");
        }
        file.sync_all().expect("it is synced");
        go_direct(&file);
        let memory = Vec::<u8>::with_capacity(GROUP_BYTES_MAX + 2 * PAGE);
        let origin = memory.as_ptr().align_offset(PAGE);
        Self {
            file,
            position: 0,
            memory,
            origin,
        }
    }

    /// An empty group, to be appended to.
    pub fn start(&mut self) -> &mut Vec<u8> {
        self.memory.clear();
        self.memory.resize(self.origin, 0);
        &mut self.memory
    }

    /// Writes the group, with zeros to the end of its last page, and syncs it.
    pub fn write_and_sync(&mut self) {
        let len = (self.memory.len() - self.origin).next_multiple_of(PAGE);
        assert!(len <= GROUP_BYTES_MAX, "the memory did not move");
        self.memory.resize(self.origin + len, 0);
        if self.position + len as u64 > FILE_BYTES {
            self.position = 0;
        }
        let pages = &self.memory[self.origin..];
        self.file.write_all_at(pages, self.position).expect("it is written");
        self.file.sync_data().expect("it is synced");
        self.position += len as u64;
    }
}

#[cfg(target_os = "linux")]
fn go_direct(file: &File) {
    use rustix::fs::{OFlags, fcntl_getfl, fcntl_setfl};
    let flags = fcntl_getfl(file).expect("an open file has flags");
    // Where it is refused, the journal writes through the cache as well.
    fcntl_setfl(file, flags | OFlags::DIRECT).unwrap_or(());
}

#[cfg(not(target_os = "linux"))]
fn go_direct(_file: &File) {}

type Waiting = (EncodedRecord, oneshot::Sender<()>);

/// A thread that writes and syncs for all who wait.
pub struct Bare {
    waiting: Option<mpsc::SyncSender<Waiting>>,
    writing: Option<JoinHandle<()>>,
}

impl Bare {
    /// With a file of its own.
    pub fn open(path: &Path) -> Self {
        let mut file = PlainFile::create(path);
        let (waiting, receiver) = mpsc::sync_channel(WAITING_MAX);
        Self {
            waiting: Some(waiting),
            writing: Some(thread::spawn(move || write_for_all(&mut file, &receiver))),
        }
    }

    /// Waits until the record is durable.
    pub async fn append(&self, record: EncodedRecord) {
        let (done, durable) = oneshot::channel();
        let waiting = self.waiting.as_ref().expect("it is there until the drop");
        waiting.send((record, done)).expect("the thread lives");
        durable.await.expect("it is durable");
    }
}

fn write_for_all(file: &mut PlainFile, receiver: &mpsc::Receiver<Waiting>) {
    let mut group = Vec::new();
    while let Ok(first) = receiver.recv() {
        let bytes = file.start();
        group.extend(std::iter::once(first).chain(receiver.try_iter().take(GROUP_RECORDS_MAX)));
        group
            .iter()
            .for_each(|(record, _)| bytes.extend_from_slice(record.as_bytes()));
        file.write_and_sync();
        group.drain(..).for_each(|(_, done)| done.send(()).unwrap_or(()));
        // As the journal does: on few cores the groups are larger for it.
        thread::yield_now();
    }
}

impl Drop for Bare {
    fn drop(&mut self) {
        drop(self.waiting.take());
        if let Some(writing) = self.writing.take() {
            writing.join().expect("the thread ends well");
        }
    }
}
