//! Sealed secrets: the master key, the envelope, fingerprints.

/// Seals and opens secrets under the master key. Cheap to clone.
#[derive(Clone)]
pub struct Sealer {}
