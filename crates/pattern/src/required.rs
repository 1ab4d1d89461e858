//! A text that every text must have which a regular expression matches, where one stands in the expression by itself: what it begins
//! with, or has inside.
//!
//! Alternatives and what may be left out have none, as far as this looks.

use regex_automata::util::syntax;
use regex_syntax::hir::{Hir, HirKind, Look};

/// A text that must be there.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Required {
    Head(Box<[u8]>),
    Inside(Box<[u8]>),
}

/// What an expression requires, read as it is compiled.
pub(crate) fn of_expression(expression: &str, config: &syntax::Config) -> Option<Required> {
    let hir = syntax::parse_with(expression, config).ok()?;
    let pieces = match hir.kind() {
        HirKind::Concat(pieces) => &pieces[..],
        _ => std::slice::from_ref(&hir),
    };
    if let [start, head, ..] = pieces
        && matches!(start.kind(), HirKind::Look(Look::Start))
        && let Some(head) = literal(head)
    {
        return Some(Required::Head(head.into()));
    }
    let longest = pieces.iter().filter_map(literal).max_by_key(|literal| literal.len())?;
    Some(Required::Inside(longest.into()))
}

fn literal(hir: &Hir) -> Option<&[u8]> {
    match hir.kind() {
        HirKind::Literal(literal) => Some(&literal.0),
        HirKind::Capture(capture) => literal(&capture.sub),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_stands_in_an_expression_by_itself_is_required() {
        let head = |text: &str| Some(Required::Head(text.as_bytes().into()));
        let inside = |text: &str| Some(Required::Inside(text.as_bytes().into()));
        for (expression, expected) in [
            (r"^order-\d+$", head("order-")),
            (r"^(order)-", head("order")),
            (r"\d+-order-\d+-x", inside("-order-")),
            ("order", inside("order")),
            ("(?m)^order", inside("order")),
            ("é+ü", inside("ü")),
            ("(?i)order", None),
            ("order|invoice", None),
            ("(order)?", None),
            ("a?", None),
            ("", None),
        ] {
            assert_eq!(
                of_expression(expression, &syntax::Config::new()),
                expected,
                "{expression}"
            );
        }
    }
}
