//! From text to steps, by operator precedence with an explicit stack: depth costs memory in proportion to the text, never recursion.

use super::keyword::Keyword;
use super::like::Like;
use super::program::{Action, Arithmetic, Comparison, Logic, Program, Reference, Step};
use super::refusal::{expected, refused, too_complex, unknown_operator};
use super::token::{Kind, Lexer, Symbol, Token};
use super::value::Value;
use crate::error::CompileError;
use crate::filter::Dialect;
use crate::limits::{CESQL_BYTES_MAX, CESQL_STEPS_MAX};

mod compound;

/// The canonical path of an attribute begins with this.
const ATTRIBUTES: &str = "/attr/";

/// The attributes that every event has.
const REQUIRED: [&str; 4] = ["id", "source", "specversion", "type"];

/// A step that an operator yet to be completed jumps to.
const UNKNOWN: u32 = u32::MAX;

/// How tight operators bind.
mod precedence {
    pub(super) const LOGIC: u8 = 1;
    pub(super) const COMPARISON: u8 = 2;
    pub(super) const SUM: u8 = 3;
    pub(super) const PRODUCT: u8 = 4;
    /// `LIKE` and `IN`: they follow their operand.
    pub(super) const POSTFIX: u8 = 5;
    pub(super) const UNARY: u8 = 6;
}

/// Compiles an expression.
pub(super) fn compile(text: &str, dialect: Dialect) -> Result<Program, CompileError> {
    if text.len() > CESQL_BYTES_MAX {
        let message = format!("an expression has at most {CESQL_BYTES_MAX} bytes");
        return Err(too_complex(CESQL_BYTES_MAX, message));
    }
    let mut lexer = Lexer::new(text);
    let token = lexer.next()?;
    let mut parser = Parser {
        lexer,
        token,
        end: 0,
        dialect,
        pending: Vec::new(),
        starts: Vec::new(),
        steps: Vec::new(),
        references: Vec::new(),
    };
    parser.expression()?;
    Ok(Program {
        text: text.into(),
        steps: parser.steps.into(),
        references: parser.references.into(),
    })
}

/// What waits on the stack for operands or its closing parenthesis.
#[derive(Debug)]
enum Pending {
    Unary(Action, u32),
    Binary(Binary, u8),
    /// An operator whose left operand may decide, and the step that jumps if it does.
    Logic(Logic, usize),
    Parenthesis(u32),
    Call(Call),
    List(List),
}

/// A binary operator that needs both operands.
#[derive(Debug, Clone, Copy)]
enum Binary {
    Arithmetic(Arithmetic),
    Compare(Comparison),
    Equals(bool),
    Xor,
}

#[derive(Debug)]
struct Call {
    name: String,
    start: u32,
    /// The step at which its arguments begin.
    first: usize,
    /// How many arguments are complete.
    count: u32,
}

#[derive(Debug)]
struct List {
    /// Where its parenthesis is.
    start: u32,
    /// The step that begins it.
    first: usize,
    /// Whether it is `IN`, not `NOT IN`.
    positive: bool,
    /// How many elements are complete.
    count: u32,
}

struct Parser<'t> {
    lexer: Lexer<'t>,
    token: Token<'t>,
    /// Where the last word ended.
    end: u32,
    dialect: Dialect,
    pending: Vec<Pending>,
    /// Where each value on the stack begins in the text.
    starts: Vec<u32>,
    steps: Vec<Step>,
    references: Vec<Reference>,
}

impl<'t> Parser<'t> {
    fn expression(&mut self) -> Result<(), CompileError> {
        loop {
            while !self.operand()? {}
            while !self.operator()? {
                if self.token.kind == Kind::End {
                    return self.finish();
                }
            }
        }
    }

    fn finish(&mut self) -> Result<(), CompileError> {
        self.reduce(0);
        let open = match self.pending.last() {
            None => return Ok(()),
            Some(Pending::Parenthesis(start)) => *start,
            Some(Pending::Call(call)) => call.start,
            Some(Pending::List(list)) => list.start,
            Some(_) => unreachable!("operators are reduced"),
        };
        Err(refused(open as usize, "a parenthesis is not closed".into()).suggesting("add )".into()))
    }

    /// Takes what may stand before or as an operand; says whether one is complete.
    fn operand(&mut self) -> Result<bool, CompileError> {
        let token = self.advance()?;
        let start = position(token.span.start);
        match token.kind {
            Kind::Symbol(Symbol::Open) => {
                self.pending.push(Pending::Parenthesis(start));
                Ok(false)
            }
            Kind::Symbol(Symbol::Minus | Symbol::Plus) => self.sign(&token),
            Kind::Digits(digits) => self.integer(digits, start).map(|()| true),
            Kind::Text(text) => self.operand_of(Action::Literal(Value::String(text)), start),
            Kind::Word(word) => self.word(word, start),
            Kind::Symbol(Symbol::Close) => self.empty_call(&token),
            _ => Err(expected("a value", &token)),
        }
    }

    /// A sign right before digits is part of the number; a minus is an operator otherwise.
    fn sign(&mut self, sign: &Token<'t>) -> Result<bool, CompileError> {
        let start = position(sign.span.start);
        let minus = sign.kind == Kind::Symbol(Symbol::Minus);
        if let Kind::Digits(digits) = self.token.kind
            && self.token.span.start == sign.span.end
        {
            self.advance()?;
            let digits = if minus { format!("-{digits}") } else { digits.to_owned() };
            return self.integer(&digits, start).map(|()| true);
        }
        if !minus {
            return Err(refused(
                sign.span.start,
                "+ needs a value on its left, or digits right after it".into(),
            ));
        }
        self.pending.push(Pending::Unary(Action::Negate, start));
        Ok(false)
    }

    fn integer(&mut self, digits: &str, start: u32) -> Result<(), CompileError> {
        match digits.parse() {
            Ok(integer) => self
                .operand_of(Action::Literal(Value::Integer(integer)), start)
                .map(|_| ()),
            Err(_) => {
                let message = format!("integers are between {} and {}", i32::MIN, i32::MAX);
                Err(refused(start as usize, message).suggesting(format!("write '{digits}' for a string")))
            }
        }
    }

    /// A keyword, a function or an attribute.
    fn word(&mut self, word: &str, start: u32) -> Result<bool, CompileError> {
        match Keyword::of(word) {
            Some(Keyword::True) => self.operand_of(Action::Literal(Value::Boolean(true)), start),
            Some(Keyword::False) => self.operand_of(Action::Literal(Value::Boolean(false)), start),
            Some(Keyword::Not) => {
                self.pending.push(Pending::Unary(Action::Not, start));
                Ok(false)
            }
            Some(Keyword::Exists) => {
                let name = self.advance()?;
                let reference = match name.kind {
                    Kind::Word(word) if Keyword::of(word).is_none() => self.reference(word, &name)?,
                    Kind::Digits(digits) => self.reference(digits, &name)?,
                    _ => return Err(expected("the name of an attribute", &name)),
                };
                self.operand_of(Action::Exists(reference), start)
            }
            Some(_) => Err(refused(
                start as usize,
                format!("{} needs a value on its left", word.to_uppercase()),
            )),
            None if self.token.kind == Kind::Symbol(Symbol::Open) => self.call(word, start),
            None => {
                let span = start as usize..start as usize + word.len();
                let reference = self.reference(word, &Token { kind: Kind::End, span })?;
                self.operand_of(Action::Value(reference), start)
            }
        }
    }

    /// Takes what may follow an operand; says whether another operand must follow.
    fn operator(&mut self) -> Result<bool, CompileError> {
        let token = self.token.clone();
        match token.kind {
            Kind::End => Ok(false),
            Kind::Symbol(symbol) => self.symbol(symbol, &token),
            Kind::Word(word) => match Keyword::of(word) {
                Some(Keyword::And) => self.logic(Logic::And),
                Some(Keyword::Or) => self.logic(Logic::Or),
                Some(Keyword::Xor) => self.binary(Binary::Xor, precedence::LOGIC),
                Some(Keyword::Not) => {
                    self.reduce(precedence::POSTFIX);
                    self.advance()?;
                    match self.keyword() {
                        Some(Keyword::Like) => self.like(false),
                        Some(Keyword::In) => self.list(false),
                        _ => Err(expected("LIKE or IN after NOT", &self.token)),
                    }
                }
                Some(Keyword::Like) => self.like(true),
                Some(Keyword::In) => self.list(true),
                _ => Err(unknown_operator(word, &token)),
            },
            _ => Err(expected("an operator", &token)),
        }
    }

    fn symbol(&mut self, symbol: Symbol, token: &Token<'t>) -> Result<bool, CompileError> {
        use precedence::{COMPARISON, PRODUCT, SUM};
        match symbol {
            Symbol::Close => self.close(token).map(|()| false),
            Symbol::Comma => self.comma(token).map(|()| true),
            Symbol::Open => Err(expected("an operator", token)),
            Symbol::Star => self.binary(Binary::Arithmetic(Arithmetic::Multiply), PRODUCT),
            Symbol::Slash => self.binary(Binary::Arithmetic(Arithmetic::Divide), PRODUCT),
            Symbol::Percent => self.binary(Binary::Arithmetic(Arithmetic::Remainder), PRODUCT),
            Symbol::Plus => self.binary(Binary::Arithmetic(Arithmetic::Add), SUM),
            Symbol::Minus => self.binary(Binary::Arithmetic(Arithmetic::Subtract), SUM),
            Symbol::Equal => self.binary(Binary::Equals(true), COMPARISON),
            Symbol::NotEqual => self.binary(Binary::Equals(false), COMPARISON),
            Symbol::Less => self.binary(Binary::Compare(Comparison::Less), COMPARISON),
            Symbol::LessOrEqual => self.binary(Binary::Compare(Comparison::LessOrEqual), COMPARISON),
            Symbol::Greater => self.binary(Binary::Compare(Comparison::Greater), COMPARISON),
            Symbol::GreaterOrEqual => self.binary(Binary::Compare(Comparison::GreaterOrEqual), COMPARISON),
        }
    }

    fn binary(&mut self, binary: Binary, precedence: u8) -> Result<bool, CompileError> {
        self.reduce(precedence);
        self.advance()?;
        self.pending.push(Pending::Binary(binary, precedence));
        Ok(true)
    }

    fn logic(&mut self, logic: Logic) -> Result<bool, CompileError> {
        self.reduce(precedence::LOGIC);
        self.pending.push(Pending::Logic(logic, self.steps.len()));
        let start = *self.starts.last().expect("an operand precedes");
        self.step(Action::Decide(logic, UNKNOWN), start, self.end)?;
        self.advance()?;
        Ok(true)
    }

    /// Takes `LIKE` and its pattern.
    fn like(&mut self, positive: bool) -> Result<bool, CompileError> {
        self.reduce(precedence::POSTFIX);
        self.advance()?;
        let token = self.advance()?;
        let Kind::Text(pattern) = &token.kind else {
            return Err(expected("the pattern of LIKE, a string,", &token));
        };
        let like = Like::compile(pattern).map_err(|reason| too_complex(token.span.start, reason))?;
        self.replace(1, Action::Like(Box::new(like), positive))?;
        Ok(false)
    }

    /// Takes a closing parenthesis after an operand.
    fn close(&mut self, token: &Token<'t>) -> Result<(), CompileError> {
        self.reduce(0);
        let inner_end = self.end;
        self.advance()?;
        match self.pending.last_mut() {
            None => Err(refused(
                token.span.start,
                "a closing parenthesis without its opening one".into(),
            )),
            Some(Pending::Parenthesis(start)) => {
                *self.starts.last_mut().expect("an operand precedes") = *start;
                self.pending.pop();
                Ok(())
            }
            Some(Pending::Call(call)) => {
                call.count += 1;
                self.close_call()
            }
            Some(_) => self.close_list(inner_end),
        }
    }

    fn comma(&mut self, token: &Token<'t>) -> Result<(), CompileError> {
        self.reduce(0);
        let inner_end = self.end;
        self.advance()?;
        match self.pending.last_mut() {
            Some(Pending::Call(call)) => {
                call.count += 1;
                Ok(())
            }
            Some(Pending::List(_)) => self.list_item(inner_end),
            _ => Err(refused(
                token.span.start,
                "a comma outside of arguments and lists".into(),
            )),
        }
    }

    /// Completes the operators on the stack that bind at least so tight.
    fn reduce(&mut self, precedence: u8) {
        loop {
            match self.pending.last() {
                Some(Pending::Unary(..)) if precedence <= precedence::UNARY => {}
                Some(Pending::Binary(_, binds)) if precedence <= *binds => {}
                Some(Pending::Logic(..)) if precedence <= precedence::LOGIC => {}
                _ => return,
            }
            match self.pending.pop() {
                Some(Pending::Unary(action, start)) => {
                    *self.starts.last_mut().expect("an operand precedes") = start;
                    self.complete(1, action);
                }
                Some(Pending::Binary(binary, _)) => self.complete(2, binary.action()),
                Some(Pending::Logic(logic, decide)) => {
                    self.complete(2, Action::Logic(logic));
                    self.steps[decide].action = Action::Decide(logic, position(self.steps.len()));
                }
                _ => unreachable!("only operators are reduced"),
            }
        }
    }

    /// Adds a step that takes so many values and leaves one. The bound of steps is checked with the next operand.
    fn complete(&mut self, operands: usize, action: Action) {
        self.starts.truncate(self.starts.len() + 1 - operands);
        let from = *self.starts.last().expect("an operand precedes");
        self.steps.push(Step {
            action,
            from,
            to: self.end,
        });
    }

    fn replace(&mut self, operands: usize, action: Action) -> Result<(), CompileError> {
        self.complete(operands, action);
        self.check_steps()
    }

    /// Adds a step that leaves a value of its own.
    fn operand_of(&mut self, action: Action, start: u32) -> Result<bool, CompileError> {
        self.starts.push(start);
        self.step(action, start, self.end)?;
        Ok(true)
    }

    fn step(&mut self, action: Action, from: u32, to: u32) -> Result<(), CompileError> {
        self.steps.push(Step { action, from, to });
        self.check_steps()
    }

    fn check_steps(&self) -> Result<(), CompileError> {
        if self.steps.len() > CESQL_STEPS_MAX {
            let message = format!("an expression has at most {CESQL_STEPS_MAX} operators and operands");
            return Err(too_complex(self.end as usize, message));
        }
        Ok(())
    }

    /// The keyword that comes next.
    fn keyword(&self) -> Option<Keyword> {
        match self.token.kind {
            Kind::Word(word) => Keyword::of(word),
            _ => None,
        }
    }

    /// Takes a word.
    fn advance(&mut self) -> Result<Token<'t>, CompileError> {
        let next = self.lexer.next()?;
        let token = std::mem::replace(&mut self.token, next);
        self.end = position(token.span.end);
        Ok(token)
    }
}

impl Binary {
    fn action(self) -> Action {
        match self {
            Binary::Arithmetic(arithmetic) => Action::Arithmetic(arithmetic),
            Binary::Compare(comparison) => Action::Compare(comparison),
            Binary::Equals(positive) => Action::Equals(positive),
            Binary::Xor => Action::Xor,
        }
    }
}

/// Positions fit 32 bits because the text is bounded.
fn position(value: usize) -> u32 {
    u32::try_from(value).expect("expressions are bounded to less than 32 bits hold")
}
