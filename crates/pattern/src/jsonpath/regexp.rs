//! Regular expressions of `match` and `search`: I-Regexp (RFC 9485).
//!
//! What the automata take beyond I-Regexp (classes such as `\d`, anchors) is taken as well: it is what people write.

use super::syntax::Extent;
use crate::automaton::{Automaton, Budget};

/// Compiles an expression; the refusal is a text.
pub(super) fn compile(expression: &str, extent: Extent, budget: &mut Budget) -> Result<Automaton, String> {
    let translated = dots_without_ends_of_lines(expression);
    // By itself first, so that no bracket reaches out of what is put around it.
    let alone = Automaton::new(&translated, budget)?;
    match extent {
        Extent::Part => Ok(alone),
        Extent::Whole => Automaton::new(&format!("^(?:{translated})$"), budget),
    }
}

/// A dot stands for every character but line feed and carriage return.
fn dots_without_ends_of_lines(expression: &str) -> String {
    let mut translated = String::with_capacity(expression.len());
    let mut characters = expression.chars();
    let mut in_class = false;
    while let Some(character) = characters.next() {
        match character {
            '\\' => {
                translated.push('\\');
                translated.extend(characters.next());
                continue;
            }
            '[' => in_class = true,
            ']' => in_class = false,
            '.' if !in_class => {
                translated.push_str("[^\\n\\r]");
                continue;
            }
            _ => {}
        }
        translated.push(character);
    }
    translated
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(expression: &str, extent: Extent, text: &str, expected: bool) {
        let automaton = compile(expression, extent, &mut Budget::default()).unwrap();
        assert_eq!(automaton.matches(text.as_bytes()), expected, "{expression} {text:?}");
    }

    #[test]
    fn the_whole_text_or_a_part_of_it_must_match() {
        check("a.c", Extent::Whole, "abc", true);
        check("a.c", Extent::Whole, "xabc", false);
        check("a.c", Extent::Part, "xabcx", true);
        check("a|b", Extent::Whole, "b", true);
        check("a|b", Extent::Whole, "ab", false);
        check("", Extent::Whole, "", true);
        check("", Extent::Whole, "a", false);
        check(r"\p{Lu}\p{Nd}*", Extent::Whole, "É1२", true);
        check(r"\P{Lu}", Extent::Whole, "É", false);
    }

    #[test]
    fn a_dot_is_no_end_of_a_line() {
        check("a.b", Extent::Whole, "a\nb", false);
        check("a.b", Extent::Whole, "a\rb", false);
        check("a.b", Extent::Whole, "a\u{2028}b", true);
        check("a.b", Extent::Whole, "a😀b", true);
        check("a[.]b", Extent::Whole, "axb", false);
        check(r"a\.b", Extent::Whole, "axb", false);
        check(r"a\\.b", Extent::Whole, r"a\xb", true);
        check(r"[\]].", Extent::Whole, "]x", true);
    }

    #[test]
    fn no_bracket_reaches_out_of_an_expression() {
        for bad in ["(", "a)(b", "a)|(b", "*", "[b-a]"] {
            assert!(compile(bad, Extent::Whole, &mut Budget::default()).is_err(), "{bad}");
        }
    }
}
