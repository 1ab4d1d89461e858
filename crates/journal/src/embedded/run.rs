//! A run: identities of durable records, sorted, in one file over all partitions, with a filter in front. It is written
//! once and rebuilt from segments when it is missing or damaged. (ADR 1 says why not one index per segment.)
//!
//! ```text
//!  at  size  field (little-endian)
//!   0     8  magic "TLIDRUN1"
//!   8     8  number of identities
//!  16     8  oldest append time
//!  24     8  newest append time
//!  32     4  number of covered ranges
//!  36     4  number of filter blocks
//!  40     4  CRC-32C of bytes 0 to 40
//!  44    28  per range: partition, from u64, to u64: all identities of these records are here
//!   -     4  CRC-32C of the ranges
//!   -    64  per filter block: 480 bits, CRC-32C of them
//!   -  4096  per page: up to 73 identities, zeros, CRC-32C at byte 4092
//!            identity: bus, topic, partition, flags (1: primary), lookup u64, unique u128, offset u64, append time i64
//! ```

use super::{
    disk::{Disk, Failure, File},
    format::{Fields, Layout, PutFields, unseal},
};
use crate::{AppendTime, Identity, Offset, PartitionId};
use std::path::PathBuf;

const MAGIC: &[u8; 8] = b"TLIDRUN1";
const HEAD_LEN: usize = 44;
const RANGE_LEN: usize = 28;
const BLOCK_LEN: usize = 64;
const BLOCK_BITS: u64 = 480;
/// One false positive in about a thousand.
const BITS_PER_IDENTITY: u64 = 16;
const PROBES: u32 = 6;
const PAGE_LEN: usize = 4096;
const ENTRY_LEN: usize = 56;
const PAGE_ENTRIES: usize = (PAGE_LEN - 4) / ENTRY_LEN;
const PRIMARY: u32 = 1;

/// Where a record with an identity stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Identified {
    /// Its partition.
    pub partition: PartitionId,
    /// Its offset.
    pub offset: Offset,
    /// When it was appended.
    pub append_time: AppendTime,
    /// Its identity.
    pub identity: Identity,
    /// Whether it is its entry's primary record.
    pub primary: bool,
}

impl Identified {
    fn key(&self) -> (u32, u64, u128, Offset, PartitionId) {
        (
            self.partition.topic.bus,
            self.identity.lookup,
            self.identity.unique,
            self.offset,
            self.partition,
        )
    }

    fn encode(&self, out: &mut Vec<u8>) {
        out.put_partition(self.partition);
        out.put_u32(if self.primary { PRIMARY } else { 0 });
        out.put_u64(self.identity.lookup);
        out.put_u128(self.identity.unique);
        out.put_u64(self.offset);
        out.put_i64(self.append_time);
    }

    fn decode(fields: &mut Fields<'_>) -> Option<Self> {
        let partition = fields.partition()?;
        let primary = fields.u32()? == PRIMARY;
        let identity = Identity {
            lookup: fields.u64()?,
            unique: fields.u128()?,
        };
        Some(Self {
            partition,
            offset: fields.u64()?,
            append_time: fields.i64()?,
            identity,
            primary,
        })
    }
}

/// Consecutive offsets of one partition.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Covered {
    /// The partition.
    pub partition: PartitionId,
    /// First offset.
    pub from: Offset,
    /// Offset after the last.
    pub to: Offset,
}

/// What is kept in memory of a run.
#[derive(Clone, Debug)]
pub struct Run {
    /// Its number, growing.
    pub number: u64,
    /// How many identities it holds.
    pub count: u64,
    /// Append time of the newest.
    pub newest: AppendTime,
    /// What it covers, in order.
    pub covered: Vec<Covered>,
    path: PathBuf,
    blocks: u64,
}

/// Why a run could not be read.
#[derive(Debug)]
pub enum RunError {
    /// A checksum does not hold, or the file is too short.
    Damaged,
    /// The disk refused.
    Failed(Failure),
}

impl From<Failure> for RunError {
    fn from(failure: Failure) -> Self {
        if failure.is_not_found() || failure.is_short() || failure.is_unreadable() {
            Self::Damaged
        } else {
            Self::Failed(failure)
        }
    }
}

/// The filter of a run, in memory.
#[derive(Clone, Debug)]
pub struct Filter(Vec<u8>);

impl Run {
    /// Writes and syncs a run. Its name is durable once the directory is synced.
    pub fn write(
        disk: &Disk,
        layout: &Layout,
        number: u64,
        mut identities: Vec<Identified>,
        covered: Vec<Covered>,
    ) -> Result<Self, Failure> {
        identities.sort_unstable_by_key(Identified::key);
        let run = Self {
            number,
            count: identities.len() as u64,
            newest: identities
                .iter()
                .map(|identified| identified.append_time)
                .max()
                .unwrap_or(0),
            covered,
            path: layout.run(number),
            blocks: (identities.len() as u64 * BITS_PER_IDENTITY)
                .div_ceil(BLOCK_BITS)
                .max(1),
        };
        let file = disk.create(&run.path)?;
        file.write_all_at(&run.encode(&identities), 0)?;
        file.sync_all()?;
        Ok(run)
    }

    fn encode(&self, identities: &[Identified]) -> Vec<u8> {
        let oldest = identities.iter().map(|identified| identified.append_time).min();
        let mut bytes = MAGIC.to_vec();
        bytes.put_u64(self.count);
        bytes.put_i64(oldest.unwrap_or(0));
        bytes.put_i64(self.newest);
        bytes.put_u32(u32::try_from(self.covered.len()).expect("partitions are few"));
        bytes.put_u32(u32::try_from(self.blocks).expect("a run is small"));
        bytes.seal();
        let mut ranges = Vec::with_capacity(self.covered.len() * RANGE_LEN);
        for covered in &self.covered {
            ranges.put_partition(covered.partition);
            ranges.put_u64(covered.from);
            ranges.put_u64(covered.to);
        }
        ranges.seal();
        bytes.extend_from_slice(&ranges);
        bytes.extend_from_slice(&encode_filter(identities, self.blocks));
        for page in identities.chunks(PAGE_ENTRIES) {
            encode_page(page, &mut bytes);
        }
        bytes
    }

    /// Reads what is kept in memory.
    pub fn open(disk: &Disk, layout: &Layout, number: u64) -> Result<Self, RunError> {
        let path = layout.run(number);
        let file = disk.open_to_read(&path)?;
        let mut head = [0; HEAD_LEN];
        file.read_exact_at(&mut head, 0)?;
        let (mut run, ranges) = Self::decode_head(&head, number, path).ok_or(RunError::Damaged)?;
        let size = file.size()?;
        if run.size(ranges as u64).is_none_or(|needed| size < needed) {
            return Err(RunError::Damaged);
        }
        let mut bytes = vec![0; ranges * RANGE_LEN + 4];
        file.read_exact_at(&mut bytes, HEAD_LEN as u64)?;
        run.covered = decode_ranges(&bytes).ok_or(RunError::Damaged)?;
        Ok(run)
    }

    /// The file's size, by what its head says; `None` if that is absurd.
    fn size(&self, ranges: u64) -> Option<u64> {
        let ranges = ranges.checked_mul(RANGE_LEN as u64)?;
        let blocks = self.blocks.checked_mul(BLOCK_LEN as u64)?;
        let pages = self.pages().checked_mul(PAGE_LEN as u64)?;
        ranges
            .checked_add(blocks)?
            .checked_add(pages)?
            .checked_add(HEAD_LEN as u64 + 4)
    }

    fn decode_head(head: &[u8], number: u64, path: PathBuf) -> Option<(Self, usize)> {
        let mut fields = Fields::new(unseal(head)?);
        (fields.take(8)? == MAGIC).then_some(())?;
        let (count, _oldest, newest) = (fields.u64()?, fields.i64()?, fields.i64()?);
        let ranges = fields.u32()? as usize;
        let run = Self {
            number,
            count,
            newest,
            covered: Vec::new(),
            path,
            blocks: u64::from(fields.u32()?).max(1),
        };
        Some((run, ranges))
    }

    fn filter_at(&self) -> u64 {
        (HEAD_LEN + self.covered.len() * RANGE_LEN + 4) as u64
    }

    fn pages_at(&self) -> u64 {
        self.filter_at() + self.blocks * BLOCK_LEN as u64
    }

    fn pages(&self) -> u64 {
        self.count.div_ceil(PAGE_ENTRIES as u64)
    }

    /// Everything of one bus with this lookup hash.
    pub fn find(&self, disk: &Disk, bus: u32, lookup: u64) -> Result<Vec<Identified>, RunError> {
        let file = disk.open_to_read(&self.path)?;
        let (block, bits) = probe(bus, lookup, self.blocks);
        let mut bytes = [0; BLOCK_LEN];
        file.read_exact_at(&mut bytes, self.filter_at() + block * BLOCK_LEN as u64)?;
        let block = unseal(&bytes).ok_or(RunError::Damaged)?;
        if !bits.iter().all(|bit| has_bit(block, *bit)) {
            return Ok(Vec::new());
        }
        self.search(&file, (bus, lookup))
    }

    /// Its file, opened.
    pub fn open_file(&self, disk: &Disk) -> Result<File, RunError> {
        Ok(disk.open_to_read(&self.path)?)
    }

    /// The same in an open file, behind a filter that is in memory.
    pub fn find_filtered(
        &self,
        file: &File,
        filter: &Filter,
        bus: u32,
        lookup: u64,
    ) -> Result<Vec<Identified>, RunError> {
        if !filter.may_hold(bus, lookup, self.blocks) {
            return Ok(Vec::new());
        }
        self.search(file, (bus, lookup))
    }

    fn search(&self, file: &File, key: (u32, u64)) -> Result<Vec<Identified>, RunError> {
        let sorted = |identified: &Identified| (identified.partition.topic.bus, identified.identity.lookup);
        // The last page whose first identity is below the key may hold the first equal one.
        let (mut low, mut high) = (0, self.pages());
        while high - low > 1 {
            let middle = low + (high - low) / 2;
            let first = self.page(file, middle)?[0];
            if sorted(&first) < key {
                low = middle
            } else {
                high = middle
            }
        }
        let mut found = Vec::new();
        for place in low..self.pages() {
            let page = self.page(file, place)?;
            found.extend(page.iter().filter(|identified| sorted(identified) == key));
            if page.last().is_none_or(|last| sorted(last) > key) {
                break;
            }
        }
        Ok(found)
    }

    fn page(&self, file: &File, place: u64) -> Result<Vec<Identified>, RunError> {
        let mut bytes = vec![0; PAGE_LEN];
        file.read_exact_at(&mut bytes, self.pages_at() + place * PAGE_LEN as u64)?;
        let body = unseal(&bytes).ok_or(RunError::Damaged)?;
        let count = (self.count - place * PAGE_ENTRIES as u64).min(PAGE_ENTRIES as u64);
        let mut fields = Fields::new(body);
        (0..count)
            .map(|_| Identified::decode(&mut fields).ok_or(RunError::Damaged))
            .collect()
    }

    /// Everything in it.
    pub fn read_all(&self, disk: &Disk) -> Result<Vec<Identified>, RunError> {
        let file = disk.open_to_read(&self.path)?;
        let mut all = Vec::new();
        for place in 0..self.pages() {
            all.extend(self.page(&file, place)?);
        }
        Ok(all)
    }

    /// Reads all of it, and says whether every checksum holds.
    pub fn verify(&self, disk: &Disk) -> Result<(), RunError> {
        let file = self.open_file(disk)?;
        self.filter(&file)?;
        (0..self.pages()).try_for_each(|place| self.page(&file, place).map(drop))
    }

    /// Its filter, verified.
    pub fn filter(&self, file: &File) -> Result<Filter, RunError> {
        let mut bytes = vec![0; usize::try_from(self.blocks).expect("a run is small") * BLOCK_LEN];
        file.read_exact_at(&mut bytes, self.filter_at())?;
        let good = bytes.chunks_exact(BLOCK_LEN).all(|block| unseal(block).is_some());
        good.then_some(Filter(bytes)).ok_or(RunError::Damaged)
    }
}

impl Filter {
    fn may_hold(&self, bus: u32, lookup: u64, blocks: u64) -> bool {
        let (block, bits) = probe(bus, lookup, blocks);
        let start = block as usize * BLOCK_LEN;
        bits.iter().all(|bit| has_bit(&self.0[start..start + BLOCK_LEN], *bit))
    }
}

fn decode_ranges(bytes: &[u8]) -> Option<Vec<Covered>> {
    let mut fields = Fields::new(unseal(bytes)?);
    let mut covered = Vec::new();
    while !fields.is_empty() {
        covered.push(Covered {
            partition: fields.partition()?,
            from: fields.u64()?,
            to: fields.u64()?,
        });
    }
    Some(covered)
}

fn encode_page(page: &[Identified], out: &mut Vec<u8>) {
    let start = out.len();
    page.iter().for_each(|identified| identified.encode(out));
    out.resize(start + PAGE_LEN - 4, 0);
    let crc = crc32c::crc32c(&out[start..]);
    out.put_u32(crc);
}

fn encode_filter(identities: &[Identified], blocks: u64) -> Vec<u8> {
    let mut filter = vec![0; usize::try_from(blocks).expect("a run is small") * BLOCK_LEN];
    for identified in identities {
        let (block, bits) = probe(identified.partition.topic.bus, identified.identity.lookup, blocks);
        for bit in bits {
            filter[block as usize * BLOCK_LEN + (bit / 8) as usize] |= 1 << (bit % 8);
        }
    }
    for block in filter.chunks_exact_mut(BLOCK_LEN) {
        let crc = crc32c::crc32c(&block[..BLOCK_LEN - 4]);
        block[BLOCK_LEN - 4..].copy_from_slice(&crc.to_le_bytes());
    }
    filter
}

/// The block and the bits in it that stand for a lookup hash.
fn probe(bus: u32, lookup: u64, blocks: u64) -> (u64, [u64; PROBES as usize]) {
    let mut hash = mix(lookup ^ u64::from(bus).wrapping_mul(0x9e37_79b9_7f4a_7c15));
    let block = hash % blocks;
    let bits = std::array::from_fn(|_| {
        hash = mix(hash);
        hash % BLOCK_BITS
    });
    (block, bits)
}

fn mix(value: u64) -> u64 {
    let mixed = (value ^ (value >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    (mixed ^ (mixed >> 31)).wrapping_add(0x9e37_79b9_7f4a_7c15)
}

fn has_bit(block: &[u8], bit: u64) -> bool {
    block[(bit / 8) as usize] & (1 << (bit % 8)) != 0
}

#[cfg(test)]
mod tests {
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
            assert_eq!(opened.find_filtered(&file, &filter, 2, lookup).unwrap(), expected);
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
}
