//! Where a filter's field lies: a mount and the keys below it. Thousands of filters have one each, so it is kept small.

use std::borrow::Cow;

/// Mounts that filters usually have, of which none is kept more than once.
const MOUNTS: [&str; 8] = [
    "/data",
    "/attr/type",
    "/attr/source",
    "/attr/id",
    "/attr/subject",
    "/attr/time",
    "/attr/dataschema",
    "/attr/datacontenttype",
];

/// Where a field lies.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Path {
    /// The canonical path of the mount; none when the dialect's top name is mounted nowhere.
    pub(crate) mount: Option<Cow<'static, str>>,
    /// The path as the dialect writes it.
    pub(crate) written: Box<str>,
    segments: Segments,
}

/// The keys below the mount, split at dots.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Segments {
    /// So many keys at the end of what is written.
    Written(u32),
    /// As they are: what is written says something else.
    Listed(Box<[Box<[u8]>]>),
}

impl Path {
    pub(crate) fn new(mount: Option<&str>, segments: &[&[u8]], written: &str) -> Self {
        let known = |mount: &str| MOUNTS.iter().find(|known| **known == mount).copied();
        let mount = mount.map(|mount| known(mount).map_or_else(|| Cow::Owned(mount.to_owned()), Cow::Borrowed));
        let count = segments.len();
        let all = written.split('.').count();
        let is_written = count <= all
            && written
                .split('.')
                .skip(all - count)
                .map(str::as_bytes)
                .eq(segments.iter().copied());
        let segments = match u32::try_from(count) {
            Ok(count) if is_written => Segments::Written(count),
            _ => Segments::Listed(segments.iter().map(|segment| (*segment).into()).collect()),
        };
        let written = written.into();
        Self {
            mount,
            written,
            segments,
        }
    }

    /// The keys below the mount, split at dots.
    pub(crate) fn segments(&self) -> impl Iterator<Item = &[u8]> {
        let (written, listed) = match &self.segments {
            Segments::Written(0) => (None, &[][..]),
            Segments::Written(count) => (Some(*count as usize), &[][..]),
            Segments::Listed(listed) => (None, &listed[..]),
        };
        let written = written.map(|count| {
            let all = self.written.split('.').count();
            self.written.split('.').skip(all - count).map(str::as_bytes)
        });
        written
            .into_iter()
            .flatten()
            .chain(listed.iter().map(|segment| &**segment))
    }

    /// Whether the mount itself is meant.
    pub(crate) fn is_mount(&self) -> bool {
        self.segments().next().is_none()
    }

    /// Bytes on the heap.
    pub(crate) fn memory(&self) -> usize {
        let listed = match &self.segments {
            Segments::Written(_) => 0,
            Segments::Listed(listed) => listed
                .iter()
                .map(|segment| size_of::<Box<[u8]>>() + segment.len())
                .sum(),
        };
        let mount = match &self.mount {
            Some(Cow::Owned(mount)) => mount.capacity(),
            _ => 0,
        };
        mount + listed + self.written.len()
    }

    /// Whether both lead to the same place of a document.
    pub(crate) fn is_same_place(&self, other: &Path) -> bool {
        self.mount.is_some() && self.mount == other.mount && self.segments().eq(other.segments())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_are_kept_whether_they_are_written_or_not() {
        let check = |segments: &[&[u8]], written: &str| {
            let path = Path::new(Some("/data"), segments, written);
            assert!(path.segments().eq(segments.iter().copied()), "{written}");
            assert_eq!(path.is_mount(), segments.is_empty(), "{written}");
        };
        check(&[], "detail");
        check(&[], "");
        check(&[b""], "");
        check(&[b"a", b"", b"b"], "detail.a..b");
        check(&[b"a", b"b"], "a.b");
        check(&[b"a", b"b"], "b");
        check(&[b"data", b"Key"], "data.key");
        check(&[b"\xed\xa0\x80"], "\u{fffd}\u{fffd}\u{fffd}");
    }
}
