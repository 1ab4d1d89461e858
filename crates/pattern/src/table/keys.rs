//! Keys of a page, one behind the other, each found by the place it was put at.

use std::sync::Arc;

use crate::chunks::COUNTS;

/// Places are counted in so many bytes.
const UNIT: usize = 8;

/// What stands before a key: its space, and its length.
const SPACE_BYTES: usize = size_of::<u32>();
const HEAD_BYTES: usize = SPACE_BYTES + size_of::<u8>();

/// Bytes of a key that lies here. A longer one lies apart, and its number here.
const KEY_BYTES_MAX: usize = 64 - HEAD_BYTES;

/// The length of a key that lies apart.
const APART: u8 = u8::MAX;

/// How much more room than needed there is after growing, as a share: one in so many.
const ROOM_MORE: usize = 4;

/// Where a key lies.
pub(super) type At = u16;

#[derive(Debug, Clone, Default)]
pub(super) struct Keys {
    bytes: Arc<[u8]>,
    used: usize,
    /// Keys that are too long, by number.
    apart: Option<Arc<Vec<Box<[u8]>>>>,
}

impl Keys {
    pub(super) fn with_capacity(bytes: usize) -> Self {
        Self {
            bytes: vec![0; bytes].into(),
            ..Self::default()
        }
    }

    /// Bytes that its keys take here.
    pub(super) fn used(&self) -> usize {
        self.used
    }

    /// Adds a key.
    pub(super) fn push(&mut self, space: u32, key: &[u8]) -> At {
        let number;
        let (length, inside) = match u8::try_from(key.len()) {
            Ok(length) if key.len() <= KEY_BYTES_MAX => (length, key),
            _ => {
                let apart = Arc::make_mut(self.apart.get_or_insert_default());
                number = apart.len().to_le_bytes();
                apart.push(key.into());
                (APART, &number[..])
            }
        };
        let begin = self.used;
        self.used = (begin + HEAD_BYTES + inside.len()).next_multiple_of(UNIT);
        if self.used > self.bytes.len() {
            let mut more = vec![0; self.used + (self.used / ROOM_MORE).next_multiple_of(UNIT)];
            more[..begin].copy_from_slice(&self.bytes[..begin]);
            self.bytes = more.into();
        }
        let entry = &mut Arc::make_mut(&mut self.bytes)[begin..self.used];
        entry[..SPACE_BYTES].copy_from_slice(&space.to_le_bytes());
        entry[SPACE_BYTES] = length;
        entry[HEAD_BYTES..HEAD_BYTES + inside.len()].copy_from_slice(inside);
        At::try_from(begin / UNIT).expect("a page has few keys")
    }

    /// The space and the key at a place.
    pub(super) fn at(&self, at: At) -> (u32, &[u8]) {
        let entry = self.entry(at);
        let (space, rest) = entry.split_first_chunk().expect("there is a key");
        let (length, inside) = rest.split_first().expect("there is a key");
        let key = match *length {
            APART => self.apart(inside),
            length => &inside[..usize::from(length)],
        };
        (u32::from_le_bytes(*space), key)
    }

    /// Whether this is the one.
    #[inline]
    pub(super) fn is(&self, at: At, space: u32, key: &[u8]) -> bool {
        let Some((head, inside)) = self.entry(at).split_first_chunk::<HEAD_BYTES>() else {
            return false;
        };
        if head[..SPACE_BYTES] != space.to_le_bytes() {
            return false;
        }
        match head[SPACE_BYTES] {
            APART => self.apart(inside) == key,
            // An empty slice lies at no address, and some processors take a hundred cycles to compare nothing with what is there.
            length => usize::from(length) == key.len() && (key.is_empty() || inside.starts_with(key)),
        }
    }

    /// From a key's first byte on.
    #[inline]
    pub(super) fn entry(&self, at: At) -> &[u8] {
        &self.bytes[usize::from(at) * UNIT..]
    }

    #[cold]
    fn apart(&self, inside: &[u8]) -> &[u8] {
        let number = inside.first_chunk().map(|number| usize::from_le_bytes(*number));
        let apart = self.apart.as_ref().zip(number);
        apart.map_or(&[], |(apart, number)| &apart[number])
    }

    /// Bytes on the heap.
    pub(super) fn memory(&self) -> usize {
        let apart = self.apart.iter().flat_map(|apart| apart.iter());
        let apart = apart.map(|key| size_of::<Box<[u8]>>() + key.len()).sum::<usize>();
        COUNTS + self.bytes.len() + apart
    }
}
