//! Paths of input transformers: the part of JSONPath that EventBridge takes. `$`, names after dots or in brackets, indexes, and `*`.
//! What they find, [`crate::walk`] says.

use crate::{
    error::{CompileError, Part},
    limits::PATH_CHARACTERS_MAX,
};

/// A path into an event's EventBridge envelope, compiled.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct InputPath(Vec<Step>);

/// One step of a path.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Step {
    /// A member of an object.
    Member(Box<str>),
    /// An element of an array.
    Index(usize),
    /// Every member, every element.
    Every,
}

/// What most names consist of; anything else goes into brackets.
fn is_of_a_name(character: char) -> bool {
    character.is_alphanumeric() || "-_/:@$#+~%&!;=".contains(character)
}

impl InputPath {
    /// All there is: `$`.
    pub(crate) fn whole() -> Self {
        Self(Vec::new())
    }

    /// Compiles a path. The error is a fragment.
    pub fn new(text: &str) -> Result<Self, CompileError> {
        Self::parse(text).map_err(|message| CompileError::new(Part::InputPath, message))
    }

    pub(crate) fn parse(text: &str) -> Result<Self, String> {
        if text.chars().count() > PATH_CHARACTERS_MAX {
            return Err(format!("a path has at most {PATH_CHARACTERS_MAX} characters"));
        }
        let mut rest = text.strip_prefix('$').ok_or("a path begins with '$'")?;
        let mut steps = Vec::new();
        while !rest.is_empty() {
            let (step, after) = step(rest).map_err(|reason| {
                let at = text[..text.len() - rest.len()].chars().count();
                format!("at character {at}: {reason}")
            })?;
            steps.push(step);
            rest = after;
        }
        Ok(Self(steps))
    }

    pub(crate) fn steps(&self) -> &[Step] {
        &self.0
    }
}

/// The first step of a text that is not empty, and what comes after it.
fn step(text: &str) -> Result<(Step, &str), String> {
    if let Some(rest) = text.strip_prefix('.') {
        if let Some(rest) = rest.strip_prefix('*') {
            return Ok((Step::Every, rest));
        }
        let end = rest.find(|character| !is_of_a_name(character)).unwrap_or(rest.len());
        return match &rest[..end] {
            "" if rest.starts_with('.') => Err("'..' is not taken here: name every step".to_owned()),
            "" => Err("a name is missing after '.'; one with unusual characters goes into ['…']".to_owned()),
            name => Ok((Step::Member(name.into()), &rest[end..])),
        };
    }
    let inner = text.strip_prefix('[').ok_or("expected '.' or '['")?;
    if let Some(quote) = inner.chars().next().filter(|first| matches!(first, '\'' | '"')) {
        let (name, rest) = quoted(&inner[1..], quote)?;
        let rest = rest.strip_prefix(']').ok_or("expected ']'; a step has one name")?;
        return Ok((Step::Member(name.into()), rest));
    }
    let (index, rest) = inner.split_once(']').ok_or("']' is missing")?;
    let step = match index {
        "*" => Step::Every,
        digits if !digits.is_empty() && digits.bytes().all(|byte| byte.is_ascii_digit()) => {
            Step::Index(digits.parse().map_err(|_| "the index is too large")?)
        }
        _ => {
            return Err(
                "brackets hold an index, '*' or a quoted name; filters and slices are not taken here".to_owned(),
            );
        }
    };
    Ok((step, rest))
}

/// A name up to its closing quote; `\` takes the next character as it is.
fn quoted(text: &str, quote: char) -> Result<(String, &str), String> {
    let mut name = String::new();
    let mut characters = text.char_indices();
    while let Some((at, character)) = characters.next() {
        match character {
            '\\' => name.push(characters.next().ok_or("the quoted name does not end")?.1),
            _ if character == quote => return Ok((name, &text[at + character.len_utf8()..])),
            _ => name.push(character),
        }
    }
    Err("the quoted name does not end".to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_no_path_is_refused_with_its_place() {
        let refused = |text: &str| InputPath::parse(text).expect_err(text);
        assert_eq!(refused("detail"), "a path begins with '$'");
        assert_eq!(refused(""), "a path begins with '$'");
        assert!(
            refused("$.detail..x").starts_with("at character 8: '..'"),
            "{}",
            refused("$.detail..x")
        );
        assert!(refused("$.a[?(@.b)]").contains("filters and slices"));
        assert!(refused("$.a[1:2]").contains("filters and slices"));
        assert!(refused("$.a[-1]").contains("filters and slices"));
        assert!(refused("$.a[").contains("']' is missing"));
        assert!(refused("$['a").contains("does not end"));
        assert!(refused("$['a\\").contains("does not end"));
        assert!(refused("$['a','b']").contains("one name"));
        assert!(refused("$a").contains("expected '.' or '['"));
        assert!(refused("$.").contains("name is missing"));
        assert!(refused("$[99999999999999999999999]").contains("too large"));
        assert!(refused(&format!("${}", ".a".repeat(128))).contains("at most 256"));
    }
}
