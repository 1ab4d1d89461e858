//! What values a field can have at all, and what that says about its tests.

use super::cover::{accept_every_value, accepts_no_text};
use super::{MountKind, Verdict};
use crate::operator::{Bounds, Operator};
use crate::paths::Path;
use crate::rules::FieldTest;

/// Likeness from which a name is offered as the one that was meant.
pub(super) const LIKENESS_MIN: f64 = 0.8;

/// The values that a field can have.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Domain {
    /// None: nothing is mounted there.
    Unmounted,
    /// None: the field lies inside a string.
    InsideText,
    /// One string or, unless it is required, nothing.
    Text { required: bool },
    /// Anything.
    Json,
}

impl Domain {
    pub(super) fn of(path: &Path, kinds: Option<&dyn Fn(&str) -> MountKind>) -> Self {
        let Some(mount) = &path.mount else {
            return Domain::Unmounted;
        };
        match kinds.map_or(MountKind::Json, |kind| kind(mount)) {
            MountKind::Json => Domain::Json,
            _ if !path.is_mount() => Domain::InsideText,
            kind => Domain::Text {
                required: kind == MountKind::RequiredText,
            },
        }
    }

    /// Whether its value is a string whenever there is one, and only one.
    pub(super) fn is_one_string(self) -> bool {
        matches!(self, Domain::Text { .. })
    }

    /// Whether a test can pass here.
    pub(super) fn can_pass(self, operator: &Operator) -> bool {
        match (self, operator) {
            (Domain::Text { required: true }, Operator::Absent) => false,
            (_, Operator::Absent) => true,
            (Domain::Unmounted | Domain::InsideText, _) => false,
            (Domain::Text { .. }, operator) => !accepts_no_text(operator),
            (Domain::Json, Operator::Numeric(bounds)) => !is_empty(bounds),
            (Domain::Json, _) => true,
        }
    }

    /// What a field's tests answer here.
    pub(super) fn verdict(self, test: &FieldTest) -> Verdict {
        let operators = test.operators();
        if !operators.iter().any(|operator| self.can_pass(operator)) {
            return Verdict::Never;
        }
        let always = match self {
            Domain::Unmounted | Domain::InsideText => true,
            Domain::Text { required } => (required || test.absent) && accept_every_value(operators, true),
            Domain::Json => test.absent && accept_every_value(operators, false),
        };
        if always { Verdict::Always } else { Verdict::Sometimes }
    }

    /// Why a test cannot pass here.
    pub(super) fn words(self, path: &str, operator: &Operator) -> String {
        match (self, operator) {
            (Domain::Unmounted, _) => format!("events never have {path}: there is no such field at the top"),
            (Domain::InsideText, _) => format!("events never have {path}: what it lies in is a string"),
            (Domain::Text { .. }, Operator::Absent) => format!("{path} is never absent"),
            (Domain::Text { .. }, operator) => format!("{path} is always a string, which {operator} is not about"),
            (Domain::Json, operator) => format!("no value of {path} passes {operator}"),
        }
    }

    /// What to write instead of a test that never passes.
    pub(super) fn suggestion(self, test: &FieldTest, data_name: Option<&str>) -> Option<String> {
        match self {
            Domain::Unmounted => {
                data_name.map(|name| format!("if it is part of the data: {name}.{}", test.path.written))
            }
            Domain::Text { .. } => test.operators().iter().find_map(spelled_as_text),
            _ => None,
        }
    }
}

/// The same value as a string.
pub(super) fn spelled_as_text(operator: &Operator) -> Option<String> {
    match operator {
        Operator::Number(..) | Operator::True | Operator::False => {
            Some(format!("write it as a string: \"{operator}\""))
        }
        _ => None,
    }
}

/// Whether no number lies in a range.
fn is_empty(bounds: &Bounds) -> bool {
    match (bounds.low, bounds.high) {
        (Some(low), Some(high)) => {
            let first = if low.inclusive { low.value } else { low.value.next_up() };
            let last = if high.inclusive {
                high.value
            } else {
                high.value.next_down()
            };
            first > last
        }
        _ => false,
    }
}
