//! The compiler of EventBridge patterns: AWS's grammar, read in the order of the text, refused in AWS's words.
//!
//! A pattern is compiled with `$or` as an operator; if that is refused, it is compiled again with `$or` as a plain field name, and
//! the reason of that attempt is the one AWS gives.
//!
//! The extended dialect is the same language with more operators: `$and` and `$not` beside `$or`, `regex`, and wildcards whatever the
//! case. What stands in `$and` and `$not` is a pattern of its own, asked by itself: it does not pick the same elements of arrays as
//! what stands around it.

use std::collections::{BTreeMap, HashMap};

use crate::automaton::Budget;
use crate::check::Check;
use crate::error::{CompileCode, CompileError};
use crate::filter::Part;
use crate::limits::{
    COMBINED_FIELDS_MAX, EXTENDED_DEPTH_MAX, OR_COMBINATIONS_MAX, PATTERN_BYTES_MAX, WILDCARD_PLACES_MAX,
};
use crate::mounts::Mounts;
use crate::operator::Operator;
use crate::rules::{FieldTest, Rules};
use crate::tokens::{Token, Tokens};

mod expression;
mod finish;
mod refusal;

use refusal::list_of;

/// The name that makes alternatives.
const OR: &[u8] = b"$or";

/// Names that no field may have inside `$or`: the operators, and what is reserved for later ones.
const RESERVED_IN_OR: [&str; 24] = [
    "exactly",
    "equals-ignore-case",
    "prefix",
    "suffix",
    "anything-but",
    "exists",
    "wildcard",
    "numeric",
    "cidr",
    "=",
    "<",
    "<=",
    ">",
    ">=",
    "regex",
    "not-wildcard",
    "not-equals-ignore-case",
    "date-after",
    "date-on-or-after",
    "date-before",
    "date-on-or-before",
    "in-date-range",
    "ip-address-in-range",
    "ip-address-not-in-range",
];

/// The names that the extended dialect adds.
const AND: &[u8] = b"$and";
const NOT: &[u8] = b"$not";

/// Which language a pattern is written in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Dialect {
    /// AWS's, and nothing else.
    Strict,
    /// With operators of our own.
    Extended,
}

/// Compiles a pattern of the extended dialect; its parts must all hold.
pub(crate) fn compile_extended(text: &[u8], mounts: &Mounts) -> Result<Vec<Part>, CompileError> {
    check_length(text)?;
    let mut compiler = Compiler::new(text, mounts, Or::Operator, Dialect::Extended)?;
    compiler.whole()?;
    Ok(compiler.finish())
}

fn check_length(text: &[u8]) -> Result<(), CompileError> {
    if text.len() <= PATTERN_BYTES_MAX {
        return Ok(());
    }
    let message = format!("The pattern is longer than {PATTERN_BYTES_MAX} bytes");
    Err(refusal(CompileCode::TooComplex, message))
}

/// Compiles a pattern.
pub(crate) fn compile(text: &[u8], mounts: &Mounts) -> Result<Rules, CompileError> {
    check_length(text)?;
    let with_or = Compiler::run(text, mounts, Or::Operator);
    let Err(first) = with_or else { return with_or };
    if first.code == CompileCode::TooComplex || memchr::memmem::find(text, OR).is_none() {
        return Err(first);
    }
    Compiler::run(text, mounts, Or::FieldName).map_err(|mut refused| {
        if refused.message != first.message {
            refused.suggestion = Some(format!("with $or as an operator: {}", first.message));
        }
        refused
    })
}

fn refusal(code: CompileCode, message: String) -> CompileError {
    CompileError {
        code,
        message,
        position: 0,
        path: String::new(),
        suggestion: None,
    }
}

/// What `$or` means.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Or {
    Operator,
    FieldName,
}

/// Whether an object lies inside an alternative of `$or`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Inside {
    Pattern,
    Or,
}

/// A conjunction.
#[derive(Debug, Clone, Default)]
struct Alternative {
    /// For each path that is tested, its test.
    tests: BTreeMap<u32, u32>,
    /// What else must hold: indexes of `Compiler::checks`.
    checks: Vec<u32>,
}

impl Alternative {
    /// What it costs to write it once more.
    fn len(&self) -> usize {
        self.tests.len() + self.checks.len()
    }
}

struct Compiler<'p> {
    tokens: Tokens<'p>,
    mounts: &'p Mounts,
    or: Or,
    dialect: Dialect,
    path: Vec<Box<[u8]>>,
    paths: HashMap<Vec<u8>, u32>,
    tests: Vec<FieldTest>,
    alternatives: Vec<Alternative>,
    /// What stands in `$and` and `$not` inside `$or`.
    checks: Vec<Check>,
    /// What stands in `$and` and `$not` elsewhere.
    parts: Vec<Part>,
    /// How many `$and` and `$not` lie around.
    depth: usize,
    /// Fields that may still be written into alternatives.
    combined_fields: usize,
    /// Sets of places of wildcards that may still be looked at.
    wildcard_places: usize,
    /// How large the automata of expressions may still become.
    automata: Budget,
}

impl<'p> Compiler<'p> {
    /// Compiles a pattern of AWS's dialect.
    fn run(text: &'p [u8], mounts: &'p Mounts, or: Or) -> Result<Rules, CompileError> {
        let mut compiler = Self::new(text, mounts, or, Dialect::Strict)?;
        compiler.whole()?;
        Ok(compiler.rules())
    }

    fn new(text: &'p [u8], mounts: &'p Mounts, or: Or, dialect: Dialect) -> Result<Self, CompileError> {
        let tokens = Tokens::new(text).map_err(|fault| {
            let mut refused = refusal(CompileCode::NotJson, "The pattern is not UTF-8".into());
            refused.position = fault.position;
            refused
        })?;
        Ok(Self {
            tokens,
            mounts,
            or,
            dialect,
            path: Vec::new(),
            paths: HashMap::new(),
            tests: Vec::new(),
            alternatives: vec![Alternative::default()],
            checks: Vec::new(),
            parts: Vec::new(),
            depth: 0,
            combined_fields: COMBINED_FIELDS_MAX,
            wildcard_places: WILDCARD_PLACES_MAX,
            automata: Budget::default(),
        })
    }

    fn whole(&mut self) -> Result<(), CompileError> {
        if self.next()? != Token::StartObject {
            return Err(self.refuse("Filter is not an object"));
        }
        // What follows the object is ignored, as in event-ruler.
        self.object(Inside::Pattern)
    }

    /// Reads an object up to its end.
    fn object(&mut self, inside: Inside) -> Result<(), CompileError> {
        let mut empty = true;
        loop {
            let name = match self.next()? {
                Token::Name(name) => name,
                _ if empty => return Err(self.refuse("Empty objects are not allowed")),
                _ => return Ok(()),
            };
            empty = false;
            if self.or == Or::Operator && *name == *OR {
                self.alternatives_of_or()?;
                continue;
            }
            if self.dialect == Dialect::Extended && (*name == *AND || *name == *NOT) {
                self.nested(&name, inside)?;
                continue;
            }
            if inside == Inside::Or && RESERVED_IN_OR.iter().any(|reserved| reserved.as_bytes() == &*name) {
                let name = String::from_utf8_lossy(&name).into_owned();
                return Err(self.refuse(format!(
                    "{name} is Ruler reserved fieldName which cannot be used inside $or."
                )));
            }
            self.path.push(name);
            self.field(inside)?;
            self.path.pop();
        }
    }

    /// Reads what `$and` or `$not` stands before.
    fn nested(&mut self, name: &[u8], inside: Inside) -> Result<(), CompileError> {
        let mut parts = Vec::new();
        if name == NOT {
            if self.next()? != Token::StartObject {
                return Err(self.refuse("It must be an Object followed with $not."));
            }
            let not = Check::not(Check::all(
                self.pattern_inside()?.into_iter().map(Part::into_check).collect(),
            ));
            parts.push(Part::checked(Rules::always(), not));
        } else {
            if self.next()? != Token::StartArray {
                return Err(self.refuse("It must be an Array followed with $and."));
            }
            loop {
                match self.next()? {
                    Token::EndArray if parts.is_empty() => return Err(self.refuse("Empty arrays are not allowed")),
                    Token::EndArray => break,
                    Token::StartObject => parts.append(&mut self.pattern_inside()?),
                    _ => return Err(self.refuse("Only JSON object is allowed in array of $and relationship.")),
                }
            }
        }
        if inside == Inside::Pattern {
            self.parts.append(&mut parts);
            return Ok(());
        }
        self.spend(self.alternatives.len())?;
        let check = index(self.checks.len());
        self.checks
            .push(Check::all(parts.into_iter().map(Part::into_check).collect()));
        for alternative in &mut self.alternatives {
            alternative.checks.push(check);
        }
        Ok(())
    }

    /// Compiles an object inside `$and` or `$not`, whose opening brace is taken, by itself.
    fn pattern_inside(&mut self) -> Result<Vec<Part>, CompileError> {
        if self.depth == EXTENDED_DEPTH_MAX {
            let message = format!("$and and $not are nested more than {EXTENDED_DEPTH_MAX} levels deep");
            return Err(CompileError {
                code: CompileCode::TooComplex,
                ..self.refuse(message)
            });
        }
        let around = (
            std::mem::take(&mut self.paths),
            std::mem::take(&mut self.tests),
            std::mem::replace(&mut self.alternatives, vec![Alternative::default()]),
            std::mem::take(&mut self.checks),
            std::mem::take(&mut self.parts),
        );
        self.depth += 1;
        let read = self.object(Inside::Pattern);
        self.depth -= 1;
        let parts = self.finish();
        (self.paths, self.tests, self.alternatives, self.checks, self.parts) = around;
        read.map(|()| parts)
    }

    /// Reads what a field's name stands before.
    fn field(&mut self, inside: Inside) -> Result<(), CompileError> {
        match self.next()? {
            Token::StartObject => self.object(inside),
            Token::StartArray => self.tests(),
            scalar => {
                let name = self
                    .path
                    .last()
                    .map(|name| String::from_utf8_lossy(name).into_owned())
                    .unwrap_or_default();
                let refused = self.refuse(format!("\"{name}\" must be an object or an array"));
                Err(CompileError {
                    suggestion: list_of(&name, &scalar),
                    ..refused
                })
            }
        }
    }

    /// Reads the array of `$or`; every alternative so far goes on in each of its objects.
    fn alternatives_of_or(&mut self) -> Result<(), CompileError> {
        if self.next()? != Token::StartArray {
            return Err(self.refuse("It must be an Array followed with $or."));
        }
        let before = std::mem::take(&mut self.alternatives);
        let mut after = Vec::new();
        let mut objects = 0;
        loop {
            match self.next()? {
                Token::EndArray => break,
                Token::StartObject => objects += 1,
                _ => return Err(self.refuse("Only JSON object is allowed in array of $or relationship.")),
            }
            self.spend(before.iter().map(Alternative::len).sum())?;
            self.alternatives.clone_from(&before);
            self.object(Inside::Or)?;
            after.append(&mut self.alternatives);
            if after.len() > OR_COMBINATIONS_MAX {
                return Err(self.too_complex());
            }
        }
        if objects < 2 {
            return Err(self.refuse("There must have at least 2 Objects in $or relationship."));
        }
        self.alternatives = after;
        Ok(())
    }

    /// Counts fields that are written into alternatives.
    fn spend(&mut self, fields: usize) -> Result<(), CompileError> {
        self.combined_fields = self
            .combined_fields
            .checked_sub(fields)
            .ok_or_else(|| self.too_complex())?;
        Ok(())
    }

    /// Reads the list of a field's tests, whose opening bracket is taken.
    fn tests(&mut self) -> Result<(), CompileError> {
        let mut operators = Vec::new();
        loop {
            match self.next()? {
                Token::EndArray => break,
                token => operators.push(self.operator(token)?),
            }
        }
        if operators.is_empty() {
            return Err(self.refuse("Empty arrays are not allowed"));
        }
        self.spend(self.alternatives.len())?;
        self.add_test(operators);
        Ok(())
    }

    /// Every alternative's test of the current path becomes this one.
    fn add_test(&mut self, operators: Vec<Operator>) {
        let joined = self.path.join(&b'.');
        let count = index(self.paths.len());
        let path = *self.paths.entry(joined.clone()).or_insert(count);
        let segments: Vec<&[u8]> = joined.split(|byte| *byte == b'.').collect();
        let test = index(self.tests.len());
        self.tests
            .push(FieldTest::new(self.mounts.resolve(&segments), operators));
        for alternative in &mut self.alternatives {
            alternative.tests.insert(path, test);
        }
    }

    fn next(&mut self) -> Result<Token, CompileError> {
        self.tokens.next().map_err(|fault| self.not_json(fault))
    }
}

fn index(length: usize) -> u32 {
    u32::try_from(length).expect("a pattern's size is bounded far below 2^32")
}
