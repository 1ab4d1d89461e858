//! A list whose copies share what they have in common: a change copies one chunk and the list of chunks.

use std::ops::Index;
use std::sync::Arc;

/// Entries of a chunk, unless they are said to be more: what a change of one entry copies.
const CHUNK_ENTRIES: usize = 128;

/// A list in chunks of so many entries. Few large ones are read sooner, because they lie on fewer pages of memory, and are copied
/// later.
#[derive(Debug)]
pub(crate) struct Chunks<T, const ENTRIES: usize = CHUNK_ENTRIES> {
    full: Arc<Vec<Arc<[T]>>>,
    /// The last entries, which do not fill a chunk.
    last: Arc<Vec<T>>,
    /// The first of these: how many entries the full chunks have. A short list is read without looking at its chunks.
    last_from: usize,
}

impl<T, const ENTRIES: usize> Clone for Chunks<T, ENTRIES> {
    fn clone(&self) -> Self {
        Self {
            full: Arc::clone(&self.full),
            last: Arc::clone(&self.last),
            last_from: self.last_from,
        }
    }
}

impl<T, const ENTRIES: usize> Default for Chunks<T, ENTRIES> {
    fn default() -> Self {
        Self {
            full: Arc::default(),
            last: Arc::default(),
            last_from: 0,
        }
    }
}

impl<T, const ENTRIES: usize> Index<usize> for Chunks<T, ENTRIES> {
    type Output = T;

    #[inline(always)]
    fn index(&self, at: usize) -> &T {
        match at.checked_sub(self.last_from) {
            Some(place) => &self.last[place],
            None => &self.full[at / ENTRIES][at % ENTRIES],
        }
    }
}

impl<T: Clone, const ENTRIES: usize> Chunks<T, ENTRIES> {
    #[inline]
    pub(crate) fn len(&self) -> usize {
        self.last_from + self.last.len()
    }

    #[inline(always)]
    pub(crate) fn get(&self, at: usize) -> Option<&T> {
        match at.checked_sub(self.last_from) {
            Some(place) => self.last.get(place),
            None => Some(&self.full[at / ENTRIES][at % ENTRIES]),
        }
    }

    /// An entry to change. Other copies of the list keep what they have.
    pub(crate) fn get_mut(&mut self, at: usize) -> &mut T {
        match at.checked_sub(self.last_from) {
            Some(place) => &mut Arc::make_mut(&mut self.last)[place],
            None => {
                let full = Arc::make_mut(&mut self.full);
                &mut Arc::make_mut(&mut full[at / ENTRIES])[at % ENTRIES]
            }
        }
    }

    pub(crate) fn push(&mut self, entry: T) {
        let last = Arc::make_mut(&mut self.last);
        last.push(entry);
        if last.len() == ENTRIES {
            let chunk = std::mem::take(last).into();
            Arc::make_mut(&mut self.full).push(chunk);
            self.last_from += ENTRIES;
        }
    }

    /// Takes the last entry away.
    pub(crate) fn pop(&mut self) -> Option<T> {
        if self.last.is_empty() {
            let chunk = Arc::make_mut(&mut self.full).pop()?;
            self.last = Arc::new(chunk.to_vec());
            self.last_from -= ENTRIES;
        }
        Arc::make_mut(&mut self.last).pop()
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = &T> {
        let full = self.full.iter().flat_map(|chunk| chunk.iter());
        full.chain(self.last.iter())
    }

    /// Bytes on the heap, what entries point to not counted.
    pub(crate) fn memory(&self) -> usize {
        let chunk = COUNTS + ENTRIES * size_of::<T>();
        let full = self.full.capacity() * size_of::<Arc<[T]>>() + self.full.len() * chunk;
        full + self.last.capacity() * size_of::<T>()
    }
}

/// Bytes that a shared allocation has for its counts.
pub(crate) const COUNTS: usize = 2 * size_of::<usize>();

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_copy_keeps_what_it_has_when_another_changes() {
        let mut list: Chunks<i32> = Chunks::default();
        (0..300).for_each(|number| list.push(number));
        let before = list.clone();
        *list.get_mut(200) = 0;
        list.push(300);
        assert_eq!((before[200], before.len(), before.get(300)), (200, 300, None));
        assert_eq!((list[200], list.len(), list.get(300)), (0, 301, Some(&300)));
        assert!(before.iter().copied().eq(0..300));
        let all: Vec<i32> = std::iter::from_fn(|| list.pop()).collect();
        assert_eq!((all.len(), all[0], all[300], list.len()), (301, 300, 0, 0));
        assert!(list.get(0).is_none() && before.iter().copied().eq(0..300));
    }
}
