//! What one test accepts compared with what another does, as far as it can be told for certain: "no" means "not known".

use crate::fields::Value;
use crate::operator::{Bounds, Exceptions, Operator};
use crate::wildcard::Wildcard;

/// Whether whatever `narrow` accepts, `wide` accepts too.
pub(super) fn covers(wide: &Operator, narrow: &Operator) -> bool {
    match (wide, narrow) {
        (Operator::Absent, Operator::Absent) => true,
        (Operator::Absent, _) | (_, Operator::Absent) => false,
        (Operator::Exists, _) => true,
        (_, Operator::Exists) => false,
        (Operator::AnythingBut(out), Operator::AnythingBut(more)) => excludes_no_more(out, more),
        (_, Operator::AnythingBut(_)) => false,
        (wide, Operator::Text(text)) => wide.accepts(Value::Text(text)),
        (wide, Operator::Number(text, value)) => wide.accepts(Value::Number(text, *value)),
        (wide, Operator::True) => wide.accepts(Value::True),
        (wide, Operator::False) => wide.accepts(Value::False),
        (wide, Operator::Null) => wide.accepts(Value::Null),
        (wide, Operator::Numeric(bounds)) => covers_range(wide, bounds),
        (wide, narrow) if accepts_texts_alone(narrow) => accepts_every_text(wide) || covers_texts(wide, narrow),
        _ => false,
    }
}

/// Whether no string passes both.
pub(super) fn no_text_passes_both(left: &Operator, right: &Operator) -> bool {
    let apart = |left: &[u8], right: &[u8]| !left.starts_with(right) && !right.starts_with(left);
    let apart_at_the_end = |left: &[u8], right: &[u8]| !left.ends_with(right) && !right.ends_with(left);
    match (left, right) {
        (left, right) if accepts_no_text(left) || accepts_no_text(right) => true,
        (Operator::Text(text), other) | (other, Operator::Text(text)) => !other.accepts(Value::Text(text)),
        (left, right) => {
            let heads = head(left).zip(head(right));
            let tails = tail(left).zip(tail(right));
            heads.is_some_and(|(left, right)| apart(left, right))
                || tails.is_some_and(|(left, right)| apart_at_the_end(left, right))
        }
    }
}

/// Whether some string may pass.
pub(super) fn accepts_no_text(operator: &Operator) -> bool {
    match operator {
        Operator::Number(..) | Operator::True | Operator::False | Operator::Null | Operator::Numeric(_) => true,
        Operator::AnythingBut(Exceptions::Wildcards(wildcards)) => wildcards.iter().any(is_any_text),
        Operator::Absent => true,
        _ => false,
    }
}

/// Whether every string passes.
pub(super) fn accepts_every_text(operator: &Operator) -> bool {
    match operator {
        Operator::Exists | Operator::AnythingBut(Exceptions::Numbers(_)) => true,
        Operator::Prefix(text) | Operator::Suffix(text) => text.is_empty(),
        Operator::PrefixFolded(text) | Operator::SuffixFolded(text) => text.text().is_empty(),
        Operator::Wildcard(wildcard) => is_any_text(wildcard),
        _ => false,
    }
}

/// Whether every value that a field may have passes one of the tests.
pub(super) fn accept_every_value(operators: &[Operator], texts_only: bool) -> bool {
    operators.iter().enumerate().any(|(index, operator)| match operator {
        Operator::Exists => true,
        operator if texts_only && accepts_every_text(operator) => true,
        Operator::AnythingBut(exceptions) => {
            let others = || operators.iter().enumerate().filter(|(other, _)| *other != index);
            accepted_otherwise(exceptions, texts_only, |excepted| {
                others().any(|(_, other)| covers(other, excepted))
            })
        }
        _ => false,
    })
}

/// Whether all that is excepted is accepted by others.
fn accepted_otherwise(exceptions: &Exceptions, texts_only: bool, accepted: impl Fn(&Operator) -> bool) -> bool {
    match exceptions {
        Exceptions::Texts(texts) => texts.iter().all(|text| accepted(&Operator::Text(text.clone()))),
        Exceptions::Numbers(numbers) => {
            let range = |number: &f64| Operator::Numeric(Bounds::exactly(*number));
            texts_only || numbers.iter().all(|number| accepted(&range(number)))
        }
        Exceptions::Prefixes(texts) => texts.iter().all(|text| accepted(&Operator::Prefix(text.clone()))),
        Exceptions::Suffixes(texts) => texts.iter().all(|text| accepted(&Operator::Suffix(text.clone()))),
        Exceptions::Folded(texts) => texts.iter().all(|text| accepted(&Operator::Folded(text.clone()))),
        Exceptions::Wildcards(texts) => texts.iter().all(|text| accepted(&Operator::Wildcard(text.clone()))),
        Exceptions::Extended(_) => false,
    }
}

/// Whether the first list excepts nothing that the second does not.
fn excludes_no_more(out: &Exceptions, more: &Exceptions) -> bool {
    let excluded = |narrow: &Operator| match more {
        Exceptions::Texts(texts) => texts.iter().any(|text| covers(&Operator::Text(text.clone()), narrow)),
        Exceptions::Numbers(numbers) => {
            let range = |number: &f64| Operator::Numeric(Bounds::exactly(*number));
            numbers.iter().any(|number| covers(&range(number), narrow))
        }
        Exceptions::Prefixes(texts) => texts.iter().any(|text| covers(&Operator::Prefix(text.clone()), narrow)),
        Exceptions::Suffixes(texts) => texts.iter().any(|text| covers(&Operator::Suffix(text.clone()), narrow)),
        Exceptions::Folded(texts) => texts.iter().any(|text| covers(&Operator::Folded(text.clone()), narrow)),
        Exceptions::Wildcards(texts) => texts
            .iter()
            .any(|text| covers(&Operator::Wildcard(text.clone()), narrow)),
        Exceptions::Extended(_) => false,
    };
    accepted_otherwise(out, false, excluded)
}

fn covers_range(wide: &Operator, narrow: &Bounds) -> bool {
    match wide {
        Operator::Numeric(wide) => {
            let low = wide.low.is_none_or(|wide| {
                let above = |narrow: crate::operator::Bound| {
                    narrow.value > wide.value || (narrow.value == wide.value && (wide.inclusive || !narrow.inclusive))
                };
                narrow.low.is_some_and(above)
            });
            let high = wide.high.is_none_or(|wide| {
                let below = |narrow: crate::operator::Bound| {
                    narrow.value < wide.value || (narrow.value == wide.value && (wide.inclusive || !narrow.inclusive))
                };
                narrow.high.is_some_and(below)
            });
            low && high
        }
        Operator::Number(_, Some(number)) => *narrow == Bounds::exactly(*number),
        Operator::AnythingBut(Exceptions::Numbers(numbers)) => !numbers.iter().any(|number| narrow.contain(*number)),
        Operator::AnythingBut(_) => true,
        _ => false,
    }
}

fn accepts_texts_alone(operator: &Operator) -> bool {
    matches!(
        operator,
        Operator::Address(..)
            | Operator::Prefix(_)
            | Operator::PrefixFolded(_)
            | Operator::Suffix(_)
            | Operator::SuffixFolded(_)
            | Operator::Folded(_)
            | Operator::Wildcard(_)
            | Operator::Cidr(..)
    )
}

/// Of two tests of strings.
fn covers_texts(wide: &Operator, narrow: &Operator) -> bool {
    match (wide, narrow) {
        (Operator::Address(_, wide), Operator::Address(_, narrow)) => wide == narrow,
        (Operator::Cidr(_, network), Operator::Address(_, address)) => network.contains(*address),
        (Operator::Cidr(_, wide), Operator::Cidr(_, narrow)) => wide == narrow,
        (Operator::Folded(wide), Operator::Folded(narrow))
        | (Operator::PrefixFolded(wide), Operator::PrefixFolded(narrow))
        | (Operator::SuffixFolded(wide), Operator::SuffixFolded(narrow)) => {
            wide.equals(narrow.text()) && narrow.equals(wide.text())
        }
        (Operator::Prefix(wide), narrow) => head(narrow).is_some_and(|head| head.starts_with(wide)),
        (Operator::Suffix(wide), narrow) => tail(narrow).is_some_and(|tail| tail.ends_with(wide)),
        (Operator::Wildcard(wide), Operator::Wildcard(narrow)) => wide.text() == narrow.text(),
        // What lies beyond the head falls to the last star, and what lies before the tail to the first.
        (Operator::Wildcard(wide), Operator::Prefix(narrow)) => ends_open(wide) && wide.matches(narrow),
        (Operator::Wildcard(wide), Operator::Suffix(narrow)) => begins_open(wide) && wide.matches(narrow),
        (Operator::PrefixFolded(wide), Operator::Prefix(narrow)) => wide.starts(narrow),
        (Operator::SuffixFolded(wide), Operator::Suffix(narrow)) => wide.ends(narrow),
        _ => false,
    }
}

/// What every string that passes begins with.
fn head(operator: &Operator) -> Option<&[u8]> {
    match operator {
        Operator::Prefix(text) => Some(text),
        Operator::Wildcard(wildcard) => Some(wildcard.head()),
        _ => None,
    }
}

/// What every string that passes ends with.
fn tail(operator: &Operator) -> Option<&[u8]> {
    match operator {
        Operator::Suffix(text) => Some(text),
        Operator::Wildcard(wildcard) => Some(wildcard.tail()),
        _ => None,
    }
}

fn is_any_text(wildcard: &Wildcard) -> bool {
    wildcard.text() == b"*"
}

/// Whether a wildcard begins with a star. Without any star, head and tail are the whole of it.
fn begins_open(wildcard: &Wildcard) -> bool {
    wildcard.head().is_empty() && !wildcard.text().is_empty()
}

/// Whether a wildcard ends with a star.
fn ends_open(wildcard: &Wildcard) -> bool {
    wildcard.tail().is_empty() && !wildcard.text().is_empty()
}
