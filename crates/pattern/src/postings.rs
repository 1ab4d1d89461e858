//! Who is registered under which key: a table of lists, of which a list of one is in its table. It asks nobody.

use std::sync::Arc;

use crate::chunks::Chunks;
use crate::table::{Hash, Table};

/// Whom a hit is for: a filter, and whether the hit settles its test.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Code(u32);

impl Code {
    /// How many filters there can be: one bit says whether a hit settles, and one is for lists.
    pub(crate) const FILTERS_MAX: u32 = 1 << 30;

    pub(crate) fn new(filter: u32, settled: bool) -> Self {
        Self(filter << 1 | u32::from(!settled))
    }

    pub(crate) fn filter(self) -> usize {
        (self.0 >> 1) as usize
    }

    /// Whether the test that was registered passes for sure.
    pub(crate) fn is_settled(self) -> bool {
        self.0 & 1 == 0
    }

    pub(crate) fn settled(self) -> Self {
        Self(self.0 & !1)
    }

    pub(crate) fn unsettled(self) -> Self {
        Self(self.0 | 1)
    }
}

/// A list's code has this bit.
const LIST: u32 = 1 << 31;

/// What a table has for a key: a code, or the number of a list.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Posting(Code);

/// Nobody: the number of no list.
impl Default for Posting {
    fn default() -> Self {
        Self(Code(u32::MAX))
    }
}

/// The filters registered under one key, sorted.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Codes<'p> {
    pub(crate) codes: &'p [Code],
    /// Another number for each list.
    pub(crate) list: u32,
}

/// All that is registered. Copies share what they have in common.
#[derive(Debug, Clone, Default)]
pub(crate) struct Postings {
    table: Table<Posting>,
    /// Lists of several codes by number; empty where the number is free.
    lists: Chunks<Arc<Vec<Code>>>,
    free: Arc<Vec<u32>>,
}

impl Posting {
    fn list(self) -> Option<usize> {
        (self.0.0 & LIST != 0 && self.0.0 != u32::MAX).then_some((self.0.0 & !LIST) as usize)
    }

    fn of_list(number: u32) -> Self {
        Self(Code(number | LIST))
    }
}

impl Postings {
    /// Who is registered under a key.
    #[inline]
    pub(crate) fn get(&self, space: u32, key: &[u8]) -> Option<Codes<'_>> {
        self.table.get(space, key).map(|posting| self.codes(posting))
    }

    /// What the table has for a key now; a change of it needs another look.
    pub(crate) fn posting(&self, space: u32, key: &[u8]) -> Option<Posting> {
        self.table.get(space, key).copied()
    }

    /// Whom what the table has is for.
    #[inline]
    pub(crate) fn codes<'p>(&'p self, posting: &'p Posting) -> Codes<'p> {
        let codes = match posting.list() {
            None => std::slice::from_ref(&posting.0),
            Some(list) => &self.lists[list],
        };
        let list = posting.0.0;
        Codes { codes, list }
    }

    /// Whether fetching ahead is worth its time.
    #[inline]
    pub(crate) fn is_large(&self) -> bool {
        self.table.is_large()
    }

    /// Fetches what a look-up of a key will read first, and says the key's hash, unless nobody is known to be registered.
    #[inline]
    pub(crate) fn fetch(&self, space: u32, key: &[u8]) -> Option<Hash> {
        self.table.fetch(space, key)
    }

    /// Fetches what it will read then, and says who is probably registered, alone, under a key of this hash.
    #[inline]
    pub(crate) fn peek(&self, hash: Hash) -> Option<Code> {
        let posting = self.table.peek(hash)?;
        (posting.0.0 & LIST == 0).then_some(posting.0)
    }

    /// How many are registered under a key.
    pub(crate) fn count(&self, space: u32, key: &[u8]) -> usize {
        self.get(space, key).map_or(0, |found| found.codes.len())
    }

    /// Registers; whether it was not yet.
    pub(crate) fn insert(&mut self, space: u32, key: &[u8], code: Code) -> bool {
        let posting = self.table.entry(space, key);
        if posting.0.0 == u32::MAX {
            *posting = Posting(code);
            return true;
        }
        let Some(list) = posting.list() else {
            let known = posting.0;
            if known == code {
                return false;
            }
            let list = self.make_list(vec![known.min(code), known.max(code)]);
            *self.table.entry(space, key) = Posting::of_list(list);
            return true;
        };
        let Err(at) = self.lists[list].binary_search(&code) else {
            return false;
        };
        Arc::make_mut(self.lists.get_mut(list)).insert(at, code);
        true
    }

    /// Takes a registration back; whether it was there.
    pub(crate) fn remove(&mut self, space: u32, key: &[u8], code: Code) -> bool {
        let Some(found) = self.get(space, key) else {
            return false;
        };
        let Ok(at) = found.codes.binary_search(&code) else {
            return false;
        };
        match found.codes {
            [_] => self.table.remove(space, key),
            [first, second] => {
                let rest = if at == 0 { *second } else { *first };
                let list = found.list & !LIST;
                *self.lists.get_mut(list as usize) = Arc::default();
                Arc::make_mut(&mut self.free).push(list);
                *self.table.entry(space, key) = Posting(rest);
            }
            _ => {
                let list = (found.list & !LIST) as usize;
                Arc::make_mut(self.lists.get_mut(list)).remove(at);
            }
        }
        true
    }

    /// Bytes on the heap.
    pub(crate) fn memory(&self) -> usize {
        let of_list = |list: &Arc<Vec<Code>>| size_of::<Vec<Code>>() + list.capacity() * size_of::<Code>();
        let lists = self.lists.memory() + self.lists.iter().map(of_list).sum::<usize>();
        self.table.memory() + lists + self.free.capacity() * size_of::<u32>()
    }

    fn make_list(&mut self, codes: Vec<Code>) -> u32 {
        let list = Arc::new(codes);
        if self.free.is_empty() {
            self.lists.push(list);
            return u32::try_from(self.lists.len() - 1).expect("there are fewer lists than filters have fields");
        }
        let free = Arc::make_mut(&mut self.free);
        let number = free.pop().expect("there is a free number");
        *self.lists.get_mut(number as usize) = list;
        number
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn registered(postings: &Postings, key: &[u8]) -> Vec<usize> {
        let found = postings.get(7, key).map_or(&[][..], |found| found.codes);
        found.iter().map(|code| code.filter()).collect()
    }

    #[test]
    fn whoever_comes_is_there_until_he_goes_and_copies_keep_what_they_have() {
        let mut postings = Postings::default();
        let code = |filter: u32| Code::new(filter, filter.is_multiple_of(2));
        for filter in [5, 1, 3, 2] {
            assert!(postings.insert(7, b"a", code(filter)) && !postings.insert(7, b"a", code(filter)));
            assert!(postings.insert(7, b"b", code(filter + 1)));
        }
        let before = postings.clone();
        assert_eq!(registered(&postings, b"a"), [1, 2, 3, 5]);
        for filter in [3, 5, 1] {
            assert!(postings.remove(7, b"a", code(filter)) && !postings.remove(7, b"a", code(filter)));
        }
        assert_eq!(registered(&postings, b"a"), [2]);
        assert!(
            postings.insert(7, b"a", code(9)) && postings.insert(7, b"c", code(1)) && postings.insert(7, b"c", code(2))
        );
        assert_eq!((registered(&postings, b"a"), postings.lists.len()), (vec![2, 9], 3));
        assert!(postings.remove(7, b"a", code(2)) && postings.remove(7, b"a", code(9)));
        assert!(postings.get(7, b"a").is_none() && !postings.remove(7, b"a", code(9)));
        assert_eq!(
            (registered(&before, b"a"), before.count(7, b"b")),
            (vec![1, 2, 3, 5], 4)
        );
    }
}
