//! A condition on a member of the data, asked on the list of its nodes: what the index cannot tell apart (an array from its
//! elements, an object from nothing) can be told apart there.

use super::condition::Condition;
use crate::check::Work;
use crate::document::Document;
use crate::explain::{Clause, ClauseKind, cut};
use crate::paths::Path;
use crate::tape::{Kind, NodeId, Tree};

/// A condition and the names that lead to what it is about.
#[derive(Debug, Clone)]
pub(crate) struct Member {
    path: Path,
    condition: Condition,
    /// Whether elements of an array count.
    on_arrays: bool,
}

impl Member {
    pub(super) fn new(path: Path, condition: Condition, on_arrays: bool) -> Self {
        Self {
            path,
            condition,
            on_arrays,
        }
    }

    /// Whether the condition holds for the document's data.
    pub(crate) fn matches(&self, document: &Document<'_>, work: &mut Work) -> bool {
        work.tape.build(document);
        let mut trees = work.tape.trees(document).peekable();
        if trees.peek().is_none() {
            return self.condition.holds_for_nothing();
        }
        trees.any(|tree| match self.node(tree) {
            Some(node) => self.condition.holds(tree, node, self.on_arrays),
            None => self.condition.holds_for_nothing(),
        })
    }

    /// The same, with what was seen.
    pub(crate) fn explain(&self, document: &Document<'_>, work: &mut Work) -> Clause {
        let matched = self.matches(document, work);
        let mut clause = Clause {
            path: Some(self.path.written.to_string()),
            wanted: Some(cut(self.condition.to_string())),
            ..Clause::of(ClauseKind::Field, matched, Vec::new())
        };
        for tree in work.tape.trees(document) {
            let Some(node) = self.node(tree) else { continue };
            let text = String::from_utf8_lossy(tree.text(node));
            let kind = tree.kind(node);
            clause.seen.push(cut(match kind {
                Kind::Text => serde_json::Value::from(&*text).to_string(),
                _ => text.into_owned(),
            }));
            if !matched && kind == Kind::Array && !self.on_arrays {
                clause.note = Some("arrays are looked into only with enableAdvancedFilteringOnArrays".into());
            }
        }
        clause
    }

    /// What the names lead to. Of equal names the last counts.
    fn node(&self, tree: Tree<'_>) -> Option<NodeId> {
        self.path.segments().try_fold(tree.root, |node, name| {
            let is_object = tree.kind(node) == Kind::Object;
            let named = |member: &NodeId| tree.name(*member) == name;
            is_object.then(|| tree.children(node).filter(named).last())?
        })
    }
}
