//! A key of a table: bytes, inside of what holds it if they are few.

/// Bytes of a key that lie inside: those of a UUID as it is written, and a few more.
const KEY_BYTES_INLINE: usize = 38;

#[derive(Debug, Clone)]
pub(super) enum Key {
    Inside { length: u8, bytes: [u8; KEY_BYTES_INLINE] },
    Apart(Box<[u8]>),
}

impl Key {
    pub(super) fn new(key: &[u8]) -> Self {
        let mut bytes = [0; KEY_BYTES_INLINE];
        match (bytes.get_mut(..key.len()), u8::try_from(key.len())) {
            (Some(inside), Ok(length)) => {
                inside.copy_from_slice(key);
                Key::Inside { length, bytes }
            }
            _ => Key::Apart(key.into()),
        }
    }

    #[inline]
    pub(super) fn is(&self, key: &[u8]) -> bool {
        // An empty slice lies at no address, and some processors take a hundred cycles to compare nothing with what is there.
        let bytes = self.bytes();
        bytes.len() == key.len() && (key.is_empty() || bytes == key)
    }

    #[inline]
    pub(super) fn bytes(&self) -> &[u8] {
        match self {
            Key::Inside { length, bytes } => &bytes[..usize::from(*length)],
            Key::Apart(bytes) => bytes,
        }
    }

    /// Bytes on the heap.
    pub(super) fn memory(&self) -> usize {
        match self {
            Key::Inside { .. } => 0,
            Key::Apart(bytes) => bytes.len(),
        }
    }
}
