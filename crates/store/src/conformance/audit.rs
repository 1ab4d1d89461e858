//! The audit trail: entries are chained, kept in order, and go oldest first.

use super::{Opened, applied};
use crate::{
    AuditEnd, AuditEntry, AuditOrder, AuditQuery, Error, Expect, Kind, Operation,
    audit::{self, AuditFault, chained},
};
use bytes::Bytes;

fn entry(at: i64, bus: u32, body: &'static str) -> Operation {
    Operation::Audit {
        at,
        bus,
        body: Bytes::from_static(body.as_bytes()),
    }
}

async fn read(store: &Opened, bus: Option<u32>, order: AuditOrder, after: u64, limit: usize) -> Vec<AuditEntry> {
    let before = u64::MAX;
    let query = AuditQuery {
        bus,
        after,
        before,
        order,
        limit,
    };
    store.audit(query).await.expect("the trail is read")
}

fn numbers(entries: &[AuditEntry]) -> Vec<u64> {
    entries.iter().map(|entry| entry.seq).collect()
}

pub(super) async fn entries_are_chained_and_trimmed(store: &Opened) {
    use AuditOrder::{NewestFirst, OldestFirst};
    let none = AuditEnd::default();
    assert_eq!(store.audit_ends().await, Ok((none, none)), "a new trail is empty");
    let verified = audit::verify(&**store, None).await.expect("an empty trail verifies");
    assert_eq!(verified.entries, 0);
    applied(store, vec![entry(10, 1, "a"), entry(20, 2, "b")]).await;
    applied(store, vec![entry(15, 1, "c")]).await;
    applied(store, vec![entry(40, 0, "d"), entry(50, 1, "e")]).await;
    let all = read(store, None, OldestFirst, 0, 10).await;
    assert_eq!(numbers(&all), [1, 2, 3, 4, 5]);
    assert_eq!(all[0].hash, chained(&[0; 32], 1, 10, 1, b"a"));
    assert_eq!(all[2].hash, chained(&all[1].hash, 3, 15, 1, b"c"));
    assert_eq!(numbers(&read(store, None, NewestFirst, 0, 2).await), [5, 4]);
    assert_eq!(numbers(&read(store, Some(1), OldestFirst, 1, 10).await), [3, 5]);
    assert_eq!(numbers(&read(store, Some(1), NewestFirst, 0, 2).await), [5, 3]);

    let noted = AuditEnd {
        seq: 3,
        hash: all[2].hash,
    };
    let verified = audit::verify(&**store, Some(noted))
        .await
        .expect("it is as it was written");
    assert_eq!((verified.entries, verified.head.seq), (5, 5));
    let other = AuditEnd { hash: [9; 32], ..noted };
    let fault = audit::verify(&**store, Some(other)).await;
    assert_eq!(fault, Err(AuditFault::NotTheNoted(3)));

    applied(store, vec![Operation::MendAuditEnd]).await;
    assert_eq!(
        audit::verify(&**store, Some(verified.head)).await,
        Ok(verified),
        "there was nothing to mend"
    );
    applied(store, vec![Operation::TrimAudit { before: 20 }]).await;
    assert_eq!(numbers(&read(store, None, OldestFirst, 0, 10).await), [2, 3, 4, 5]);
    applied(store, vec![Operation::TrimAudit { before: 45 }]).await;
    let (anchor, head) = store.audit_ends().await.expect("the ends are read");
    assert_eq!((anchor.seq, anchor.hash, head.seq), (4, all[3].hash, 5));
    assert_eq!(
        audit::verify(&**store, None).await.map(|verified| verified.entries),
        Ok(1)
    );
    applied(store, vec![Operation::TrimAudit { before: 1_000 }, entry(60, 1, "f")]).await;
    let left = read(store, None, OldestFirst, 0, 10).await;
    assert_eq!(numbers(&left), [6], "numbers go on when all is removed");
    assert_eq!(left[0].hash, chained(&all[4].hash, 6, 60, 1, b"f"));
    assert_eq!(
        audit::verify(&**store, None).await.map(|verified| verified.entries),
        Ok(1)
    );
}

pub(super) async fn a_refused_call_leaves_no_entry(store: &Opened) {
    applied(store, vec![entry(10, 1, "a")]).await;
    let refused = Operation::DeleteDocument {
        bus: 1,
        kind: Kind::Topic,
        name: "absent".to_owned(),
        expect: Expect::Version(1),
    };
    let outcome = store.apply(1, vec![entry(20, 1, "b"), refused]).await;
    assert!(matches!(outcome, Err(Error::Conflict { .. })));
    applied(store, vec![entry(30, 1, "c")]).await;
    let all = read(store, None, AuditOrder::OldestFirst, 0, 10).await;
    assert_eq!(numbers(&all), [1, 2]);
    assert_eq!(
        audit::verify(&**store, None).await.map(|verified| verified.entries),
        Ok(2)
    );
}
