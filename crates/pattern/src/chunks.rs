//! A list whose copies share what they have in common: a change copies one chunk and the list of chunks.

use std::ops::Index;
use std::sync::Arc;

/// Entries of a chunk: what a change of one entry copies.
const CHUNK_ENTRIES: usize = 128;

#[derive(Debug)]
pub(crate) struct Chunks<T> {
    chunks: Arc<Vec<Arc<Vec<T>>>>,
    length: usize,
}

impl<T> Clone for Chunks<T> {
    fn clone(&self) -> Self {
        Self {
            chunks: Arc::clone(&self.chunks),
            length: self.length,
        }
    }
}

impl<T> Default for Chunks<T> {
    fn default() -> Self {
        Self {
            chunks: Arc::default(),
            length: 0,
        }
    }
}

impl<T> Index<usize> for Chunks<T> {
    type Output = T;

    #[inline]
    fn index(&self, at: usize) -> &T {
        &self.chunks[at / CHUNK_ENTRIES][at % CHUNK_ENTRIES]
    }
}

impl<T: Clone> Chunks<T> {
    pub(crate) fn len(&self) -> usize {
        self.length
    }

    #[inline]
    pub(crate) fn get(&self, at: usize) -> Option<&T> {
        self.chunks.get(at / CHUNK_ENTRIES)?.get(at % CHUNK_ENTRIES)
    }

    /// An entry to change. Other copies of the list keep what they have.
    pub(crate) fn get_mut(&mut self, at: usize) -> &mut T {
        let chunks = Arc::make_mut(&mut self.chunks);
        &mut Arc::make_mut(&mut chunks[at / CHUNK_ENTRIES])[at % CHUNK_ENTRIES]
    }

    pub(crate) fn push(&mut self, entry: T) {
        let chunks = Arc::make_mut(&mut self.chunks);
        if self.length.is_multiple_of(CHUNK_ENTRIES) {
            chunks.push(Arc::default());
        }
        let last = chunks
            .last_mut()
            .expect("a chunk has just been added if there was none");
        Arc::make_mut(last).push(entry);
        self.length += 1;
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
        let mut list = Chunks::default();
        (0..300).for_each(|number| list.push(number));
        let before = list.clone();
        *list.get_mut(200) = 0;
        list.push(300);
        assert_eq!((before[200], before.len(), before.get(300)), (200, 300, None));
        assert_eq!((list[200], list.len(), list.get(300)), (0, 301, Some(&300)));
        assert!(before.iter().copied().eq(0..300));
    }
}
