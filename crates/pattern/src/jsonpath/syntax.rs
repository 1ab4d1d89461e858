//! The tree of a query: plain data that the parser makes and the evaluation walks.

use std::cmp::Ordering;

use crate::automaton::Automaton;

/// One step: the selectors applied to the children of every node so far, or of all its descendants as well.
#[derive(Debug, Clone)]
pub(super) struct Segment {
    pub(super) descendants: bool,
    pub(super) selectors: Box<[Selector]>,
}

/// Which children are taken.
#[derive(Debug, Clone)]
pub(super) enum Selector {
    Name(Box<[u8]>),
    Wildcard,
    /// From the end when negative.
    Index(i64),
    Slice(Slice),
    Filter(Box<Logical>),
}

/// `start:end:step` of an array.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Slice {
    pub(super) start: Option<i64>,
    pub(super) end: Option<i64>,
    pub(super) step: i64,
}

/// A query inside a filter.
#[derive(Debug, Clone)]
pub(super) struct Subquery {
    pub(super) origin: Origin,
    pub(super) segments: Box<[Segment]>,
}

/// Where a query inside a filter begins.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Origin {
    /// At the node that the filter is asked about.
    Current,
    /// At the root; the number counts these queries.
    Root(usize),
}

/// What a filter asks.
#[derive(Debug, Clone)]
pub(super) enum Logical {
    Or(Box<[Logical]>),
    And(Box<[Logical]>),
    Not(Box<Logical>),
    Exists(Subquery),
    Compare(Value, Comparison, Value),
    /// `match` and `search`.
    Matches(Value, Pattern),
}

/// A comparison's sign.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Comparison {
    Equal,
    NotEqual,
    Less,
    LessOrEqual,
    Greater,
    GreaterOrEqual,
}

/// What a comparison or a function takes: a value, or nothing.
#[derive(Debug, Clone)]
pub(super) enum Value {
    Literal(Literal),
    /// A query that selects at most one node.
    Single(Subquery),
    Length(Box<Value>),
    Count(Subquery),
    /// The value of the only node that a query selects.
    Only(Subquery),
}

/// A value that stands in the query.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Literal {
    Text(Box<[u8]>),
    /// As JSON writes it.
    Number(Box<[u8]>),
    Bool(bool),
    Null,
}

/// A regular expression.
#[derive(Debug, Clone)]
pub(super) enum Pattern {
    Fixed(Automaton),
    /// Made of a value of the document.
    Found(Value, Extent),
}

/// How much of a text a regular expression must match.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Extent {
    Whole,
    Part,
}

impl Comparison {
    /// Whether two values in this order compare so.
    pub(super) fn holds(self, ordering: Ordering) -> bool {
        match self {
            Comparison::Equal => ordering.is_eq(),
            Comparison::NotEqual => ordering.is_ne(),
            Comparison::Less => ordering.is_lt(),
            Comparison::LessOrEqual => ordering.is_le(),
            Comparison::Greater => ordering.is_gt(),
            Comparison::GreaterOrEqual => ordering.is_ge(),
        }
    }

    /// Whether two equal values that have no order compare so.
    pub(super) fn holds_for_equals(self) -> bool {
        self.holds(Ordering::Equal)
    }
}

impl Segment {
    /// Whether at most one node comes of each.
    pub(super) fn is_singular(&self) -> bool {
        !self.descendants && matches!(&*self.selectors, [Selector::Name(_) | Selector::Index(_)])
    }
}
