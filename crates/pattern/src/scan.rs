//! One pass over a document's bytes: values at asked paths are noted, everything else is checked and skipped.
//!
//! The whole text is checked even where nobody asks, because what is not JSON is absent as a whole: otherwise a filter's answer
//! would depend on which other filters it is asked together with.

use std::ops::Range;

use crate::ahead::Ahead;
use crate::document::{Content, Document};
use crate::ending::{Ending, SEARCHES_MAX};
use crate::fields::{Buffer, Element, Fields, Kind, OUTSIDE};
use crate::json::{self, Expected, Fault, FaultKind, Lexer};
use crate::limits::{JSON_DEPTH_MAX, TEXT_BYTES_MAX};
use crate::number::comparable;
use crate::paths::{Below, Origin, Paths, Place};
use crate::simd;

/// Notes every value of the document at an asked path. If they will be looked up in an index, it fetches what that will need.
pub(crate) fn scan(
    document: &Document<'_>,
    paths: &Paths,
    ahead: Option<Ahead<'_>>,
    fields: &mut Fields,
    key: &mut Vec<u8>,
) {
    fields.reset(paths.len());
    for (entry, (mount, content)) in document.entries().iter().enumerate() {
        let place = paths.mount(mount);
        if place == Place::NOWHERE {
            continue;
        }
        let buffer = Buffer::Entry(u32::try_from(entry).expect("a document has few entries"));
        match content {
            Content::Text(text) | Content::Integer(text) | Content::Boolean(text) => {
                if paths.is_asked(place) && text.len() <= TEXT_BYTES_MAX {
                    fields.push(place, OUTSIDE, Kind::Text, buffer, 0..text.len());
                }
            }
            json => {
                let mark = fields.mark();
                if scan_json(
                    *json,
                    place,
                    Target {
                        paths,
                        ahead,
                        fields,
                        key,
                        buffer,
                    },
                )
                .is_err()
                {
                    fields.rewind(mark);
                }
            }
        }
    }
}

/// Why a JSON entry of a document counts as absent.
pub(crate) fn fault(content: Content<'_>) -> Option<Fault> {
    let content = match content {
        Content::Text(_) | Content::Integer(_) | Content::Boolean(_) => return None,
        Content::WellFormed(json) => Content::Json(json),
        Content::WellFormedObject(json) => Content::Object(json),
        content => content,
    };
    let (paths, mut fields, mut key) = (Paths::default(), Fields::default(), Vec::new());
    let target = Target {
        paths: &paths,
        ahead: None,
        fields: &mut fields,
        key: &mut key,
        buffer: Buffer::Arena,
    };
    scan_json(content, Place::NOWHERE, target).err()
}

/// Where a scan notes what it finds.
struct Target<'s> {
    paths: &'s Paths,
    ahead: Option<Ahead<'s>>,
    fields: &'s mut Fields,
    key: &'s mut Vec<u8>,
    buffer: Buffer,
}

fn scan_json(content: Content<'_>, place: Place, target: Target<'_>) -> Result<(), Fault> {
    let json = content.bytes();
    if json.len() > TEXT_BYTES_MAX {
        return Err(Fault {
            position: TEXT_BYTES_MAX,
            kind: FaultKind::Bound,
        });
    }
    let well_formed = content.is_well_formed();
    let lexer = match well_formed {
        true => Lexer::of_well_formed(json),
        false => Lexer::new(json)?,
    };
    let ending = if well_formed { target.paths.ending(place) } else { None };
    let before = target.fields.touched_count();
    let mut scan = Scan {
        lexer,
        depth: 0,
        well_formed,
        ending,
        before,
        complete: ending.map_or(usize::MAX, |ending| before + ending.asked),
        searches: SEARCHES_MAX,
        target,
    };
    let first = scan.lexer.need()?;
    if content.must_be_object() && first != b'{' {
        return Err(scan.lexer.fault(FaultKind::Character(first, Expected::Object)));
    }
    match scan.value(place, OUTSIDE) {
        Ok(()) => {}
        Err(Stop::Fault(fault)) => return Err(fault),
        Err(Stop::Ended) => return Ok(()),
    }
    match scan.lexer.peek() {
        None => Ok(()),
        Some(byte) => Err(scan.lexer.fault(FaultKind::Character(byte, Expected::End))),
    }
}

struct Scan<'a, 's> {
    lexer: Lexer<'a>,
    target: Target<'s>,
    depth: usize,
    /// What nobody asks for need not be looked at.
    well_formed: bool,
    /// What tells whether anything follows once every asked place has a value.
    ending: Option<&'s Ending>,
    /// How many places had values before, and how many have then, as long as that is to be told.
    before: usize,
    complete: usize,
    /// How often it may still be searched for.
    searches: usize,
}

/// Why a scan goes no further.
enum Stop {
    Fault(Fault),
    /// Nothing follows that is asked for.
    Ended,
}

impl From<Fault> for Stop {
    fn from(fault: Fault) -> Self {
        Stop::Fault(fault)
    }
}

impl Scan<'_, '_> {
    /// Takes one value that lies at a place and in an element.
    fn value(&mut self, place: Place, element: Element) -> Result<(), Stop> {
        let from = self.target.paths.from(place);
        match self.lexer.need()? {
            b'{' if from.leads_on() => self.object(from, element),
            b'[' if self.is_wanted(place) => self.array(place, element),
            b'{' | b'[' if self.well_formed => self.skip_brackets(),
            b'{' | b'[' => self.skip(),
            b'"' => self.text(self.target.paths.below(place), element),
            _ => self.scalar(self.target.paths.below(place), element),
        }
    }

    fn is_wanted(&self, place: Place) -> bool {
        self.target.paths.is_asked(place) || self.target.paths.has_below(place)
    }

    fn object(&mut self, from: Origin<'_>, element: Element) -> Result<(), Stop> {
        self.enter()?;
        if self.lexer.need()? == b'}' {
            return self.leave();
        }
        loop {
            let (below, is_text) = self.key(from)?;
            if self.target.fields.probes.are_due(self.lexer.position) {
                self.go_on();
            }
            match if is_text { b'"' } else { self.lexer.need()? } {
                b'"' => self.text(below, element)?,
                b'{' | b'[' => self.value(below.place, element)?,
                _ => self.scalar(below, element)?,
            }
            if self.target.fields.touched_count() == self.complete && element == OUTSIDE {
                self.search(from.place())?;
            }
            if self.lexer.plain_comma() {
                continue;
            }
            match self.lexer.need()? {
                b',' => self.lexer.position += 1,
                b'}' => {
                    self.look_again();
                    return self.leave();
                }
                byte => return Err(self.fault(FaultKind::Character(byte, COMMA_IN_OBJECT))),
            }
        }
    }

    /// Ends the scan if nothing follows that is asked for, seen from inside an object in no array. Otherwise nothing is searched
    /// for until something above is reached.
    #[inline(never)]
    fn search(&mut self, object: Place) -> Result<(), Stop> {
        let rest = &self.lexer.bytes()[self.lexer.position..];
        if self.ending.is_some_and(|ending| ending.has_come(object, rest)) {
            return Err(Stop::Ended);
        }
        self.complete = usize::MAX;
        self.searches -= 1;
        Ok(())
    }

    /// An object is left.
    #[inline]
    fn look_again(&mut self) {
        if let Some(ending) = self.ending
            && self.searches > 0
        {
            self.complete = self.before + ending.asked;
        }
    }

    /// Fetches further ahead.
    #[inline(never)]
    fn go_on(&mut self) {
        if let Some(ahead) = self.target.ahead {
            ahead.go_on(&mut self.target.fields.probes, self.lexer.position);
        }
    }

    /// Takes members that nobody asks for, if that is soon done, then a key and its colon, and says where that leads and whether
    /// its value is known to be a text.
    #[inline(always)]
    fn key(&mut self, from: Origin<'_>) -> Result<(Below, bool), Stop> {
        let paths = self.target.paths;
        let passed = self.lexer.pass_texts(|text, name| paths.is_astray(from, text, name));
        let Some(name) = passed else {
            return Ok((self.any_key(from)?, false));
        };
        let below = match name.is_passed {
            true => Below::NOWHERE,
            false => paths.step(from, self.lexer.bytes(), name.range),
        };
        Ok((below, name.is_of_text))
    }

    /// The same, however it is written.
    #[cold]
    fn any_key(&mut self, from: Origin<'_>) -> Result<Below, Stop> {
        let byte = self.lexer.need()?;
        if byte != b'"' {
            return Err(self.fault(FaultKind::Character(byte, FIELD_NAME)));
        }
        let span = self.lexer.string()?;
        self.lexer.expect(b':', COLON)?;
        let text = self.lexer.bytes();
        if !span.escaped {
            return Ok(self.target.paths.step(from, text, span.range));
        }
        self.target.key.clear();
        json::decode(&text[span.range], self.target.key);
        let length = self.target.key.len();
        Ok(self.target.paths.step(from, self.target.key, 0..length))
    }

    fn array(&mut self, place: Place, element: Element) -> Result<(), Stop> {
        self.enter()?;
        let array = self.target.fields.open_array();
        if self.lexer.need()? != b']' {
            loop {
                self.item(place, array, element)?;
                match self.lexer.need()? {
                    b',' => self.lexer.position += 1,
                    b']' => break,
                    byte => return Err(self.fault(FaultKind::Character(byte, COMMA_IN_ARRAY))),
                }
            }
        }
        self.target.fields.close_array(array);
        self.leave()
    }

    /// Takes one item of an array. Only objects and arrays are elements; scalars are not bound to their index.
    fn item(&mut self, place: Place, array: u32, parent: Element) -> Result<(), Stop> {
        let bound = match self.lexer.need()? {
            b'{' => self.target.paths.has_below(place),
            b'[' => true,
            _ => false,
        };
        if !bound {
            return self.value(place, parent);
        }
        let element = self.target.fields.open_element(array, parent);
        self.value(place, element)?;
        self.target.fields.close_element(element);
        Ok(())
    }

    #[inline(always)]
    fn text(&mut self, below: Below, element: Element) -> Result<(), Stop> {
        let span = self.lexer.string()?;
        if below.is_asked {
            let place = below.place;
            let (buffer, range) = match span.escaped {
                true => self.resolve(span.range),
                false => (self.target.buffer, span.range),
            };
            let may_call = match (self.target.ahead, buffer) {
                (Some(ahead), Buffer::Entry(_)) => {
                    let text = &self.lexer.bytes()[range.clone()];
                    let probes = &mut self.target.fields.probes;
                    ahead.index.fetch_text(place, text, self.lexer.position, probes)
                }
                _ => true,
            };
            self.target.fields.push(place, element, Kind::Text, buffer, range);
            if !may_call {
                self.target.fields.last_is_vain();
            }
        }
        Ok(())
    }

    /// Skips an object or an array of a text that is known to be well formed.
    fn skip_brackets(&mut self) -> Result<(), Stop> {
        let bytes = self.lexer.bytes();
        let end = simd::bracket_end(bytes, self.lexer.position);
        self.lexer.position = end.unwrap_or(bytes.len());
        end.map(|_| ()).ok_or_else(|| self.fault(FaultKind::End))
    }

    /// Takes a number or a word. What nobody asks for need not be looked at where it is known to be one.
    #[inline(always)]
    fn scalar(&mut self, Below { place, is_asked }: Below, element: Element) -> Result<(), Stop> {
        if self.well_formed && !is_asked {
            self.lexer.position = simd::scalar_end(self.lexer.bytes(), self.lexer.position);
            return Ok(());
        }
        let (kind, escaped, span) = self.take_scalar()?;
        if is_asked {
            self.keep_scalar(place, element, kind, escaped, span);
        }
        Ok(())
    }

    #[inline(never)]
    fn keep_scalar(&mut self, place: Place, element: Element, kind: Kind, escaped: bool, span: Range<usize>) {
        let kind = match kind {
            Kind::Number(_) => Kind::Number(comparable(&self.lexer.bytes()[span.clone()])),
            kind => kind,
        };
        let leaf = match (self.target.ahead, kind) {
            (Some(ahead), Kind::Number(Some(number))) => {
                let probes = &mut self.target.fields.probes;
                ahead.index.fetch_number(place, number, self.lexer.position, probes)
            }
            _ => None,
        };
        let (buffer, span) = if escaped {
            self.resolve(span)
        } else {
            (self.target.buffer, span)
        };
        self.target.fields.push(place, element, kind, buffer, span);
        self.target.fields.last_lies_at(leaf);
    }

    /// Resolves a string's escapes in the arena.
    fn resolve(&mut self, span: Range<usize>) -> (Buffer, Range<usize>) {
        let arena = &mut self.target.fields.arena;
        let start = arena.len();
        json::decode(&self.lexer.bytes()[span], arena);
        (Buffer::Arena, start..arena.len())
    }

    /// Takes a scalar: its kind (numbers not yet valued), whether it has escapes, and where it lies.
    #[inline]
    fn take_scalar(&mut self) -> Result<(Kind, bool, Range<usize>), Stop> {
        let start = self.lexer.position;
        match self.lexer.need()? {
            b'"' => {
                let span = self.lexer.string()?;
                Ok((Kind::Text, span.escaped, span.range))
            }
            b'-' | b'0'..=b'9' => Ok((Kind::Number(None), false, self.lexer.number()?)),
            b't' => self.word(b"true", Kind::True, start),
            b'f' => self.word(b"false", Kind::False, start),
            b'n' => self.word(b"null", Kind::Null, start),
            byte => Err(self.fault(FaultKind::Character(byte, VALUE))),
        }
    }

    #[inline]
    fn word(&mut self, word: &'static [u8], kind: Kind, start: usize) -> Result<(Kind, bool, Range<usize>), Stop> {
        self.lexer.word(word)?;
        Ok((kind, false, start..start))
    }

    /// Takes an object or an array that nobody asks into. One bit of `kinds` per level says which of the two it is.
    fn skip(&mut self) -> Result<(), Stop> {
        let outer = self.depth;
        let mut kinds: u128 = 0;
        loop {
            let byte = self.lexer.need()?;
            if matches!(byte, b'{' | b'[') {
                self.enter()?;
                kinds = kinds << 1 | u128::from(byte == b'{');
                let close = if byte == b'{' { b'}' } else { b']' };
                if self.lexer.need()? != close {
                    self.skip_key(kinds)?;
                    continue;
                }
                self.leave()?;
                kinds >>= 1;
            } else {
                self.take_scalar()?;
            }
            // After a value: take what closes, then the comma before the next value.
            while self.depth > outer {
                let close = if kinds & 1 == 1 { b'}' } else { b']' };
                let byte = self.lexer.need()?;
                if byte == b',' {
                    self.lexer.position += 1;
                    self.skip_key(kinds)?;
                    break;
                }
                if byte != close {
                    let expected = if kinds & 1 == 1 {
                        COMMA_IN_OBJECT
                    } else {
                        COMMA_IN_ARRAY
                    };
                    return Err(self.fault(FaultKind::Character(byte, expected)));
                }
                self.leave()?;
                kinds >>= 1;
            }
            if self.depth == outer {
                return Ok(());
            }
        }
    }

    /// Takes a key and its colon if the innermost level is an object.
    #[inline]
    fn skip_key(&mut self, kinds: u128) -> Result<(), Stop> {
        if kinds & 1 == 0 {
            return Ok(());
        }
        let byte = self.lexer.need()?;
        if byte != b'"' {
            return Err(self.fault(FaultKind::Character(byte, FIELD_NAME)));
        }
        self.lexer.string()?;
        Ok(self.lexer.expect(b':', COLON)?)
    }

    #[cold]
    fn fault(&self, kind: FaultKind) -> Stop {
        Stop::Fault(self.lexer.fault(kind))
    }

    /// Takes an opening bracket.
    #[inline]
    fn enter(&mut self) -> Result<(), Stop> {
        if self.depth == JSON_DEPTH_MAX {
            return Err(self.fault(FaultKind::Bound));
        }
        self.depth += 1;
        self.lexer.position += 1;
        Ok(())
    }

    /// Takes a closing bracket.
    #[inline]
    fn leave(&mut self) -> Result<(), Stop> {
        self.depth -= 1;
        self.lexer.position += 1;
        Ok(())
    }
}

pub(crate) const COMMA_IN_OBJECT: Expected = Expected::CommaInObject;
pub(crate) const COMMA_IN_ARRAY: Expected = Expected::CommaInArray;
pub(crate) const COLON: Expected = Expected::Colon;
pub(crate) const FIELD_NAME: Expected = Expected::FieldName;
pub(crate) const VALUE: Expected = Expected::Value;
