//! Old entries of the audit trail go, oldest first; that they went is an entry itself. What is left still verifies, from the last
//! one that went.

use crate::{Error, backoff::millis, inner::Inner};
use control::audit::{Act, Actor, Deed};
use serde_json::{Value, json};
use store::{AuditOrder, AuditQuery, Millis, Operation};

/// How often it is looked at: ages are of days.
const INTERVAL: Millis = 60 * 60 * 1_000;
/// Transactions of one look: at 10,000 entries each, far more than an hour makes.
const TRIMS_MAX: usize = 100;

/// When it was looked at last.
#[derive(Debug, Default)]
pub(super) struct Trimming {
    looked: Option<Millis>,
}

impl Trimming {
    /// Removes what is too old, now and then.
    pub(super) async fn carry_out(&mut self, inner: &Inner) {
        let now = inner.journal.now();
        if self.looked.is_some_and(|looked| now.saturating_sub(looked) < INTERVAL) {
            return;
        }
        match trim(inner, now).await {
            Ok(()) => self.looked = Some(now),
            Err(error) => tracing::warn!(%error, "failed to remove old entries of the audit trail; trying again later"),
        }
    }
}

async fn trim(inner: &Inner, now: Millis) -> Result<(), Error> {
    let before = now.saturating_sub(millis(inner.settings.audit_keep));
    let first = AuditQuery {
        bus: None,
        after: 0,
        before: u64::MAX,
        order: AuditOrder::OldestFirst,
        limit: 1,
    };
    for _ in 0..TRIMS_MAX {
        let oldest = inner.store.audit(first).await?.pop();
        let Some(oldest) = oldest.filter(|oldest| oldest.at < before) else {
            return Ok(());
        };
        let act = Act {
            by: Actor::System("retention"),
            action: Deed::Trimmed,
            bus_id: 0,
            bus: String::new(),
            kind: "audit",
            name: String::new(),
            changes: Vec::new(),
            details: json!({"from": oldest.seq, "before": before, "keep": Value::from(millis(inner.settings.audit_keep))}),
        };
        let operations = vec![Operation::TrimAudit { before }, act.operation(now)];
        inner.store.apply(0, operations).await?;
    }
    Ok(())
}
