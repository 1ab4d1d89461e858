//! The frames of a write-ahead file, as a crash or a bad disk may leave them. What must hold is written at the door, in the journal.

use super::{Target, ending};
use journal::embedded::fuzzing;

pub(super) const TARGET: Target = Target {
    name: "frames",
    run: |input| ending(&fuzzing::frames(input)),
    samples: fuzzing::frames_samples,
};
