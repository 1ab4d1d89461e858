//! The store's file, drawn.
//!
//! One SQLite database in WAL mode. `PRAGMA application_id` is [`APPLICATION_ID`], `PRAGMA user_version` is
//! [`FORMAT`]. All tables are `STRICT`. Every row ends with `sum`, a CRC-32C over the table's name and all its other
//! columns (see `rows.rs`), because SQLite itself does not notice a changed byte inside a value.
//!
//! ```text
//! revision   the last Store::apply, one row
//! document   bus kind name                                          │ version body
//! tail       topic partition                                        │ position
//! lane       subscription topic partition                           │ position floor follows_tail
//! mark       subscription topic partition replay position           │ ending
//! parked     topic partition position subscription replay           │ due attempts … record
//!              (subscription, due)   (subscription, key_order, key…, order_sum)
//! dead       subscription topic partition position replay           │ as parked, event_* detail
//!              (subscription, reason, key…)   (event_id, key…)
//! span       id (subscription)                                      │ topic partition first after matched reason recorded
//! holding    subscription                                           │ parked parked_bytes dead dead_bytes
//! audit      seq (bus, seq)                                         │ at bus hash body
//! audit_end  anchor or head                                         │ seq hash
//! ```
//!
//! `position` is an offset. Numbers that are `u64` in the contract are stored as the `i64` of the same bits;
//! `key_order` has its top bit flipped besides, so that SQLite sorts it as the contract does; `order_sum` guards it where
//! it is read from the index alone.
//!
//! What it deliberately does not have: timestamps of its own, foreign keys, triggers. A row is what the contract says.

/// "TRNK": tells this file from other SQLite databases.
pub(super) const APPLICATION_ID: i32 = 0x5452_4e4b;

/// The format written here. Persisted; a change of the schema below, and a value in it that earlier programs do not know, is a new
/// number and a migration.
pub(super) const FORMAT: u32 = MIGRATIONS.len() as u32 + 1;

/// What makes a file of format 1 + the index one of the next format. A new file goes through all of them, so that there is one way
/// to every format.
pub(super) const MIGRATIONS: &[&str] = &[AUDIT, SKIPS];

/// Format 2: the audit trail. `audit_end` has the anchor (1) and the head (2).
const AUDIT: &str = "
CREATE TABLE audit (
    seq  INTEGER PRIMARY KEY,
    at   INTEGER NOT NULL,
    bus  INTEGER NOT NULL,
    hash BLOB    NOT NULL,
    sum  INTEGER NOT NULL,
    body BLOB    NOT NULL
) STRICT;
CREATE INDEX audit_of_bus ON audit (bus, seq);

CREATE TABLE audit_end (
    id   INTEGER PRIMARY KEY CHECK (id IN (1, 2)),
    seq  INTEGER NOT NULL,
    hash BLOB    NOT NULL,
    sum  INTEGER NOT NULL
) STRICT;
";

/// Format 3: other values in the tables that there are, which programs of format 2 call corrupt, and so must not open. A `span` may
/// have the reason 4 (skipped by a person); in the history of attempts beside the store, whose format is this one's too, an attempt
/// may carry a count of edits.
const SKIPS: &str = "";

/// Creates everything of format 1 in an empty file.
pub(super) const CREATE: &str = "
CREATE TABLE revision (
    id       INTEGER PRIMARY KEY CHECK (id = 1),
    revision INTEGER NOT NULL,
    sum      INTEGER NOT NULL
) STRICT;

CREATE TABLE document (
    bus      INTEGER NOT NULL,
    kind     INTEGER NOT NULL,
    name     TEXT    NOT NULL,
    version  INTEGER NOT NULL,
    body     BLOB    NOT NULL,
    sum      INTEGER NOT NULL,
    UNIQUE (bus, kind, name)
) STRICT;

CREATE TABLE tail (
    topic     INTEGER NOT NULL,
    partition INTEGER NOT NULL,
    position  INTEGER NOT NULL,
    sum       INTEGER NOT NULL,
    PRIMARY KEY (topic, partition)
) STRICT, WITHOUT ROWID;

CREATE TABLE lane (
    subscription INTEGER NOT NULL,
    topic        INTEGER NOT NULL,
    partition    INTEGER NOT NULL,
    position     INTEGER NOT NULL,
    floor        INTEGER NOT NULL,
    follows_tail INTEGER NOT NULL,
    sum          INTEGER NOT NULL,
    PRIMARY KEY (subscription, topic, partition)
) STRICT, WITHOUT ROWID;
CREATE INDEX lane_of_topic ON lane (topic);

CREATE TABLE mark (
    subscription INTEGER NOT NULL,
    topic        INTEGER NOT NULL,
    partition    INTEGER NOT NULL,
    replay       INTEGER NOT NULL,
    position     INTEGER NOT NULL,
    ending       INTEGER NOT NULL,
    sum          INTEGER NOT NULL,
    PRIMARY KEY (subscription, topic, partition, replay, position)
) STRICT, WITHOUT ROWID;

CREATE TABLE parked (
    topic        INTEGER NOT NULL,
    partition    INTEGER NOT NULL,
    position     INTEGER NOT NULL,
    subscription INTEGER NOT NULL,
    replay       INTEGER NOT NULL,
    due          INTEGER NOT NULL,
    attempts     INTEGER NOT NULL,
    first_attempt INTEGER,
    appended     INTEGER NOT NULL,
    age_from_first_attempt INTEGER NOT NULL,
    version      INTEGER NOT NULL,
    key_order    INTEGER,
    order_sum    INTEGER,
    edits        INTEGER NOT NULL,
    reason       TEXT    NOT NULL,
    sum          INTEGER NOT NULL,
    record       BLOB    NOT NULL,
    UNIQUE (topic, partition, position, subscription, replay)
) STRICT;
CREATE INDEX parked_by_due ON parked (subscription, due);
CREATE INDEX parked_by_order ON parked (subscription, key_order, topic, partition, position, replay, order_sum)
    WHERE key_order IS NOT NULL;

CREATE TABLE dead (
    subscription INTEGER NOT NULL,
    topic        INTEGER NOT NULL,
    partition    INTEGER NOT NULL,
    position     INTEGER NOT NULL,
    replay       INTEGER NOT NULL,
    due          INTEGER NOT NULL,
    attempts     INTEGER NOT NULL,
    first_attempt INTEGER,
    appended     INTEGER NOT NULL,
    age_from_first_attempt INTEGER NOT NULL,
    version      INTEGER NOT NULL,
    key_order    INTEGER,
    edits        INTEGER NOT NULL,
    reason       TEXT    NOT NULL,
    sum          INTEGER NOT NULL,
    event_type   TEXT    NOT NULL,
    event_id     TEXT    NOT NULL,
    event_source TEXT    NOT NULL,
    detail       TEXT    NOT NULL,
    record       BLOB    NOT NULL,
    UNIQUE (subscription, topic, partition, position, replay)
) STRICT;
CREATE INDEX dead_by_reason ON dead (subscription, reason, topic, partition, position, replay);
CREATE INDEX dead_by_event ON dead (event_id, subscription, topic, partition, position, replay);

CREATE TABLE span (
    id           INTEGER PRIMARY KEY AUTOINCREMENT,
    subscription INTEGER NOT NULL,
    topic        INTEGER NOT NULL,
    partition    INTEGER NOT NULL,
    first        INTEGER NOT NULL,
    after        INTEGER NOT NULL,
    matched      INTEGER,
    reason       INTEGER NOT NULL,
    recorded     INTEGER NOT NULL,
    sum          INTEGER NOT NULL
) STRICT;
CREATE INDEX span_of_subscription ON span (subscription);

CREATE TABLE holding (
    subscription INTEGER PRIMARY KEY,
    parked       INTEGER NOT NULL,
    parked_bytes INTEGER NOT NULL,
    dead         INTEGER NOT NULL,
    dead_bytes   INTEGER NOT NULL,
    sum          INTEGER NOT NULL
) STRICT;
";
