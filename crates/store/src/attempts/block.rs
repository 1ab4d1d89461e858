//! A block: up to 1,000 attempts compressed together, with what lets a reader pass over it.
//!
//! ```text
//! magic "TLA1" │ head CRC-32C u32, over the rest of the head and the filter │ body CRC-32C u32 │
//! body length u32 │ raw length u32 │ count u32 │ filter length u32 │ first started i64 │ last started i64 │ filter │ body
//! ```
//!
//! The filter is a Bloom filter of the event hashes; the body is the attempts one after the other, zstd. It does no
//! input or output.

use super::attempt::{Attempt, broken, event_hash_of, pass_over};
use crate::{Error, Millis};
use bytes::{Buf, BufMut, Bytes};

/// A block is closed at so many attempts.
pub(super) const ATTEMPTS_MAX: usize = 1_000;
/// Or at so many bytes before compression.
pub(super) const RAW_BYTES_MAX: usize = 1 << 20;
/// One more attempt may cross it, with its reason and answer.
const RAW_BYTES_READ_MAX: usize = RAW_BYTES_MAX + (16 << 10);
/// Fast; attempts of one subscription are alike, so that even this shrinks them several times.
const LEVEL: i32 = 1;

/// The first bytes of every block.
pub(super) const MAGIC: [u8; 4] = *b"TLA1";
/// The head before the filter.
pub(super) const HEAD_BYTES: usize = 4 + 4 + 4 + 4 + 4 + 4 + 4 + 8 + 8;

/// Ten bits and seven probes: one event in a hundred and twenty is looked for in a block that lacks it.
const FILTER_BITS_PER_ATTEMPT: usize = 10;
const FILTER_PROBES: u64 = 7;
/// The longest filter a head may announce.
pub(super) const FILTER_BYTES_MAX: usize = (ATTEMPTS_MAX * FILTER_BITS_PER_ATTEMPT).div_ceil(8);

/// A block's head and filter, as read.
#[derive(Clone, Debug)]
pub(super) struct Head {
    pub(super) first: Millis,
    pub(super) last: Millis,
    pub(super) body_bytes: usize,
    raw_bytes: usize,
    count: usize,
    body_sum: u32,
    filter: Bytes,
}

/// Encodes attempts, of which there is at least one.
pub(super) fn encode(attempts: &[Attempt]) -> Result<Vec<u8>, Error> {
    let mut raw = Vec::with_capacity(attempts.iter().map(Attempt::encoded_bytes).sum());
    attempts.iter().for_each(|attempt| attempt.encode(&mut raw));
    let body = zstd::bulk::compress(&raw, LEVEL).map_err(|error| Error::Engine(format!("compress: {error}")))?;
    let filter = filter_of(attempts);
    let started = || attempts.iter().map(|attempt| attempt.started);

    let mut guarded = Vec::with_capacity(HEAD_BYTES + filter.len());
    guarded.put_u32_le(crc32c::crc32c(&body));
    guarded.put_u32_le(body.len() as u32);
    guarded.put_u32_le(raw.len() as u32);
    guarded.put_u32_le(attempts.len() as u32);
    guarded.put_u32_le(filter.len() as u32);
    guarded.put_i64_le(started().min().unwrap_or_default());
    guarded.put_i64_le(started().max().unwrap_or_default());
    guarded.put_slice(&filter);

    let mut block = Vec::with_capacity(8 + guarded.len() + body.len());
    block.put_slice(&MAGIC);
    block.put_u32_le(crc32c::crc32c(&guarded));
    block.put_slice(&guarded);
    block.put_slice(&body);
    Ok(block)
}

impl Head {
    /// Reads a head from the beginning of `bytes`, which may hold more; `None` if there is no good one.
    pub(super) fn decode(bytes: &[u8]) -> Option<Self> {
        let (mut head, rest) = bytes.split_at_checked(HEAD_BYTES)?;
        let magic = head.get_u32();
        let sum = head.get_u32_le();
        let guarded = &bytes[8..];
        let body_sum = head.get_u32_le();
        let (body_bytes, raw_bytes) = (head.get_u32_le() as usize, head.get_u32_le() as usize);
        let (count, filter_bytes) = (head.get_u32_le() as usize, head.get_u32_le() as usize);
        let (first, last) = (head.get_i64_le(), head.get_i64_le());
        let filter = rest.get(..filter_bytes)?;
        let good = magic == u32::from_be_bytes(MAGIC)
            && (1..=FILTER_BYTES_MAX).contains(&filter_bytes)
            && raw_bytes <= RAW_BYTES_READ_MAX
            && crc32c::crc32c(&guarded[..HEAD_BYTES - 8 + filter_bytes]) == sum;
        let filter = Bytes::copy_from_slice(filter);
        good.then_some(Self {
            first,
            last,
            body_bytes,
            raw_bytes,
            count,
            body_sum,
            filter,
        })
    }

    /// The bytes from the block's beginning to its body.
    pub(super) fn body_offset(&self) -> usize {
        HEAD_BYTES + self.filter.len()
    }

    /// The bytes of the whole block.
    pub(super) fn block_bytes(&self) -> usize {
        self.body_offset() + self.body_bytes
    }

    /// Whether attempts of the event that began in the time (both ends inclusive) may be in this block.
    pub(super) fn may_hold(&self, event_hash: u64, from: Millis, to: Millis) -> bool {
        let has = |bit: usize| self.filter[bit / 8] & (1 << (bit % 8)) != 0;
        self.first <= to && self.last >= from && probes(event_hash, self.filter.len() * 8).all(has)
    }

    /// Whether the body is what was written.
    pub(super) fn is_sum_of(&self, body: &[u8]) -> bool {
        crc32c::crc32c(body) == self.body_sum
    }

    pub(super) fn attempts(&self, body: &[u8]) -> Result<Vec<Attempt>, Error> {
        let mut raw = Bytes::from(self.raw(body)?);
        (0..self.count).map(|_| Attempt::decode(&mut raw)).collect()
    }

    /// Those of one event; the others are passed over unread.
    pub(super) fn attempts_of(&self, event_hash: u64, body: &[u8]) -> Result<Vec<Attempt>, Error> {
        let raw = self.raw(body)?;
        let (mut rest, mut found) = (&raw[..], Vec::new());
        for _ in 0..self.count {
            let this = rest;
            pass_over(&mut rest)?;
            if event_hash_of(this) == Some(event_hash) {
                let mut bytes = Bytes::copy_from_slice(&this[..this.len() - rest.len()]);
                found.push(Attempt::decode(&mut bytes)?);
            }
        }
        Ok(found)
    }

    fn raw(&self, body: &[u8]) -> Result<Vec<u8>, Error> {
        if !self.is_sum_of(body) {
            return Err(broken());
        }
        zstd::bulk::decompress(body, self.raw_bytes).map_err(|_| broken())
    }
}

fn filter_of(attempts: &[Attempt]) -> Vec<u8> {
    let mut filter = vec![0; (attempts.len() * FILTER_BITS_PER_ATTEMPT).div_ceil(8)];
    let bits = filter.len() * 8;
    for attempt in attempts {
        probes(attempt.event_hash, bits).for_each(|bit| filter[bit / 8] |= 1 << (bit % 8));
    }
    filter
}

/// Double hashing; the hash is mixed first (the finisher of SplitMix64), so that it need not be a good one.
fn probes(event_hash: u64, bits: usize) -> impl Iterator<Item = usize> {
    let mixed = (event_hash ^ (event_hash >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    let (start, step) = (mixed >> 32, (mixed & 0xffff_ffff) | 1);
    (0..FILTER_PROBES).map(move |probe| (start.wrapping_add(probe * step) % bits as u64) as usize)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Partition, attempts::AttemptOutcome};

    fn attempt(event_hash: u64) -> Attempt {
        Attempt {
            event_hash,
            subscription: 2,
            partition: Partition { topic: 3, index: 4 },
            offset: 5,
            attempt: 6,
            started: 7,
            duration_micros: 8,
            outcome: AttemptOutcome::Refused,
            status: Some(400),
            version: 9,
            reason: "http_400".to_owned(),
            answer: Bytes::from_static(b"no"),
            replay: 0,
            edits: 0,
        }
    }

    /// The layout is persisted: another value here is another format. (The body is zstd's, and may change with it.)
    #[test]
    fn heads_and_attempts_are_laid_out_as_they_were() {
        let mut raw = Vec::new();
        attempt(1).encode(&mut raw);
        assert_eq!((raw.len(), crc32c::crc32c(&raw)), (77, 1_840_679_885));
        let block = encode(&[attempt(1), attempt(2)]).unwrap();
        assert_eq!(block[..4], MAGIC);
        let lengths = [154, 0, 0, 0, 2, 0, 0, 0, 3, 0, 0, 0];
        let times_and_filter = [7, 0, 0, 0, 0, 0, 0, 0, 7, 0, 0, 0, 0, 0, 0, 0, 164, 127, 18];
        assert_eq!(
            (&block[16..28], &block[28..HEAD_BYTES + 3]),
            (&lengths[..], &times_and_filter[..])
        );
        let head = Head::decode(&block).unwrap();
        assert_eq!(head.block_bytes(), block.len());
        let body = &block[head.body_offset()..];
        assert_eq!(head.attempts(body).unwrap(), [attempt(1), attempt(2)]);
        assert_eq!(head.attempts_of(2, body).unwrap(), [attempt(2)]);
        assert_eq!(head.attempts_of(3, body).unwrap(), []);
    }

    /// A replay's number stands behind everything else, where those that know no replays have nothing.
    #[test]
    fn an_attempt_of_a_replay_has_its_number_at_the_end() {
        let replayed = Attempt {
            replay: 0x0102_0304,
            ..attempt(2)
        };
        let (mut live, mut raw) = (Vec::new(), Vec::new());
        attempt(2).encode(&mut live);
        replayed.encode(&mut raw);
        assert_eq!(raw.len(), replayed.encoded_bytes());
        assert_eq!((raw.len(), &raw[raw.len() - 4..]), (live.len() + 4, &[4, 3, 2, 1][..]));
        let all = [attempt(1), replayed.clone(), attempt(2), replayed.clone()];
        let block = encode(&all).unwrap();
        let head = Head::decode(&block).unwrap();
        let body = &block[head.body_offset()..];
        assert_eq!(head.attempts(body).unwrap(), all);
        assert_eq!(head.attempts_of(1, body).unwrap(), [attempt(1)]);
        assert_eq!(
            head.attempts_of(2, body).unwrap(),
            [replayed.clone(), attempt(2), replayed]
        );
        let mut cut = Bytes::from(raw).slice(..live.len() + 3);
        assert!(Attempt::decode(&mut cut).is_err());
    }

    /// A count of edits stands behind all else.
    #[test]
    fn an_attempt_with_an_edited_event_has_the_count_at_the_end() {
        let with = |replay| Attempt {
            replay,
            edits: 0x0102_0304,
            ..attempt(2)
        };
        for (edited, more) in [(with(0), &[4, 3, 2, 1][..]), (with(9), &[9, 0, 0, 0, 4, 3, 2, 1][..])] {
            let (mut plain, mut raw) = (Vec::new(), Vec::new());
            attempt(2).encode(&mut plain);
            edited.encode(&mut raw);
            assert_eq!((raw.len(), &raw[plain.len()..]), (edited.encoded_bytes(), more));
            let all = [attempt(1), edited.clone(), attempt(2), edited.clone()];
            let block = encode(&all).unwrap();
            let head = Head::decode(&block).unwrap();
            let body = &block[head.body_offset()..];
            assert_eq!(head.attempts(body).unwrap(), all);
            assert_eq!(head.attempts_of(1, body).unwrap(), [attempt(1)]);
            assert_eq!(head.attempts_of(2, body).unwrap(), [edited.clone(), attempt(2), edited]);
            let mut cut = Bytes::from(raw.clone()).slice(..raw.len() - 1);
            assert!(Attempt::decode(&mut cut).is_err());
        }
    }

    #[test]
    fn a_filter_has_what_is_in_it_and_little_else() {
        let attempts: Vec<_> = (0..ATTEMPTS_MAX as u64).map(attempt).collect();
        let block = encode(&attempts).unwrap();
        let head = Head::decode(&block).unwrap();
        let may_hold = |hash: &u64| head.may_hold(*hash, 0, 10);
        assert!((0..1_000).all(|hash| may_hold(&hash)));
        assert!((1_000..11_000).filter(may_hold).count() < 200);
        assert!(!head.may_hold(1, 8, 9) && !head.may_hold(1, 0, 6));
    }

    #[test]
    fn no_cut_or_flipped_head_is_read() {
        let block = encode(&[attempt(1)]).unwrap();
        let head = Head::decode(&block).unwrap();
        assert!((0..head.body_offset()).all(|length| Head::decode(&block[..length]).is_none()));
        for bit in 0..block.len() * 8 {
            let mut flipped = block.clone();
            flipped[bit / 8] ^= 1 << (bit % 8);
            let read = Head::decode(&flipped).map(|head| head.attempts(&flipped[head.body_offset()..]));
            assert!(!matches!(read, Some(Ok(_))), "bit {bit}");
        }
    }
}
