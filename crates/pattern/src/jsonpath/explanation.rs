//! Why a query selected nothing: the first segment behind which no node was left.

use super::Query;
use super::evaluation::{self, Evaluation, Selected};
use crate::check::Work;
use crate::document::Document;
use crate::explain::{Clause, ClauseKind, cut};
use crate::limits::EXPLAINED_VALUES_MAX;
use crate::tape::{Kind, Tree};

pub(super) fn explain(query: &Query, document: &Document<'_>, work: &mut Work) -> Clause {
    let answer = evaluation::selects(query, document, work);
    let matched = answer == Ok(true);
    let mut clause = Clause {
        path: Some(cut(query.text.to_string())),
        wanted: Some("at least one node".into()),
        ..Clause::of(ClauseKind::Query, matched, Vec::new())
    };
    if answer.is_err() {
        clause.note = Some("the query takes too many steps on this text, and so selects nothing".into());
        return clause;
    }
    let Work { tape, queries, .. } = work;
    for tree in tape.trees(document) {
        let mut evaluation = Evaluation::new(query, tree, queries);
        // It may match before its steps are used up; what else it selects is not known then.
        let Ok(set) = evaluation.select(&query.segments, tree.root) else {
            continue;
        };
        show(tree, &set, &mut clause);
        evaluation.put_back(set);
        if !matched {
            clause.note = Some(stopped(query, tree, &mut evaluation));
        }
    }
    clause
}

/// Adds what was selected.
fn show(tree: Tree<'_>, set: &[Selected], clause: &mut Clause) {
    for (node, _) in set {
        if clause.seen.len() == EXPLAINED_VALUES_MAX {
            clause.unseen += 1;
            continue;
        }
        let text = String::from_utf8_lossy(tree.text(*node));
        clause.seen.push(cut(match tree.kind(*node) {
            Kind::Text => serde_json::Value::from(&*text).to_string(),
            _ => text.into_owned(),
        }));
    }
}

/// Says which segment selected nothing.
fn stopped<'e>(query: &'e Query, tree: Tree<'e>, evaluation: &mut Evaluation<'e>) -> String {
    let mut count = 1;
    let mut start = 1;
    for (index, end) in query.ends.iter().enumerate() {
        let Ok(set) = evaluation.select(&query.segments[..=index], tree.root) else {
            break;
        };
        let selected = set.len();
        evaluation.put_back(set);
        if selected == 0 {
            let segment = cut(query.text[start..*end].trim().to_owned());
            let nodes = if count == 1 {
                "the only node"
            } else {
                "all of the nodes"
            };
            return format!("{segment} selects nothing of {nodes} before it ({count})");
        }
        (count, start) = (selected, *end);
    }
    "the query selects nothing".into()
}
