//! A compiled expression: steps over a stack of values, in the order of their evaluation.
//!
//! What decides `AND`, `OR` and `IN` early jumps forward; nothing jumps back, so that an evaluation takes each step at most once.

use super::function::Function;
use super::like::Like;
use super::refusal::refused;
use super::value::{Datum, Value};
use crate::error::CompileError;
use crate::paths::{Path, Paths, Place};

/// The steps of an expression, with the text they come from.
#[derive(Debug, Clone)]
pub(crate) struct Program {
    pub(super) text: Box<str>,
    pub(super) steps: Box<[Step]>,
    pub(super) references: Box<[Reference]>,
}

/// Something of the document that an expression names.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Reference {
    pub(super) path: Path,
    /// Whether every valid event has it.
    pub(super) required: bool,
    /// Whether it is an attribute, rather than a path into data.
    pub(super) attribute: bool,
}

/// One step, and the bytes of the sub-expression whose value it completes.
#[derive(Debug, Clone)]
pub(super) struct Step {
    pub(super) action: Action,
    pub(super) from: u32,
    pub(super) to: u32,
}

/// What a step does with the stack of values.
#[derive(Debug, Clone)]
pub(super) enum Action {
    Literal(Value),
    /// The value of a reference.
    Value(u32),
    /// Whether a reference has a value.
    Exists(u32),
    Not,
    Negate,
    Arithmetic(Arithmetic),
    /// `=`, or `!=` if it is not.
    Equals(bool),
    Compare(Comparison),
    Xor,
    /// Jumps to the step after the operator if the left operand decides it.
    Decide(Logic, u32),
    Logic(Logic),
    /// `LIKE`, or `NOT LIKE` if it is not.
    Like(Box<Like>, bool),
    /// Begins `IN` for the left operand: pushes that nothing is equal yet, or jumps to the end if the operand had an error.
    ListBegin(u32),
    /// Compares one element; jumps to the end if it is equal.
    ListItem(u32),
    /// `IN` of so many elements, or `NOT IN` if it is not.
    ListEnd(bool, u32),
    /// `IN` of literals only, or `NOT IN` if it is not.
    In(Box<Literals>, bool),
    Call(Function, u32),
    /// A call of a function that there is not; its arguments are not evaluated.
    NoFunction,
}

/// An operator on integers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Arithmetic {
    Multiply,
    Divide,
    Remainder,
    Add,
    Subtract,
}

/// A comparison of integers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Comparison {
    Less,
    LessOrEqual,
    Greater,
    GreaterOrEqual,
}

/// An operator whose left operand may decide.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Logic {
    And,
    Or,
}

/// The elements of an `IN`.
#[derive(Debug, Clone)]
pub(super) struct Literals {
    pub(super) values: Box<[Value]>,
    /// The elements as strings, sorted: a string is in the list if it is one of them.
    texts: Box<[Box<str>]>,
}

impl Literals {
    pub(super) fn new(values: Vec<Value>) -> Self {
        let mut texts: Vec<Box<str>> = values
            .iter()
            .map(|value| Datum::from(value).into_text().into())
            .collect();
        texts.sort_unstable();
        texts.dedup();
        Self {
            values: values.into(),
            texts: texts.into(),
        }
    }

    /// Whether a string is in the list.
    pub(super) fn hold(&self, text: &str) -> bool {
        self.texts.binary_search_by(|known| (**known).cmp(text)).is_ok()
    }
}

impl Program {
    /// How many places it asks for.
    pub(crate) fn place_count(&self) -> usize {
        self.references.len()
    }

    /// Asks for the paths it needs.
    pub(crate) fn ask(&self, paths: &mut Paths, places: &mut Vec<Place>) {
        places.extend(self.references.iter().map(|reference| paths.ask(&reference.path)));
    }

    /// Bytes on the heap, without those of the patterns of `LIKE`.
    pub(crate) fn memory(&self) -> usize {
        let references = self
            .references
            .iter()
            .map(|reference| reference.path.memory())
            .sum::<usize>();
        let steps = self.steps.iter().map(|step| step.action.memory()).sum::<usize>();
        self.text.len() + size_of_val(&*self.steps) + steps + size_of_val(&*self.references) + references
    }

    /// What the expression names in a document.
    pub(crate) fn named(&self) -> impl Iterator<Item = &Path> {
        self.references.iter().map(|reference| &reference.path)
    }

    /// Refuses calls of functions that there are not: as a filter they would never do what was meant.
    pub(super) fn refuse_unknown_functions(&self) -> Result<(), CompileError> {
        let unknown = |step: &&Step| matches!(step.action, Action::NoFunction);
        let Some(step) = self.steps.iter().find(unknown) else {
            return Ok(());
        };
        let name = function_name(self.text_of(step));
        let (message, suggestion) = match Function::is_name(&name) {
            true => (format!("{name} does not take so many arguments"), None),
            false => (format!("there is no function {name}"), Function::nearest(&name)),
        };
        let error = refused(step.from as usize, message);
        Err(match suggestion {
            Some(nearest) => error.suggesting(format!("did you mean {nearest}?")),
            None => error,
        })
    }

    /// The text of the sub-expression that a step completes.
    pub(super) fn text_of(&self, step: &Step) -> &str {
        &self.text[step.from as usize..step.to as usize]
    }
}

impl Action {
    /// Bytes on the heap.
    fn memory(&self) -> usize {
        match self {
            Action::Literal(Value::String(text)) => text.capacity(),
            Action::Like(like, _) => size_of_val(&**like),
            Action::In(literals, _) => {
                let texts = literals.texts.iter().map(|text| text.len()).sum::<usize>();
                // The values are the same texts once more.
                size_of_val(&**literals) + size_of_val(&*literals.values) + size_of_val(&*literals.texts) + 2 * texts
            }
            _ => 0,
        }
    }
}

/// The name of the function that a call begins with.
pub(super) fn function_name(call: &str) -> String {
    call.split('(').next().unwrap_or_default().trim().to_uppercase()
}

impl Arithmetic {
    /// The result, or what is wrong.
    pub(super) fn apply(self, left: i32, right: i32) -> Result<i32, &'static str> {
        let result = match self {
            Arithmetic::Divide | Arithmetic::Remainder if right == 0 => return Err("division by zero"),
            Arithmetic::Multiply => left.checked_mul(right),
            Arithmetic::Divide => left.checked_div(right),
            Arithmetic::Remainder => Some(left.wrapping_rem(right)),
            Arithmetic::Add => left.checked_add(right),
            Arithmetic::Subtract => left.checked_sub(right),
        };
        result.ok_or("the result is not a 32-bit integer")
    }
}

impl Comparison {
    pub(super) fn apply(self, left: i32, right: i32) -> bool {
        match self {
            Comparison::Less => left < right,
            Comparison::LessOrEqual => left <= right,
            Comparison::Greater => left > right,
            Comparison::GreaterOrEqual => left >= right,
        }
    }
}

impl Logic {
    /// The value of a left operand that decides.
    pub(super) fn decided_by(self) -> bool {
        self == Logic::Or
    }
}
