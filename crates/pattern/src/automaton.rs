//! Regular expressions as deterministic automata: one step a byte whatever the expression, no memory while matching, and a bound
//! on the states, past which an expression is refused.
//!
//! They say whether and how far a text matches, not what matched. Look-around, references and Unicode word boundaries, which no
//! such automaton has, are refused when compiled.

use regex_automata::Input;
use regex_automata::dfa::{Automaton as _, StartKind, dense, sparse};
use regex_automata::nfa::thompson;
use regex_automata::util::syntax;

use crate::fold::Folded;
use crate::limits::{REGEX_AUTOMATA_BYTES_MAX, REGEX_AUTOMATON_BYTES_MAX, REGEX_BYTES_MAX, REGEX_NESTING_MAX};
use crate::required::{self, Required};
use crate::steps;

/// How large expressions and automata may still become.
#[derive(Debug, Clone)]
pub(crate) struct Budget {
    /// Of one expression.
    pub(crate) text_bytes: usize,
    /// Of one automaton.
    pub(crate) automaton_bytes: usize,
    /// Of those that are still to come together.
    pub(crate) total_bytes: usize,
}

impl Default for Budget {
    /// That of one filter.
    fn default() -> Self {
        Self {
            text_bytes: REGEX_BYTES_MAX,
            automaton_bytes: REGEX_AUTOMATON_BYTES_MAX,
            total_bytes: REGEX_AUTOMATA_BYTES_MAX,
        }
    }
}

/// A compiled expression.
#[derive(Debug, Clone)]
pub(crate) struct Automaton {
    /// As it was written.
    text: Box<str>,
    states: Box<sparse::DFA<Vec<u8>>>,
}

impl Automaton {
    /// Compiles an expression that may match anywhere in a text. The refusal says why.
    pub(crate) fn new(expression: &str, budget: &mut Budget) -> Result<Self, String> {
        Self::check_length(expression, budget)?;
        Self::build(expression, budget)
    }

    /// Refuses an expression that is too long.
    pub(crate) fn check_length(expression: &str, budget: &Budget) -> Result<(), String> {
        match expression.len() <= budget.text_bytes {
            true => Ok(()),
            false => Err(format!(
                "a regular expression is at most {} bytes long",
                budget.text_bytes
            )),
        }
    }

    /// An automaton that finds a text, whatever its case. It has no bound on the text, which the caller has.
    pub(crate) fn containing(text: &Folded, budget: &mut Budget) -> Result<Self, String> {
        Self::build(&text.expression(), budget)
    }

    /// Compiles an expression whose length somebody else has checked.
    pub(crate) fn build(expression: &str, budget: &mut Budget) -> Result<Self, String> {
        let bytes = budget.automaton_bytes.min(budget.total_bytes);
        let states = dense::Builder::new()
            .syntax(how_read())
            .thompson(thompson::Config::new().utf8(false).nfa_size_limit(Some(bytes)))
            .configure(
                dense::Config::new()
                    .start_kind(StartKind::Unanchored)
                    .dfa_size_limit(Some(bytes))
                    .determinize_size_limit(Some(bytes)),
            )
            .build(expression)
            .map_err(|error| in_words(&error))?;
        // What was made is paid for, and not the smaller form that is kept: the time went there.
        budget.total_bytes = budget.total_bytes.saturating_sub(states.memory_usage());
        let states = states.to_sparse().map_err(|error| in_words(&error))?;
        Ok(Self {
            text: expression.into(),
            states: Box::new(states),
        })
    }

    /// What every text must have that matches.
    pub(crate) fn required(&self) -> Option<Required> {
        required::of_expression(&self.text, &how_read())
    }

    /// The expression as it was written.
    pub(crate) fn text(&self) -> &str {
        &self.text
    }

    /// Whether the text matches.
    pub(crate) fn matches(&self, text: &[u8]) -> bool {
        self.first_end(text).is_some()
    }

    /// Where the match ends that ends first.
    pub(crate) fn first_end(&self, text: &[u8]) -> Option<usize> {
        // It fails only for anchored searches and for bytes an automaton gives up at; there are neither.
        let found = self.states.try_search_fwd(&Input::new(text).earliest(true)).ok()?;
        let end = found.map(|found| found.offset());
        steps::take(end.unwrap_or(text.len()));
        end
    }
}

/// How expressions are read.
fn how_read() -> syntax::Config {
    syntax::Config::new().nest_limit(REGEX_NESTING_MAX).utf8(false)
}

fn in_words(error: &dense::BuildError) -> String {
    let mut reason: &dyn std::error::Error = error;
    while let Some(source) = reason.source() {
        reason = source;
    }
    let text = reason.to_string();
    // A parser draws the place on lines of its own; the last one says what is wrong.
    let last = text.lines().last().unwrap_or_default().trim_start_matches("error: ");
    let is_about_size = error.is_size_limit_exceeded() || last.contains("size limit") || last.contains("exceeded");
    if is_about_size && !last.contains("nest") {
        return "the regular expression is too complex: its automaton has too many states".into();
    }
    if last.contains("word boundar") {
        return "Unicode word boundaries are not supported; write (?-u:\\b)".into();
    }
    format!("not a regular expression: {last}")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refusal(expression: &str) -> String {
        Automaton::new(expression, &mut Budget::default()).unwrap_err()
    }

    #[test]
    fn an_expression_matches_anywhere_unless_it_is_anchored() {
        for (expression, text, end) in [
            ("b+", "abbb", Some(2)),
            ("^b", "ab", None),
            ("^ab?$", "ab", Some(2)),
            (r"\d{3}-\w", "x 123-é", Some(8)),
            ("", "", Some(0)),
            ("(?i)straße", "STRASSE", None),
            (r"(?-u:\b)a", "é a", Some(4)),
            ("a.b", "a\nb", None),
        ] {
            let automaton = Automaton::new(expression, &mut Budget::default()).unwrap();
            assert_eq!(automaton.first_end(text.as_bytes()), end, "{expression} {text}");
        }
    }

    #[test]
    fn refusals_say_why() {
        assert_eq!(refusal("("), "not a regular expression: unclosed group");
        assert!(refusal("(?=a)").contains("look-around"), "{}", refusal("(?=a)"));
        assert!(refusal(r"(a)\1").contains("backreferences"), "{}", refusal(r"(a)\1"));
        for large in ["[ab]*a[ab]{30}", "a{5000}{5000}", r"(\w{50}|\d{70}){9}"] {
            assert!(refusal(large).contains("too complex"), "{large}: {}", refusal(large));
        }
        assert!(refusal(r"\bé").contains("word boundaries"), "{}", refusal(r"\bé"));
        assert!(refusal(&"(".repeat(500)).starts_with("not a regular expression"));
        assert!(refusal(&"a".repeat(REGEX_BYTES_MAX + 1)).contains("at most"));
    }

    #[test]
    fn the_automata_of_a_filter_are_bounded_together() {
        let mut budget = Budget {
            total_bytes: 50_000,
            ..Budget::default()
        };
        assert!((0..1_000).any(|_| Automaton::new("a[bc]*d", &mut budget).is_err()));
    }

    #[test]
    fn a_text_is_found_whatever_its_case() {
        let find = |text: &str, value: &str| {
            let folded = Folded::new(text.as_bytes());
            Automaton::containing(&folded, &mut Budget::default())
                .unwrap()
                .matches(value.as_bytes())
        };
        assert!(find("äB.c*", "xÄb.C*x"));
        assert!(!find("äB.c*", "xÄb-C*x"));
        assert!(find("ß", "MASSE"));
        assert!(find("", ""));
    }
}
