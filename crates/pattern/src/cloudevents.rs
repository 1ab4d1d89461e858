//! The filter dialects of the CloudEvents Subscriptions API: `exact`, `prefix`, `suffix`, `all`, `any`, `not` and `sql`.
//!
//! A list of filters holds if all of them do, and so does the empty list. Attributes are compared as strings, with regard to
//! case; one that an event does not have is no string, so that `exact`, `prefix` and `suffix` fail for it and `not` of them holds.
//! Attributes lie at `/attr/{name}`.

use std::collections::BTreeMap;

use crate::cesql;
use crate::check::Check;
use crate::error::{CompileCode, CompileError};
use crate::filter::{Dialect, Filter, Part};
use crate::json::{Fault, FaultKind};
use crate::limits::{CLOUDEVENTS_COMBINATIONS_MAX, CLOUDEVENTS_COMBINED_TESTS_MAX, PATTERN_BYTES_MAX};
use crate::operator::Operator;
use crate::paths::Path;
use crate::rules::{FieldTest, Rules};
use crate::tokens::{Token, Tokens};

#[cfg(test)]
mod tests;

/// The canonical path of an attribute begins with this.
const ATTRIBUTES: &str = "/attr/";

/// The dialects there are.
const DIALECTS: [&str; 7] = ["exact", "prefix", "suffix", "all", "any", "not", "sql"];

/// Edits beyond which a name is not taken for a misspelt one.
const EDITS_MAX: usize = 2;

impl Filter {
    /// Compiles a list of filters of the CloudEvents Subscriptions API, all of which must hold. The dialect is that of the `sql`
    /// expressions.
    pub fn cloudevents(json: &[u8], dialect: Dialect) -> Result<Self, CompileError> {
        compile(json, dialect).map(Self::from_parts)
    }
}

/// Compiles a list of filters into the conditions that must all hold.
fn compile(json: &[u8], dialect: Dialect) -> Result<Vec<Part>, CompileError> {
    if json.len() > PATTERN_BYTES_MAX {
        let message = format!("the filters are longer than {PATTERN_BYTES_MAX} bytes");
        return Err(refused(CompileCode::TooComplex, 0, String::new(), message));
    }
    let tokens = Tokens::new(json).map_err(not_json)?;
    let mut compiler = Compiler {
        tokens,
        dialect,
        names: Vec::new(),
    };
    let filters = compiler.list()?;
    compiler.end()?;
    Ok(filters.into_iter().map(Condition::into_part).collect())
}

/// A compiled filter.
enum Condition {
    /// What the rules take. Their fields are attributes, which lie in no arrays.
    Exact(Rules),
    /// A check, and rules that take at least as much.
    Checked(Rules, Check),
}

struct Compiler<'t> {
    tokens: Tokens<'t>,
    dialect: Dialect,
    /// Where it is, for refusals.
    names: Vec<String>,
}

impl Compiler<'_> {
    /// A list of filters.
    fn list(&mut self) -> Result<Vec<Condition>, CompileError> {
        let token = self.next()?;
        if token != Token::StartArray {
            let error = self.refuse(format!("a list of filters is missing before {token}"));
            return Err(match token {
                Token::StartObject => suggesting(error, "put the filter into [ and ]"),
                _ => error,
            });
        }
        let mut filters = Vec::new();
        loop {
            self.names.push(filters.len().to_string());
            match self.next()? {
                Token::StartObject => filters.push(self.filter()?),
                Token::EndArray => {
                    self.names.pop();
                    return Ok(filters);
                }
                token => return Err(self.refuse(format!("a filter is an object, not {token}"))),
            }
            self.names.pop();
        }
    }

    /// The rest of a filter, whose object has been opened.
    fn filter(&mut self) -> Result<Condition, CompileError> {
        let name = match self.next()? {
            Token::Name(name) => String::from_utf8_lossy(&name).into_owned(),
            _ => return Err(self.refuse(format!("a filter names its dialect: {}", DIALECTS.join(", ")))),
        };
        self.names.push(name.clone());
        let condition = match name.as_str() {
            "exact" => self.attributes(Operator::Text)?,
            "prefix" => self.attributes(Operator::Prefix)?,
            "suffix" => self.attributes(Operator::Suffix)?,
            "all" => all(self.several()?),
            "any" => any(self.several()?),
            "not" => match self.next()? {
                Token::StartObject => self.filter()?.negated(),
                token => return Err(self.refuse(format!("not takes one filter, an object, not {token}"))),
            },
            "sql" => self.sql()?,
            _ => return Err(self.unknown_dialect(&name)),
        };
        match self.next()? {
            Token::EndObject => {
                self.names.pop();
                Ok(condition)
            }
            _ => {
                let error = self.refuse("a filter has one dialect".into());
                Err(suggesting(error, "make it several filters of a list, or of all"))
            }
        }
    }

    /// One filter or more.
    fn several(&mut self) -> Result<Vec<Condition>, CompileError> {
        let filters = self.list()?;
        match filters.is_empty() {
            true => Err(self.refuse("the list has at least one filter".into())),
            false => Ok(filters),
        }
    }

    /// Attributes, each with the text that its value is compared with.
    fn attributes(&mut self, operator: fn(Box<[u8]>) -> Operator) -> Result<Condition, CompileError> {
        match self.next()? {
            Token::StartObject => {}
            token => return Err(self.refuse(format!("an object of attributes is missing before {token}"))),
        }
        let mut tests: BTreeMap<String, FieldTest> = BTreeMap::new();
        loop {
            let name = match self.next()? {
                Token::Name(name) => String::from_utf8_lossy(&name).into_owned(),
                _ if tests.is_empty() => return Err(self.refuse("there is at least one attribute".into())),
                _ => break,
            };
            self.names.push(name.clone());
            self.check_name(&name)?;
            let text = match self.next()? {
                Token::Text(text) if text.is_empty() => return Err(self.refuse("the text is empty".into())),
                Token::Text(text) => text,
                token => return Err(self.no_text(&token)),
            };
            let path = Path::new(Some(&format!("{ATTRIBUTES}{name}")), &[], &name);
            let test = FieldTest::new(path, vec![operator(text)]);
            if tests.insert(name, test).is_some() {
                return Err(self.refuse("the attribute is named twice".into()));
            }
            self.names.pop();
        }
        Ok(Condition::Exact(conjunction(tests.into_values().collect())))
    }

    fn check_name(&self, name: &str) -> Result<(), CompileError> {
        let known = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit();
        if name.is_empty() {
            return Err(self.refuse("the name of an attribute is empty".into()));
        }
        if name == "data" {
            return Err(self.refuse("data is no attribute, and these filters do not see it".into()));
        }
        if name.bytes().all(known) {
            return Ok(());
        }
        let error = self.refuse("the names of attributes have only lower-case letters and digits".into());
        let lower = name.to_ascii_lowercase();
        Err(match lower.bytes().all(known) {
            true => suggesting(error, &format!("write {lower:?}")),
            false => error,
        })
    }

    fn no_text(&self, token: &Token) -> CompileError {
        let error = self.refuse(format!("an attribute is compared with a string, not {token}"));
        match token {
            Token::Number(_) | Token::True | Token::False => suggesting(error, &format!("write \"{token}\"")),
            _ => error,
        }
    }

    fn sql(&mut self) -> Result<Condition, CompileError> {
        let text = match self.next()? {
            Token::Text(text) => String::from_utf8_lossy(&text).into_owned(),
            token => return Err(self.refuse(format!("sql takes an expression, a string, not {token}"))),
        };
        let part = cesql::part(&text, self.dialect).map_err(|error| CompileError {
            message: format!(
                "{} at character {} of the expression",
                error.message,
                error.position + 1
            ),
            position: self.tokens.position,
            path: self.names.join("."),
            ..error
        })?;
        Ok(match part.check {
            None => Condition::Exact(part.guard),
            Some(check) => Condition::Checked(part.guard, *check),
        })
    }

    fn unknown_dialect(&self, name: &str) -> CompileError {
        let error = self.refuse(format!(
            "there is no dialect {name:?}; there are {}",
            DIALECTS.join(", ")
        ));
        let lower = name.to_ascii_lowercase();
        if matches!(lower.as_str(), "cesql" | "ce-sql" | "cloudevents-sql") {
            return suggesting(error, "write \"sql\"");
        }
        let distance = |known: &str| strsim::damerau_levenshtein(&lower, known);
        match DIALECTS.into_iter().min_by_key(|known| distance(known)) {
            Some(nearest) if distance(nearest) <= EDITS_MAX => suggesting(error, &format!("did you mean {nearest:?}?")),
            _ => error,
        }
    }

    /// Nothing follows.
    fn end(&mut self) -> Result<(), CompileError> {
        match self.tokens.next() {
            Err(fault) if matches!(fault.kind, FaultKind::End) => Ok(()),
            Err(fault) => Err(not_json(fault)),
            Ok(token) => Err(self.refuse(format!("{token} follows the list"))),
        }
    }

    fn next(&mut self) -> Result<Token, CompileError> {
        self.tokens.next().map_err(not_json)
    }

    /// A refusal of what was read last.
    fn refuse(&self, message: String) -> CompileError {
        refused(
            CompileCode::BadPattern,
            self.tokens.position,
            self.names.join("."),
            message,
        )
    }
}

impl Condition {
    fn into_part(self) -> Part {
        match self {
            Condition::Exact(rules) => Part::exact(rules),
            Condition::Checked(guard, check) => Part::checked(guard, check),
        }
    }

    fn into_check(self) -> Check {
        match self {
            Condition::Exact(rules) => Check::Rules(rules),
            Condition::Checked(_, check) => check,
        }
    }

    fn rules(&self) -> &Rules {
        match self {
            Condition::Exact(rules) | Condition::Checked(rules, _) => rules,
        }
    }

    fn is_exact(&self) -> bool {
        matches!(self, Condition::Exact(_))
    }

    /// Every document may satisfy a negation.
    fn negated(self) -> Self {
        match self {
            Condition::Checked(_, Check::Not(check)) => Condition::Checked(Rules::always(), *check),
            condition => Condition::Checked(Rules::always(), Check::not(condition.into_check())),
        }
    }
}

/// All of these.
fn all(conditions: Vec<Condition>) -> Condition {
    let combined = combined(&conditions);
    if let Some(rules) = &combined
        && conditions.iter().all(Condition::is_exact)
    {
        return Condition::Exact(rules.clone());
    }
    let guard = combined.unwrap_or_else(|| {
        let narrowest = conditions
            .iter()
            .map(Condition::rules)
            .min_by_key(|rules| breadth(rules));
        narrowest.cloned().unwrap_or_else(Rules::always)
    });
    Condition::Checked(
        guard,
        Check::all(conditions.into_iter().map(Condition::into_check).collect()),
    )
}

/// One of these.
fn any(conditions: Vec<Condition>) -> Condition {
    let exact = conditions.iter().all(Condition::is_exact);
    let rules = alternatives(conditions.iter().map(Condition::rules));
    match exact {
        true => Condition::Exact(rules),
        false => Condition::Checked(
            rules,
            Check::any(conditions.into_iter().map(Condition::into_check).collect()),
        ),
    }
}

/// The rules of all conditions in one, if their alternatives do not multiply to too many.
fn combined(conditions: &[Condition]) -> Option<Rules> {
    let mut combinations: Vec<Vec<FieldTest>> = vec![Vec::new()];
    for condition in conditions {
        let rules = condition.rules();
        if rules.is_always() && !condition.is_exact() {
            continue;
        }
        if let [alternative] = &rules.alternatives[..] {
            for combination in &mut combinations {
                combination.extend(alternative.iter().map(|test| rules.tests[*test as usize].clone()));
            }
        } else {
            combinations = multiplied(&combinations, rules)?;
        }
        let tests = combinations.iter().map(Vec::len).sum::<usize>();
        if combinations.len() > 1 && tests > CLOUDEVENTS_COMBINED_TESTS_MAX {
            return None;
        }
    }
    Some(Rules::any(combinations.into_iter().map(conjunction)))
}

/// Every combination with every alternative of the rules, if these are not too many.
fn multiplied(combinations: &[Vec<FieldTest>], rules: &Rules) -> Option<Vec<Vec<FieldTest>>> {
    if combinations.len() * rules.alternatives.len() > CLOUDEVENTS_COMBINATIONS_MAX {
        return None;
    }
    let all = combinations.iter().flat_map(|combination| {
        rules.alternatives.iter().map(|alternative| {
            let tests = alternative.iter().map(|test| rules.tests[*test as usize].clone());
            combination.iter().cloned().chain(tests).collect()
        })
    });
    Some(all.collect())
}

/// One of several rules; alternatives of one test of the same field become one test.
fn alternatives<'r>(several: impl Iterator<Item = &'r Rules>) -> Rules {
    let mut single: BTreeMap<&str, (&Path, Vec<Operator>)> = BTreeMap::new();
    let mut others = Vec::new();
    for rules in several {
        for alternative in &rules.alternatives {
            if let [test] = alternative[..] {
                let test = &rules.tests[test as usize];
                let mount = test.path.mount.as_deref().unwrap_or_default();
                if test.path.is_mount() {
                    let known = single.entry(mount).or_insert((&test.path, Vec::new()));
                    known.1.extend(test.operators().iter().cloned());
                    continue;
                }
            }
            others.push(conjunction(
                alternative
                    .iter()
                    .map(|test| rules.tests[*test as usize].clone())
                    .collect(),
            ));
        }
    }
    let single = single.into_values();
    Rules::any(
        single
            .map(|(path, operators)| Rules::field(FieldTest::new(path.clone(), operators)))
            .chain(others),
    )
}

/// All of these tests; attributes lie in no arrays, so that their order does not matter.
fn conjunction(tests: Vec<FieldTest>) -> Rules {
    let count = u32::try_from(tests.len()).expect("the bytes of filters are bounded");
    Rules {
        tests,
        alternatives: vec![(0..count).collect()],
    }
}

/// How little rules keep out, roughly.
fn breadth(rules: &Rules) -> usize {
    let of_test = |test: &u32| match rules.tests[*test as usize].operators() {
        operators if operators.iter().all(|operator| matches!(operator, Operator::Text(_))) => operators.len().min(30),
        [Operator::Exists] => 100,
        _ => 50,
    };
    let of_alternative = |tests: &[u32]| tests.iter().map(of_test).min().unwrap_or(usize::MAX);
    rules
        .alternatives
        .iter()
        .map(|tests| of_alternative(tests))
        .max()
        .unwrap_or(0)
}

fn suggesting(mut error: CompileError, suggestion: &str) -> CompileError {
    error.suggestion = Some(suggestion.into());
    error
}

fn not_json(fault: Fault) -> CompileError {
    let position = fault.position;
    let message = format!("the filters are not JSON: {}", crate::explain::in_words(fault));
    refused(CompileCode::NotJson, position, String::new(), message)
}

fn refused(code: CompileCode, position: usize, path: String, message: String) -> CompileError {
    CompileError {
        code,
        message,
        position,
        path,
        suggestion: None,
    }
}
