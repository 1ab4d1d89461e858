//! Regular expressions of `match` and `search`: I-Regexp (RFC 9485), and the classes `\d`, `\w`, `\s` and their opposites, which is what
//! people write.
//!
//! An expression is read by that grammar and written again as the automata read theirs, who take more and mean other things by some
//! of it: `&&` in a class are two characters here. `^` and `$` are where a text begins and ends, as in the translations that the
//! specification gives and in the compliance suite of JSONPath.

use std::str::Chars;

use super::syntax::Extent;
use crate::automaton::{Automaton, Budget};

/// Why an expression is refused.
#[derive(Debug)]
pub(super) struct Fault {
    pub(super) message: String,
    /// What to write instead, where it is known.
    pub(super) suggestion: Option<String>,
}

impl Fault {
    fn new(message: impl Into<String>) -> Self {
        Self {
            message: message.into(),
            suggestion: None,
        }
    }

    /// What the grammar does not have.
    fn of_syntax(reason: &str) -> Self {
        Self::new(format!("not an I-Regexp (RFC 9485): {reason}"))
    }

    fn suggest(self, suggestion: impl Into<String>) -> Self {
        Self {
            suggestion: Some(suggestion.into()),
            ..self
        }
    }
}

/// Unicode's general categories: first letters, and the second ones that each may have.
const CATEGORIES: [(char, &str); 7] = [
    ('L', "lmotu"),
    ('M', "cen"),
    ('N', "dlo"),
    ('P', "cdefios"),
    ('Z', "lps"),
    ('S', "ckmo"),
    ('C', "cfno"),
];

/// Compiles an expression.
pub(super) fn compile(expression: &str, extent: Extent, budget: &mut Budget) -> Result<Automaton, Fault> {
    // Of what was written, not of what is made of it.
    Automaton::check_length(expression, budget).map_err(Fault::new)?;
    let translated = Translation::of(expression)?;
    let translated = match extent {
        Extent::Part => translated,
        Extent::Whole => format!("^(?:{translated})$"),
    };
    Automaton::build(&translated, budget).map_err(Fault::new)
}

/// The characters that are still to be read, and what was made of the others.
struct Translation<'e> {
    rest: Chars<'e>,
    written: String,
}

/// What may stand in a class.
#[derive(PartialEq, Eq)]
enum Entry {
    Character,
    Category,
}

impl<'e> Translation<'e> {
    fn of(expression: &'e str) -> Result<String, Fault> {
        let mut translation = Self {
            rest: expression.chars(),
            written: String::with_capacity(expression.len()),
        };
        translation.expression()?;
        Ok(translation.written)
    }

    fn expression(&mut self) -> Result<(), Fault> {
        let (mut groups_open, mut may_repeat) = (0usize, false);
        while let Some(character) = self.rest.next() {
            let is_quantifier = matches!(character, '*' | '+' | '?' | '{');
            if is_quantifier && !may_repeat {
                return Err(self.nothing_to_repeat(character));
            }
            may_repeat = !is_quantifier && !matches!(character, '(' | '|');
            match character {
                '{' => self.repetitions()?,
                '[' => self.class()?,
                '\\' => {
                    self.escape()?;
                }
                // No end of a line.
                '.' => self.written.push_str("[^\\n\\r]"),
                ']' | '}' => return Err(unescaped(character)),
                _ => self.written.push(character),
            }
            groups_open += usize::from(character == '(');
            if character == ')' {
                let outside = || Fault::of_syntax("a `)` that closes no group").suggest("write `\\)`");
                groups_open = groups_open.checked_sub(1).ok_or_else(outside)?;
            }
        }
        match groups_open {
            0 => Ok(()),
            _ => Err(Fault::of_syntax("unclosed group").suggest("write `\\(` for a parenthesis")),
        }
    }

    fn nothing_to_repeat(&self, quantifier: char) -> Fault {
        let fault = Fault::of_syntax(&format!("there is nothing before `{quantifier}` that it could repeat"));
        let is_repeated = self.written.ends_with(['*', '+', '?', '}']);
        match quantifier {
            '?' if self.written.ends_with('(') => fault.suggest("groups are written `(…)`, without `?`"),
            '?' if is_repeated => fault.suggest("leave the `?` out: whether a text matches does not depend on it"),
            _ if is_repeated => fault.suggest("put parentheses around what is repeated twice"),
            _ => fault.suggest(format!("write `\\{quantifier}` for the character")),
        }
    }

    /// Reads `{2}`, `{2,}` or `{2,3}`, whose opening brace is taken.
    fn repetitions(&mut self) -> Result<(), Fault> {
        let is_count = |text: &str| !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
        let counts = self.rest.as_str().split_once('}').map(|(counts, _)| counts);
        let is_right = |counts: &&str| match counts.split_once(',') {
            None => is_count(counts),
            Some((least, most)) => is_count(least) && (most.is_empty() || is_count(most)),
        };
        let Some(counts) = counts.filter(is_right) else {
            let fault = Fault::of_syntax("a `{` that no counts follow, such as `{2}` or `{2,3}`");
            return Err(fault.suggest("write `\\{` for the character"));
        };
        self.written.push('{');
        self.copy(counts.len() + 1);
        Ok(())
    }

    /// Takes so many bytes as they are.
    fn copy(&mut self, length: usize) {
        let (taken, rest) = self.rest.as_str().split_at(length);
        self.written.push_str(taken);
        self.rest = rest.chars();
    }

    /// Reads a class, whose opening bracket is taken.
    fn class(&mut self) -> Result<(), Fault> {
        self.written.push('[');
        if self.rest.as_str().starts_with('^') {
            self.copy(1);
        }
        let mut is_empty = true;
        loop {
            match self.next_of_class()? {
                ']' if !is_empty => break,
                // At either end of a class it stands for itself.
                '-' if is_empty || self.rest.as_str().starts_with(']') => self.literal('-'),
                character => self.range(character)?,
            }
            is_empty = false;
        }
        self.written.push(']');
        Ok(())
    }

    fn next_of_class(&mut self) -> Result<char, Fault> {
        let unclosed = || Fault::of_syntax("unclosed class").suggest("write `\\[` for a bracket");
        self.rest.next().ok_or_else(unclosed)
    }

    /// Reads an entry of a class, or two with a `-` between; the first character is taken.
    fn range(&mut self, first: char) -> Result<(), Fault> {
        let entry = self.entry(first)?;
        let rest = self.rest.as_str();
        if entry == Entry::Category || !rest.starts_with('-') || rest.starts_with("-]") {
            return Ok(());
        }
        self.copy(1);
        let last = self.next_of_class()?;
        match self.entry(last)? {
            Entry::Character => Ok(()),
            Entry::Category => Err(Fault::of_syntax("a range of a class ends with a character")),
        }
    }

    fn entry(&mut self, character: char) -> Result<Entry, Fault> {
        match character {
            '\\' => self.escape(),
            '[' | ']' | '-' => Err(unescaped(character)),
            _ => {
                self.literal(character);
                Ok(Entry::Character)
            }
        }
    }

    /// Writes a character of a class, so that it stands for itself.
    fn literal(&mut self, character: char) {
        if regex_syntax::is_meta_character(character) {
            self.written.push('\\');
        }
        self.written.push(character);
    }

    /// Reads what stands behind a backslash.
    fn escape(&mut self) -> Result<Entry, Fault> {
        let last = || Fault::of_syntax("a backslash at the end").suggest("write `\\\\`");
        let escaped = self.rest.next().ok_or_else(last)?;
        match escaped {
            'p' | 'P' => return self.category(escaped),
            'd' | 'D' | 'w' | 'W' | 's' | 'S' => {
                self.written.extend(['\\', escaped]);
                return Ok(Entry::Category);
            }
            'n' | 'r' | 't' | '(' | ')' | '*' | '+' | '-' | '.' | '?' | '[' | '\\' | ']' | '^' | '{' | '|' | '}' => {}
            _ => return Err(unknown_escape(escaped)),
        }
        self.written.extend(['\\', escaped]);
        Ok(Entry::Character)
    }

    /// Reads `{L}` or `{Lu}`.
    fn category(&mut self, kind: char) -> Result<Entry, Fault> {
        let name = self
            .rest
            .as_str()
            .strip_prefix('{')
            .and_then(|rest| rest.split_once('}'));
        match name {
            Some((name, _)) if is_category(name) => {
                self.written.extend(['\\', kind]);
                self.copy(name.len() + 2);
                Ok(Entry::Category)
            }
            _ => {
                let reason =
                    format!("`\\{kind}` that no general category of Unicode follows, such as `\\{kind}{{Lu}}`");
                Err(Fault::of_syntax(&reason))
            }
        }
    }
}

fn is_category(name: &str) -> bool {
    let mut letters = name.chars();
    let (first, second) = (letters.next(), letters.next());
    let known = CATEGORIES.iter().find(|(letter, _)| Some(*letter) == first);
    known.is_some_and(|(_, seconds)| second.is_none_or(|second| seconds.contains(second))) && letters.next().is_none()
}

/// A character that stands for itself only behind a backslash.
fn unescaped(character: char) -> Fault {
    Fault::of_syntax(&format!("a `{character}` that stands for itself needs a backslash"))
        .suggest(format!("write `\\{character}`"))
}

fn unknown_escape(escaped: char) -> Fault {
    let fault = Fault::of_syntax(&format!("there is no `\\{escaped}`"));
    match escaped {
        '$' => fault.suggest("write `[$]`"),
        plain if !plain.is_alphanumeric() => fault.suggest(format!("write `{plain}` without a backslash")),
        _ => fault,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(expression: &str, extent: Extent, text: &str, expected: bool) {
        let automaton = compile(expression, extent, &mut Budget::default());
        let automaton = automaton.unwrap_or_else(|fault| panic!("{expression}: {}", fault.message));
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
        check("^ab.*", Extent::Whole, "abc", true);
        check("b$", Extent::Part, "ba", false);
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

    /// Checks which of the characters of a text an expression takes.
    fn check_characters(expression: &str, taken: &str, refused: &str) {
        for (characters, expected) in [(taken, true), (refused, false)] {
            for character in characters.chars() {
                check(expression, Extent::Whole, &character.to_string(), expected);
            }
        }
    }

    #[test]
    fn a_class_has_characters_ranges_and_categories_and_no_operators() {
        check_characters("[a&&b]", "ab&", "c");
        check_characters("[&&]", "&", "a");
        check_characters("[a-c&&x]", "abcx&", "d");
        check_characters("[a~~b]", "ab~", "c");
        check_characters("[a~~a]", "a~", "b");
        check_characters("[~~]", "~", "a");
        check_characters("[--]", "-", "a");
        check_characters("[-a]", "-a", "b");
        check_characters("[a-]", "-a", "b");
        check_characters("[^-a]", "bé", "-a");
        check_characters(r"[a\-z]", "-az", "b");
        check_characters("[a^]", "a^", "b");
        check_characters(r"[\^a]", "a^", "b");
        check_characters(r"[\p{L}-]", "-aé", "1");
        check_characters(r"[^\p{L}]", "1", "a");
        check_characters("[#$()*+.?{}| &]", "#$()*+.?{}| &", "a");
        check_characters(r"[\[-\]]", r"[\]", "a");
        check_characters("[!-/]", "!&/", "0");
    }

    #[test]
    fn classes_that_people_write_are_taken_as_well() {
        check_characters(r"\d", "09", "a ");
        check_characters(r"\D", "a ", "0");
        check_characters(r"\w", "aZ0_", " -");
        check_characters(r"\W", " -", "a0");
        check_characters(r"\s", " \t\n", "a0");
        check_characters(r"\S", "a0", " \n");
        check_characters(r"[\d.-]", "0.-", "a");
        check(r"\d{3}-\w+", Extent::Whole, "123-ab_1", true);
    }

    #[test]
    fn a_literal_character_is_itself() {
        for character in "#&~-/\"'@=<>:;!%,`_ \u{85}é😀".chars() {
            check(&character.to_string(), Extent::Whole, &character.to_string(), true);
        }
        for escaped in r"()*+-.?[\]^{|}".chars() {
            check(&format!("\\{escaped}"), Extent::Whole, &escaped.to_string(), true);
        }
        check(r"\n\r\t", Extent::Whole, "\n\r\t", true);
        check("a{2}b{1,}c{0,2}d{0}", Extent::Whole, "aabbbcc", true);
        check("(a|)(b(c)+)?", Extent::Whole, "abcc", true);
    }

    #[test]
    fn every_general_category_is_known() {
        for (first, seconds) in CATEGORIES {
            for second in seconds.chars().map(String::from).chain([String::new()]) {
                check(&format!(r"\p{{{first}{second}}}|x"), Extent::Whole, "x", true);
            }
        }
    }

    #[test]
    fn what_is_no_i_regexp_is_refused() {
        let more = [r"a\b", r"\x41", r"\u0041", r"\/", r#"\""#, r"\$", "\\", r"(a)\1", r"\A"];
        let groups = ["(", "a)(b", "a)|(b", ")", "(a", "(?:a)", "(?i)a", "(?=a)", "(?<n>a)"];
        let repeated = [
            "*", "a**", "a*?", "a++", "a{2}{2}", "|*", "(+)", "{", "{2}", "a{,2}", "a{", "a{2", "a{x}", "a{2,1}",
        ];
        let classes = [
            "[",
            "[]",
            "[^]",
            "[]a]",
            "[a",
            "a]",
            "a}",
            "[b-a]",
            "[a[b]",
            "[a-z&&[^b]]",
            "[[:alpha:]]",
            "[a-b-c]",
            "[a--]",
            "[+--]",
            "[---]",
            r"[a-\p{L}]",
            r"[\p{L}-z]",
            r"[a-\d]",
            r"[\d-z]",
            "[a-",
        ];
        let categories = [
            r"\pL",
            r"\p",
            r"\p{",
            r"\p{}",
            r"\p{Foo}",
            r"\p{Greek}",
            r"\p{Lul}",
            r"\p{lu}",
            r"\p{^L}",
            r"\p{Cs}",
        ];
        for bad in [&more[..], &groups, &repeated, &classes, &categories].concat() {
            assert!(compile(bad, Extent::Whole, &mut Budget::default()).is_err(), "{bad}");
        }
    }

    #[test]
    fn a_refusal_says_what_to_write() {
        let check = |expression: &str, message: &str, suggestion: &str| {
            let fault = compile(expression, Extent::Part, &mut Budget::default()).unwrap_err();
            let reason = fault.message.strip_prefix("not an I-Regexp (RFC 9485): ");
            assert_eq!((reason, fault.suggestion.as_deref()), (Some(message), Some(suggestion)));
        };
        check(r"a\/b", r"there is no `\/`", "write `/` without a backslash");
        check(r"1\$", r"there is no `\$`", "write `[$]`");
        check(
            "a*?",
            "there is nothing before `?` that it could repeat",
            "leave the `?` out: whether a text matches does not depend on it",
        );
        check(
            "(?:a)",
            "there is nothing before `?` that it could repeat",
            "groups are written `(…)`, without `?`",
        );
        check("[a[b]", "a `[` that stands for itself needs a backslash", r"write `\[`");
        check(
            "a{b}",
            "a `{` that no counts follow, such as `{2}` or `{2,3}`",
            r"write `\{` for the character",
        );
    }

    #[test]
    fn the_length_of_what_was_written_is_bounded() {
        let compiled = |expression: &str| {
            let mut budget = Budget {
                text_bytes: 40,
                ..Budget::default()
            };
            compile(expression, Extent::Whole, &mut budget).is_ok()
        };
        assert!(compiled(&".".repeat(40)));
        assert!(!compiled(&".".repeat(41)));
    }
}
