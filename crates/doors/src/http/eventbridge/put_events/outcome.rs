//! What became of each entry, and the answer that says it.

use crate::http::{
    answer::Answer,
    eventbridge::fault::{self, Fault},
};
use serde::Serialize;
use std::borrow::Cow;

/// Why an entry failed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub(super) struct Failed {
    /// AWS's code.
    #[serde(rename = "ErrorCode")]
    pub(super) code: &'static str,
    /// A sentence.
    #[serde(rename = "ErrorMessage")]
    pub(super) message: Cow<'static, str>,
}

impl Failed {
    pub(super) fn new(code: &'static str, message: impl Into<Cow<'static, str>>) -> Self {
        Self {
            code,
            message: message.into(),
        }
    }

    /// A member that is not what it must be.
    pub(super) fn parameter(member: &str, reason: &str) -> Self {
        Self::new(
            "InvalidArgument",
            format!("Parameter {member} is not valid. Reason: {reason}"),
        )
    }

    /// The rules of the bus are against it.
    pub(super) fn rejected(code: &str, detail: String) -> Self {
        let code = match code {
            "source_reserved" => "NotAuthorizedForSourceException",
            "type_reserved" | "type_disabled" | "type_unknown" => "NotAuthorizedForDetailTypeException",
            _ => "InvalidArgument",
        };
        Self::new(code, detail)
    }

    /// What would have been the error of the whole request, had nothing of it been kept.
    pub(super) fn of(fault: &Fault) -> Self {
        match fault.code() {
            code @ ("ThrottlingException" | "AccessDeniedException") => Self::new(code, fault.message().to_owned()),
            _ => Self::new("InternalFailure", fault.message().to_owned()),
        }
    }

    /// The rules of the bus changed as often as they were asked.
    pub(super) fn internal() -> Self {
        Self::new(
            "InternalFailure",
            "The bus changed while the entry was on its way. Send it again.",
        )
    }
}

#[derive(Debug)]
enum Outcome {
    Open,
    Accepted(String),
    Failed(Failed),
}

/// The outcomes of a request's entries, in their order.
#[derive(Debug)]
pub(super) struct Outcomes(Vec<Outcome>);

impl Outcomes {
    /// Nothing is known yet.
    pub(super) fn new(count: usize) -> Self {
        Self((0..count).map(|_| Outcome::Open).collect())
    }

    /// Whether an entry is neither accepted nor failed.
    pub(super) fn is_open(&self, index: usize) -> bool {
        matches!(self.0.get(index), Some(Outcome::Open))
    }

    pub(super) fn accept(&mut self, index: usize, id: &str) {
        self.0[index] = Outcome::Accepted(id.to_owned());
    }

    pub(super) fn fail(&mut self, index: usize, failed: Failed) {
        self.0[index] = Outcome::Failed(failed);
    }

    /// Fails whatever is open.
    pub(super) fn fail_open(&mut self, failed: &Failed) {
        for outcome in self.0.iter_mut().filter(|outcome| matches!(outcome, Outcome::Open)) {
            *outcome = Outcome::Failed(failed.clone());
        }
    }

    /// Whether no entry was accepted.
    pub(super) fn has_none_accepted(&self) -> bool {
        !self.0.iter().any(|outcome| matches!(outcome, Outcome::Accepted(_)))
    }

    /// Why every entry was denied, if every one was: then the request is.
    pub(super) fn all_denied(&self) -> Option<&Failed> {
        let denied =
            |outcome: &Outcome| matches!(outcome, Outcome::Failed(failed) if failed.code == "AccessDeniedException");
        match self.0.first() {
            Some(Outcome::Failed(failed)) if self.0.iter().all(denied) => Some(failed),
            _ => None,
        }
    }

    /// `{"FailedEntryCount", "Entries"}`. What is open by now was not offered, which the caller has ruled out.
    pub(super) fn answer(self) -> Answer {
        #[derive(Serialize)]
        #[serde(untagged)]
        enum Entry {
            Accepted {
                #[serde(rename = "EventId")]
                id: String,
            },
            Failed(Failed),
        }
        #[derive(Serialize)]
        #[serde(rename_all = "PascalCase")]
        struct Output {
            failed_entry_count: usize,
            entries: Vec<Entry>,
        }
        let entry = |outcome| match outcome {
            Outcome::Accepted(id) => Entry::Accepted { id },
            Outcome::Failed(failed) => Entry::Failed(failed),
            Outcome::Open => Entry::Failed(Failed::internal()),
        };
        let entries: Vec<Entry> = self.0.into_iter().map(entry).collect();
        let failed_entry_count = entries.iter().filter(|entry| matches!(entry, Entry::Failed(_))).count();
        let output = Output {
            failed_entry_count,
            entries,
        };
        let body = serde_json::to_vec(&output).expect("strings and numbers always serialise");
        fault::json(body.into())
    }
}
