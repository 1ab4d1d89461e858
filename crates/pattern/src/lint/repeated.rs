//! Fields that a pattern asks for twice. Only the last time counts, so a compiled filter does not know of the others; it takes the
//! pattern's text to see them.

use std::collections::HashSet;

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
            seen: HashSet::new(),
            added: Vec::new(),
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
    /// Paths that are asked for together with what is read now.
    seen: HashSet<Vec<u8>>,
    /// Those paths in the order they came, so that an alternative can be left.
    added: Vec<Vec<u8>>,
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
            self.object()?;
            for path in self.added.drain(before..) {
                self.seen.remove(&path);
                of_all.push(path);
            }
        }
        of_all.into_iter().for_each(|path| self.add(path));
        Ok(())
    }

    fn add(&mut self, path: Vec<u8>) {
        if self.seen.insert(path.clone()) {
            self.added.push(path);
        }
    }

    fn tests(&mut self) -> Result<(), Fault> {
        let path = self.path.join(&b'.');
        if self.seen.contains(&path) && self.findings.len() < LINT_FINDINGS_MAX {
            let written = String::from_utf8_lossy(&path).into_owned();
            self.findings.push(Finding {
                code: FindingCode::PathRepeated,
                severity: Severity::Warning,
                message: format!("{written} is asked for twice, and only the last time counts"),
                path: Some(written),
                suggestion: Some("put all tests of a field into one list, of which one has to pass".into()),
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
