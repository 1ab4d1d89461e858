//! The one thread that writes: it takes what waits and makes it durable with one sync.
//!
//! ```text
//! BEGIN IMMEDIATE
//!   SAVEPOINT call   steps of the first call     RELEASE, or ROLLBACK TO: that call alone fails
//!   SAVEPOINT call   steps of the second …
//!   UPDATE revision
//! COMMIT             the sync; only then is anybody answered
//! ```
//!
//! It sleeps on the queue's condition variable: nothing waits, nothing runs.

use super::{
    queue::{Call, Queue},
    rows, write,
};
use crate::{Error, Revision};
use rusqlite::{Connection, params};

/// Serves the queue until it is closed and empty, and gives the connection back.
pub(super) fn run(connection: Connection, queue: &Queue) -> Connection {
    let _closed_with_the_writer = Abandon(queue);
    while let Some(group) = queue.next_group() {
        serve(&connection, group);
    }
    connection
}

/// Whoever waits learns that the writer is gone, even if it panicked.
struct Abandon<'a>(&'a Queue);

impl Drop for Abandon<'_> {
    fn drop(&mut self) {
        self.0.abandon();
    }
}

fn serve(connection: &Connection, group: Vec<Call>) {
    let outcomes = commit(connection, &group).unwrap_or_else(|error| vec![Err(error); group.len()]);
    for (call, outcome) in group.into_iter().zip(outcomes) {
        // A caller that went away does not learn its outcome; the outcome stands.
        call.reply.send(outcome).ok();
    }
}

/// An outcome per call once those that are `Ok` are durable; an error when none of them happened.
fn commit(connection: &Connection, group: &[Call]) -> Result<Vec<Result<Revision, Error>>, Error> {
    execute(connection, "BEGIN IMMEDIATE")?;
    let result = apply_all(connection, group).and_then(|outcomes| {
        execute(connection, "COMMIT")?;
        Ok(outcomes)
    });
    if !connection.is_autocommit() {
        execute(connection, "ROLLBACK")?;
    }
    result
}

fn apply_all(connection: &Connection, group: &[Call]) -> Result<Vec<Result<Revision, Error>>, Error> {
    let before = revision(connection)?;
    let mut last = before;
    let mut outcomes = Vec::with_capacity(group.len());
    for call in group {
        let outcome = apply_one(connection, last + 1, call)?;
        last = outcome.as_ref().copied().unwrap_or(last);
        outcomes.push(outcome);
    }
    if last > before {
        save_revision(connection, last)?;
    }
    Ok(outcomes)
}

/// The outer error ends the whole group: the engine has given the transaction up.
fn apply_one(connection: &Connection, revision: Revision, call: &Call) -> Result<Result<Revision, Error>, Error> {
    execute(connection, "SAVEPOINT call")?;
    let outcome = write::apply(connection, revision, &call.operations).map(|()| revision);
    if let Err(error) = &outcome {
        if connection.is_autocommit() {
            return Err(error.clone());
        }
        execute(connection, "ROLLBACK TO call")?;
    }
    execute(connection, "RELEASE call")?;
    Ok(outcome)
}

fn execute(connection: &Connection, sql: &str) -> Result<(), Error> {
    connection.prepare_cached(sql)?.execute([])?;
    Ok(())
}

pub(super) fn revision(connection: &Connection) -> Result<Revision, Error> {
    let mut statement = connection.prepare_cached("SELECT * FROM revision")?;
    let mut rows = statement.query([])?;
    let row = rows
        .next()?
        .ok_or_else(|| Error::Corrupt("the revision is missing".to_owned()))?;
    rows::revision(row)
}

pub(super) fn save_revision(connection: &Connection, revision: Revision) -> Result<(), Error> {
    let sql = "INSERT OR REPLACE INTO revision (id, revision, sum) VALUES (1, ?, ?)";
    let mut statement = connection.prepare_cached(sql)?;
    statement.execute(params![rows::bits(revision), rows::revision_sum(revision)])?;
    Ok(())
}
