//! Reading a run from its first identity to its last, many pages at a time.

use super::{Identified, Run, RunError};
use crate::embedded::disk::{Disk, File};
use std::{sync::Arc, vec::IntoIter};

/// Pages that are read at once: few enough for eight runs side by side, enough that the disk's own time counts and not
/// the calls.
pub const PAGES_AT_ONCE: u64 = 64;

/// A place in a run.
#[derive(Debug)]
pub struct RunCursor {
    run: Arc<Run>,
    file: File,
    /// The next page to read.
    place: u64,
    read: IntoIter<Identified>,
    next: Option<Identified>,
}

impl RunCursor {
    /// Before the first.
    pub fn open(disk: &Disk, run: Arc<Run>) -> Result<Self, RunError> {
        let mut cursor = Self {
            file: run.open_file(disk)?,
            run,
            place: 0,
            read: Vec::new().into_iter(),
            next: None,
        };
        cursor.advance()?;
        Ok(cursor)
    }

    /// The next identity, which stays where it is.
    pub fn peek(&self) -> Option<&Identified> {
        self.next.as_ref()
    }

    /// Goes past it.
    pub fn advance(&mut self) -> Result<(), RunError> {
        if self.read.as_slice().is_empty() && self.place < self.run.pages() {
            let end = (self.place + PAGES_AT_ONCE).min(self.run.pages());
            self.read = self.run.read_pages(&self.file, self.place..end)?.into_iter();
            self.place = end;
        }
        self.next = self.read.next();
        Ok(())
    }
}
