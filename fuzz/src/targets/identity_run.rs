//! Identity runs as a bad disk may leave them. What must hold is written at the door, in the journal.

use super::{Target, ending};
use journal::embedded::fuzzing;

pub(super) const TARGET: Target = Target {
    name: "identity_run",
    run: |input| ending(&fuzzing::identity_run(input)),
    samples: fuzzing::identity_run_samples,
};
