//! One attempt, and its bytes inside a block.
//!
//! ```text
//! event_hash u64 │ subscription u64 │ topic u32 │ partition u32 │ offset u64 │ attempt u32 │ started i64 │
//! duration_micros u32 │ outcome u8 │ status u16, 0: none │ version u64 │ reason: u32 length, UTF-8 │ answer: u32 length │
//! replay u32, only if the outcome's top bit is set │ edits u32, only if its second bit is set
//! ```
//!
//! All numbers little endian. It knows nothing of files.

use crate::{Error, Millis, Partition, Revision, SubscriptionId};
use bytes::{Buf, BufMut, Bytes};

/// What is kept of a failed attempt's answer.
pub const ANSWER_BYTES_MAX: usize = 4 << 10;
/// What is kept of its reason: a class and a sentence.
pub const REASON_BYTES_MAX: usize = 1 << 10;

/// How an attempt ended. Persisted numbers, keep stable.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[repr(u8)]
pub enum AttemptOutcome {
    /// The destination took it.
    Delivered = 1,
    /// The destination refused the event; trying again cannot help.
    Refused = 2,
    /// The endpoint failed; it will be tried again.
    Retry = 3,
    /// The endpoint said that it is gone for good.
    Gone = 4,
    /// Trunkline itself failed before anything was sent, for example in a transform.
    Failed = 5,
    /// Cut off by a shutdown; whether it arrived is not known.
    Interrupted = 6,
}

/// One try of one delivery.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Attempt {
    /// A hash of the event's identity.
    pub event_hash: u64,
    /// For which subscription.
    pub subscription: SubscriptionId,
    /// Where the event's record is.
    pub partition: Partition,
    /// Its offset there.
    pub offset: u64,
    /// 1 for the first.
    pub attempt: u32,
    /// When it began.
    pub started: Millis,
    /// How long it took, in microseconds.
    pub duration_micros: u32,
    /// How it ended.
    pub outcome: AttemptOutcome,
    /// The answer's status, where the protocol has one.
    pub status: Option<u16>,
    /// The subscription's version that matched.
    pub version: Revision,
    /// The class of a failure and what is known of it; cut to [`REASON_BYTES_MAX`].
    pub reason: String,
    /// The beginning of a failed attempt's answer; cut to [`ANSWER_BYTES_MAX`].
    pub answer: Bytes,
    /// The number of the replay that it belongs to; 0: live traffic.
    pub replay: u32,
    /// How often the event had been edited; 0: it was as it was received.
    pub edits: u32,
}

/// The bytes of everything but reason and answer, with both lengths.
const FIXED_BYTES: usize = 8 + 8 + 4 + 4 + 8 + 4 + 8 + 4 + 1 + 2 + 8 + LENGTHS_BYTES;
/// Of the lengths of reason and answer.
const LENGTHS_BYTES: usize = 4 + 4;
/// Where the outcome stands.
const OUTCOME_AT: usize = 8 + 8 + 4 + 4 + 8 + 4 + 8 + 4;
/// Persisted: of the outcome, says that a replay's number follows the answer.
const OF_A_REPLAY: u8 = 0x80;
/// Persisted: of the outcome, says that a count of edits follows behind all else.
const OF_AN_EDIT: u8 = 0x40;

impl Attempt {
    /// Whether it gets a row in the index: it failed, or others came before it.
    pub(super) fn is_trouble(&self) -> bool {
        self.outcome != AttemptOutcome::Delivered || self.attempt > 1
    }

    pub(super) fn encoded_bytes(&self) -> usize {
        let optional = |number: u32| if number > 0 { size_of::<u32>() } else { 0 };
        FIXED_BYTES + self.reason.len() + self.answer.len() + optional(self.replay) + optional(self.edits)
    }

    /// Cuts what is too long, the reason at a character's boundary.
    pub(super) fn cut(&mut self) {
        let end = self.reason.floor_char_boundary(REASON_BYTES_MAX);
        self.reason.truncate(end);
        if self.answer.len() > ANSWER_BYTES_MAX {
            // A copy, so that the rest of the answer is not held with it.
            self.answer = Bytes::copy_from_slice(&self.answer[..ANSWER_BYTES_MAX]);
        }
    }

    pub(super) fn encode(&self, into: &mut Vec<u8>) {
        into.put_u64_le(self.event_hash);
        into.put_u64_le(self.subscription);
        into.put_u32_le(self.partition.topic);
        into.put_u32_le(self.partition.index);
        into.put_u64_le(self.offset);
        into.put_u32_le(self.attempt);
        into.put_i64_le(self.started);
        into.put_u32_le(self.duration_micros);
        let of_a_replay = if self.replay > 0 { OF_A_REPLAY } else { 0 };
        let of_an_edit = if self.edits > 0 { OF_AN_EDIT } else { 0 };
        into.put_u8(self.outcome as u8 | of_a_replay | of_an_edit);
        into.put_u16_le(self.status.unwrap_or(0));
        into.put_u64_le(self.version);
        into.put_u32_le(self.reason.len() as u32);
        into.put_slice(self.reason.as_bytes());
        into.put_u32_le(self.answer.len() as u32);
        into.put_slice(&self.answer);
        if self.replay > 0 {
            into.put_u32_le(self.replay);
        }
        if self.edits > 0 {
            into.put_u32_le(self.edits);
        }
    }

    pub(super) fn decode(from: &mut Bytes) -> Result<Self, Error> {
        if from.len() < FIXED_BYTES {
            return Err(broken());
        }
        let (is_of_a_replay, is_of_an_edit) = flags(from[OUTCOME_AT]);
        let mut attempt = Self {
            event_hash: from.get_u64_le(),
            subscription: from.get_u64_le(),
            partition: Partition {
                topic: from.get_u32_le(),
                index: from.get_u32_le(),
            },
            offset: from.get_u64_le(),
            attempt: from.get_u32_le(),
            started: from.get_i64_le(),
            duration_micros: from.get_u32_le(),
            outcome: outcome(from.get_u8() & !(OF_A_REPLAY | OF_AN_EDIT))?,
            status: Some(from.get_u16_le()).filter(|status| *status != 0),
            version: from.get_u64_le(),
            reason: String::from_utf8(take(from)?.to_vec()).map_err(|_| broken())?,
            answer: take(from)?,
            replay: 0,
            edits: 0,
        };
        if is_of_a_replay {
            attempt.replay = from.try_get_u32_le().map_err(|_| broken())?;
        }
        if is_of_an_edit {
            attempt.edits = from.try_get_u32_le().map_err(|_| broken())?;
        }
        Ok(attempt)
    }
}

/// What follows the answer: a replay's number, a count of edits.
fn flags(outcome: u8) -> (bool, bool) {
    (outcome & OF_A_REPLAY != 0, outcome & OF_AN_EDIT != 0)
}

/// The event of the attempt that begins here.
pub(super) fn event_hash_of(from: &[u8]) -> Option<u64> {
    from.first_chunk().map(|bytes| u64::from_le_bytes(*bytes))
}

/// Goes past one attempt without reading it.
pub(super) fn pass_over(from: &mut &[u8]) -> Result<(), Error> {
    let (is_of_a_replay, is_of_an_edit) = from.get(OUTCOME_AT).map_or((false, false), |outcome| flags(*outcome));
    *from = from.get(FIXED_BYTES - LENGTHS_BYTES..).ok_or_else(broken)?;
    for _ in 0..LENGTHS_BYTES / size_of::<u32>() {
        let length = from.try_get_u32_le().map_err(|_| broken())? as usize;
        *from = from.get(length..).ok_or_else(broken)?;
    }
    for _ in 0..usize::from(is_of_a_replay) + usize::from(is_of_an_edit) {
        *from = from.get(size_of::<u32>()..).ok_or_else(broken)?;
    }
    Ok(())
}

fn take(from: &mut Bytes) -> Result<Bytes, Error> {
    let length = from.try_get_u32_le().map_err(|_| broken())? as usize;
    if length > from.len() {
        Err(broken())
    } else {
        Ok(from.split_to(length))
    }
}

fn outcome(number: u8) -> Result<AttemptOutcome, Error> {
    Ok(match number {
        1 => AttemptOutcome::Delivered,
        2 => AttemptOutcome::Refused,
        3 => AttemptOutcome::Retry,
        4 => AttemptOutcome::Gone,
        5 => AttemptOutcome::Failed,
        6 => AttemptOutcome::Interrupted,
        _ => return Err(broken()),
    })
}

pub(super) fn broken() -> Error {
    Error::Corrupt("a block of attempts is not what was written".to_owned())
}
