//! Segments as a bad disk may leave them; the index is rebuilt from them. What must hold is written at the door, in the journal.

use super::{Target, ending};
use journal::embedded::fuzzing;

pub(super) const TARGET: Target = Target {
    name: "segment",
    run: |input| ending(&fuzzing::segment(input)),
    samples: fuzzing::segment_samples,
};
