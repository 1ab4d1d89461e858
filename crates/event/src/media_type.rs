//! Media types (RFC 2046 as HTTP writes them): just enough to tell what data is. It normalises nothing.

/// A parsed media type. Borrowed and as written: compare names without case.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct MediaType<'a> {
    /// The top-level type, e.g. `application`.
    pub main: &'a str,
    /// The subtype with its suffix, e.g. `cloudevents+json`.
    pub sub: &'a str,
    parameters: &'a str,
}

impl<'a> MediaType<'a> {
    /// Parses `type/subtype` and its parameters; `None` if the syntax is broken anywhere.
    pub fn parse(text: &'a str) -> Option<MediaType<'a>> {
        let text = trim(text);
        let (essence, parameters) = text.split_at(text.find(';').unwrap_or(text.len()));
        let (main, sub) = trim(essence).split_once('/')?;
        let parsed = MediaType { main, sub, parameters };
        let fine = is_token(main) && is_token(sub) && parsed.parameters().all(|parameter| parameter.is_some());
        fine.then_some(parsed)
    }

    /// Whether it is `main/sub`, without case.
    pub fn is(&self, main: &str, sub: &str) -> bool {
        self.main.eq_ignore_ascii_case(main) && self.sub.eq_ignore_ascii_case(sub)
    }

    /// The raw value (quotes included) of the first parameter of this name.
    pub fn parameter(&self, name: &str) -> Option<&'a str> {
        self.parameters()
            .flatten()
            .find(|(found, _)| found.eq_ignore_ascii_case(name))
            .map(|(_, value)| value)
    }

    /// Whether its text is UTF-8: the charset is absent, UTF-8 or a part of it.
    pub fn is_utf8(&self) -> bool {
        let charset = self.parameter("charset").map(|value| value.trim_matches('"'));
        charset.is_none_or(|name| {
            ["utf-8", "utf8", "us-ascii"]
                .iter()
                .any(|known| name.eq_ignore_ascii_case(known))
        })
    }

    /// Whether it declares JSON: the subtype is `json` or ends in `+json`.
    pub fn is_json(&self) -> bool {
        self.sub.eq_ignore_ascii_case("json") || has_suffix(self.sub, "+json")
    }

    /// Whether it is that of a CloudEvents format, known or not.
    pub fn is_cloudevents(&self) -> bool {
        const PREFIX: &str = "cloudevents";
        let sub = self.sub.get(..PREFIX.len());
        self.main.eq_ignore_ascii_case("application") && sub.is_some_and(|start| start.eq_ignore_ascii_case(PREFIX))
    }

    /// Each parameter; `None` for one whose syntax is broken.
    fn parameters(&self) -> impl Iterator<Item = Option<(&'a str, &'a str)>> {
        let mut rest = self.parameters;
        std::iter::from_fn(move || {
            while let Some(after) = rest.strip_prefix(';') {
                let after = after.trim_start_matches([' ', '\t']);
                let (parameter, following) = after.split_at(parameter_length(after));
                rest = following;
                if !trim(parameter).is_empty() {
                    return Some(parse_parameter(trim(parameter)));
                }
            }
            None
        })
    }
}

/// The one of nearly every event: recognised without a look at its syntax.
pub(crate) const JSON: &str = "application/json";

/// Whether a media type declares JSON.
pub fn is_json(text: &str) -> bool {
    text == JSON || MediaType::parse(text).is_some_and(|media_type| media_type.is_json())
}

/// Whether a media type declares text in UTF-8: `text/*`, XML, JavaScript, forms.
pub fn is_text(text: &str) -> bool {
    const TEXT_SUBTYPES: [&str; 4] = ["xml", "javascript", "x-www-form-urlencoded", "yaml"];
    let Some(found) = MediaType::parse(text) else {
        return false;
    };
    let application = found.main.eq_ignore_ascii_case("application")
        && TEXT_SUBTYPES.iter().any(|known| found.sub.eq_ignore_ascii_case(known));
    found.is_utf8() && (found.main.eq_ignore_ascii_case("text") || has_suffix(found.sub, "+xml") || application)
}

fn trim(text: &str) -> &str {
    text.trim_matches([' ', '\t'])
}

fn has_suffix(text: &str, suffix: &str) -> bool {
    text.len()
        .checked_sub(suffix.len())
        .and_then(|at| text.get(at..))
        .is_some_and(|end| end.eq_ignore_ascii_case(suffix))
}

/// Up to the semicolon that is not within quotes.
fn parameter_length(text: &str) -> usize {
    let (mut quoted, mut escaped) = (false, false);
    let end = text.bytes().position(|byte| {
        let ends = byte == b';' && !quoted;
        if !escaped && byte == b'"' {
            quoted = !quoted;
        }
        escaped = quoted && !escaped && byte == b'\\';
        ends
    });
    end.unwrap_or(text.len())
}

fn parse_parameter(text: &str) -> Option<(&str, &str)> {
    let (name, value) = text.split_once('=')?;
    (is_token(name) && (is_token(value) || is_quoted(value))).then_some((name, value))
}

fn is_quoted(value: &str) -> bool {
    let Some(inner) = value.strip_prefix('"').and_then(|rest| rest.strip_suffix('"')) else {
        return false;
    };
    let mut escaped = false;
    let fine = inner.bytes().all(|byte| {
        let lone_quote = byte == b'"' && !escaped;
        escaped = byte == b'\\' && !escaped;
        !lone_quote && (byte == b' ' || byte.is_ascii_graphic())
    });
    fine && !escaped
}

fn is_token(text: &str) -> bool {
    !text.is_empty()
        && text
            .bytes()
            .all(|byte| byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_syntax_of_rfc_2046_is_asked() {
        let fine = [
            "a/b",
            "application/json; charset=utf-8",
            "A/B;c=\"d;e\\\"f\";g=h",
            "text/plain;",
            "a/b ; c=d",
        ];
        for text in fine {
            assert!(MediaType::parse(text).is_some(), "{text}");
        }
        for text in [
            "",
            "a",
            "a/",
            "/b",
            "a/b/c",
            "a b/c",
            "a/b; c",
            "a/b; c=",
            "a/b; c=\"d",
            "a/b, c/d",
            "a/\u{e9}",
        ] {
            assert!(MediaType::parse(text).is_none(), "{text}");
        }
    }

    #[test]
    fn json_text_and_charset_are_told_without_case() {
        assert!(is_json("Application/JSON") && is_json("application/vnd.x+Json; v=1") && is_json("text/json"));
        assert!(!is_json("application/jsonp") && !is_json("text/plain") && !is_json("json"));
        assert!(is_text("TEXT/plain") && is_text("application/xml; charset=UTF-8") && is_text("image/svg+xml"));
        assert!(!is_text("text/plain; charset=latin1") && !is_text("application/octet-stream") && !is_text("text"));
        let quoted = MediaType::parse("a/b; x=\"; charset=no\"; CHARSET=\"utf-8\"").expect("it parses");
        assert_eq!(quoted.parameter("charset"), Some("\"utf-8\""));
        assert!(quoted.is_utf8());
    }
}
