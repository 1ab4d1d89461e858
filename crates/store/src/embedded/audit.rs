//! The audit trail's statements: adding an entry chained to the last, removing the oldest, reading. Adding and removing run inside
//! the writer's transaction.

use super::rows::{audit_end, audit_end_sum, audit_entry, audit_sum, bits, bound};
use crate::{AUDIT_TRIM_MAX, AuditEnd, AuditEntry, AuditOrder, AuditQuery, BusId, Error, Millis, audit::chained};
use bytes::Bytes;
use rusqlite::{Connection, OptionalExtension as _, params};

/// Persisted: the rows of `audit_end`.
const ANCHOR: i64 = 1;
const HEAD: i64 = 2;

pub(super) fn add(connection: &Connection, at: Millis, bus: BusId, body: &Bytes) -> Result<(), Error> {
    let head = end(connection, HEAD)?;
    let seq = head.seq + 1;
    let entry = AuditEntry {
        seq,
        at,
        bus,
        body: body.clone(),
        hash: chained(&head.hash, seq, at, bus, body),
    };
    let sql = "INSERT INTO audit (seq, at, bus, hash, sum, body) VALUES (?, ?, ?, ?, ?, ?)";
    let sum = audit_sum(&entry);
    let mut statement = connection.prepare_cached(sql)?;
    statement.execute(params![bits(seq), at, bus, &entry.hash[..], sum, &body[..]])?;
    let hash = entry.hash;
    save_end(connection, HEAD, AuditEnd { seq, hash })
}

/// Times may go back where a clock was: only the entries before the first young one go.
pub(super) fn trim(connection: &Connection, before: Millis) -> Result<(), Error> {
    let (anchor, head) = ends(connection)?;
    let sql = "SELECT seq FROM audit WHERE at >= ? ORDER BY seq LIMIT 1";
    let young: Option<i64> = connection
        .prepare_cached(sql)?
        .query_row(params![before], |row| row.get(0))
        .optional()?;
    let last = young.map_or(head.seq, |seq| seq.cast_unsigned() - 1);
    let last = last.min(anchor.seq + AUDIT_TRIM_MAX);
    if last <= anchor.seq {
        return Ok(());
    }
    let query = AuditQuery {
        bus: None,
        after: last - 1,
        before: last + 1,
        order: AuditOrder::OldestFirst,
        limit: 1,
    };
    let Some(entry) = entries(connection, query)?.pop() else {
        return Err(Error::Corrupt(format!("entry {last} of the audit trail is missing")));
    };
    let mut statement = connection.prepare_cached("DELETE FROM audit WHERE seq <= ?")?;
    statement.execute(params![bits(last)])?;
    let hash = entry.hash;
    save_end(connection, ANCHOR, AuditEnd { seq: last, hash })
}

/// What is behind the head cannot be followed by another entry before the head is there.
pub(super) fn mend_end(connection: &Connection) -> Result<(), Error> {
    let (anchor, head) = ends(connection)?;
    let newest = AuditQuery {
        bus: None,
        after: 0,
        before: u64::MAX,
        order: AuditOrder::NewestFirst,
        limit: 1,
    };
    let last = entries(connection, newest)?.pop().map(|entry| AuditEnd {
        seq: entry.seq,
        hash: entry.hash,
    });
    let last = last.unwrap_or(anchor);
    match last.seq > head.seq {
        true => save_end(connection, HEAD, last),
        false => Ok(()),
    }
}

/// The anchor and the head.
pub(super) fn ends(connection: &Connection) -> Result<(AuditEnd, AuditEnd), Error> {
    Ok((end(connection, ANCHOR)?, end(connection, HEAD)?))
}

fn end(connection: &Connection, id: i64) -> Result<AuditEnd, Error> {
    let mut statement = connection.prepare_cached("SELECT * FROM audit_end WHERE id = ?")?;
    let mut rows = statement.query(params![id])?;
    let found = rows.next()?.map(audit_end).transpose()?;
    Ok(found.map(|(_, end)| end).unwrap_or_default())
}

fn save_end(connection: &Connection, id: i64, end: AuditEnd) -> Result<(), Error> {
    let sql = "INSERT OR REPLACE INTO audit_end (id, seq, hash, sum) VALUES (?, ?, ?, ?)";
    let sum = audit_end_sum(id, &end);
    let mut statement = connection.prepare_cached(sql)?;
    statement.execute(params![id, bits(end.seq), &end.hash[..], sum])?;
    Ok(())
}

pub(super) fn entries(connection: &Connection, query: AuditQuery) -> Result<Vec<AuditEntry>, Error> {
    let sql = match (query.bus, query.order) {
        (None, AuditOrder::OldestFirst) => "SELECT * FROM audit WHERE seq > ?1 AND seq < ?2 ORDER BY seq LIMIT ?3",
        (None, AuditOrder::NewestFirst) => "SELECT * FROM audit WHERE seq > ?1 AND seq < ?2 ORDER BY seq DESC LIMIT ?3",
        (Some(_), AuditOrder::OldestFirst) => {
            "SELECT * FROM audit WHERE seq > ?1 AND seq < ?2 AND bus = ?4 ORDER BY seq LIMIT ?3"
        }
        (Some(_), AuditOrder::NewestFirst) => {
            "SELECT * FROM audit WHERE seq > ?1 AND seq < ?2 AND bus = ?4 ORDER BY seq DESC LIMIT ?3"
        }
    };
    let (after, before, limit) = (bound(query.after), bound(query.before), bound(query.limit as u64));
    match query.bus {
        None => super::read::all(connection, sql, params![after, before, limit], audit_entry),
        Some(bus) => super::read::all(connection, sql, params![after, before, limit, bus], audit_entry),
    }
}
