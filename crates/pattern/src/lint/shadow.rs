//! What is covered by something beside it: tests of one list, and alternatives.

use super::bond;
use super::cover::covers;
use super::{Finding, FindingCode, MountKind, Severity};
use crate::limits::LINT_FINDINGS_MAX;
use crate::operator::Operator;
use crate::rules::{FieldTest, Rules};

/// Finds tests of a list that another one covers.
pub(super) fn look_at_test(test: &FieldTest, pairs: &mut usize, findings: &mut Vec<Finding>) {
    let operators = test.operators();
    for (index, narrow) in operators.iter().enumerate() {
        // Plain texts are sorted: a second one of the same kind stands beside the first, and no other text covers it.
        let candidates = operators.iter().enumerate().filter(|(other, wide)| {
            let texts = matches!((wide, narrow), (Operator::Text(_), Operator::Text(_)));
            *other != index && (!texts || *other + 1 == index)
        });
        for (other, wide) in candidates {
            let Some(left) = pairs.checked_sub(1) else { return };
            *pairs = left;
            if covers(wide, narrow) && !(index < other && covers(narrow, wide)) {
                let message = match covers(narrow, wide) {
                    true => format!("{} has {narrow} twice", test.path.written),
                    false => format!("{}: {narrow} is covered by {wide}, beside it", test.path.written),
                };
                add(
                    FindingCode::TestShadowed,
                    Some(test.path.written.to_string()),
                    message,
                    findings,
                );
                break;
            }
        }
    }
}

/// Finds alternatives that another one covers.
pub(super) fn look_at_alternatives(
    rules: &Rules,
    kinds: Option<&dyn Fn(&str) -> MountKind>,
    pairs: &mut usize,
    findings: &mut Vec<Finding>,
) {
    for (index, narrow) in rules.alternatives.iter().enumerate() {
        for (other, wide) in rules
            .alternatives
            .iter()
            .enumerate()
            .filter(|(other, _)| *other != index)
        {
            let Some(left) = pairs.checked_sub(narrow.len() * wide.len() + 1) else {
                return;
            };
            *pairs = left;
            let same_too = || index < other && alternative_covers(rules, narrow, wide);
            if !alternative_covers(rules, wide, narrow) || same_too() {
                continue;
            }
            if let Some(caveat) = bond::with_left_out(rules, wide, narrow, kinds).caveat() {
                let message = format!(
                    "an alternative is covered by another one: whatever matches ({}) matches ({}){caveat}",
                    words(rules, narrow),
                    words(rules, wide)
                );
                add(FindingCode::AlternativeShadowed, None, message, findings);
                break;
            }
        }
    }
}

/// Whether one conjunction asks for no more than another, as far as fields are independent: each of its tests is one of the other's,
/// or wider.
fn alternative_covers(rules: &Rules, wide: &[u32], narrow: &[u32]) -> bool {
    let test = |index: &u32| &rules.tests[*index as usize];
    wide.iter().all(|wide| {
        narrow
            .iter()
            .any(|narrow| wide == narrow || test_covers(test(wide), test(narrow)))
    })
}

fn test_covers(wide: &FieldTest, narrow: &FieldTest) -> bool {
    let covered = |narrow: &Operator| wide.operators().iter().any(|wide| covers(wide, narrow));
    wide.path.is_same_place(&narrow.path) && narrow.operators().iter().all(covered)
}

fn words(rules: &Rules, alternative: &[u32]) -> String {
    /// Fields of an alternative that are shown.
    const FIELDS_MAX: usize = 4;
    let test = |index: &u32| {
        let test = &rules.tests[*index as usize];
        let first = test.operators().first().map(ToString::to_string).unwrap_or_default();
        let more = if test.operators().len() > 1 { ", …" } else { "" };
        format!("{}: [{first}{more}]", test.path.written)
    };
    let mut words: Vec<String> = alternative.iter().take(FIELDS_MAX).map(test).collect();
    if alternative.len() > FIELDS_MAX {
        words.push("…".into());
    }
    words.join(", ")
}

fn add(code: FindingCode, path: Option<String>, message: String, findings: &mut Vec<Finding>) {
    let finding = Finding {
        code,
        severity: Severity::Note,
        path,
        message,
        suggestion: None,
    };
    if findings.len() < LINT_FINDINGS_MAX && !findings.contains(&finding) {
        findings.push(finding);
    }
}
