//! What a scan found: the values at asked paths, and which elements of which arrays they lie in. Reused from event to event.
//!
//! It holds no references: a value is a span of one of the document's entries, or of the arena in which escapes were resolved.

use std::ops::Range;

use crate::ahead::Probes;
use crate::document::Document;
use crate::few::Ends;
use crate::paths::Place;
use crate::ranges::LeafAt;

/// An element of an array that is itself an object or an array. Elements are numbered in the order they open, so that everything
/// inside an element follows it; 0 is the document itself.
pub(crate) type Element = u32;

/// The document itself, in no array.
pub(crate) const OUTSIDE: Element = 0;

/// No further value in a chain.
const NONE: u32 = u32::MAX;

/// A value as operators see it.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) enum Value<'a> {
    Text(&'a [u8]),
    Number(&'a [u8], Option<f64>),
    True,
    False,
    Null,
}

/// What kind of value a field holds.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) enum Kind {
    Text,
    Number(Option<f64>),
    True,
    False,
    Null,
}

/// Which buffer a value's span refers to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Buffer {
    /// Escapes resolved by the scan.
    Arena,
    /// An entry of the document.
    Entry(u32),
}

/// A value found at an asked path.
#[derive(Debug, Clone)]
pub(crate) struct Field {
    pub(crate) element: Element,
    kind: Kind,
    buffer: Buffer,
    /// Nobody is called by what it holds.
    pub(crate) is_vain: bool,
    /// Where ranges of the number it holds lie, as far as that was looked for.
    pub(crate) leaf: Option<LeafAt>,
    start: u32,
    end: u32,
    next: u32,
}

impl Field {
    /// What kind of value it holds.
    #[inline(always)]
    pub(crate) fn kind(&self) -> Kind {
        self.kind
    }

    /// Bytes of what it holds.
    #[inline(always)]
    pub(crate) fn len(&self) -> usize {
        (self.end - self.start) as usize
    }

    /// Where in its buffer that lies.
    #[inline(always)]
    fn range(&self) -> Range<usize> {
        self.start as usize..self.end as usize
    }
}

/// First and last field of a place.
#[derive(Debug, Clone, Copy)]
struct Chain {
    first: u32,
    last: u32,
}

const EMPTY: Chain = Chain {
    first: NONE,
    last: NONE,
};

/// An element's place in the tree of elements.
#[derive(Debug, Clone)]
pub(crate) struct ElementNode {
    pub(crate) parent: Element,
    /// The array it is an element of.
    pub(crate) array: u32,
    /// The first element that is not inside it.
    pub(crate) end: Element,
}

/// Everything that one scan found.
#[derive(Debug, Default)]
pub(crate) struct Fields {
    chains: Vec<Chain>,
    /// Places that have values: the first so many of as many as there are places.
    touched: Vec<Place>,
    touched_count: usize,
    fields: Vec<Field>,
    pub(crate) arena: Vec<u8>,
    pub(crate) elements: Vec<ElementNode>,
    /// For each array, the elements that lie in it.
    pub(crate) arrays: Vec<Range<Element>>,
    /// What is fetched ahead for the values.
    pub(crate) probes: Probes,
}

/// How much had been found at some moment, to forget what followed.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Mark {
    fields: usize,
    touched: usize,
    elements: usize,
    arrays: usize,
}

impl Fields {
    /// Forgets everything and makes room for so many places.
    pub(crate) fn reset(&mut self, places: usize) {
        for place in &self.touched[..self.touched_count] {
            self.chains[place.index()] = EMPTY;
        }
        self.touched_count = 0;
        self.chains.resize(places, EMPTY);
        self.touched.resize(places, Place::NOWHERE);
        self.fields.clear();
        self.arena.clear();
        self.probes.clear();
        self.arrays.clear();
        self.elements.clear();
        self.elements.push(ElementNode {
            parent: OUTSIDE,
            array: u32::MAX,
            end: Element::MAX,
        });
    }

    /// Adds a value.
    #[inline(always)]
    pub(crate) fn push(&mut self, place: Place, element: Element, kind: Kind, buffer: Buffer, span: Range<usize>) {
        let index = position(self.fields.len());
        let chain = &mut self.chains[place.index()];
        if chain.first == NONE {
            chain.first = index;
            // There is room for each place once, so that nothing here may have to allocate.
            self.touched[self.touched_count] = place;
            self.touched_count += 1;
        } else {
            self.fields[chain.last as usize].next = index;
        }
        chain.last = index;
        let (start, end) = (position(span.start), position(span.end));
        self.fields.push(Field {
            element,
            kind,
            buffer,
            is_vain: false,
            leaf: None,
            start,
            end,
            next: NONE,
        });
    }

    /// Nobody is called by what the last value holds.
    #[inline]
    pub(crate) fn last_is_vain(&mut self) {
        if let Some(last) = self.fields.last_mut() {
            last.is_vain = true;
        }
    }

    /// Where ranges of the number lie that the last value holds.
    #[inline]
    pub(crate) fn last_lies_at(&mut self, leaf: Option<LeafAt>) {
        if let Some(last) = self.fields.last_mut() {
            last.leaf = leaf;
        }
    }

    /// Whether no value that was found lies in an element of an array.
    #[inline]
    pub(crate) fn is_flat(&self) -> bool {
        self.elements.len() == 1
    }

    /// The places that have values, each once.
    #[inline(always)]
    pub(crate) fn touched(&self) -> &[Place] {
        &self.touched[..self.touched_count]
    }

    /// How many these are.
    #[inline(always)]
    pub(crate) fn touched_count(&self) -> usize {
        self.touched_count
    }

    /// Whether a place has a value.
    #[inline]
    pub(crate) fn is_present(&self, place: Place) -> bool {
        self.chains[place.index()].first != NONE
    }

    /// The values at a place, in the document's order.
    #[inline]
    pub(crate) fn at(&self, place: Place) -> impl Iterator<Item = &Field> {
        let mut next = self.chains[place.index()].first;
        std::iter::from_fn(move || {
            let field = self.fields.get(next as usize)?;
            next = field.next;
            Some(field)
        })
    }

    /// What a field holds.
    #[inline(always)]
    pub(crate) fn value<'v>(&'v self, field: &Field, document: &'v Document<'_>) -> Value<'v> {
        let bytes = || &self.buffer(field, document)[field.range()];
        match field.kind {
            Kind::Text => Value::Text(bytes()),
            Kind::Number(number) => Value::Number(bytes(), number),
            Kind::True => Value::True,
            Kind::False => Value::False,
            Kind::Null => Value::Null,
        }
    }

    /// The first and the last bytes of a field's text.
    #[inline(always)]
    pub(crate) fn ends(&self, field: &Field, document: &Document<'_>) -> Ends {
        Ends::within(self.buffer(field, document), &field.range())
    }

    /// What a field's span refers to.
    #[inline(always)]
    fn buffer<'v>(&'v self, field: &Field, document: &'v Document<'_>) -> &'v [u8] {
        match field.buffer {
            Buffer::Arena => &self.arena,
            Buffer::Entry(entry) => document.entries()[entry as usize].1.bytes(),
        }
    }

    /// Opens an array.
    pub(crate) fn open_array(&mut self) -> u32 {
        let array = position(self.arrays.len());
        let first = position(self.elements.len());
        self.arrays.push(first..first);
        array
    }

    /// Closes an array: no element follows.
    pub(crate) fn close_array(&mut self, array: u32) {
        self.arrays[array as usize].end = position(self.elements.len());
    }

    /// Opens an element of an array.
    pub(crate) fn open_element(&mut self, array: u32, parent: Element) -> Element {
        let element = position(self.elements.len());
        self.elements.push(ElementNode {
            parent,
            array,
            end: element,
        });
        element
    }

    /// Closes an element: nothing inside it follows.
    pub(crate) fn close_element(&mut self, element: Element) {
        self.elements[element as usize].end = position(self.elements.len());
    }

    /// How much has been found.
    pub(crate) fn mark(&self) -> Mark {
        Mark {
            fields: self.fields.len(),
            touched: self.touched_count,
            elements: self.elements.len(),
            arrays: self.arrays.len(),
        }
    }

    /// Forgets what was found since the mark, because its text turned out not to be JSON.
    pub(crate) fn rewind(&mut self, mark: Mark) {
        for place in &self.touched[..self.touched_count] {
            let chain = &mut self.chains[place.index()];
            let mut last = NONE;
            let mut next = chain.first;
            while (next as usize) < mark.fields {
                last = next;
                next = self.fields[next as usize].next;
            }
            if let Some(field) = self.fields.get_mut(last as usize) {
                field.next = NONE;
                chain.last = last;
            } else {
                *chain = EMPTY;
            }
        }
        self.touched_count = mark.touched;
        self.fields.truncate(mark.fields);
        self.elements.truncate(mark.elements);
        self.arrays.truncate(mark.arrays);
    }
}

/// Positions are kept in 32 bits; [`TEXT_BYTES_MAX`](crate::limits::TEXT_BYTES_MAX) bounds every text.
#[inline]
fn position(value: usize) -> u32 {
    u32::try_from(value).expect("texts are bounded to what 32 bits hold")
}

/// Memory that matching reuses from event to event; one for each thread that matches.
#[derive(Debug, Default)]
pub struct Scratch {
    pub(crate) fields: Fields,
    pub(crate) work: crate::check::Work,
    pub(crate) hits: crate::hits::Hits,
    /// The buffer in which escaped keys are resolved.
    pub(crate) key: Vec<u8>,
}

impl Scratch {
    /// Empty memory; it grows to what the events need and is kept.
    pub fn new() -> Self {
        Self::default()
    }
}
