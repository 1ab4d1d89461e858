//! The filter in front of a run: whether an identity may be in it. Each block has a checksum and stands alone, so that a
//! search reads one block, or all of them once.

use super::{Identified, RunError};
use crate::embedded::format::unseal;

/// Size of a block, its checksum included.
pub const BLOCK_LEN: usize = 64;
const BLOCK_BITS: u64 = 480;
/// One false positive in about a thousand.
const BITS_PER_IDENTITY: u64 = 16;
const PROBES: usize = 6;

/// All blocks, in memory.
#[derive(Clone, Debug)]
pub struct Filter(Vec<u8>);

/// How many blocks hold so many identities.
pub fn blocks_for(identities: u64) -> u64 {
    (identities * BITS_PER_IDENTITY).div_ceil(BLOCK_BITS).max(1)
}

impl Filter {
    /// A filter that holds nothing, not sealed yet.
    pub fn empty(blocks: u64) -> Self {
        Self(vec![0; bytes_of(blocks)])
    }

    /// Reads all blocks.
    pub fn decode(bytes: Vec<u8>) -> Result<Self, RunError> {
        let good = bytes.chunks_exact(BLOCK_LEN).all(|block| unseal(block).is_some());
        good.then_some(Self(bytes)).ok_or(RunError::Damaged)
    }

    fn blocks(&self) -> u64 {
        (self.0.len() / BLOCK_LEN) as u64
    }

    /// Adds an identity.
    pub fn add(&mut self, identified: &Identified) {
        let blocks = self.blocks();
        let probe = Probe::new(identified.partition.topic.bus, identified.identity.lookup);
        let start = probe.block(blocks) as usize * BLOCK_LEN;
        for bit in probe.bits() {
            self.0[start + (bit / 8) as usize] |= 1 << (bit % 8);
        }
    }

    /// The blocks with their checksums.
    pub fn sealed(mut self) -> Vec<u8> {
        for block in self.0.chunks_exact_mut(BLOCK_LEN) {
            let crc = crc32c::crc32c(&block[..BLOCK_LEN - 4]);
            block[BLOCK_LEN - 4..].copy_from_slice(&crc.to_le_bytes());
        }
        self.0
    }

    /// False if it certainly was not added.
    pub fn may_hold(&self, probe: &Probe) -> bool {
        has_bits(self.block(probe), probe)
    }

    /// Some byte of what [`may_hold`](Self::may_hold) looks at: to have it in the processor's cache by then.
    pub fn touch(&self, probe: &Probe) -> u8 {
        self.block(probe)[0]
    }

    fn block(&self, probe: &Probe) -> &[u8] {
        let start = probe.block(self.blocks()) as usize * BLOCK_LEN;
        &self.0[start..start + BLOCK_LEN]
    }
}

/// Size of so many blocks.
pub fn bytes_of(blocks: u64) -> usize {
    usize::try_from(blocks).expect("a run is small") * BLOCK_LEN
}

/// Which block would know of it.
pub fn block_of(bus: u32, lookup: u64, blocks: u64) -> u64 {
    Probe::new(bus, lookup).block(blocks)
}

/// Asks that block alone.
pub fn block_may_hold(block: &[u8], (bus, lookup): (u32, u64)) -> Result<bool, RunError> {
    let block = unseal(block).ok_or(RunError::Damaged)?;
    Ok(has_bits(block, &Probe::new(bus, lookup)))
}

/// What stands for a lookup hash in every filter: computed once, however many are asked.
#[derive(Clone, Copy, Debug)]
pub struct Probe {
    /// The bus and the hash.
    pub key: (u32, u64),
    hash: u64,
}

impl Probe {
    /// Of a bus's lookup hash.
    pub fn new(bus: u32, lookup: u64) -> Self {
        Self {
            key: (bus, lookup),
            hash: mix(lookup ^ u64::from(bus).wrapping_mul(0x9e37_79b9_7f4a_7c15)),
        }
    }

    /// Which of so many blocks would know of it.
    fn block(&self, blocks: u64) -> u64 {
        self.hash % blocks
    }

    /// Its bits in that block. What was not added is mostly known by the first or the second.
    fn bits(&self) -> impl Iterator<Item = u64> {
        let hashes = std::iter::successors(Some(mix(self.hash)), |hash| Some(mix(*hash)));
        hashes.take(PROBES).map(|hash| hash % BLOCK_BITS)
    }
}

fn mix(value: u64) -> u64 {
    let mixed = (value ^ (value >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    (mixed ^ (mixed >> 31)).wrapping_add(0x9e37_79b9_7f4a_7c15)
}

fn has_bits(block: &[u8], probe: &Probe) -> bool {
    probe
        .bits()
        .all(|bit| block[(bit / 8) as usize] & (1 << (bit % 8)) != 0)
}
