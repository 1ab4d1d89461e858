//! Text compared without regard to case, character by character.
//!
//! A character of the pattern stands for its own lower-case and upper-case forms, which may be longer than one character (`ß` for
//! `SS`). There is no normalisation and no other folding. The two forms never begin or end with each other, so that reading
//! greedily from either end is exact.

use smallvec::SmallVec;

/// A text whose case does not matter.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Folded {
    /// The text as it was given.
    text: Box<[u8]>,
    /// Its characters; none if all are ASCII.
    forms: Box<[Form]>,
}

/// The characters of a text.
fn forms_of(text: &[u8]) -> impl Iterator<Item = Form> {
    text.utf8_chunks().flat_map(|chunk| {
        let invalid = chunk.invalid();
        let characters = chunk.valid().chars().map(Form::of);
        characters.chain((!invalid.is_empty()).then(|| Form::same(invalid)))
    })
}

#[derive(Debug, Clone, PartialEq, Eq)]
struct Form {
    lower: Box<[u8]>,
    upper: Box<[u8]>,
}

impl Folded {
    pub(crate) fn new(text: &[u8]) -> Self {
        let forms = match text.is_ascii() {
            true => Box::default(),
            false => forms_of(text).collect(),
        };
        Self {
            text: text.into(),
            forms,
        }
    }

    /// Whether all that it stands for is one text to [`canonical`].
    pub(crate) fn is_regular(&self) -> bool {
        let canonical = |text: &[u8]| {
            let mut written = Vec::new();
            canonical(text, &mut written);
            written
        };
        let of_forms = |form: &Form| canonical(&form.lower) == canonical(&form.upper);
        let lower = || self.forms.iter().flat_map(|form| canonical(&form.lower));
        self.text.is_ascii() || (self.forms.iter().all(of_forms) && lower().eq(canonical(&self.text)))
    }

    /// Bytes on the heap.
    pub(crate) fn memory(&self) -> usize {
        let of_forms = self.forms.iter().map(|form| form.lower.len() + form.upper.len());
        self.text.len() + size_of_val(&*self.forms) + of_forms.sum::<usize>()
    }

    pub(crate) fn text(&self) -> &[u8] {
        &self.text
    }

    pub(crate) fn equals(&self, value: &[u8]) -> bool {
        self.rest_after(value).is_some_and(<[u8]>::is_empty)
    }

    pub(crate) fn starts(&self, value: &[u8]) -> bool {
        self.rest_after(value).is_some()
    }

    pub(crate) fn ends(&self, value: &[u8]) -> bool {
        if self.text.is_ascii() {
            let from = value.len().checked_sub(self.text.len());
            return from.is_some_and(|from| value[from..].eq_ignore_ascii_case(&self.text));
        }
        let mut rest = value;
        self.forms.iter().rev().all(|form| {
            let left = rest
                .strip_suffix(&*form.lower)
                .or_else(|| rest.strip_suffix(&*form.upper));
            rest = left.unwrap_or(rest);
            left.is_some()
        })
    }

    /// A regular expression that matches what this does.
    pub(crate) fn expression(&self) -> String {
        let mut expression = String::new();
        for form in forms_of(&self.text) {
            match (std::str::from_utf8(&form.lower), std::str::from_utf8(&form.upper)) {
                (Ok(lower), Ok(upper)) if lower == upper => escape(lower, &mut expression),
                (Ok(lower), Ok(upper)) => {
                    expression.push_str("(?:");
                    escape(lower, &mut expression);
                    expression.push('|');
                    escape(upper, &mut expression);
                    expression.push(')');
                }
                _ => form
                    .lower
                    .iter()
                    .for_each(|byte| expression.push_str(&format!("(?-u:\\x{byte:02X})"))),
            }
        }
        expression
    }

    /// What follows this at the beginning of a value.
    pub(crate) fn rest_after<'v>(&self, value: &'v [u8]) -> Option<&'v [u8]> {
        if self.text.is_ascii() {
            let (begin, rest) = value.split_at_checked(self.text.len())?;
            return begin.eq_ignore_ascii_case(&self.text).then_some(rest);
        }
        self.forms.iter().try_fold(value, |rest, form| {
            rest.strip_prefix(&*form.lower)
                .or_else(|| rest.strip_prefix(&*form.upper))
        })
    }
}

/// Appends a text of which nothing is special in a regular expression.
fn escape(text: &str, into: &mut String) {
    for character in text.chars() {
        if character.is_ascii() && !character.is_ascii_alphanumeric() {
            into.push_str(&format!("\\x{:02X}", u32::from(character)));
        } else {
            into.push(character);
        }
    }
}

impl Form {
    fn of(character: char) -> Self {
        let lower: String = character.to_lowercase().collect();
        let upper: String = character.to_uppercase().collect();
        Self {
            lower: lower.into_bytes().into(),
            upper: upper.into_bytes().into(),
        }
    }

    fn same(bytes: &[u8]) -> Self {
        Self {
            lower: bytes.into(),
            upper: bytes.into(),
        }
    }
}

/// Writes a text so that texts that differ in case only are written alike, nearly always; whether it is ASCII. Among ASCII texts
/// only those are written alike. A text begins and ends with what its beginning and end are written as.
pub(crate) fn canonical(text: &[u8], into: &mut Vec<u8>) -> bool {
    into.clear();
    if text.is_ascii() {
        into.extend_from_slice(text);
        into.make_ascii_lowercase();
        return true;
    }
    for chunk in text.utf8_chunks() {
        let characters = chunk.valid().chars();
        for character in characters.flat_map(char::to_uppercase).flat_map(char::to_lowercase) {
            into.extend_from_slice(character.encode_utf8(&mut [0; 4]).as_bytes());
        }
        into.extend_from_slice(chunk.invalid());
    }
    false
}

/// Bytes of a text that [`short`] folds.
const SHORT_BYTES_MAX: usize = 64;

/// A short text as [`canonical`] writes it.
pub(crate) type Short = SmallVec<[u8; SHORT_BYTES_MAX]>;

/// What [`canonical`] writes for a short ASCII text; none for another.
#[inline]
pub(crate) fn short(text: &[u8]) -> Option<Short> {
    if text.len() > SHORT_BYTES_MAX || !text.is_ascii() {
        return None;
    }
    let mut folded = SmallVec::from_slice(text);
    folded.make_ascii_lowercase();
    Some(folded)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn case_does_not_matter_and_everything_else_does() {
        let folded = Folded::new("JäVé".as_bytes());
        assert!(folded.equals("jÄvÉ".as_bytes()));
        assert!(!folded.equals("jÄvÉs".as_bytes()) && folded.starts("jÄvÉs".as_bytes()));
        assert!(!folded.equals("jÄv".as_bytes()));
        assert!(folded.ends("xJÄVÉ".as_bytes()) && !folded.ends("JÄVe".as_bytes()));
    }

    #[test]
    fn texts_that_differ_in_case_only_are_written_alike_or_known_not_to_be() {
        let written = |text: &[u8]| {
            let mut written = Vec::new();
            canonical(text, &mut written);
            written
        };
        let mut irregular = 0;
        for character in '\0'..=char::MAX {
            let form = Form::of(character);
            if form.lower == form.upper {
                continue;
            }
            let folded = Folded::new(character.encode_utf8(&mut [0; 4]).as_bytes());
            match folded.is_regular() {
                true => assert!(
                    written(folded.text()) == written(&form.lower) && written(&form.lower) == written(&form.upper)
                ),
                false => irregular += 1,
            }
        }
        assert!(irregular < 50, "{irregular}");
        assert_eq!(written("straSSe ÄÖ".as_bytes()), "strasse äö".as_bytes());
    }

    #[test]
    fn forms_may_differ_in_length() {
        assert!(Folded::new("straße".as_bytes()).equals(b"STRASSE"));
        assert!(!Folded::new(b"STRASSE").equals("straße".as_bytes()));
        assert!(Folded::new("ⱥ".as_bytes()).equals("Ⱥ".as_bytes()));
        assert!(Folded::new("İ".as_bytes()).ends("xi\u{307}".as_bytes()));
    }

    #[test]
    fn no_two_forms_of_a_character_begin_or_end_with_each_other() {
        for character in '\0'..=char::MAX {
            let Form { lower, upper } = Form::of(character);
            if lower != upper {
                assert!(!lower.starts_with(&upper) && !upper.starts_with(&lower), "{character}");
                assert!(!lower.ends_with(&upper) && !upper.ends_with(&lower), "{character}");
            }
        }
    }
}
