//! Texts of which every text must have one that a regular expression matches, where they stand in the expression by themselves: what
//! it begins with, or has inside.
//!
//! Of alternatives each has its own, as long as they are few. What may be left out has none, as far as this looks.

use regex_automata::util::syntax;
use regex_syntax::hir::{Hir, HirKind, Look};

/// Alternatives at most: a filter is registered under a text of each, and called by any of them.
const ALTERNATIVES_MAX: usize = 16;

/// Alternatives.
type Texts = Vec<Box<[u8]>>;

/// Texts of which one must be there.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Required {
    Head(Texts),
    Inside(Texts),
}

/// What an expression requires, read as it is compiled.
pub(crate) fn of_expression(expression: &str, config: &syntax::Config) -> Option<Required> {
    let hir = syntax::parse_with(expression, config).ok()?;
    if let HirKind::Concat(pieces) = hir.kind()
        && let [start, head, ..] = &pieces[..]
        && matches!(start.kind(), HirKind::Look(Look::Start))
        && let Some(heads) = texts_of(head, heads)
    {
        return Some(Required::Head(heads));
    }
    texts_of(&hir, insides).map(Required::Inside)
}

/// The texts of an expression, those of what is made of parts by what is said of its parts.
fn texts_of(hir: &Hir, of_parts: fn(&[Hir]) -> Option<Texts>) -> Option<Texts> {
    match hir.kind() {
        HirKind::Literal(literal) => Some(vec![literal.0.clone()]),
        HirKind::Capture(capture) => texts_of(&capture.sub, of_parts),
        HirKind::Repetition(repetition) if repetition.min > 0 => texts_of(&repetition.sub, of_parts),
        HirKind::Concat(parts) => of_parts(parts),
        HirKind::Alternation(alternatives) => {
            let texts = alternatives.iter().map(|one| texts_of(one, of_parts));
            let texts = texts.collect::<Option<Vec<_>>>()?.concat();
            (texts.len() <= ALTERNATIVES_MAX).then_some(texts)
        }
        _ => None,
    }
}

/// What stands at the beginning.
fn heads(parts: &[Hir]) -> Option<Texts> {
    texts_of(parts.first()?, heads)
}

/// What stands somewhere: of several parts, that of which the shortest text is the longest.
fn insides(parts: &[Hir]) -> Option<Texts> {
    let texts = parts.iter().filter_map(|part| texts_of(part, insides));
    texts.max_by_key(|texts| texts.iter().map(|text| text.len()).min())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_stands_in_an_expression_by_itself_is_required() {
        let bytes = |texts: &[&str]| texts.iter().map(|text| text.as_bytes().into()).collect();
        let heads = |texts: &[&str]| Some(Required::Head(bytes(texts)));
        let insides = |texts: &[&str]| Some(Required::Inside(bytes(texts)));
        let (head, inside) = (|text: &str| heads(&[text]), |text: &str| insides(&[text]));
        let many: Vec<String> = (b'a'..=b'z')
            .map(|letter| format!("{0}{0}", char::from(letter)))
            .collect();
        for (expression, expected) in [
            (r"^order-\d+$", head("order-")),
            (r"^(order)-", head("order")),
            (r"\d+-order-\d+-x", inside("-order-")),
            ("order", inside("order")),
            ("(?m)^order", inside("order")),
            ("é+ü", inside("ü")),
            ("(?i)order", None),
            ("order|invoice", insides(&["order", "invoice"])),
            ("^(order|invoice)-", heads(&["order", "invoice"])),
            (r"^(order-\d+|(inv)*oice)", insides(&["order-", "oice"])),
            (r"^(?:order-\d+|invoice)$", heads(&["order-", "invoice"])),
            (r"(a|order)-\d+-invoice", inside("-invoice")),
            ("(order|invoice)-", insides(&["order", "invoice"])),
            ("(order)+|(?:in){2}v", insides(&["order", "in"])),
            (r"order|\d", None),
            (many.join("|").as_str(), None),
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
