//! The ids of a request's events.

use crate::http::{
    eventbridge::{
        fault::{Fault, uuid},
        identity::Caller,
    },
    problem::Problem,
};
use http::HeaderMap;
use ring::{
    digest,
    rand::{SecureRandom as _, SystemRandom},
};

/// The same on every try of one call of an SDK.
const INVOCATION: &str = "amz-sdk-invocation-id";
/// Before what ids are made of; other things that are made of the same parts are others.
const PURPOSE: &[u8] = b"trunkline/eventbridge/event-id/1";
/// A UUID of random bits.
const RANDOM: u8 = 4;
/// A UUID whose bits have a meaning of their own: here, a hash.
const HASHED: u8 = 8;

/// An id for each entry.
pub(super) fn of(headers: &HeaderMap, caller: &Caller, count: usize) -> Result<Vec<String>, Fault> {
    let (seed, version) = match headers.get(INVOCATION).filter(|id| !id.is_empty()) {
        Some(invocation) => (hashed(invocation.as_bytes(), caller), HASHED),
        None => (random()?, RANDOM),
    };
    let id = |index: usize| {
        let mut hash = digest::Context::new(&digest::SHA256);
        hash.update(&seed);
        hash.update(&index.to_be_bytes());
        let hash = hash.finish();
        let bytes = *hash.as_ref().first_chunk().expect("SHA-256 has 32 bytes");
        uuid(bytes, version)
    };
    Ok((0..count).map(id).collect())
}

/// Whoever sends other bytes, or has another key, has other ids.
fn hashed(invocation: &[u8], caller: &Caller) -> [u8; 32] {
    let key = caller.principal.key().map_or("", |key| key.id.as_str());
    let mut hash = digest::Context::new(&digest::SHA256);
    for part in [PURPOSE, key.as_bytes(), invocation, &caller.body_sha256] {
        hash.update(&(part.len() as u64).to_be_bytes());
        hash.update(part);
    }
    hash.finish().as_ref().try_into().expect("SHA-256 has 32 bytes")
}

fn random() -> Result<[u8; 32], Fault> {
    let mut bytes = [0; 32];
    let failed = |_| Fault::from(Problem::new("internal", "the system gave no random bytes"));
    SystemRandom::new().fill(&mut bytes).map_err(failed)?;
    Ok(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;
    use control::Principal;
    use http::HeaderValue;
    use std::collections::BTreeSet;

    fn ids(invocation: Option<&'static str>, body_sha256: [u8; 32]) -> Vec<String> {
        let mut headers = HeaderMap::new();
        if let Some(id) = invocation {
            headers.insert(INVOCATION, HeaderValue::from_static(id));
        }
        let caller = Caller {
            principal: Principal::Keyless,
            region: String::new(),
            body_sha256,
        };
        of(&headers, &caller, 3).expect("the system has random bytes")
    }

    #[test]
    fn a_call_that_is_tried_again_has_the_same_ids() {
        assert_eq!(ids(Some("a"), [1; 32]), ids(Some("a"), [1; 32]));
        let different = [
            ids(Some("a"), [1; 32]),
            ids(Some("b"), [1; 32]),
            ids(Some("a"), [2; 32]),
        ];
        let different: BTreeSet<String> = different.into_iter().flatten().collect();
        assert_eq!(different.len(), 9);
    }

    #[test]
    fn without_an_invocation_every_id_is_another() {
        let all: BTreeSet<String> = [ids(None, [1; 32]), ids(None, [1; 32]), ids(Some(""), [1; 32])]
            .into_iter()
            .flatten()
            .collect();
        assert_eq!(all.len(), 9);
    }
}
