//! Where a tail is, as text that its reader keeps and gives back: base64url of a version, then for each partition its topic's number, its
//! index and the offset to go on with, all as LEB128 numbers. Partitions at 0 are left out.

use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use journal::PartitionId;
use std::{collections::BTreeMap, fmt, str::FromStr};

/// The first byte of the text's bytes; kept by clients, keep stable.
const VERSION: u8 = 1;
/// Partitions in a cursor that is read: more than a node has.
const PARTITIONS_MAX: usize = 4_096;

/// Offsets to go on with, by partition. It is opaque to readers.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Cursor(BTreeMap<(u32, u32), u64>);

/// A text that is no cursor.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("read the cursor: it is not one that a tail gave")]
pub struct CursorInvalid;

impl Cursor {
    pub(super) fn get(&self, partition: PartitionId) -> u64 {
        let place = (partition.topic.topic, partition.index);
        self.0.get(&place).copied().unwrap_or_default()
    }

    pub(super) fn set(&mut self, partition: PartitionId, offset: u64) {
        let place = (partition.topic.topic, partition.index);
        match offset {
            0 => drop(self.0.remove(&place)),
            _ => drop(self.0.insert(place, offset)),
        }
    }
}

impl fmt::Display for Cursor {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut bytes = vec![VERSION];
        for ((topic, index), offset) in &self.0 {
            for number in [u64::from(*topic), u64::from(*index), *offset] {
                write(&mut bytes, number);
            }
        }
        formatter.write_str(&URL_SAFE_NO_PAD.encode(bytes))
    }
}

impl FromStr for Cursor {
    type Err = CursorInvalid;

    fn from_str(text: &str) -> Result<Self, CursorInvalid> {
        let bytes = URL_SAFE_NO_PAD.decode(text).map_err(|_| CursorInvalid)?;
        let Some((&VERSION, mut rest)) = bytes.split_first() else {
            return Err(CursorInvalid);
        };
        let mut offsets = BTreeMap::new();
        while !rest.is_empty() {
            let mut next = || read(&mut rest).ok_or(CursorInvalid);
            let narrow = |number: u64| u32::try_from(number).map_err(|_| CursorInvalid);
            let place = (narrow(next()?)?, narrow(next()?)?);
            let is_new = offsets.insert(place, next()?).is_none();
            if !is_new || offsets.len() > PARTITIONS_MAX {
                return Err(CursorInvalid);
            }
        }
        Ok(Self(offsets))
    }
}

fn write(bytes: &mut Vec<u8>, mut number: u64) {
    while number >= 0x80 {
        bytes.push((number as u8 & 0x7f) | 0x80);
        number >>= 7;
    }
    bytes.push(number as u8);
}

fn read(bytes: &mut &[u8]) -> Option<u64> {
    let mut number = 0u64;
    for shift in (0..64).step_by(7) {
        let (&byte, rest) = bytes.split_first()?;
        *bytes = rest;
        let part = u64::from(byte & 0x7f);
        if shift == 63 && part > 1 {
            return None;
        }
        number |= part << shift;
        if byte & 0x80 == 0 {
            return Some(number);
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;
    use journal::TopicId;

    fn partition(topic: u32, index: u32) -> PartitionId {
        PartitionId {
            topic: TopicId { bus: 1, topic },
            index,
        }
    }

    #[test]
    fn a_cursor_is_read_as_it_was_written() {
        let mut cursor = Cursor::default();
        assert_eq!(cursor.to_string(), "AQ");
        for (topic, index, offset) in [
            (1, 0, 1),
            (1, 11, 127),
            (2, 0, 128),
            (u32::MAX, u32::MAX, u64::MAX),
            (3, 0, 0),
        ] {
            cursor.set(partition(topic, index), offset);
        }
        assert_eq!(cursor.to_string().parse(), Ok(cursor.clone()));
        assert_eq!(cursor.get(partition(2, 0)), 128);
        assert_eq!(cursor.get(partition(3, 0)), 0);
        let mut golden = Cursor::default();
        golden.set(partition(1, 2), 300);
        assert_eq!(golden.to_string(), "AQECrAI");
    }

    #[test]
    fn what_is_no_cursor_is_refused() {
        for text in [
            "",
            "A",
            "Ag",
            "AQE",
            "AQEC",
            "AQECrA",
            "AQECAQECAQ",
            "nonsense!",
            "AQH___________8B",
        ] {
            assert_eq!(text.parse::<Cursor>(), Err(CursorInvalid), "{text}");
        }
    }
}
