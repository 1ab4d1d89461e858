//! Arrays of objects: fields must match in the same element, at every level of arrays.
//!
//! Each field of a rule, in the order of their paths, picks one of its values (or is absent); the elements that these values lie in
//! must agree, that is, pick at most one element of any array. A field is absent if none of its values agrees with what the fields
//! before it have picked. This is event-ruler's definition, the order included.
//!
//! A state is the set of innermost elements picked so far. States forget arrays that no later field has values in, and equal states
//! are one, so that their number stays within the number of elements, unless an event repeats keys of arrays of objects.

use std::ops::Range;

use smallvec::SmallVec;

use crate::fields::{Element, Fields, OUTSIDE};
use crate::limits::ARRAY_CHOICES_MAX;

/// Innermost elements picked so far, sorted; none of them lies in another.
type State = SmallVec<[Element; 4]>;

/// One field of the rule: ranges of `Choices::elements`.
#[derive(Debug, Clone)]
struct Level {
    /// Elements with a value that passes, sorted.
    candidates: Range<usize>,
    /// If the field may be absent: elements with any value, sorted.
    present: Option<Range<usize>>,
}

/// Memory of the search, reused.
#[derive(Debug, Default)]
pub(crate) struct Choices {
    elements: Vec<Element>,
    levels: Vec<Level>,
    states: Vec<State>,
    next: Vec<State>,
    /// For each array, one more than the last level that has values in it.
    needed_until: Vec<usize>,
    /// Ranges of elements that a state rules out.
    ruled_out: Vec<Range<Element>>,
}

impl Choices {
    pub(crate) fn clear(&mut self) {
        self.elements.clear();
        self.levels.clear();
    }

    /// Adds the next field: the elements of its values that pass and, if it may be absent, of all its values.
    pub(crate) fn add_level(
        &mut self,
        candidates: impl Iterator<Item = Element>,
        present: Option<impl Iterator<Item = Element>>,
    ) {
        let candidates = self.add_sorted(candidates);
        let present = present.map(|present| self.add_sorted(present));
        self.levels.push(Level { candidates, present });
    }

    fn add_sorted(&mut self, elements: impl Iterator<Item = Element>) -> Range<usize> {
        let start = self.elements.len();
        self.elements.extend(elements);
        self.elements[start..].sort_unstable();
        let mut kept = start;
        for index in start..self.elements.len() {
            if kept == start || self.elements[kept - 1] != self.elements[index] {
                self.elements[kept] = self.elements[index];
                kept += 1;
            }
        }
        self.elements.truncate(kept);
        start..kept
    }

    /// Whether all levels can be satisfied together.
    pub(crate) fn are_consistent(&mut self, fields: &Fields) -> bool {
        self.find_needs(fields);
        let mut budget = ARRAY_CHOICES_MAX;
        self.states.clear();
        self.states.push(State::new());
        for level in 0..self.levels.len() {
            self.next.clear();
            let states = std::mem::take(&mut self.states);
            for state in &states {
                self.extend(level, state, fields);
            }
            self.states = states;
            if self.next.is_empty() || self.next.len() > budget {
                return false;
            }
            budget -= self.next.len();
            self.next.sort_unstable();
            self.next.dedup();
            std::mem::swap(&mut self.states, &mut self.next);
        }
        true
    }

    /// Adds the states that one state leads to.
    fn extend(&mut self, level: usize, state: &State, fields: &Fields) {
        let Level { candidates, present } = self.levels[level].clone();
        rule_out(state, fields, &mut self.ruled_out);
        if let Some(present) = present
            && allowed(&self.elements[present], &self.ruled_out).all(<[Element]>::is_empty)
        {
            self.next.push(self.forget(level, state.clone(), fields));
        }
        let candidates = &self.elements[candidates];
        let absence_follows = self.levels[level + 1..].iter().any(|later| later.present.is_some());
        if !absence_follows && costs_nothing(candidates, state, fields) {
            self.next.push(self.forget(level, state.clone(), fields));
            return;
        }
        let next = &mut self.next;
        for run in allowed(candidates, &self.ruled_out) {
            for candidate in run {
                let state = picked(state, *candidate, fields);
                next.push(forget(&self.needed_until, level, state, fields));
                if next.len() > ARRAY_CHOICES_MAX {
                    return;
                }
            }
        }
    }

    fn forget(&self, level: usize, state: State, fields: &Fields) -> State {
        forget(&self.needed_until, level, state, fields)
    }

    /// Finds, for each array, the last level that has values in it.
    fn find_needs(&mut self, fields: &Fields) {
        self.needed_until.clear();
        self.needed_until.resize(fields.arrays.len(), 0);
        for (index, level) in self.levels.iter().enumerate().rev() {
            let present = level.present.clone().unwrap_or(0..0);
            for element in self.elements[level.candidates.clone()]
                .iter()
                .chain(&self.elements[present])
            {
                let mut element = *element;
                while element != OUTSIDE {
                    let node = &fields.elements[element as usize];
                    let needed_until = &mut self.needed_until[node.array as usize];
                    if *needed_until != 0 {
                        break;
                    }
                    *needed_until = index + 1;
                    element = node.parent;
                }
            }
        }
    }
}

/// Whether one element is another or contains it.
fn contains(outer: Element, inner: Element, fields: &Fields) -> bool {
    outer <= inner && inner < fields.elements[outer as usize].end
}

/// The state with one more element picked; the element agrees with it.
fn picked(state: &State, element: Element, fields: &Fields) -> State {
    if state.iter().any(|known| contains(element, *known, fields)) || element == OUTSIDE {
        return state.clone();
    }
    let mut state: State = state
        .iter()
        .copied()
        .filter(|known| !contains(*known, element, fields))
        .collect();
    let at = state.partition_point(|known| *known < element);
    state.insert(at, element);
    state
}

/// The state without the arrays that no level after this one has values in.
fn forget(needed_until: &[usize], level: usize, mut state: State, fields: &Fields) -> State {
    for element in &mut state {
        while *element != OUTSIDE && needed_until[fields.elements[*element as usize].array as usize] <= level + 1 {
            *element = fields.elements[*element as usize].parent;
        }
    }
    state.sort_unstable();
    state.dedup();
    let mut kept = State::new();
    for (index, element) in state.iter().enumerate() {
        // What lies in an element follows it, so the next one tells whether this one is innermost.
        let innermost = state
            .get(index + 1)
            .is_none_or(|next| !contains(*element, *next, fields));
        if *element != OUTSIDE && innermost {
            kept.push(*element);
        }
    }
    kept
}

/// Whether a candidate agrees with a state without picking anything new.
fn costs_nothing(candidates: &[Element], state: &State, fields: &Fields) -> bool {
    candidates.first() == Some(&OUTSIDE)
        || state.iter().any(|element| {
            let mut element = *element;
            while element != OUTSIDE && candidates.binary_search(&element).is_err() {
                element = fields.elements[element as usize].parent;
            }
            element != OUTSIDE
        })
}

/// The ranges of elements that do not agree with a state, sorted: the other elements of every array it has picked one of.
fn rule_out(state: &State, fields: &Fields, ruled_out: &mut Vec<Range<Element>>) {
    ruled_out.clear();
    for element in state {
        let mut element = *element;
        while element != OUTSIDE {
            let node = &fields.elements[element as usize];
            let array = &fields.arrays[node.array as usize];
            ruled_out.push(array.start..element);
            ruled_out.push(node.end..array.end);
            element = node.parent;
        }
    }
    ruled_out.retain(|range| !range.is_empty());
    ruled_out.sort_unstable_by_key(|range| range.start);
}

/// The runs of sorted elements that are not ruled out.
fn allowed<'s>(elements: &'s [Element], ruled_out: &'s [Range<Element>]) -> impl Iterator<Item = &'s [Element]> {
    let mut rest = elements;
    let mut ranges = ruled_out.iter();
    let mut done = false;
    std::iter::from_fn(move || {
        if done {
            return None;
        }
        let Some(range) = ranges.next() else {
            done = true;
            return Some(rest);
        };
        let before = rest.partition_point(|element| *element < range.start);
        let (run, from) = rest.split_at(before);
        rest = &from[from.partition_point(|element| *element < range.end)..];
        Some(run)
    })
}
