//! What the engine says, as the contract's errors.

use crate::Error;
use rusqlite::{ErrorCode, ffi};

impl From<rusqlite::Error> for Error {
    fn from(error: rusqlite::Error) -> Self {
        use rusqlite::Error::{
            FromSqlConversionFailure, IntegralValueOutOfRange, InvalidColumnType, SqliteFailure, Utf8Error,
        };
        match &error {
            SqliteFailure(failure, _) => from_code(*failure, &error),
            // The tables are STRICT: a value of another type was not written by this program.
            FromSqlConversionFailure(..) | IntegralValueOutOfRange(..) | InvalidColumnType(..) | Utf8Error(..) => {
                Error::Corrupt(error.to_string())
            }
            _ => Error::Engine(error.to_string()),
        }
    }
}

fn from_code(failure: ffi::Error, error: &rusqlite::Error) -> Error {
    match (failure.code, failure.extended_code) {
        // The shared-memory file cannot grow: the same full disk, said differently.
        (ErrorCode::DiskFull, _) | (_, ffi::SQLITE_IOERR_SHMSIZE) => Error::OutOfSpace,
        (ErrorCode::DatabaseCorrupt | ErrorCode::NotADatabase, _)
        | (_, ffi::SQLITE_IOERR_CORRUPTFS | ffi::SQLITE_IOERR_DATA | ffi::SQLITE_IOERR_SHORT_READ) => {
            Error::Corrupt(error.to_string())
        }
        _ => Error::Engine(error.to_string()),
    }
}
