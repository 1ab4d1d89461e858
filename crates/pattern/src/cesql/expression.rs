//! An expression by itself: evaluated for its value and its errors, rather than as a filter.

use super::evaluate::{Listener, run};
use super::parse;
use super::program::Program;
use super::value::{Datum, Error, Value};
use crate::check::Check;
use crate::document::Document;
use crate::error::CompileError;
use crate::fields::Scratch;
use crate::filter::{Dialect, Filter, Part};
use crate::paths::{Paths, Place};
use crate::rules::Found;
use crate::scan::scan;

/// A compiled expression.
///
/// Attributes lie at `/attr/{name}` of a document. They are strings, except those that [`Document::integer`] and
/// [`Document::boolean`] have added.
///
/// ```
/// use pattern::{Dialect, Document, cesql::{Expression, Value}};
///
/// let expression = Expression::parse("LENGTH(type) > 3 AND hop IN (1, 2)", Dialect::Standard)?;
/// let evaluation = expression.evaluate(&Document::new().text("/attr/type", "order").integer("/attr/hop", "2"));
/// assert_eq!(evaluation.value, Value::Boolean(true));
/// assert!(evaluation.errors.is_empty());
/// # Ok::<(), pattern::CompileError>(())
/// ```
#[derive(Debug, Clone)]
pub struct Expression {
    program: Program,
    paths: Paths,
    places: Vec<Place>,
}

/// What an evaluation came to: always a value, and what errors there were.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Evaluation {
    /// The value.
    pub value: Value,
    /// The errors, in the order they arose.
    pub errors: Vec<Error>,
}

impl Expression {
    /// Compiles an expression; calls of unknown functions are errors of the evaluation.
    pub fn parse(text: &str, dialect: Dialect) -> Result<Self, CompileError> {
        parse::compile(text, dialect).map(Self::of)
    }

    /// The value of the expression for a document, and all errors.
    pub fn evaluate(&self, document: &Document<'_>) -> Evaluation {
        let mut scratch = Scratch::new();
        scan(document, &self.paths, None, &mut scratch.fields, &mut scratch.key);
        let fields = &scratch.fields;
        let mut errors = Vec::new();
        let found = Found { document, fields };
        let value = match run(&self.program, found, &self.places, Listener::Errors(&mut errors)) {
            Ok(slot) => slot.value.into_value(),
            Err(_) => Value::Boolean(false),
        };
        Evaluation { value, errors }
    }

    fn of(program: Program) -> Self {
        let (mut paths, mut places) = (Paths::default(), Vec::new());
        program.ask(&mut paths, &mut places);
        Self { program, paths, places }
    }
}

impl Evaluation {
    /// Whether a filter of this expression takes the document: its value is TRUE, and there were no errors.
    pub fn passes(&self) -> bool {
        self.value == Value::Boolean(true) && self.errors.is_empty()
    }
}

impl Filter {
    /// Compiles an expression of the CloudEvents SQL language, which takes what makes it TRUE without any error. Attributes lie at
    /// `/attr/{name}`. A call of an unknown function is refused.
    pub fn cesql(expression: &str, dialect: Dialect) -> Result<Self, CompileError> {
        part(expression, dialect).map(|part| Self::from_parts(vec![part]))
    }
}

/// An expression as one condition of a filter.
pub(crate) fn part(expression: &str, dialect: Dialect) -> Result<Part, CompileError> {
    let program = parse::compile(expression, dialect)?;
    program.refuse_unknown_functions()?;
    let guard = program.guard();
    Ok(Part::checked(guard, Check::Cesql(Box::new(program))))
}

impl Program {
    /// Whether a filter of this expression takes the document.
    pub(crate) fn matches(&self, found: Found<'_, '_>, places: &[Place]) -> bool {
        match run(self, found, places, Listener::Nobody) {
            Ok(slot) => slot.value == Datum::Boolean(true) && !slot.failed,
            Err(_) => false,
        }
    }
}
