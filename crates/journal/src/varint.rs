//! Zigzag varints and a bounds-checked cursor over them: the alphabet of RecordBatch v2. Nothing here knows what the
//! numbers mean.

/// Bytes of the longest varint of 32 bits.
pub(crate) const MAX_LEN_32: usize = 5;

/// Bytes of the longest varint of 64 bits.
const MAX_LEN_64: usize = 10;

/// How many bytes `value` takes as a zigzag varint.
#[inline]
pub(crate) const fn len(value: i32) -> usize {
    match zigzag(value) {
        0..0x80 => 1,
        0x80..0x4000 => 2,
        0x4000..0x20_0000 => 3,
        0x20_0000..0x1000_0000 => 4,
        _ => MAX_LEN_32,
    }
}

/// Appends `value` as a zigzag varint.
#[inline]
pub(crate) fn put(out: &mut Vec<u8>, value: i32) {
    let raw = zigzag(value);
    if raw < 0x80 {
        return out.push(raw as u8);
    }
    let mut bytes = [0; MAX_LEN_32];
    let used = write(&mut bytes, value);
    out.extend_from_slice(&bytes[..used]);
}

/// Writes `value` as a zigzag varint to the front of `out` and says how many bytes it took.
#[inline]
pub(crate) fn write(out: &mut [u8], value: i32) -> usize {
    let mut rest = zigzag(value);
    let mut at = 0;
    while rest >= 0x80 {
        out[at] = rest as u8 | 0x80;
        rest >>= 7;
        at += 1;
    }
    out[at] = rest as u8;
    at + 1
}

const fn zigzag(value: i32) -> u32 {
    ((value << 1) ^ (value >> 31)) as u32
}

/// What is left to read of some bytes. A read that fails leaves the cursor anywhere: stop then.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Cursor<'a>(pub(crate) &'a [u8]);

impl<'a> Cursor<'a> {
    /// One byte.
    #[inline]
    pub(crate) fn byte(&mut self) -> Option<u8> {
        let (&first, rest) = self.0.split_first()?;
        self.0 = rest;
        Some(first)
    }

    /// A zigzag varint of 32 bits.
    #[inline]
    pub(crate) fn varint(&mut self) -> Option<i32> {
        let raw = match *self.0 {
            [one, ref rest @ ..] if one < 0x80 => {
                self.0 = rest;
                u32::from(one)
            }
            [low, high, ref rest @ ..] if high < 0x80 => {
                self.0 = rest;
                u32::from(low & 0x7f) | u32::from(high) << 7
            }
            _ => u32::try_from(self.unsigned(MAX_LEN_32)?).ok()?,
        };
        Some((raw >> 1) as i32 ^ -((raw & 1) as i32))
    }

    /// A zigzag varint of 64 bits.
    #[inline]
    pub(crate) fn varlong(&mut self) -> Option<i64> {
        let raw = self.unsigned(MAX_LEN_64)?;
        Some((raw >> 1) as i64 ^ -((raw & 1) as i64))
    }

    /// A count or length: a varint that is not negative and not above `max`.
    #[inline]
    pub(crate) fn size(&mut self, max: usize) -> Option<usize> {
        usize::try_from(self.varint()?).ok().filter(|&size| size <= max)
    }

    /// The next `len` bytes.
    #[inline]
    pub(crate) fn bytes(&mut self, len: usize) -> Option<&'a [u8]> {
        let (taken, rest) = self.0.split_at_checked(len)?;
        self.0 = rest;
        Some(taken)
    }

    /// Bytes that follow their own length.
    #[inline]
    pub(crate) fn sized(&mut self) -> Option<&'a [u8]> {
        let len = self.size(self.0.len())?;
        self.bytes(len)
    }

    /// Bytes that follow their own length, which is -1 for null.
    #[inline]
    pub(crate) fn nullable(&mut self) -> Option<Option<&'a [u8]>> {
        match self.varint()? {
            -1 => Some(None),
            len => self.bytes(usize::try_from(len).ok()?).map(Some),
        }
    }

    fn unsigned(&mut self, max_len: usize) -> Option<u64> {
        let mut value = 0;
        for at in 0..max_len {
            let byte = self.byte()?;
            let bits = u64::from(byte & 0x7f);
            let shifted = bits << (7 * at);
            if shifted >> (7 * at) != bits {
                return None;
            }
            value |= shifted;
            if byte < 0x80 {
                return Some(value);
            }
        }
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const EDGES: [(i32, &[u8]); 9] = [
        (0, &[0]),
        (-1, &[1]),
        (1, &[2]),
        (63, &[0x7e]),
        (-64, &[0x7f]),
        (64, &[0x80, 0x01]),
        (8191, &[0xfe, 0x7f]),
        (i32::MAX, &[0xfe, 0xff, 0xff, 0xff, 0x0f]),
        (i32::MIN, &[0xff, 0xff, 0xff, 0xff, 0x0f]),
    ];

    #[test]
    fn edges_are_written_as_kafka_writes_them() {
        for (value, expected) in EDGES {
            let mut out = Vec::new();
            put(&mut out, value);
            assert_eq!((out.as_slice(), len(value)), (expected, expected.len()), "{value}");
            assert_eq!(Cursor(expected).varint(), Some(value));
            assert_eq!(Cursor(expected).varlong(), Some(i64::from(value)));
        }
    }

    #[test]
    fn a_varint_that_ends_early_or_never_is_refused() {
        for bytes in [&[][..], &[0x80], &[0xff, 0xff, 0xff, 0xff, 0x1f], &[0x80; 6]] {
            assert_eq!(Cursor(bytes).varint(), None, "{bytes:?}");
        }
        assert_eq!(Cursor(&[0xff; 11]).varlong(), None);
        let mut widest = [0xff; 10];
        widest[9] = 0x01;
        assert_eq!(Cursor(&widest).varlong(), Some(i64::MIN));
        widest[9] = 0x02;
        assert_eq!(Cursor(&widest).varlong(), None);
    }

    proptest! {
        #[test]
        fn every_number_survives(value: i32) {
            let mut out = Vec::new();
            put(&mut out, value);
            prop_assert_eq!(out.len(), len(value));
            prop_assert_eq!(Cursor(&out).varint(), Some(value));
        }
    }
}
