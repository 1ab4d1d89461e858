//! Which events a key may publish: its patterns, compiled. Asked for every event that is published, so it allocates nothing.
//!
//! A pattern is text in which `*` stands for any characters. It is compared with the attribute as it is: nothing is decoded,
//! folded or resolved first. A `*` takes no dot segments (`..`, also percent-encoded): what resolves to another place is only
//! allowed by a pattern that says it letter by letter.

use crate::resources::PublishLimits;

/// What a key may publish.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Grant {
    types: Option<Vec<Glob>>,
    sources: Option<Vec<Glob>>,
}

/// The attribute that is not allowed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Denied {
    /// No pattern of `types` has the event's type.
    Type,
    /// No pattern of `sources` has the event's source.
    Source,
}

impl Denied {
    /// The attribute's name.
    pub fn attribute(self) -> &'static str {
        match self {
            Self::Type => "type",
            Self::Source => "source",
        }
    }
}

impl Grant {
    /// Compiles what a key declares.
    pub fn new(limits: &PublishLimits) -> Self {
        let compiled = |patterns: &Option<Vec<String>>| {
            let patterns = patterns.as_ref()?;
            Some(patterns.iter().map(|pattern| Glob::new(pattern)).collect())
        };
        Self {
            types: compiled(&limits.types),
            sources: compiled(&limits.sources),
        }
    }

    /// Whether an event of this type and source may be published.
    pub fn permits(&self, event_type: &str, source: &str) -> Result<(), Denied> {
        let allows = |globs: &Option<Vec<Glob>>, text: &str| match globs {
            None => true,
            Some(globs) => {
                let has_dots = has_dot_segments(text);
                globs.iter().any(|glob| glob.matches(text, has_dots))
            }
        };
        if !allows(&self.types, event_type) {
            return Err(Denied::Type);
        }
        match allows(&self.sources, source) {
            true => Ok(()),
            false => Err(Denied::Source),
        }
    }
}

/// The text between the stars; one part is text without a star.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Glob(Vec<Box<str>>);

impl Glob {
    fn new(pattern: &str) -> Self {
        Self(pattern.split('*').map(Box::from).collect())
    }

    /// Each part is looked for once, from where the one before ended: with stars alone the first place is as good as any, so
    /// that there is nothing to go back to.
    fn matches(&self, text: &str, has_dots: bool) -> bool {
        let [first, middle @ .., last] = self.0.as_slice() else {
            return self.0.first().is_some_and(|whole| **whole == *text);
        };
        if has_dots {
            return false;
        }
        let rest = text.strip_prefix(&**first);
        let Some(mut rest) = rest.and_then(|rest| rest.strip_suffix(&**last)) else {
            return false;
        };
        for part in middle {
            match rest.find(&**part) {
                Some(at) => rest = &rest[at + part.len()..],
                None => return false,
            }
        }
        true
    }
}

/// Whether a path in the text goes up: a segment that is `..`, its dots plain or percent-encoded.
fn has_dot_segments(text: &str) -> bool {
    if !text.contains("..") && !text.contains('%') {
        return false;
    }
    text.split(['/', '\\', '?', '#']).any(|segment| {
        let mut rest = segment;
        let mut dots = 0;
        loop {
            let after = rest
                .strip_prefix('.')
                .or_else(|| rest.strip_prefix("%2e"))
                .or_else(|| rest.strip_prefix("%2E"));
            match after {
                Some(after) => (rest, dots) = (after, dots + 1),
                None => return rest.is_empty() && dots == 2,
            }
        }
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn glob(pattern: &str, text: &str) -> bool {
        Glob::new(pattern).matches(text, has_dot_segments(text))
    }

    #[test]
    fn a_star_stands_for_any_characters_and_everything_else_for_itself() {
        for (pattern, text) in [
            ("a", "a"),
            ("*", ""),
            ("*", "anything/at?all"),
            ("com.example.*", "com.example.order.placed"),
            ("com.*.placed", "com.example.placed"),
            ("*placed", "placed"),
            ("a*b*c", "aXbXbXc"),
            ("a*bc*c", "abcc"),
            ("/shop/*", "/shop/"),
        ] {
            assert!(glob(pattern, text), "{pattern} {text}");
        }
        for (pattern, text) in [
            ("a", "A"),
            ("a", "a "),
            ("com.example.*", "com.example"),
            ("com.example.*", "comXexample.order"),
            ("ab*ba", "aba"),
            ("a*b*c", "ac"),
            ("a.c", "abc"),
            ("[a]", "a"),
            ("a?", "ab"),
            ("(a|b)", "a"),
            ("", "a"),
        ] {
            assert!(!glob(pattern, text), "{pattern} {text}");
        }
    }

    /// Check 41: what resolves to another place is not what the star stands for.
    #[test]
    fn check_41_a_star_takes_no_dot_segments() {
        for text in [
            "/shop/../bank",
            "/shop/..",
            "/shop/%2e%2e/bank",
            "/shop/.%2E/bank",
            "/shop/..\\bank",
            "/shop/..?x",
        ] {
            assert!(!glob("/shop/*", text), "{text}");
        }
        assert!(glob("/shop/../bank", "/shop/../bank"));
        for text in ["/shop/a..b", "/shop/...", "/shop/%20", "/shop/%2e", "/shop/a%2e%2e"] {
            assert!(glob("/shop/*", text), "{text}");
        }
    }

    #[test]
    fn both_the_type_and_the_source_must_be_allowed() {
        let limits = PublishLimits {
            types: Some(vec!["com.example.*".to_owned(), "ping".to_owned()]),
            sources: Some(vec!["/shop/*".to_owned()]),
        };
        let grant = Grant::new(&limits);
        assert_eq!(grant.permits("com.example.order", "/shop/1"), Ok(()));
        assert_eq!(grant.permits("ping", "/shop/1"), Ok(()));
        assert_eq!(grant.permits("pong", "/shop/1"), Err(Denied::Type));
        assert_eq!(grant.permits("ping", "/bank"), Err(Denied::Source));
        assert_eq!(Grant::new(&PublishLimits::default()).permits("x", "y"), Ok(()));
    }

    #[test]
    fn many_stars_against_a_long_text_take_no_time() {
        let pattern = "*a".repeat(64) + "*b";
        let text = "a".repeat(60_000);
        let started = std::time::Instant::now();
        assert!(!glob(&pattern, &text));
        assert!(started.elapsed() < std::time::Duration::from_secs(1));
    }
}
