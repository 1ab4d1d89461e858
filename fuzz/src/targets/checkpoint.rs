//! Checkpoints and sparse indexes as a bad disk may leave them. What must hold is written at the door, in the journal.

use super::{Target, ending};
use journal::embedded::fuzzing;

pub(super) const TARGET: Target = Target {
    name: "checkpoint",
    run: |input| ending(&fuzzing::checkpoint(input)),
    samples: fuzzing::checkpoint_samples,
};
