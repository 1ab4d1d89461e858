//! The audit trail at a start: one whose end is lost would take no entry, and so no change for ever. It goes on after the last entry
//! that there is, and says so; what was behind that one, if there was something, only a noted end shows.

use crate::{Error, inner::Inner};
use control::{
    audit::{Actor, Deed},
    documents::INSTALLATION,
};
use serde_json::json;
use store::{
    Operation,
    audit::{AuditFault, lost_end},
};

/// Has the trail go on, where it cannot.
pub async fn mend(inner: &Inner) -> Result<(), Error> {
    let Some(AuditFault::EndLost { said, found }) = lost_end(&*inner.store).await? else {
        return Ok(());
    };
    tracing::error!(
        said,
        found,
        "the end of the audit trail is lost: it goes on after the last entry that there is; compare with an end that was noted elsewhere"
    );
    let details = json!({"said": said, "found": found});
    let entry = inner.entry(
        Actor::System("start"),
        INSTALLATION,
        Deed::Repaired,
        ("audit", ""),
        details,
    );
    inner
        .store
        .apply(INSTALLATION, vec![Operation::MendAuditEnd, entry])
        .await?;
    Ok(())
}
