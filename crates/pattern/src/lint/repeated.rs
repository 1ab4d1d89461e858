//! Fields that a pattern asks for twice. Only the last time counts, so a compiled filter does not know of the others; it takes the
//! pattern's text to see them.

use std::collections::HashMap;
use std::collections::hash_map::Entry;

use super::{Finding, FindingCode, Severity};
use crate::json::Fault;
use crate::limits::LINT_FINDINGS_MAX;
use crate::tokens::{Token, Tokens};

/// Finds the fields that an EventBridge pattern repeats. A text that is no pattern has no findings.
pub fn lint_text(pattern: &[u8]) -> Vec<Finding> {
    let mut walk = match Tokens::new(pattern) {
        Ok(tokens) => Walk {
            tokens,
            path: Vec::new(),
            seen: HashMap::new(),
            added: Vec::new(),
            depth: 0,
            findings: Vec::new(),
        },
        Err(_) => return Vec::new(),
    };
    match walk.tokens.next() {
        Ok(Token::StartObject) => {
            // What cannot be read to its end is refused elsewhere.
            let _ = walk.object();
            walk.findings
        }
        _ => Vec::new(),
    }
}

struct Walk<'p> {
    tokens: Tokens<'p>,
    path: Vec<Box<[u8]>>,
    /// Paths that are asked for together with what is read now, each with the depth of the alternative that it counts for.
    seen: HashMap<Vec<u8>, usize>,
    /// Those paths in the order they came, so that an alternative can be left.
    added: Vec<Vec<u8>>,
    /// How many alternatives lie around what is read now.
    depth: usize,
    findings: Vec<Finding>,
}

impl Walk<'_> {
    fn object(&mut self) -> Result<(), Fault> {
        loop {
            match self.tokens.next()? {
                Token::Name(name) if *name == *b"$or" => self.alternatives()?,
                Token::Name(name) => {
                    self.path.push(name);
                    match self.tokens.next()? {
                        Token::StartObject => self.object()?,
                        Token::StartArray => self.tests()?,
                        _ => {}
                    }
                    self.path.pop();
                }
                _ => return Ok(()),
            }
        }
    }

    /// What one alternative asks for says nothing about the others; all of it counts for what follows.
    fn alternatives(&mut self) -> Result<(), Fault> {
        if self.tokens.next()? != Token::StartArray {
            return Ok(());
        }
        let mut of_all = Vec::new();
        let before = self.added.len();
        while self.tokens.next()? == Token::StartObject {
            self.depth += 1;
            self.object()?;
            self.depth -= 1;
            for path in self.added.drain(before..) {
                self.seen.remove(&path);
                of_all.push(path);
            }
        }
        of_all.into_iter().for_each(|path| self.add(path));
        Ok(())
    }

    fn add(&mut self, path: Vec<u8>) {
        if let Entry::Vacant(entry) = self.seen.entry(path) {
            self.added.push(entry.key().clone());
            entry.insert(self.depth);
        }
    }

    fn tests(&mut self) -> Result<(), Fault> {
        let path = self.path.join(&b'.');
        if let Some(depth) = self.seen.get(&path)
            && self.findings.len() < LINT_FINDINGS_MAX
        {
            let written = String::from_utf8_lossy(&path).into_owned();
            // What stands outside of an alternative counts for the others.
            let (message, suggestion) = match *depth == self.depth {
                true => (
                    "is asked for twice, and only the last time counts",
                    "put all tests of a field into one list, of which one has to pass",
                ),
                false => (
                    "is asked for again in an alternative of $or, and there only that counts",
                    "ask for it in each alternative, and nowhere else",
                ),
            };
            self.findings.push(Finding {
                code: FindingCode::PathRepeated,
                severity: Severity::Warning,
                message: format!("{written} {message}"),
                path: Some(written),
                suggestion: Some(suggestion.into()),
            });
        }
        self.add(path);
        let mut depth = 1;
        while depth > 0 {
            match self.tokens.next()? {
                Token::StartArray | Token::StartObject => depth += 1,
                Token::EndArray | Token::EndObject => depth -= 1,
                _ => {}
            }
        }
        Ok(())
    }
}
