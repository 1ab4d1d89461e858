//! A list whose copies share what they have in common: a change copies one chunk and the list of chunks.

use std::ops::Index;
use std::sync::Arc;

/// Entries of a chunk, unless they are said to be more: what a change of one entry copies.
const CHUNK_ENTRIES: usize = 128;

/// A list in chunks of so many entries. Few large ones are read sooner, and copied later.
#[derive(Debug)]
pub(crate) struct Chunks<T, const ENTRIES: usize = CHUNK_ENTRIES> {
    chunks: Arc<Vec<Arc<Vec<T>>>>,
    length: usize,
}

impl<T, const ENTRIES: usize> Clone for Chunks<T, ENTRIES> {
    fn clone(&self) -> Self {
        Self {
            chunks: Arc::clone(&self.chunks),
            length: self.length,
        }
    }
}

impl<T, const ENTRIES: usize> Default for Chunks<T, ENTRIES> {
    fn default() -> Self {
        Self {
            chunks: Arc::default(),
            length: 0,
        }
    }
}

impl<T, const ENTRIES: usize> Index<usize> for Chunks<T, ENTRIES> {
    type Output = T;

    #[inline]
    fn index(&self, at: usize) -> &T {
        &self.chunks[at / ENTRIES][at % ENTRIES]
    }
}

impl<T: Clone, const ENTRIES: usize> Chunks<T, ENTRIES> {
    pub(crate) fn len(&self) -> usize {
        self.length
    }

    #[inline]
    pub(crate) fn get(&self, at: usize) -> Option<&T> {
        self.chunks.get(at / ENTRIES)?.get(at % ENTRIES)
    }

    /// An entry to change. Other copies of the list keep what they have.
    pub(crate) fn get_mut(&mut self, at: usize) -> &mut T {
        let chunks = Arc::make_mut(&mut self.chunks);
        &mut Arc::make_mut(&mut chunks[at / ENTRIES])[at % ENTRIES]
    }

    pub(crate) fn push(&mut self, entry: T) {
        let chunks = Arc::make_mut(&mut self.chunks);
        if self.length.is_multiple_of(ENTRIES) {
            chunks.push(Arc::default());
        }
        let last = chunks
            .last_mut()
            .expect("a chunk has just been added if there was none");
        Arc::make_mut(last).push(entry);
        self.length += 1;
    }

    /// Takes the last entry away.
    pub(crate) fn pop(&mut self) -> Option<T> {
        let chunks = Arc::make_mut(&mut self.chunks);
        let last = Arc::make_mut(chunks.last_mut()?);
        let entry = last.pop()?;
        if last.is_empty() {
            chunks.pop();
        }
        self.length -= 1;
        Some(entry)
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = &T> {
        self.chunks.iter().flat_map(|chunk| chunk.iter())
    }

    /// Bytes on the heap, what entries point to not counted.
    pub(crate) fn memory(&self) -> usize {
        let of_chunk = |chunk: &Arc<Vec<T>>| size_of::<Vec<T>>() + chunk.capacity() * size_of::<T>();
        self.chunks.capacity() * size_of::<usize>() + self.chunks.iter().map(of_chunk).sum::<usize>()
    }
}

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
