//! A matcher's numbers by the ids of its filters. Copies share what they have in common.

use std::sync::Arc;

/// Ids of a chunk of the list of ids: what a change copies.
const ID_CHUNK: usize = 256;

/// Numbers by id: a sorted list in chunks, so that a change copies one of them.
#[derive(Debug, Clone)]
pub(crate) struct Numbers<Id> {
    chunks: Arc<Vec<Arc<NumberChunk<Id>>>>,
    pub(crate) length: usize,
}

/// Sorted by id.
type NumberChunk<Id> = Vec<(Id, u32)>;

impl<Id> Default for Numbers<Id> {
    fn default() -> Self {
        Self {
            chunks: Arc::default(),
            length: 0,
        }
    }
}

impl<Id: Copy + Ord> Numbers<Id> {
    pub(crate) fn get(&self, id: Id) -> Option<u32> {
        let chunk = self.chunks.get(self.chunk_of(id))?;
        let at = chunk.binary_search_by_key(&id, |(known, _)| *known).ok()?;
        Some(chunk[at].1)
    }

    /// Adds an id that is not there.
    pub(crate) fn insert(&mut self, id: Id, number: u32) {
        let at = self.chunk_of(id);
        let chunks = Arc::make_mut(&mut self.chunks);
        if chunks.is_empty() {
            chunks.push(Arc::default());
        }
        let is_last = at + 1 == chunks.len();
        let chunk = Arc::make_mut(&mut chunks[at]);
        let place = chunk.partition_point(|(known, _)| *known < id);
        chunk.insert(place, (id, number));
        if chunk.len() > ID_CHUNK {
            // What comes in order fills its chunks.
            let half = if is_last && place + 1 == chunk.len() {
                ID_CHUNK
            } else {
                ID_CHUNK / 2
            };
            let upper = Arc::new(chunk.split_off(half));
            chunks.insert(at + 1, upper);
        }
        self.length += 1;
    }

    pub(crate) fn remove(&mut self, id: Id) -> Option<u32> {
        self.get(id)?;
        let at = self.chunk_of(id);
        let chunks = Arc::make_mut(&mut self.chunks);
        let chunk = Arc::make_mut(&mut chunks[at]);
        let place = chunk.binary_search_by_key(&id, |(known, _)| *known).ok()?;
        let (_, number) = chunk.remove(place);
        if chunk.is_empty() {
            chunks.remove(at);
        }
        self.length -= 1;
        Some(number)
    }

    fn chunk_of(&self, id: Id) -> usize {
        let begins_before = |chunk: &Arc<Vec<(Id, u32)>>| chunk.first().is_some_and(|(first, _)| *first <= id);
        self.chunks.partition_point(begins_before).saturating_sub(1)
    }

    pub(crate) fn memory(&self) -> usize {
        let of_chunk =
            |chunk: &Arc<Vec<(Id, u32)>>| chunk.capacity() * size_of::<(Id, u32)>() + size_of::<Vec<(Id, u32)>>();
        self.chunks.iter().map(of_chunk).sum::<usize>() + self.chunks.capacity() * size_of::<usize>()
    }
}
