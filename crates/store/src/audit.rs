//! The audit trail's chain: each entry's hash covers the entry and the hash before it, so that an entry which was altered, removed
//! or put in between is found. It does not know what entries say.
//!
//! ```text
//! hash = SHA-256("trunkline/audit/1" │ hash before: 32 bytes │ seq: u64 │ at: i64 │ bus: u32 │ length: u64 │ body)
//! ```
//!
//! Numbers are little endian. The hash before the first entry is that of the *anchor*: zeroes, or what the last entry had that
//! retention removed. Persisted, keep stable.

use crate::{AuditEnd, AuditEntry, AuditOrder, AuditQuery, BusId, Error, Millis, Store};
use ring::digest;

/// Entries that are looked at in one read.
const PAGE: usize = 500;
/// How often verifying starts again because retention moved the anchor meanwhile.
const TRIES_MAX: usize = 3;

/// A hash of the chain.
pub type AuditHash = [u8; 32];

/// The hash of an entry after the one with the hash `before`.
pub fn chained(before: &AuditHash, seq: u64, at: Millis, bus: BusId, body: &[u8]) -> AuditHash {
    let mut hash = digest::Context::new(&digest::SHA256);
    hash.update(b"trunkline/audit/1");
    hash.update(before);
    hash.update(&seq.to_le_bytes());
    hash.update(&at.to_le_bytes());
    hash.update(&bus.to_le_bytes());
    hash.update(&(body.len() as u64).to_le_bytes());
    hash.update(body);
    hash.finish().as_ref().try_into().expect("SHA-256 has 32 bytes")
}

/// A trail that verified.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct AuditVerified {
    /// Entries.
    pub entries: u64,
    /// What is before the first: what retention removed last.
    pub anchor: AuditEnd,
    /// The last entry: noted elsewhere, it shows later that nothing up to it was exchanged.
    pub head: AuditEnd,
}

/// Why a trail does not verify.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum AuditFault {
    /// The store could not be read, or a row does not have its sum.
    #[error("read the audit trail: {0}")]
    Store(#[from] Error),
    /// Entries are missing.
    #[error("verify the audit trail: entry {wanted} is missing (found {found:?})")]
    Missing {
        /// The entry that should be next.
        wanted: u64,
        /// What is there instead.
        found: Option<u64>,
    },
    /// An entry was altered, or one before it.
    #[error("verify the audit trail: entry {0} is not what was written, or follows another entry than it did")]
    Altered(u64),
    /// The note of the last entry is lost, or an earlier one: there are entries behind it.
    #[error(
        "verify the audit trail: its end is lost: it is said to be entry {said}, and there are entries up to {found}"
    )]
    EndLost {
        /// What is said to be the last entry.
        said: u64,
        /// The last one that there is.
        found: u64,
    },
    /// The end is another one than somebody noted.
    #[error("verify the audit trail: entry {0} is not the one that was noted")]
    NotTheNoted(u64),
}

/// Whether there are entries behind the one that is said to be the last: then no other can be added before
/// [`Operation::MendAuditEnd`](crate::Operation::MendAuditEnd).
pub async fn lost_end(store: &dyn Store) -> Result<Option<AuditFault>, Error> {
    let newest = AuditQuery {
        bus: None,
        after: 0,
        before: u64::MAX,
        order: AuditOrder::NewestFirst,
        limit: 1,
    };
    let last = store.audit(newest).await?.pop().map_or(0, |entry| entry.seq);
    // Asked for afterwards: entries that come meanwhile only make it greater.
    let (anchor, head) = store.audit_ends().await?;
    let (said, found) = (head.seq, last.max(anchor.seq));
    Ok((found > said).then_some(AuditFault::EndLost { said, found }))
}

/// Walks the whole trail. `noted` is an end that somebody kept elsewhere.
pub async fn verify(store: &dyn Store, noted: Option<AuditEnd>) -> Result<AuditVerified, AuditFault> {
    if let Some(lost) = lost_end(store).await? {
        return Err(lost);
    }
    let mut tries = 0;
    loop {
        let (anchor, head) = store.audit_ends().await?;
        let walked = walk(store, anchor, head, noted).await;
        tries += 1;
        // Retention may have removed entries meanwhile: then the walk says nothing.
        if walked.is_ok() || tries == TRIES_MAX || store.audit_ends().await?.0 == anchor {
            return walked;
        }
    }
}

async fn walk(
    store: &dyn Store,
    anchor: AuditEnd,
    head: AuditEnd,
    noted: Option<AuditEnd>,
) -> Result<AuditVerified, AuditFault> {
    let mut last = anchor;
    let mut saw_noted = noted.is_none_or(|noted| noted.seq < anchor.seq || noted == anchor);
    while last.seq < head.seq {
        let query = AuditQuery {
            bus: None,
            after: last.seq,
            before: head.seq.saturating_add(1),
            order: AuditOrder::OldestFirst,
            limit: PAGE,
        };
        let page = store.audit(query).await?;
        if page.is_empty() {
            let (wanted, found) = (last.seq + 1, None);
            return Err(AuditFault::Missing { wanted, found });
        }
        for entry in &page {
            last = follow(last, entry)?;
            saw_noted |= noted == Some(last);
        }
    }
    if last != head {
        return Err(AuditFault::Altered(head.seq));
    }
    match (saw_noted, noted) {
        (false, Some(noted)) => Err(AuditFault::NotTheNoted(noted.seq)),
        _ => Ok(AuditVerified {
            entries: head.seq - anchor.seq,
            anchor,
            head,
        }),
    }
}

fn follow(last: AuditEnd, entry: &AuditEntry) -> Result<AuditEnd, AuditFault> {
    let AuditEntry {
        seq,
        at,
        bus,
        body,
        hash,
        ..
    } = entry;
    if *seq != last.seq + 1 {
        let (wanted, found) = (last.seq + 1, Some(*seq));
        return Err(AuditFault::Missing { wanted, found });
    }
    match chained(&last.hash, *seq, *at, *bus, body) == *hash {
        true => Ok(AuditEnd { seq: *seq, hash: *hash }),
        false => Err(AuditFault::Altered(*seq)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The chain is persisted: another value here is another format.
    #[test]
    fn the_hash_is_what_it_was() {
        let hash = chained(&[7; 32], 1, 1_800_000_000_000, 2, b"{}");
        let text: String = hash.iter().map(|byte| format!("{byte:02x}")).collect();
        assert_eq!(text, GOLDEN);
        assert_ne!(hash, chained(&[7; 32], 1, 1_800_000_000_000, 3, b"{}"));
        assert_ne!(hash, chained(&[8; 32], 1, 1_800_000_000_000, 2, b"{}"));
    }

    const GOLDEN: &str = "b6195a8a521e267303b0bf1d53e3db82bf733dc588fbb4367c2ed3c5c14904ad";
}
