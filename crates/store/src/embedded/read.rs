//! The reads, each one statement on an index made for it.

use super::rows;
use crate::{
    BusId, Dead, DeadQuery, DeliveryKey, Document, Error, Holdings, Kind, LaneRow, Mark, Millis, Parked, Partition,
    Portion, Range, Revision, SubscriptionId,
};
use rows::bits;
use rusqlite::{Connection, Row, Statement, StatementStatus, ToSql, params};
use std::collections::BTreeSet;

type Decode<T> = fn(&Row<'_>) -> Result<T, Error>;

pub(super) fn document(connection: &Connection, bus: BusId, kind: Kind, name: &str) -> Result<Option<Document>, Error> {
    let sql = "SELECT * FROM document WHERE bus = ? AND kind = ? AND name = ?";
    Ok(all(connection, sql, params![bus, kind as i64, name], rows::document)?.pop())
}

pub(super) fn documents(connection: &Connection) -> Result<Vec<Document>, Error> {
    all(
        connection,
        "SELECT * FROM document ORDER BY bus, kind, name",
        &[],
        rows::document,
    )
}

pub(super) fn tails(connection: &Connection) -> Result<Vec<(Partition, u64)>, Error> {
    all(
        connection,
        "SELECT * FROM tail ORDER BY topic, partition",
        &[],
        rows::tail,
    )
}

pub(super) fn lanes(connection: &Connection) -> Result<Vec<LaneRow>, Error> {
    all(
        connection,
        "SELECT * FROM lane ORDER BY subscription, topic, partition",
        &[],
        rows::lane,
    )
}

pub(super) fn marks(connection: &Connection, subscription: SubscriptionId) -> Result<Vec<Mark>, Error> {
    let sql = "SELECT * FROM mark WHERE subscription = ? ORDER BY topic, partition, replay, position";
    all(connection, sql, params![bits(subscription)], rows::mark)
}

pub(super) fn parked(
    connection: &Connection,
    subscription: SubscriptionId,
    portion: &Portion,
    until: Millis,
    limit: usize,
) -> Result<Vec<Parked>, Error> {
    let sql = format!(
        "SELECT * FROM parked WHERE subscription = ? AND due <= ?{} ORDER BY due LIMIT ?",
        portion_condition(portion)
    );
    all(
        connection,
        &sql,
        params![bits(subscription), until, rows::bound(limit as u64)],
        rows::parked,
    )
}

/// Replays that run are few, and their numbers change seldom: as part of the text the statement is prepared once for them.
fn portion_condition(portion: &Portion) -> String {
    match portion {
        Portion::Except(replays) if replays.is_empty() => String::new(),
        Portion::Except(replays) => {
            let numbers: Vec<String> = replays.iter().map(u32::to_string).collect();
            format!(" AND replay NOT IN ({})", numbers.join(", "))
        }
        Portion::Replay(replay) => format!(" AND replay = {replay}"),
    }
}

/// What a replay has parked, from rows whose sums are compared when they are loaded.
pub(super) fn replay_holdings(
    connection: &Connection,
    subscription: SubscriptionId,
    replay: u32,
) -> Result<Holdings, Error> {
    let sql = "SELECT count(*) AS parked, coalesce(sum(length(record)), 0) AS parked_bytes, min(due) AS next_due
               FROM parked WHERE subscription = ? AND replay = ?";
    let found = all(connection, sql, params![bits(subscription), replay], rows::counted)?;
    Ok(found.into_iter().next().unwrap_or_default())
}

pub(super) fn parked_orders(
    connection: &Connection,
    subscription: SubscriptionId,
) -> Result<Vec<(u64, DeliveryKey)>, Error> {
    let sql = "SELECT key_order, subscription, topic, partition, position, replay, order_sum AS sum FROM parked
               WHERE subscription = ? AND key_order IS NOT NULL
               ORDER BY key_order, topic, partition, position, replay";
    all(connection, sql, params![bits(subscription)], rows::ordered_key)
}

pub(super) fn parked_at(connection: &Connection, partition: Partition, offset: u64) -> Result<Vec<Parked>, Error> {
    let sql = "SELECT * FROM parked WHERE topic = ? AND partition = ? AND position = ? ORDER BY subscription, replay";
    all(
        connection,
        sql,
        params![partition.topic, partition.index, bits(offset)],
        rows::parked,
    )
}

/// Keys from indexes alone, which no sum covers: they only say what to delete, and deleting what is not there does nothing. No
/// index of dead letters begins with the partition, so all their keys are looked at: this is asked after a disaster.
pub(super) fn held_from(connection: &Connection, partition: Partition, offset: u64) -> Result<Vec<DeliveryKey>, Error> {
    let parked = "SELECT subscription, topic, partition, position, replay FROM parked
                  WHERE topic = ? AND partition = ? AND position >= ?";
    let dead = "SELECT subscription, topic, partition, position, replay FROM dead
                WHERE topic = ? AND partition = ? AND position >= ?";
    let parameters = params![partition.topic, partition.index, rows::bound(offset)];
    let mut keys: BTreeSet<_> = all(connection, parked, parameters, rows::key)?.into_iter().collect();
    keys.extend(all(connection, dead, parameters, rows::key)?);
    Ok(keys.into_iter().collect())
}

/// Versions without the rows around them, which no sum covers: they only say what is still explained.
pub(super) fn versions_held(connection: &Connection, subscription: SubscriptionId) -> Result<Vec<Revision>, Error> {
    let parked = "SELECT DISTINCT version FROM parked WHERE subscription = ?";
    let dead = "SELECT DISTINCT version FROM dead WHERE subscription = ?";
    let parameters = params![bits(subscription)];
    let mut versions: BTreeSet<_> = all(connection, parked, parameters, rows::version)?
        .into_iter()
        .collect();
    versions.extend(all(connection, dead, parameters, rows::version)?);
    Ok(versions.into_iter().collect())
}

pub(super) fn ranges(connection: &Connection, subscription: SubscriptionId) -> Result<Vec<Range>, Error> {
    let sql = "SELECT * FROM span WHERE subscription = ? ORDER BY id";
    all(connection, sql, params![bits(subscription)], rows::range)
}

pub(super) fn holdings(connection: &Connection) -> Result<Vec<(SubscriptionId, Holdings)>, Error> {
    let sql = "SELECT *, (SELECT min(due) FROM parked WHERE parked.subscription = holding.subscription) AS next_due
               FROM holding ORDER BY subscription";
    all(connection, sql, &[], rows::holding)
}

/// Key order begins with the subscription: one seek for each, in order, until the page is full.
pub(super) fn dead(connection: &Connection, query: &DeadQuery) -> Result<Vec<Dead>, Error> {
    let mut subscriptions = query.subscriptions.clone();
    subscriptions.sort_unstable();
    subscriptions.dedup();
    let mut page = Page::default();
    for subscription in subscriptions {
        if query.is_filled(page.found.len(), page.bytes) {
            break;
        }
        dead_of(connection, query, subscription, &mut page)?;
    }
    Ok(page.found)
}

#[derive(Default)]
struct Page {
    found: Vec<Dead>,
    bytes: u64,
}

fn dead_of(
    connection: &Connection,
    query: &DeadQuery,
    subscription: SubscriptionId,
    page: &mut Page,
) -> Result<(), Error> {
    // Topic -1 is below all of them.
    let after: [i64; 4] = match query.after {
        Some(key) if key.subscription > subscription => return Ok(()),
        Some(key) if key.subscription == subscription => [
            key.partition.topic.into(),
            key.partition.index.into(),
            bits(key.offset),
            key.replay.into(),
        ],
        _ => [-1, 0, 0, 0],
    };
    let left = (query.limit - page.found.len()) as u64;
    let (subscription, limit) = (bits(subscription), rows::bound(left));
    let mut parameters: Vec<&dyn ToSql> = vec![&subscription, &after[0], &after[1], &after[2], &after[3]];
    parameters.extend(dead_parameters(query));
    parameters.push(&limit);
    let sql = format!(
        "SELECT * FROM dead INDEXED BY {} WHERE subscription = ? AND (topic, partition, position, replay) > (?, ?, ?, ?){}
         ORDER BY topic, partition, position, replay LIMIT ?",
        dead_index(query),
        dead_conditions(query)
    );
    let mut statement = connection.prepare_cached(&sql)?;
    let mut rows = statement.query(&parameters[..])?;
    while let Some(row) = rows.next()? {
        let dead = rows::dead(row)?;
        page.bytes += dead.delivery.record.len() as u64;
        page.found.push(dead);
        if query.is_filled(page.found.len(), page.bytes) {
            break;
        }
    }
    drop(rows);
    in_order(&statement, &sql);
    Ok(())
}

/// How many, from rows whose sums are compared when they are read.
pub(super) fn dead_count(connection: &Connection, query: &DeadQuery) -> Result<(u64, u64), Error> {
    let subscriptions: BTreeSet<SubscriptionId> = query.subscriptions.iter().copied().collect();
    let sql = format!(
        "SELECT count(*) AS events, coalesce(sum(length(record)), 0) AS bytes FROM dead INDEXED BY {}
         WHERE subscription = ?{}",
        dead_index(query),
        dead_conditions(query)
    );
    let (mut events, mut bytes) = (0, 0);
    for subscription in subscriptions {
        let subscription = bits(subscription);
        let mut parameters: Vec<&dyn ToSql> = vec![&subscription];
        parameters.extend(dead_parameters(query));
        for (more, more_bytes) in all(connection, &sql, &parameters, rows::events_and_bytes)? {
            (events, bytes) = (events + more, bytes + more_bytes);
        }
    }
    Ok((events, bytes))
}

/// The index that has the rows in key order and leaves out the most.
fn dead_index(query: &DeadQuery) -> &'static str {
    match (&query.reason, &query.event_id) {
        (None, None) => "sqlite_autoindex_dead_1",
        (Some(_), None) => "dead_by_reason",
        (_, Some(_)) => "dead_by_event",
    }
}

/// Conditions in the order of their parameters; there are few sets of them, so that each statement is prepared once.
fn dead_conditions(query: &DeadQuery) -> String {
    let conditions = [
        (query.reason.is_some(), " AND reason = ?"),
        (query.reason_prefix.is_some(), " AND substr(reason, 1, length(?)) = ?"),
        (query.event_id.is_some(), " AND event_id = ?"),
        (query.event_type.is_some(), " AND event_type = ?"),
        (query.died_from.is_some(), " AND due >= ?"),
        (query.died_to.is_some(), " AND due < ?"),
    ];
    let asked = conditions.iter().filter(|(is_asked, _)| *is_asked);
    asked.map(|(_, condition)| *condition).collect()
}

fn dead_parameters(query: &DeadQuery) -> Vec<&dyn ToSql> {
    let mut parameters: Vec<&dyn ToSql> = Vec::new();
    if query.reason.is_some() {
        parameters.push(&query.reason);
    }
    if query.reason_prefix.is_some() {
        parameters.extend([&query.reason_prefix as &dyn ToSql, &query.reason_prefix]);
    }
    if query.event_id.is_some() {
        parameters.push(&query.event_id);
    }
    if query.event_type.is_some() {
        parameters.push(&query.event_type);
    }
    if query.died_from.is_some() {
        parameters.push(&query.died_from);
    }
    if query.died_to.is_some() {
        parameters.push(&query.died_to);
    }
    parameters
}

pub(super) fn all<T>(
    connection: &Connection,
    sql: &str,
    parameters: &[&dyn ToSql],
    decode_row: Decode<T>,
) -> Result<Vec<T>, Error> {
    let mut statement = connection.prepare_cached(sql)?;
    let mut rows = statement.query(parameters)?;
    let mut found = Vec::new();
    while let Some(row) = rows.next()? {
        found.push(decode_row(row)?);
    }
    drop(rows);
    in_order(&statement, sql);
    Ok(found)
}

fn in_order(statement: &Statement<'_>, sql: &str) {
    debug_assert_eq!(
        statement.get_status(StatementStatus::Sort),
        0,
        "an index gives the order: {sql}"
    );
}

/// Reads every row of every table, so that every sum is compared. The error names the first that is wrong.
pub(super) fn verify_rows(connection: &Connection) -> Result<(), Error> {
    documents(connection)?;
    tails(connection)?;
    lanes(connection)?;
    each(connection, "SELECT * FROM mark", rows::mark)?;
    each(connection, "SELECT * FROM parked", rows::parked)?;
    each(connection, "SELECT * FROM dead", rows::dead)?;
    each(connection, "SELECT * FROM span", rows::range)?;
    let order_keys = "SELECT key_order, subscription, topic, partition, position, replay, order_sum AS sum FROM parked
                      WHERE key_order IS NOT NULL";
    each(connection, order_keys, rows::ordered_key)?;
    verify_holdings(connection)
}

fn each<T>(connection: &Connection, sql: &str, decode_row: Decode<T>) -> Result<(), Error> {
    let mut statement = connection.prepare(sql)?;
    let mut rows = statement.query([])?;
    while let Some(row) = rows.next()? {
        decode_row(row)?;
    }
    Ok(())
}

fn verify_holdings(connection: &Connection) -> Result<(), Error> {
    holdings(connection)?;
    let sql = "SELECT subscription, sum(parked), sum(parked_bytes), sum(dead), sum(dead_bytes) FROM (
                   SELECT subscription, parked, parked_bytes, dead, dead_bytes FROM holding
                   UNION ALL SELECT subscription, -count(*), -sum(length(record)), 0, 0 FROM parked GROUP BY 1
                   UNION ALL SELECT subscription, 0, 0, -count(*), -sum(length(record)) FROM dead GROUP BY 1)
               GROUP BY 1 HAVING sum(parked) OR sum(parked_bytes) OR sum(dead) OR sum(dead_bytes) LIMIT 1";
    let mut statement = connection.prepare(sql)?;
    match statement.query([])?.next()? {
        None => Ok(()),
        Some(row) => {
            let subscription: i64 = row.get(0)?;
            Err(Error::Corrupt(format!(
                "the holdings of subscription {subscription} are not what its rows add up to"
            )))
        }
    }
}
