//! What identifies an event and where its key puts it. Every function here is persisted or promised to somebody: the same
//! input gives the same output forever.

use crate::{Data, DataForm, scan::Cursor};
use ring::digest::{Context, SHA256, digest};

/// The partition of a key: Kafka's default partitioner (murmur2, made positive, modulo), so that order survives a move to
/// Kafka. `partitions` must not be 0.
pub fn partition_for_key(key: &[u8], partitions: u32) -> u32 {
    assert!(partitions > 0, "a topic has at least one partition");
    (murmur2(key) & 0x7fff_ffff) % partitions
}

/// The partition of an event without a key: the same over its identity (source and id, each preceded by its u32 big-endian
/// length), so that a duplicate meets its first.
pub fn partition_for_identity(source: &str, id: &str, partitions: u32) -> u32 {
    let mut identity = smallvec::SmallVec::<[u8; 256]>::new();
    for part in [source, id] {
        identity.extend_from_slice(&length_prefix(part));
        identity.extend_from_slice(part.as_bytes());
    }
    partition_for_key(&identity, partitions)
}

/// The murmur2 of Kafka's clients: 32 bits, their seed.
fn murmur2(data: &[u8]) -> u32 {
    const SEED: u32 = 0x9747_b28c;
    const MULTIPLIER: u32 = 0x5bd1_e995;
    let length = u32::try_from(data.len() & 0xffff_ffff).expect("it is masked to 32 bits");
    let mut hash = SEED ^ length;
    let (words, tail) = data.as_chunks::<4>();
    for word in words {
        let mut k = u32::from_le_bytes(*word).wrapping_mul(MULTIPLIER);
        k = (k ^ (k >> 24)).wrapping_mul(MULTIPLIER);
        hash = hash.wrapping_mul(MULTIPLIER) ^ k;
    }
    if !tail.is_empty() {
        let mut last = [0; 4];
        last[..tail.len()].copy_from_slice(tail);
        hash = (hash ^ u32::from_le_bytes(last)).wrapping_mul(MULTIPLIER);
    }
    hash = (hash ^ (hash >> 13)).wrapping_mul(MULTIPLIER);
    hash ^ (hash >> 15)
}

/// What a person looks an event up by: the first 8 bytes, big-endian, of SHA-256 over the id.
pub fn lookup_hash(id: &str) -> u64 {
    let hash = digest(&SHA256, id.as_bytes());
    u64::from_be_bytes(*hash.as_ref().first_chunk().expect("SHA-256 has 32 bytes"))
}

/// What makes two events of one bus the same: the first 16 bytes, big-endian, of SHA-256 over source and id, each preceded
/// by its u32 big-endian length. A cryptographic hash, because who finds a collision could make an event vanish.
pub fn unique_hash(source: &str, id: &str) -> u128 {
    u128::from_be_bytes(hash_of_parts(&[source, id]))
}

/// `webhook-id`: `msg_` and 32 hex digits, the first 16 bytes of SHA-256 over bus name, source, id and subscription name,
/// each preceded by its u32 big-endian length; `_eN` after the Nth edited redrive.
pub fn webhook_id(bus: &str, source: &str, id: &str, subscription: &str, edits: u32) -> String {
    let hash = u128::from_be_bytes(hash_of_parts(&[bus, source, id, subscription]));
    match edits {
        0 => format!("msg_{hash:032x}"),
        _ => format!("msg_{hash:032x}_e{edits}"),
    }
}

/// `webhook-id` of a request that holds several events: `batch_` and 32 hex digits, the first 16 bytes of SHA-256 over their own
/// ids in order, each preceded by its u32 big-endian length. The same for the same events.
pub fn batch_id<'a>(ids: impl IntoIterator<Item = &'a str>) -> String {
    let ids: Vec<&str> = ids.into_iter().collect();
    format!("batch_{:032x}", u128::from_be_bytes(hash_of_parts(&ids)))
}

fn hash_of_parts(parts: &[&str]) -> [u8; 16] {
    let mut context = Context::new(&SHA256);
    for part in parts {
        context.update(&length_prefix(part));
        context.update(part.as_bytes());
    }
    *context.finish().as_ref().first_chunk().expect("SHA-256 has 32 bytes")
}

fn length_prefix(part: &str) -> [u8; 4] {
    u32::try_from(part.len())
        .expect("names and attributes are far below 4 GiB")
        .to_be_bytes()
}

/// The key that a route's path finds in JSON data: member names joined by dots. A string's key is its text, a number's and
/// a boolean's its JSON text; anything else (null, object, array, absent, data that is not JSON) is no key. Of members of
/// one name the first counts. The data is walked, not parsed.
pub fn key_at_path(data: &Data, path: &str) -> Option<String> {
    if data.form != DataForm::Json || path.is_empty() {
        return None;
    }
    let mut cursor = Cursor::new(std::str::from_utf8(&data.bytes).ok()?);
    for member in path.split('.') {
        cursor.enter(member)?;
    }
    match cursor.value()? {
        text if text.starts_with('"') => serde_json::from_str(text).ok(),
        text if text == "null" || text.starts_with(['{', '[']) => None,
        text => Some(text.to_owned()),
    }
}

#[cfg(test)]
mod tests;
