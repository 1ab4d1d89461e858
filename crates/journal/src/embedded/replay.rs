//! Reading the write-ahead files back: every frame behind the checkpoint in order, the torn tail told from corruption.
//! What is done with the frames is the recovery's.

use super::{
    disk::{File, Outcome},
    format::PAGE,
    frame::{self, Epoch, FrameBatch, FrameHeader},
    write_ahead::Found,
};
use crate::Error;
use bytes::Bytes;

/// How much is read at once.
const WINDOW: usize = 1 << 20;

/// A good frame.
#[derive(Debug)]
pub struct Frame {
    /// Its header.
    pub header: FrameHeader,
    /// Its batches.
    pub batches: Vec<FrameBatch>,
    /// All of it.
    pub bytes: Bytes,
}

/// Where a file stopped giving frames.
#[derive(Debug)]
struct End {
    file: String,
    position: u64,
}

impl End {
    fn corrupt(&self, reason: String) -> Error {
        Error::Corrupt {
            file: self.file.clone(),
            position: self.position,
            reason,
        }
    }
}

/// Gives every frame above `checkpointed` to `each`, in order. `None` (no checkpoint) begins with the first there is. Returns
/// the newest sequence.
pub fn frames(
    found: &Found,
    checkpointed: Option<u64>,
    needed_from: u64,
    mut each: impl FnMut(Frame) -> Result<(), Error>,
) -> Result<u64, Error> {
    let mut expected = checkpointed.map(|sequence| sequence + 1);
    let mut end: Option<End> = None;
    for (file, header) in found
        .epochs
        .iter()
        .filter(|(_, header)| header.epoch.number >= needed_from)
    {
        let mut reader = FrameReader::new(file, header.epoch)?;
        let mut bad: Option<End> = None;
        while reader.position < reader.len {
            let Some(frame) = reader.frame()? else {
                bad.get_or_insert_with(|| reader.end());
                reader.position += PAGE;
                continue;
            };
            let next = *expected.get_or_insert(frame.header.sequence);
            let sequence = frame.header.sequence;
            if sequence > next {
                let place = bad.or(end).unwrap_or_else(|| reader.end());
                return Err(place.corrupt(format!(
                    "frame {next} is missing or broken, and frame {sequence} says that it was durable"
                )));
            }
            reader.position += frame.header.frame_len();
            bad = None;
            if sequence == next {
                each(frame)?;
                expected = Some(next + 1);
            }
        }
        end = bad.or(end);
    }
    let newest = expected.map_or(0, |next| next - 1);
    log_torn_tail(found, needed_from, end.as_ref())?;
    check_headerless(found, newest, needed_from)?;
    Ok(newest.max(checkpointed_at_least(found)))
}

fn checkpointed_at_least(found: &Found) -> u64 {
    let checkpointed = found.epochs.iter().map(|(_, header)| header.checkpointed);
    checkpointed.max().unwrap_or(0)
}

/// Without a checkpoint: the sequence that replay begins behind. `None` is the first frame there is, unless older ones than some
/// are broken or missing: that is no loss if a later use of a file says that all of them were checkpointed.
pub fn begin_without_checkpoint(found: &Found) -> Result<Option<u64>, Error> {
    let checkpointed = checkpointed_at_least(found);
    let mut next: Option<u64> = None;
    let mut begin = None;
    for (file, header) in &found.epochs {
        let mut reader = FrameReader::new(file, header.epoch)?;
        while reader.position < reader.len {
            let Some(frame) = reader.frame()? else {
                reader.position += PAGE;
                continue;
            };
            let sequence = frame.header.sequence;
            let is_gap = next.is_some_and(|next| sequence > next);
            if is_gap && sequence <= checkpointed + 1 {
                let file = file.path().display();
                tracing::warn!(%file, sequence, "frames before this one are broken; they were checkpointed before");
                begin = Some(sequence - 1);
            }
            next = next.max(Some(sequence + 1));
            reader.position += frame.header.frame_len();
        }
    }
    Ok(begin)
}

fn log_torn_tail(found: &Found, needed_from: u64, end: Option<&End>) -> Result<(), Error> {
    let Some(end) = end else { return Ok(()) };
    let used = found
        .epochs
        .iter()
        .filter(|(_, header)| header.epoch.number >= needed_from);
    for (file, header) in used.filter(|(file, _)| file.path().display().to_string() == end.file) {
        let mut page = vec![0; PAGE as usize];
        let count = file.read_at(&mut page, end.position)?;
        if let Some(torn) = FrameHeader::peek(&page[..count], header.epoch) {
            let (sequence, position) = (torn.sequence, end.position);
            tracing::warn!(
                file = end.file,
                position,
                sequence,
                "dropped a torn frame that was never acknowledged"
            );
        }
    }
    Ok(())
}

/// A file whose first page does not parse is fresh, or was being recycled: then its frames are of an earlier use. A frame of
/// a use that is still needed proves that the first page was damaged since.
fn check_headerless(found: &Found, newest: u64, needed_from: u64) -> Result<(), Error> {
    for file in &found.headerless {
        let mut position = PAGE;
        let len = file.size()?;
        let mut page = vec![0; PAGE as usize];
        while position < len {
            let count = file.read_at(&mut page, position)?;
            let lost = FrameHeader::peek_any(&page[..count])
                .is_some_and(|(header, number)| header.sequence > newest && number >= needed_from);
            if lost {
                return Err(Error::Corrupt {
                    file: file.path().display().to_string(),
                    position: 0,
                    reason: "its first page is damaged, and frames behind it are not checkpointed".into(),
                });
            }
            position += PAGE;
        }
    }
    Ok(())
}

/// Reads the frames of one file, through a window.
#[derive(Debug)]
pub struct FrameReader<'a> {
    file: &'a File,
    epoch: Epoch,
    /// Size of the file.
    pub len: u64,
    /// Where the next frame is looked for.
    pub position: u64,
    window: Bytes,
    window_at: u64,
}

impl<'a> FrameReader<'a> {
    /// From the first frame of an epoch.
    pub fn new(file: &'a File, epoch: Epoch) -> Outcome<Self> {
        Ok(Self {
            file,
            epoch,
            len: file.size()?,
            position: PAGE,
            window: Bytes::new(),
            window_at: 0,
        })
    }

    fn end(&self) -> End {
        End {
            file: self.file.path().display().to_string(),
            position: self.position,
        }
    }

    /// The frame at the position, if there is a good one.
    pub fn frame(&mut self) -> Outcome<Option<Frame>> {
        let page = self.bytes(PAGE)?;
        let Some(header) = FrameHeader::peek(&page, self.epoch) else {
            return Ok(None);
        };
        if header.frame_len() > self.len - self.position {
            return Ok(None);
        }
        let bytes = self.bytes(header.frame_len())?;
        Ok(frame::parse(&bytes, self.epoch).map(|(header, batches)| Frame { header, batches, bytes }))
    }

    fn bytes(&mut self, count: u64) -> Outcome<Bytes> {
        let held = self.window_at..self.window_at + self.window.len() as u64;
        let end = (self.position + count).min(self.len);
        if self.position < held.start || end > held.end {
            let left = usize::try_from(self.len - self.position).unwrap_or(usize::MAX);
            let wanted = usize::try_from(end - self.position).expect("a frame fits memory");
            let mut bytes = vec![0; wanted.max(WINDOW).min(left)];
            let filled = self.file.read_at(&mut bytes, self.position)?;
            bytes.truncate(filled);
            self.window = bytes.into();
            self.window_at = self.position;
        }
        let start = (self.position - self.window_at) as usize;
        let end = ((end - self.window_at) as usize).min(self.window.len());
        Ok(self.window.slice(start.min(end)..end))
    }
}
