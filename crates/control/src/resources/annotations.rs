//! Notes of other systems on a resource: what a door must show again and Trunkline itself does not go by.

use std::collections::BTreeMap;

/// Names and texts. Left out of a `PUT`, they stay what they are.
pub type Annotations = BTreeMap<String, String>;
