//! JSONPath (RFC 9535) as a filter: a document matches when the query selects at least one node of its JSON data.
//!
//! The whole language is here: names, wildcards, indexes, slices, unions, descendants, filters with comparisons, existence and the
//! five functions, with the well-typedness of the specification. What is not here is a list of the selected nodes: only whether
//! there are any counts, so that nodes that are selected repeatedly are visited once.

use crate::check::Work;
use crate::document::Document;
use crate::error::CompileError;
use crate::explain::Clause;
use crate::tape::Names;

mod evaluation;
mod explanation;
mod literal;
mod needs;
mod parser;
mod regexp;
mod syntax;

pub(crate) use evaluation::Memory;
pub(crate) use needs::{AnyNeed, Need};
use syntax::{Segment, Selector};

/// A compiled query.
#[derive(Debug, Clone)]
pub(crate) struct Query {
    /// As it was written.
    text: Box<str>,
    segments: Box<[Segment]>,
    /// Where in the text each segment ends.
    ends: Box<[usize]>,
    /// How many queries inside filters begin at the root: their results are kept while one document is looked at.
    absolutes: usize,
    /// Names without which nothing is selected.
    names: Names,
    /// What the data must have somewhere, all of it.
    needs: Box<[AnyNeed]>,
}

impl Query {
    /// Compiles a query.
    pub(crate) fn compile(text: &str) -> Result<Self, CompileError> {
        parser::parse(text)
    }

    /// What the data must have somewhere for the query to select anything, all of it.
    pub(crate) fn needs(&self) -> &[AnyNeed] {
        &self.needs
    }

    /// Whether the document's data has a node that the query selects.
    pub(crate) fn matches(&self, document: &Document<'_>, work: &mut Work) -> bool {
        evaluation::selects(self, document, work) == Ok(true)
    }

    /// The same, with reasons.
    pub(crate) fn explain(&self, document: &Document<'_>, work: &mut Work) -> Clause {
        explanation::explain(self, document, work)
    }
}

/// The names that every selected node has above it.
fn required(segments: &[Segment]) -> Names {
    segments
        .iter()
        .fold(Names::default(), |names, segment| match &*segment.selectors {
            [Selector::Name(name)] => names.with(name),
            _ => names,
        })
}

#[cfg(test)]
mod tests;
