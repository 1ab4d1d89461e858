//! What data must have, wherever it stands, for a query to select anything: names of members and texts that the query names itself.
//!
//! It says no more than that: a filter's children may be elements or members of any name, so that no path is certain.

use super::syntax::{Comparison, Literal, Logical, Segment, Selector, Subquery, Value};

/// Alternatives of one need. What would have more is taken to need nothing.
const ALTERNATIVES_MAX: usize = 16;

/// Something that data may have anywhere.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Need {
    /// A member of this name.
    Name(Box<[u8]>),
    /// A string that is this text.
    Text(Box<[u8]>),
}

/// Needs of which one at least must be met.
pub(crate) type AnyNeed = Box<[Need]>;

/// What must be met for the segments to select a node, all of it.
pub(super) fn of_segments(segments: &[Segment]) -> Vec<AnyNeed> {
    let of_segment = |segment: &Segment| match &*segment.selectors {
        [Selector::Name(name)] => vec![Box::from([Need::Name(name.clone())])],
        [Selector::Filter(logical)] => of_logical(logical),
        _ => Vec::new(),
    };
    segments.iter().flat_map(of_segment).collect()
}

/// The recursion is bounded by the parser.
fn of_logical(logical: &Logical) -> Vec<AnyNeed> {
    match logical {
        Logical::And(all) => all.iter().flat_map(of_logical).collect(),
        Logical::Or(any) => of_alternatives(any).into_iter().collect(),
        Logical::Not(_) => Vec::new(),
        Logical::Exists(query) => of_query(query),
        Logical::Compare(left, comparison, right) => of_comparison(left, *comparison, right),
        Logical::Matches(value, _) => of_value(value),
    }
}

/// One need of each alternative; none if one of them has none.
fn of_alternatives(any: &[Logical]) -> Option<AnyNeed> {
    let is_text = |need: &AnyNeed| need.iter().all(|need| matches!(need, Need::Text(_)));
    let mut together = Vec::new();
    for logical in any {
        let mut needs = of_logical(logical);
        let at = needs.iter().position(is_text).unwrap_or(0);
        if needs.is_empty() {
            return None;
        }
        together.append(&mut needs.swap_remove(at).into_vec());
    }
    (together.len() <= ALTERNATIVES_MAX).then(|| together.into())
}

/// Nothing is equal to nothing, and less than nothing is nothing: two values need be there only if one of them is written down or
/// the comparison is not about equality.
fn of_comparison(left: &Value, comparison: Comparison, right: &Value) -> Vec<AnyNeed> {
    let both = || [of_value(left), of_value(right)].concat();
    match (left, comparison, right) {
        (_, Comparison::NotEqual, _) => Vec::new(),
        (_, Comparison::Less | Comparison::Greater, _) => both(),
        (Value::Literal(Literal::Text(text)), Comparison::Equal, _)
        | (_, Comparison::Equal, Value::Literal(Literal::Text(text))) => {
            let of_both_literals = matches!((left, right), (Value::Literal(_), Value::Literal(_)));
            let mut needs = both();
            if !of_both_literals {
                needs.push(Box::from([Need::Text(text.clone())]));
            }
            needs
        }
        (Value::Literal(_), ..) | (.., Value::Literal(_)) => both(),
        _ => Vec::new(),
    }
}

/// What must be met for a value to be there. A number of nodes always is.
fn of_value(value: &Value) -> Vec<AnyNeed> {
    match value {
        Value::Literal(_) | Value::Count(_) => Vec::new(),
        Value::Single(query) | Value::Only(query) => of_query(query),
        Value::Length(value) => of_value(value),
    }
}

/// A query inside a filter looks at the same data, wherever it begins.
fn of_query(query: &Subquery) -> Vec<AnyNeed> {
    of_segments(&query.segments)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::jsonpath::Query;

    fn check(query: &str, expected: &[&[&str]]) {
        let query = Query::compile(query).unwrap();
        let written = |need: &Need| match need {
            Need::Name(name) => format!(".{}", String::from_utf8_lossy(name)),
            Need::Text(text) => String::from_utf8_lossy(text).into_owned(),
        };
        let found: Vec<Vec<String>> = query
            .needs()
            .iter()
            .map(|need| need.iter().map(written).collect())
            .collect();
        assert_eq!(found, expected, "{query:?}");
    }

    #[test]
    fn names_and_texts_of_conjunctions_are_needed() {
        check("$.a.b", &[&[".a"], &[".b"]]);
        check("$..a[*].b", &[&[".a"], &[".b"]]);
        check("$.a[?@.b == 'x' && @.c > 1]", &[&[".a"], &[".b"], &["x"], &[".c"]]);
        check("$[?'x' == @.a]", &[&[".a"], &["x"]]);
        check("$[?@.a[?@.b]]", &[&[".a"], &[".b"]]);
        check("$[?match(@.a, 'x.*')]", &[&[".a"]]);
        check("$[?length(@.a) > 3]", &[&[".a"]]);
    }

    #[test]
    fn of_alternatives_one_is_needed_if_each_needs_something() {
        check("$[?@.a == 'x' || @.b]", &[&["x", ".b"]]);
        check("$[?@.a == 'x' || @.b != 1]", &[]);
        check("$['a','b']", &[]);
    }

    #[test]
    fn what_holds_for_nothing_needs_nothing() {
        for query in [
            "$[?!@.a]",
            "$[?@.a != 'x']",
            "$[?@.a == @.b]",
            "$[?@.a <= @.b]",
            "$[?count(@.a) == 0]",
            "$[?!(@.a == 'x')]",
            "$[?'x' == 'x']",
            "$",
        ] {
            check(query, &[]);
        }
    }
}
