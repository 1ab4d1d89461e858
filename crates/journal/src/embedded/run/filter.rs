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
        let (block, bits) = probe(identified.partition.topic.bus, identified.identity.lookup, blocks);
        let start = block as usize * BLOCK_LEN;
        for bit in bits {
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
    pub fn may_hold(&self, bus: u32, lookup: u64) -> bool {
        let (block, bits) = probe(bus, lookup, self.blocks());
        let start = block as usize * BLOCK_LEN;
        has_bits(&self.0[start..start + BLOCK_LEN], bits)
    }
}

/// Size of so many blocks.
pub fn bytes_of(blocks: u64) -> usize {
    usize::try_from(blocks).expect("a run is small") * BLOCK_LEN
}

/// Which block would know of it.
pub fn block_of(bus: u32, lookup: u64, blocks: u64) -> u64 {
    probe(bus, lookup, blocks).0
}

/// Asks that block alone.
pub fn block_may_hold(block: &[u8], (bus, lookup): (u32, u64), blocks: u64) -> Result<bool, RunError> {
    let block = unseal(block).ok_or(RunError::Damaged)?;
    Ok(has_bits(block, probe(bus, lookup, blocks).1))
}

/// The block and the bits in it that stand for a lookup hash.
fn probe(bus: u32, lookup: u64, blocks: u64) -> (u64, [u64; PROBES]) {
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

fn has_bits(block: &[u8], bits: [u64; PROBES]) -> bool {
    bits.iter().all(|bit| block[(bit / 8) as usize] & (1 << (bit % 8)) != 0)
}
