//! What look-ups will read, asked for while a document is still scanned. It answers nothing, but for what need not be looked up.

use super::{Asked, Index, Route};
use crate::ahead::{Probe, Probes};
use crate::few::Ends;
use crate::fold;
use crate::keys::{Kind, bits};
use crate::paths::Place;
use crate::postings::Code;
use crate::ranges::LeafAt;
use crate::table::Hash;

/// Bytes of a text whose pieces are looked for twice: first to fetch who is registered under them.
const PIECED_BYTES_MAX: usize = 128;

impl Index {
    /// Whether fetching ahead is worth its time.
    #[inline]
    pub(crate) fn is_fetched(&self) -> bool {
        self.postings.is_large() || self.ranges_fetched
    }

    /// Fetches the memory that a text found at a place will be looked up in, while the scan goes on from a position; whether it need
    /// be looked up at all. It need not if it is known of every key that it has that nobody is registered under it.
    #[inline]
    pub(crate) fn fetch_text(&self, place: Place, text: &[u8], position: usize, probes: &mut Probes) -> bool {
        let Some(Some(profile)) = self.profiles.get(place.index()) else {
            return true;
        };
        if !self.postings.is_large() {
            return true;
        }
        let (mut asked, ends) = (Asked::new(profile, place, text), Ends::of(text));
        let mut may_call = false;
        for route in profile.routes.iter().filter(|route| route.may_have(ends)) {
            may_call |= match route.kind {
                Kind::Text | Kind::Head | Kind::Tail => {
                    let key = route.key_in(text);
                    key.is_some_and(|key| self.fetch(route.kind.space(place), key, position, probes))
                }
                Kind::AnyText => true,
                Kind::Absent | Kind::Any | Kind::Number | Kind::Spelling | Kind::Word => false,
                _ => self.fetch_made(route, &mut asked, position, probes),
            };
        }
        may_call
    }

    /// The same for one kind of look-up whose keys must be made of the text first.
    #[inline(never)]
    fn fetch_made(
        &self,
        route: &Route,
        asked: &mut Asked<'_, Option<fold::Short>>,
        position: usize,
        probes: &mut Probes,
    ) -> bool {
        let (text, space) = (asked.text, route.kind.space(asked.place));
        let mut may_call = false;
        let mut fetch = |key: &[u8]| may_call |= self.fetch(space, key, position, probes);
        match route.kind {
            Kind::Folded | Kind::FoldedHead | Kind::FoldedTail => {
                match asked.folded.get_or_insert_with(|| fold::short(text)) {
                    Some(folded) => route.key_in(folded).into_iter().for_each(fetch),
                    None => may_call = true,
                }
            }
            Kind::Address | Kind::Network => {
                let key = asked.address().and_then(|address| route.key_of(address));
                key.iter().for_each(|key| fetch(key.bytes()));
            }
            _ if text.len() <= PIECED_BYTES_MAX => {
                asked.profile.pieces.find(text, usize::from(route.length), fetch);
            }
            _ => may_call = true,
        }
        may_call
    }

    /// The same for a number; where its ranges lie.
    #[inline]
    pub(crate) fn fetch_number(
        &self,
        place: Place,
        number: f64,
        position: usize,
        probes: &mut Probes,
    ) -> Option<LeafAt> {
        let profile = self.profiles.get(place.index())?.as_ref()?;
        if self.postings.is_large() && profile.may_have_number(number) {
            self.fetch(Kind::Number.space(place), &bits(number), position, probes);
        }
        let (leaf, is_far) = profile.ranges.fetch(number)?;
        if is_far {
            probes.push(Probe::Number(place, number, leaf), position);
        }
        Some(leaf)
    }

    /// Whether somebody may be registered under a key; fetches who.
    #[inline]
    fn fetch(&self, space: u32, key: &[u8], position: usize, probes: &mut Probes) -> bool {
        let hash = self.postings.fetch(space, key);
        hash.is_some_and(|hash| {
            probes.push(Probe::Slot(hash), position);
            true
        })
    }

    /// Who is probably registered, alone, under a key of this hash; fetches the key.
    #[inline]
    pub(crate) fn peek(&self, hash: Hash) -> Option<Code> {
        self.postings.peek(hash)
    }

    /// Tells of ranges at a place that a number lies in, not of all of them.
    #[inline]
    pub(crate) fn peek_number(&self, place: Place, leaf: LeafAt, number: f64, hit: &dyn Fn(Code)) {
        if let Some(Some(profile)) = self.profiles.get(place.index()) {
            profile.ranges.peek(leaf, number, hit);
        }
    }
}
