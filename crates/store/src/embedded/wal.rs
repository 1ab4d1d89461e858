//! Tells a broken write-ahead file from a torn one, before SQLite sees it.
//!
//! SQLite ends a write-ahead file at the first frame that is not good, and says nothing: after a crash that is the torn
//! tail, but a flipped bit in the middle would silently undo everything acknowledged after it. Each frame's checksum
//! goes on from the one before, which stands in that frame, so a later frame can be verified behind a bad one. A commit
//! is synced before the next transaction's frames are written: a good frame right behind a commit says that the commit,
//! and all before it, was durable. If one of those is bad now, that is damage.
//!
//! ```text
//! header  magic, its last bit: big-endian sums │ version │ page size │ sequence │ salt ×2 │ sum ×2        u32 each
//! frame   page number │ pages after commit, else 0 │ salt ×2 │ sum ×2 │ page
//! ```
//!
//! (<https://www.sqlite.org/fileformat2.html#walformat>.) Damage in the very last transaction looks like a torn tail.

use crate::Error;
use std::{
    fs::File,
    io::{self, BufReader, Read},
    path::Path,
};

const MAGIC: u32 = 0x377f_0682;
const HEADER_BYTES: usize = 32;
const FRAME_HEADER_BYTES: usize = 24;
const PAGE_BYTES_MIN: u32 = 512;
const PAGE_BYTES_MAX: u32 = 64 << 10;

/// Refuses a write-ahead file with damage before its torn tail; one that is not there is good.
pub(super) fn check(path: &Path) -> Result<(), Error> {
    let file = match File::open(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        file => file.map_err(|error| Error::Engine(error.to_string()))?,
    };
    scan(&mut BufReader::new(file))
}

fn scan(file: &mut impl Read) -> Result<(), Error> {
    let mut header = [0; HEADER_BYTES];
    if !fill(file, &mut header)? {
        return Ok(());
    }
    let mut frame = vec![0; FRAME_HEADER_BYTES];
    let Some(wal) = Wal::of(&header) else {
        // The header is synced before the first frame is written.
        return if fill(file, &mut frame)? {
            Err(damaged())
        } else {
            Ok(())
        };
    };
    frame.resize(FRAME_HEADER_BYTES + wal.page_bytes, 0);
    let (mut before, mut before_commits, mut bad_seen) = (wal.sums, false, false);
    while fill(file, &mut frame)? {
        let good = wal.is_good(&frame, before);
        if good && before_commits && bad_seen {
            return Err(damaged());
        }
        bad_seen |= !good;
        before = sums_in(&frame);
        before_commits = wal.has_salts(&frame) && word(&frame, 4) != 0;
    }
    Ok(())
}

/// Whether there was enough to fill the buffer.
fn fill(file: &mut impl Read, buffer: &mut [u8]) -> Result<bool, Error> {
    match file.read_exact(buffer) {
        Ok(()) => Ok(true),
        Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => Ok(false),
        Err(error) => Err(Error::Engine(format!("read the write-ahead file: {error}"))),
    }
}

fn damaged() -> Error {
    Error::Corrupt("the write-ahead file is damaged before its end".to_owned())
}

type Sums = (u32, u32);

/// What a good header says.
struct Wal {
    big_endian: bool,
    page_bytes: usize,
    salts: [u8; 8],
    sums: Sums,
}

impl Wal {
    fn of(header: &[u8; HEADER_BYTES]) -> Option<Self> {
        let (magic, page_bytes) = (word(header, 0), word(header, 8));
        let mut salts = [0; 8];
        salts.copy_from_slice(&header[16..24]);
        let sums = (word(header, 24), word(header, 28));
        let wal = Self {
            big_endian: magic & 1 == 1,
            page_bytes: page_bytes as usize,
            salts,
            sums,
        };
        let good = magic & !1 == MAGIC
            && page_bytes.is_power_of_two()
            && (PAGE_BYTES_MIN..=PAGE_BYTES_MAX).contains(&page_bytes)
            && wal.sum((0, 0), &header[..24]) == sums;
        good.then_some(wal)
    }

    fn has_salts(&self, frame: &[u8]) -> bool {
        frame[8..16] == self.salts
    }

    fn is_good(&self, frame: &[u8], before: Sums) -> bool {
        let sums = || self.sum(self.sum(before, &frame[..8]), &frame[FRAME_HEADER_BYTES..]);
        self.has_salts(frame) && sums() == sums_in(frame)
    }

    fn sum(&self, before: Sums, bytes: &[u8]) -> Sums {
        let (pairs, _) = bytes.as_chunks::<8>();
        pairs.iter().fold(before, |(first, second), &[a, b, c, d, e, f, g, h]| {
            let value = |bytes| {
                if self.big_endian {
                    u32::from_be_bytes(bytes)
                } else {
                    u32::from_le_bytes(bytes)
                }
            };
            let first = first.wrapping_add(value([a, b, c, d])).wrapping_add(second);
            (first, second.wrapping_add(value([e, f, g, h])).wrapping_add(first))
        })
    }
}

fn sums_in(frame: &[u8]) -> Sums {
    (word(frame, 16), word(frame, 20))
}

fn word(bytes: &[u8], at: usize) -> u32 {
    u32::from_be_bytes([bytes[at], bytes[at + 1], bytes[at + 2], bytes[at + 3]])
}
