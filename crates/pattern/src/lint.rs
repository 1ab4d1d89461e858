//! What is odd about a filter before any event tells: what can never match, what always does, what is covered by something else.
//!
//! A finding of [`NeverMatches`](FindingCode::NeverMatches) or [`AlwaysMatches`](FindingCode::AlwaysMatches) is certain: it holds
//! for every document that keeps to what the caller says of its mounts. Findings by a schema or by sample documents are as good as
//! these are. What is not found proves nothing.

use serde::Serialize;

use crate::check::Check;
use crate::document::Document;
use crate::filter::{Filter, Part};
use crate::limits::{LINT_FINDINGS_MAX, LINT_PAIRS_MAX};
use crate::rules::{FieldTest, Rules};

mod bond;
mod cover;
mod field;
mod place;
mod repeated;
mod samples;
mod schema;
mod shadow;

use field::Domain;
pub use repeated::lint_text;

/// Something odd about a filter.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Finding {
    /// What kind of oddity it is.
    pub code: FindingCode,
    /// How much it matters.
    pub severity: Severity,
    /// The field, as the filter writes it; none where it is the whole filter.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub path: Option<String>,
    /// What is odd, in words.
    pub message: String,
    /// What to write instead, where it can be guessed.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub suggestion: Option<String>,
}

/// How much a finding matters.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Severity {
    /// Something is superfluous.
    Note,
    /// Something probably does not do what it should.
    Warning,
    /// The filter does not do what it should.
    Error,
}

/// Kinds of findings; stable, for programs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum FindingCode {
    /// No document matches the filter.
    NeverMatches,
    /// Every document matches the filter.
    AlwaysMatches,
    /// No document matches one of the alternatives.
    AlternativeNeverMatches,
    /// Whatever matches one alternative matches another one.
    AlternativeShadowed,
    /// No value passes one test of a field's list.
    TestNeverPasses,
    /// Whatever passes one test of a field's list passes another one.
    TestShadowed,
    /// Every value of the field passes, and its absence too.
    FieldAlwaysPasses,
    /// A field is asked for twice, and only the last time counts.
    PathRepeated,
    /// The schema has no such field.
    PathNotInSchema,
    /// The schema gives the field another type.
    TypeNotInSchema,
    /// The schema does not list the value.
    ValueNotInSchema,
    /// No sample has the field.
    PathNeverSeen,
    /// In the samples the field has another type.
    TypeNeverSeen,
    /// No sample matches.
    NoSampleMatches,
    /// Every sample matches.
    EverySampleMatches,
}

/// What is known of the documents that a filter will see.
#[derive(Clone, Copy, Default)]
pub struct Surroundings<'a> {
    /// What lies at a canonical mount; absent: JSON that may be absent, everywhere.
    pub mount: Option<&'a dyn Fn(&str) -> MountKind>,
    /// The top name under which the data lies, for advice.
    pub data_name: Option<&'a str>,
    /// A JSON Schema of the data; `type`, `enum`, `properties`, `items`, `allOf` and `$ref` inside of it are looked at.
    pub schema: Option<&'a serde_json::Value>,
    /// Shows documents such as the filter will see, one after the other.
    pub samples: Option<Samples<'a>>,
}

/// Gives each sample document to a function.
pub type Samples<'a> = &'a dyn Fn(&mut dyn FnMut(&Document<'_>));

/// What lies at a mount.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum MountKind {
    /// JSON, or nothing.
    Json,
    /// One string, or nothing.
    Text,
    /// Always one string.
    RequiredText,
}

/// What a part of a filter answers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Verdict {
    Never,
    Sometimes,
    Always,
}

/// Finds what is odd about a filter; the worst first, at most [`LINT_FINDINGS_MAX`].
pub fn lint(filter: &Filter, surroundings: &Surroundings<'_>) -> Vec<Finding> {
    let mut lint = Lint {
        surroundings,
        conjuncts: Vec::new(),
        findings: Vec::new(),
        pairs: LINT_PAIRS_MAX,
    };
    for part in filter.parts() {
        // A guard takes whatever its check takes, so what it cannot do without, the check cannot either.
        lint.gather_rules(&part.guard);
        part.check.iter().for_each(|check| lint.gather(check));
    }
    let verdict = all(filter.parts().iter().map(|part| lint.part_verdict(part)));
    lint.look(filter, verdict);
    if let Some(samples) = surroundings.samples {
        samples::look(filter, samples, &mut lint.findings);
    }
    let mut findings = lint.findings;
    findings.sort_by_key(|finding| std::cmp::Reverse(finding.severity));
    findings.truncate(LINT_FINDINGS_MAX);
    findings
}

struct Lint<'f, 's> {
    surroundings: &'s Surroundings<'s>,
    /// Tests that hold whenever the filter matches.
    conjuncts: Vec<&'f FieldTest>,
    findings: Vec<Finding>,
    /// Pairs that may still be compared.
    pairs: usize,
}

impl<'f> Lint<'f, '_> {
    fn domain(&self, test: &FieldTest) -> Domain {
        Domain::of(&test.path, self.surroundings.mount)
    }

    /// Notes the tests that a check cannot do without.
    fn gather(&mut self, check: &'f Check) {
        match check {
            Check::All(group) => group.checks().iter().for_each(|check| self.gather(check)),
            Check::Rules(rules) => self.gather_rules(rules),
            _ => {}
        }
    }

    fn gather_rules(&mut self, rules: &'f Rules) {
        if let [alternative] = &rules.alternatives[..] {
            self.conjuncts
                .extend(alternative.iter().map(|test| &rules.tests[*test as usize]));
        }
    }

    fn part_verdict(&self, part: &Part) -> Verdict {
        match (self.rules_verdict(&part.guard), &part.check) {
            (Verdict::Never, _) => Verdict::Never,
            (verdict, None) => verdict,
            (_, Some(check)) => self.verdict(check),
        }
    }

    fn verdict(&self, check: &Check) -> Verdict {
        match check {
            Check::All(group) => all(group.checks().iter().map(|check| self.verdict(check))),
            Check::Any(group) => any(group.checks().iter().map(|check| self.verdict(check))),
            Check::Not(check) => match self.verdict_alone(check) {
                Verdict::Never => Verdict::Always,
                Verdict::Always => Verdict::Never,
                Verdict::Sometimes => Verdict::Sometimes,
            },
            Check::Rules(rules) => self.rules_verdict(rules),
            _ => Verdict::Sometimes,
        }
    }

    /// The verdict of a check of which the opposite is asked: what the rest of the filter asks for says nothing about it.
    fn verdict_alone(&self, check: &Check) -> Verdict {
        let alone = Lint {
            surroundings: self.surroundings,
            conjuncts: Vec::new(),
            findings: Vec::new(),
            pairs: 0,
        };
        alone.verdict(check)
    }

    fn rules_verdict(&self, rules: &Rules) -> Verdict {
        any(rules.alternatives.iter().map(|alternative| {
            all(alternative
                .iter()
                .map(|test| self.test_verdict(&rules.tests[*test as usize])))
        }))
    }

    fn test_verdict(&self, test: &FieldTest) -> Verdict {
        match self.domain(test).verdict(test) {
            Verdict::Sometimes if self.opponent(test).is_some() => Verdict::Never,
            verdict => verdict,
        }
    }

    /// A test of the same string that no value passes together with this one.
    fn opponent(&self, test: &FieldTest) -> Option<&'f FieldTest> {
        let is_one_string = self.domain(test).is_one_string() && !test.absent;
        let candidates = self.conjuncts.iter().copied().filter(|_| is_one_string);
        candidates
            .filter(|other| other.path.is_same_place(&test.path) && !other.absent && !std::ptr::eq(*other, test))
            .find(|other| {
                let pairs = |left| other.operators().iter().map(move |right| (left, right));
                let mut pairs = test.operators().iter().flat_map(pairs);
                pairs.all(|(left, right)| cover::no_text_passes_both(left, right))
            })
    }

    /// Collects the findings of a filter whose verdict is known.
    fn look(&mut self, filter: &'f Filter, verdict: Verdict) {
        if verdict == Verdict::Always && !filter.is_everything() {
            let message = "every event matches, as it would without the filter".to_owned();
            self.add(FindingCode::AlwaysMatches, Severity::Warning, None, message, None);
        }
        for part in filter.parts() {
            match &part.check {
                None => self.look_at_rules(&part.guard, verdict),
                Some(check) => {
                    self.look_at_guard(&part.guard, verdict);
                    self.look_at(check, verdict);
                }
            }
        }
        let is_told = self
            .findings
            .iter()
            .any(|finding| finding.code == FindingCode::NeverMatches);
        if verdict == Verdict::Never && !is_told {
            let message = "no event matches: its conditions exclude each other".to_owned();
            self.add(FindingCode::NeverMatches, Severity::Error, None, message, None);
        }
    }

    /// A guard tells only what makes its check impossible.
    fn look_at_guard(&mut self, guard: &'f Rules, whole: Verdict) {
        for test in guard.tests.iter().filter(|_| whole == Verdict::Never) {
            if let Some(reason) = self.never(test, &self.domain(test)) {
                let path = Some(test.path.written.to_string());
                self.add(FindingCode::NeverMatches, Severity::Error, path, reason, None);
            }
        }
    }

    fn look_at(&mut self, check: &'f Check, whole: Verdict) {
        match check {
            Check::All(group) | Check::Any(group) => {
                group.checks().iter().for_each(|check| self.look_at(check, whole));
            }
            Check::Not(check) if whole == Verdict::Never && self.verdict_alone(check) == Verdict::Always => {
                let message = "what must not match always does".to_owned();
                self.add(FindingCode::NeverMatches, Severity::Error, None, message, None);
            }
            Check::Rules(rules) => self.look_at_rules(rules, whole),
            _ => {}
        }
    }

    fn look_at_rules(&mut self, rules: &'f Rules, whole: Verdict) {
        for (index, test) in (0..).zip(&rules.tests) {
            self.look_at_test(test, whole);
            self.look_for_superfluous(rules, index, whole);
            shadow::look_at_test(test, &mut self.pairs, &mut self.findings);
            if let Some(schema) = self.surroundings.schema {
                schema::look(test, schema, &mut self.findings);
            }
        }
        shadow::look_at_alternatives(rules, self.surroundings.mount, &mut self.pairs, &mut self.findings);
    }

    /// A field that could be left out, because whatever it is passes.
    fn look_for_superfluous(&mut self, rules: &'f Rules, index: u32, whole: Verdict) {
        let test = &rules.tests[index as usize];
        let domain = self.domain(test);
        if whole == Verdict::Always || domain.verdict(test) != Verdict::Always || self.never(test, &domain).is_some() {
            return;
        }
        let fields = rules.alternatives.iter().map(|alternative| alternative.len());
        let Some(pairs) = self.pairs.checked_sub(fields.sum()) else {
            return;
        };
        self.pairs = pairs;
        if let Some(caveat) = bond::with_later(rules, index, self.surroundings.mount).caveat() {
            let message = format!("{} passes whatever it is: leave it out{caveat}", test.path.written);
            let path = Some(test.path.written.to_string());
            self.add(FindingCode::FieldAlwaysPasses, Severity::Note, path, message, None);
        }
    }

    fn look_at_test(&mut self, test: &'f FieldTest, whole: Verdict) {
        let domain = self.domain(test);
        let path = Some(test.path.written.to_string());
        if let Some(reason) = self.never(test, &domain) {
            let (code, severity) = match whole {
                Verdict::Never => (FindingCode::NeverMatches, Severity::Error),
                _ => (FindingCode::AlternativeNeverMatches, Severity::Warning),
            };
            let suggestion = domain.suggestion(test, self.surroundings.data_name);
            return self.add(code, severity, path, reason, suggestion);
        }
        for operator in test.operators().iter().filter(|operator| !domain.can_pass(operator)) {
            let (path, message) = (
                Some(test.path.written.to_string()),
                domain.words(&test.path.written, operator),
            );
            let suggestion = field::spelled_as_text(operator).filter(|_| domain.is_one_string());
            self.add(
                FindingCode::TestNeverPasses,
                Severity::Warning,
                path,
                message,
                suggestion,
            );
        }
    }

    /// Why a test never passes, if that is so.
    fn never(&self, test: &FieldTest, domain: &Domain) -> Option<String> {
        if domain.verdict(test) == Verdict::Never {
            let first = test.operators().first();
            return Some(first.map_or_else(
                || format!("{} has no test", test.path.written),
                |operator| domain.words(&test.path.written, operator),
            ));
        }
        let opponent = self.opponent(test)?;
        let list = |test: &FieldTest| {
            test.operators()
                .iter()
                .map(ToString::to_string)
                .collect::<Vec<_>>()
                .join(", ")
        };
        Some(format!(
            "{} has to be one of [{}] and also, as {}, one of [{}]: no value is both",
            test.path.written,
            list(test),
            opponent.path.written,
            list(opponent)
        ))
    }

    fn add(
        &mut self,
        code: FindingCode,
        severity: Severity,
        path: Option<String>,
        message: String,
        suggestion: Option<String>,
    ) {
        let finding = Finding {
            code,
            severity,
            path,
            message,
            suggestion,
        };
        if !self.findings.contains(&finding) && self.findings.len() < LINT_FINDINGS_MAX {
            self.findings.push(finding);
        }
    }
}

fn all(verdicts: impl Iterator<Item = Verdict>) -> Verdict {
    verdicts.fold(Verdict::Always, |all, verdict| match (all, verdict) {
        (Verdict::Never, _) | (_, Verdict::Never) => Verdict::Never,
        (Verdict::Always, Verdict::Always) => Verdict::Always,
        _ => Verdict::Sometimes,
    })
}

fn any(verdicts: impl Iterator<Item = Verdict>) -> Verdict {
    verdicts.fold(Verdict::Never, |any, verdict| match (any, verdict) {
        (Verdict::Always, _) | (_, Verdict::Always) => Verdict::Always,
        (Verdict::Never, Verdict::Never) => Verdict::Never,
        _ => Verdict::Sometimes,
    })
}

#[cfg(test)]
mod tests;
