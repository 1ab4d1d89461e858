//! Memory for what goes to the disk in large pieces: on page boundaries, so that a file takes it past the page cache, and
//! used again, because fresh pages cost the system more to clear than a frame costs to write. It keeps no more than a bound,
//! and nothing while the journal is idle. What the bytes are is not known here.

use super::format::PAGE;
use std::sync::{
    Arc, Mutex, MutexGuard, PoisonError,
    atomic::{AtomicBool, Ordering},
};

/// Smaller buffers come from the allocator, which keeps such sizes at hand by itself.
const KEPT_LEN_MIN: usize = 128 << 10;

/// Free memory that is kept for the next groups: what the flusher lets go of at once when a checkpoint has held it up, and some
/// groups on their way. It was in use before: whoever gives it back and takes it anew waits for the system to clear it.
const KEPT_BYTES_MAX: usize = 72 << 20;

/// A buffer of up to so many times what is needed is taken: it holds memory as long as readers hold the frame in it.
const ROOMY: usize = 2;

/// The free buffers of a journal.
#[derive(Debug, Default)]
pub struct Buffers {
    free: Mutex<Vec<Vec<u8>>>,
    /// Whether a large one was taken since it was last asked.
    used: AtomicBool,
}

impl Buffers {
    fn free(&self) -> MutexGuard<'_, Vec<Vec<u8>>> {
        self.free.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// An empty buffer with room for `len` bytes from a page boundary on.
    pub fn take(self: &Arc<Self>, len: usize) -> PageBuffer {
        let needed = len + PAGE as usize;
        let kept = if needed < KEPT_LEN_MIN {
            None
        } else {
            self.used.store(true, Ordering::Relaxed);
            self.take_kept(needed)
        };
        let mut bytes = kept.unwrap_or_else(|| Vec::with_capacity(rounded(needed)));
        let origin = bytes.as_ptr().align_offset(PAGE as usize);
        bytes.resize(origin, 0);
        PageBuffer {
            bytes,
            origin,
            home: self.clone(),
        }
    }

    fn take_kept(&self, needed: usize) -> Option<Vec<u8>> {
        let mut free = self.free();
        let fits = |bytes: &Vec<u8>| (needed..=needed.saturating_mul(ROOMY)).contains(&bytes.capacity());
        let place = free.iter().rposition(fits)?;
        Some(free.remove(place))
    }

    fn give_back(&self, mut bytes: Vec<u8>) {
        if bytes.capacity() < KEPT_LEN_MIN || bytes.capacity() > KEPT_BYTES_MAX {
            return;
        }
        bytes.clear();
        let mut free = self.free();
        free.push(bytes);
        let mut held: usize = free.iter().map(Vec::capacity).sum();
        let mut dropped = Vec::new();
        while held > KEPT_BYTES_MAX {
            let oldest = free.remove(0);
            held -= oldest.capacity();
            dropped.push(oldest);
        }
        // Their memory is given back without the lock.
        drop(free);
    }

    /// Gives all free memory back, if none was needed since this was last called.
    pub fn release_unused(&self) {
        if !self.used.swap(false, Ordering::Relaxed) {
            let free = std::mem::take(&mut *self.free());
            drop(free);
        }
    }
}

/// Sizes are rounded up to a quarter of their power of two, so that groups of about a size share buffers.
fn rounded(needed: usize) -> usize {
    if needed < KEPT_LEN_MIN {
        return needed;
    }
    needed.next_multiple_of(needed.next_power_of_two() / 8)
}

/// Bytes from a page boundary on, as long as they fit the room that was asked for; beyond it they are somewhere.
#[derive(Debug)]
pub struct PageBuffer {
    bytes: Vec<u8>,
    origin: usize,
    home: Arc<Buffers>,
}

impl PageBuffer {
    /// Where its bytes begin in [`inner`](Self::inner).
    pub fn origin(&self) -> usize {
        self.origin
    }

    /// The memory itself, to be appended to. What stands before the [`origin`](Self::origin) is not part of it.
    pub fn inner(&mut self) -> &mut Vec<u8> {
        &mut self.bytes
    }
}

impl AsRef<[u8]> for PageBuffer {
    fn as_ref(&self) -> &[u8] {
        &self.bytes[self.origin..]
    }
}

impl Drop for PageBuffer {
    fn drop(&mut self) {
        self.home.give_back(std::mem::take(&mut self.bytes));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn is_on_a_page(buffer: &PageBuffer) -> bool {
        buffer.as_ref().as_ptr().align_offset(PAGE as usize) == 0
    }

    #[test]
    fn a_buffer_begins_on_a_page_and_large_ones_are_used_again() {
        let buffers = Arc::new(Buffers::default());
        for len in [1, 5_000, 200_000, 3 << 20] {
            let mut buffer = buffers.take(len);
            buffer.inner().extend(std::iter::repeat_n(7, len));
            assert!(is_on_a_page(&buffer) && buffer.as_ref().len() == len, "{len}");
        }
        let large = buffers.take(3 << 20).as_ref().as_ptr();
        assert!(std::ptr::eq(buffers.take(3 << 20).as_ref().as_ptr(), large));
        assert!(
            !std::ptr::eq(buffers.take(1 << 20).as_ref().as_ptr(), large),
            "it is too large for so little"
        );
    }

    #[test]
    fn what_is_kept_is_bounded_and_can_be_given_back() {
        let buffers = Arc::new(Buffers::default());
        let kept = || buffers.free().iter().map(Vec::capacity).sum::<usize>();
        drop((0..200).map(|_| buffers.take(1 << 20)).collect::<Vec<_>>());
        assert!((KEPT_BYTES_MAX / 2..=KEPT_BYTES_MAX).contains(&kept()));
        drop(buffers.take(KEPT_BYTES_MAX));
        assert!(kept() <= KEPT_BYTES_MAX);
        buffers.release_unused();
        assert!(kept() > 0, "it was in use a moment ago");
        buffers.release_unused();
        assert_eq!(kept(), 0);
    }
}
