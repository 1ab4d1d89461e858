//! The evaluation of a query over one text: sets of nodes, one segment after the other.
//!
//! A set is sorted and holds each node once, with how often it was selected (which `count` and `value` ask for), so that no segment
//! costs more than the text is long, times its selectors. What can cost more, filters that search the text again for each node,
//! counts steps; past the bound nothing is selected. Sets and results of queries from the root are kept in memory that is reused.

use super::Query;
use super::syntax::{Extent, Logical, Origin, Segment, Selector, Slice, Subquery};
use crate::automaton::Automaton;
use crate::check::Work;
use crate::document::Document;
use crate::limits::{JSONPATH_STEPS_MAX, JSONPATH_STEPS_PER_NODE};
use crate::steps;
use crate::tape::{Kind, NodeId, Tree};

mod values;

/// How often a node is said to be selected at most, so that sums over a text stay exact.
const TIMES_MAX: u64 = 1 << 32;

/// A node and how often it was selected.
pub(super) type Selected = (NodeId, u64);

/// Memory that queries reuse from event to event.
#[derive(Debug, Default)]
pub(crate) struct Memory {
    /// Sets that nobody uses.
    sets: Vec<Vec<Selected>>,
    /// By number, what queries from the root gave on this text.
    results: Vec<Option<Outcome>>,
    /// Expressions found in documents, oldest first; none where one does not compile.
    found: Vec<(Box<[u8]>, Extent, Option<Automaton>)>,
}

/// What a query inside a filter gave.
#[derive(Debug, Clone, Copy)]
enum Outcome {
    Node(Option<NodeId>),
    Any(bool),
    Count(u64),
}

/// The steps are used up.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Exhausted;

/// Whether one of the document's texts has a node that the query selects.
pub(super) fn selects(query: &Query, document: &Document<'_>, work: &mut Work) -> Result<bool, Exhausted> {
    let Work { tape, queries, .. } = work;
    steps::take(1);
    tape.build(document);
    let mut exhausted = Ok(false);
    for tree in tape.trees(document).filter(|tree| tree.names.may_hold(query.names)) {
        match Evaluation::new(query, tree, queries).any(&query.segments, tree.root) {
            Ok(true) => return Ok(true),
            Ok(false) => {}
            Err(error) => exhausted = Err(error),
        }
    }
    exhausted
}

/// Where a segment leaves the nodes that it selects.
enum Sink<'s> {
    Set(&'s mut Vec<Selected>),
    /// Whether there is any is enough.
    Any,
}

/// One query over one text.
pub(super) struct Evaluation<'e> {
    tree: Tree<'e>,
    memory: &'e mut Memory,
    steps: u64,
}

impl<'e> Evaluation<'e> {
    pub(super) fn new(query: &'e Query, tree: Tree<'e>, memory: &'e mut Memory) -> Self {
        memory.results.clear();
        memory.results.resize(query.absolutes, None);
        Self {
            tree,
            memory,
            steps: JSONPATH_STEPS_MAX + JSONPATH_STEPS_PER_NODE * tree.len() as u64,
        }
    }

    /// Whether the segments select a node, beginning at one.
    pub(super) fn any(&mut self, segments: &'e [Segment], start: NodeId) -> Result<bool, Exhausted> {
        let Some((last, before)) = segments.split_last() else {
            return Ok(true);
        };
        if segments.iter().all(Segment::is_singular) {
            return self.leads_on(segments, start);
        }
        let set = self.select(before, start)?;
        let any = self.apply(last, &set, &mut Sink::Any);
        self.put_back(set);
        any
    }

    /// The nodes that the segments select, beginning at one.
    pub(super) fn select(&mut self, segments: &'e [Segment], start: NodeId) -> Result<Vec<Selected>, Exhausted> {
        let mut set = self.set();
        set.push((start, 1));
        for segment in segments {
            let mut next = self.set();
            let applied = self.apply(segment, &set, &mut Sink::Set(&mut next));
            self.put_back(set);
            merge(&mut next);
            set = next;
            if let Err(exhausted) = applied {
                self.put_back(set);
                return Err(exhausted);
            }
        }
        Ok(set)
    }

    fn set(&mut self) -> Vec<Selected> {
        let mut set = self.memory.sets.pop().unwrap_or_default();
        set.clear();
        set
    }

    pub(super) fn put_back(&mut self, set: Vec<Selected>) {
        self.memory.sets.push(set);
    }

    fn spend(&mut self, steps: u64) -> Result<(), Exhausted> {
        self.steps = self.steps.checked_sub(steps).ok_or(Exhausted)?;
        Ok(())
    }

    /// Whether segments of one name or index each lead from a node to another. The recursion is bounded by the text's depth.
    fn leads_on(&mut self, segments: &'e [Segment], node: NodeId) -> Result<bool, Exhausted> {
        let Some((first, rest)) = segments.split_first() else {
            return Ok(true);
        };
        match &*first.selectors {
            [Selector::Index(index)] => match self.element(node, *index)? {
                Some(element) => self.leads_on(rest, element),
                None => Ok(false),
            },
            [Selector::Name(name)] if self.tree.kind(node) == Kind::Object => {
                for child in self.tree.children(node) {
                    self.spend(1)?;
                    if self.tree.name(child) == &**name && self.leads_on(rest, child)? {
                        return Ok(true);
                    }
                }
                Ok(false)
            }
            _ => Ok(false),
        }
    }

    /// The node that segments which select at most one select.
    fn single(&mut self, segments: &'e [Segment], start: NodeId) -> Result<Option<NodeId>, Exhausted> {
        let mut node = start;
        for segment in segments {
            let child = match &*segment.selectors {
                [Selector::Name(name)] => self.member(node, name)?,
                [Selector::Index(index)] => self.element(node, *index)?,
                _ => None,
            };
            let Some(child) = child else { return Ok(None) };
            node = child;
        }
        Ok(Some(node))
    }

    /// The first member of a name.
    fn member(&mut self, node: NodeId, name: &[u8]) -> Result<Option<NodeId>, Exhausted> {
        if self.tree.kind(node) != Kind::Object {
            return Ok(None);
        }
        for child in self.tree.children(node) {
            self.spend(1)?;
            if self.tree.name(child) == name {
                return Ok(Some(child));
            }
        }
        Ok(None)
    }

    fn element(&mut self, node: NodeId, index: i64) -> Result<Option<NodeId>, Exhausted> {
        if self.tree.kind(node) != Kind::Array {
            return Ok(None);
        }
        let count = i64::from(self.tree.count(node));
        let index = if index < 0 { count + index } else { index };
        if !(0..count).contains(&index) {
            return Ok(None);
        }
        self.spend(u64::try_from(index).unwrap_or_default() + 1)?;
        let index = usize::try_from(index).unwrap_or(usize::MAX);
        Ok(self.tree.children(node).nth(index))
    }

    /// Applies a segment to every node of a set. The answer is whether something was selected, where that is enough.
    fn apply(&mut self, segment: &'e Segment, set: &[Selected], sink: &mut Sink<'_>) -> Result<bool, Exhausted> {
        if segment.descendants {
            return self.apply_below(segment, set, sink);
        }
        for (node, times) in set {
            if self.select_of(segment, *node, *times, sink)? {
                return Ok(true);
            }
        }
        Ok(false)
    }

    /// Applies a segment to every node of a set and to everything inside it. A node that lies in several nodes of the set is
    /// visited once, as often as they were selected together.
    fn apply_below(&mut self, segment: &'e Segment, set: &[Selected], sink: &mut Sink<'_>) -> Result<bool, Exhausted> {
        // The nodes of the set around the current one: where they end, and how often they were selected.
        let mut around = self.set();
        let mut rest = set.iter().peekable();
        let mut found = Ok(false);
        let (mut node, mut times) = (0, 0u64);
        while let (Ok(false), true) = (found, rest.peek().is_some() || !around.is_empty()) {
            while let Some((end, weight)) = around.last().filter(|(end, _)| *end <= node) {
                debug_assert!(*end <= node, "subtrees are nested");
                times -= weight;
                around.pop();
            }
            if let Some((first, weight)) = rest.next_if(|(first, _)| *first == node || around.is_empty()) {
                node = *first;
                around.push((self.tree.end(node), *weight));
                times += weight;
            }
            if !around.is_empty() {
                found = self.spend(1).and_then(|()| self.select_of(segment, node, times, sink));
                node += 1;
            }
        }
        self.put_back(around);
        found
    }

    /// Applies a segment's selectors to the children of one node.
    fn select_of(
        &mut self,
        segment: &'e Segment,
        node: NodeId,
        times: u64,
        sink: &mut Sink<'_>,
    ) -> Result<bool, Exhausted> {
        if self.tree.count(node) == 0 {
            return Ok(false);
        }
        for selector in &segment.selectors {
            if self.select_by(selector, node, times, sink)? {
                return Ok(true);
            }
        }
        Ok(false)
    }

    fn select_by(
        &mut self,
        selector: &'e Selector,
        node: NodeId,
        times: u64,
        sink: &mut Sink<'_>,
    ) -> Result<bool, Exhausted> {
        let kind = self.tree.kind(node);
        match selector {
            Selector::Index(index) => {
                let element = self.element(node, *index)?;
                return Ok(element.is_some_and(|element| self.take(element, times, sink)));
            }
            Selector::Slice(slice) => return self.slice(*slice, node, times, sink),
            Selector::Name(_) if kind != Kind::Object => return Ok(false),
            Selector::Name(_) | Selector::Wildcard | Selector::Filter(_) => {}
        }
        for child in self.tree.children(node) {
            self.spend(1)?;
            let selected = match selector {
                Selector::Name(name) => self.tree.name(child) == &**name,
                Selector::Filter(logical) => self.test(logical, child)?,
                _ => true,
            };
            if selected && self.take(child, times, sink) {
                return Ok(true);
            }
        }
        Ok(false)
    }

    fn slice(&mut self, slice: Slice, node: NodeId, times: u64, sink: &mut Sink<'_>) -> Result<bool, Exhausted> {
        if self.tree.kind(node) != Kind::Array {
            return Ok(false);
        }
        let Some((first, last, step)) = slice.range(i64::from(self.tree.count(node))) else {
            return Ok(false);
        };
        for (child, index) in self.tree.children(node).zip(0i64..=last) {
            self.spend(1)?;
            if index >= first && (index - first) % step == 0 && self.take(child, times, sink) {
                return Ok(true);
            }
        }
        Ok(false)
    }

    /// Puts a node where it belongs; whether that is enough.
    fn take(&mut self, node: NodeId, times: u64, sink: &mut Sink<'_>) -> bool {
        match sink {
            Sink::Any => true,
            Sink::Set(set) => {
                // Many selectors select the same nodes again and again: the set does not grow with them.
                if set.len() > 2 * self.tree.len() {
                    merge(set);
                }
                set.push((node, times.min(TIMES_MAX)));
                false
            }
        }
    }

    /// Whether a filter takes a node.
    fn test(&mut self, logical: &'e Logical, node: NodeId) -> Result<bool, Exhausted> {
        self.spend(1)?;
        match logical {
            Logical::Or(terms) => {
                for term in terms {
                    if self.test(term, node)? {
                        return Ok(true);
                    }
                }
                Ok(false)
            }
            Logical::And(terms) => {
                for term in terms {
                    if !self.test(term, node)? {
                        return Ok(false);
                    }
                }
                Ok(true)
            }
            Logical::Not(term) => Ok(!self.test(term, node)?),
            Logical::Exists(query) => {
                let outcome = self.outcome(query, node, |evaluation, query, start| {
                    evaluation.any(&query.segments, start).map(Outcome::Any)
                })?;
                Ok(matches!(outcome, Outcome::Any(true)))
            }
            Logical::Compare(left, comparison, right) => {
                let (left, right) = (self.value(left, node)?, self.value(right, node)?);
                self.compare(left, *comparison, right)
            }
            Logical::Matches(text, pattern) => {
                let text = self.value(text, node)?;
                self.matches(text, pattern, node)
            }
        }
    }

    /// What a query gives; of one from the root, what it gave before.
    fn outcome(
        &mut self,
        query: &'e Subquery,
        node: NodeId,
        evaluate: impl FnOnce(&mut Self, &'e Subquery, NodeId) -> Result<Outcome, Exhausted>,
    ) -> Result<Outcome, Exhausted> {
        let Origin::Root(number) = query.origin else {
            return evaluate(self, query, node);
        };
        if let Some(outcome) = self.memory.results[number] {
            return Ok(outcome);
        }
        let outcome = evaluate(self, query, self.tree.root)?;
        self.memory.results[number] = Some(outcome);
        Ok(outcome)
    }
}

/// Sorts a set and makes equal nodes one.
fn merge(set: &mut Vec<Selected>) {
    if set.is_sorted_by(|(left, _), (right, _)| left < right) {
        return;
    }
    set.sort_unstable_by_key(|(node, _)| *node);
    set.dedup_by(|(node, times), (kept, kept_times)| {
        let same = node == kept;
        if same {
            *kept_times = (*kept_times + *times).min(TIMES_MAX);
        }
        same
    });
}

impl Slice {
    /// First and last index that an array of a length may have selected, and the distance between them; nothing if there is none.
    fn range(self, length: i64) -> Option<(i64, i64, i64)> {
        let place = |index: i64| if index < 0 { length + index } else { index };
        let step = self.step;
        let (first, last) = if step > 0 {
            let start = place(self.start.unwrap_or(0)).clamp(0, length);
            let end = place(self.end.unwrap_or(length)).clamp(0, length);
            (start, end - 1)
        } else if step < 0 {
            let start = self.start.map_or(length - 1, place).clamp(-1, length - 1);
            let end = self.end.map_or(-1, place).clamp(-1, length - 1);
            // From the last one downwards: the lowest of them is first.
            let distance = step.abs();
            if start <= end {
                return None;
            }
            (start - (start - end - 1) / distance * distance, start)
        } else {
            return None;
        };
        (first <= last).then_some((first, last, step.abs()))
    }
}
