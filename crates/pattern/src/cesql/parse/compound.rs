//! What has an inside: calls, lists, and names that go on into data.

use super::{ATTRIBUTES, Call, List, Parser, Pending, REQUIRED, UNKNOWN, position, precedence};
use crate::cesql::function::Function;
use crate::cesql::program::{Action, Literals, Reference, Step};
use crate::cesql::refusal::{expected, refused, too_complex};
use crate::cesql::token::{Kind, Symbol, Token};
use crate::cesql::value::Value;
use crate::document::DATA;
use crate::error::CompileError;
use crate::filter::Dialect;
use crate::limits::CESQL_REFERENCES_MAX;
use crate::paths::Path;

impl<'t> Parser<'t> {
    /// Begins a call.
    pub(super) fn call(&mut self, name: &str, start: u32) -> Result<bool, CompileError> {
        if let Some(wrong) = name.bytes().position(|byte| byte.is_ascii_digit()) {
            let message = "the names of functions have only letters and underscores".into();
            return Err(refused(start as usize + wrong, message));
        }
        if name.starts_with('_') {
            return Err(refused(
                start as usize,
                "the names of functions begin with a letter".into(),
            ));
        }
        self.advance()?;
        self.pending.push(Pending::Call(Call {
            name: name.to_owned(),
            start,
            first: self.steps.len(),
            count: 0,
        }));
        Ok(false)
    }

    /// A closing parenthesis where an operand should be: right only in a call without arguments.
    pub(super) fn empty_call(&mut self, close: &Token<'t>) -> Result<bool, CompileError> {
        match self.pending.last() {
            Some(Pending::Call(call)) if call.count == 0 => self.close_call().map(|()| true),
            Some(Pending::List(_)) => Err(refused(
                close.span.start,
                "the list of IN has at least one element".into(),
            )),
            _ => Err(expected("a value", close)),
        }
    }

    pub(super) fn close_call(&mut self) -> Result<(), CompileError> {
        let Some(Pending::Call(call)) = self.pending.pop() else {
            unreachable!("the caller has seen a call");
        };
        self.starts.truncate(self.starts.len() - call.count as usize);
        match Function::find(&call.name, call.count as usize) {
            Some(function) => self.operand_of(Action::Call(function, call.count), call.start)?,
            None => {
                self.steps.truncate(call.first);
                self.operand_of(Action::NoFunction, call.start)?
            }
        };
        Ok(())
    }

    /// Takes `IN` and its opening parenthesis.
    pub(super) fn list(&mut self, positive: bool) -> Result<bool, CompileError> {
        self.reduce(precedence::POSTFIX);
        let end = self.end;
        self.advance()?;
        let open = self.advance()?;
        if open.kind != Kind::Symbol(Symbol::Open) {
            return Err(expected("( after IN", &open));
        }
        let first = self.steps.len();
        let left = *self.starts.last().expect("an operand precedes");
        self.step(Action::ListBegin(UNKNOWN), left, end)?;
        self.pending.push(Pending::List(List {
            start: position(open.span.start),
            first,
            positive,
            count: 0,
        }));
        Ok(true)
    }

    /// Completes an element of a list.
    pub(super) fn list_item(&mut self, end: u32) -> Result<(), CompileError> {
        let start = self.starts.pop().expect("an element precedes");
        if let Some(Pending::List(list)) = self.pending.last_mut() {
            list.count += 1;
        }
        self.step(Action::ListItem(UNKNOWN), start, end)
    }

    pub(super) fn close_list(&mut self, inner_end: u32) -> Result<(), CompileError> {
        self.list_item(inner_end)?;
        let Some(Pending::List(list)) = self.pending.pop() else {
            unreachable!("the caller has seen a list");
        };
        if let Some(values) = self.literals(list.first) {
            self.steps.truncate(list.first);
            return self.replace(1, Action::In(Box::new(Literals::new(values)), list.positive));
        }
        let end = position(self.steps.len());
        for step in &mut self.steps[list.first..] {
            if let Action::ListBegin(to) | Action::ListItem(to) = &mut step.action
                && *to == UNKNOWN
            {
                *to = end;
            }
        }
        self.replace(1, Action::ListEnd(list.positive, list.count))
    }

    /// The elements of a list if they are literals only.
    pub(super) fn literals(&self, first: usize) -> Option<Vec<Value>> {
        let pairs = self.steps[first + 1..].chunks(2);
        pairs
            .map(|pair| match pair {
                [
                    Step {
                        action: Action::Literal(value),
                        ..
                    },
                    Step {
                        action: Action::ListItem(UNKNOWN),
                        ..
                    },
                ] => Some(value.clone()),
                _ => None,
            })
            .collect()
    }

    /// The reference of a name, which may go on into data.
    pub(super) fn reference(&mut self, word: &str, token: &Token<'t>) -> Result<u32, CompileError> {
        if let Some(wrong) = word.find('_') {
            let message = "the names of attributes have only letters and digits".into();
            return Err(refused(token.span.start + wrong, message));
        }
        let name = word.to_ascii_lowercase();
        let path = match self.token.kind {
            Kind::Dot => self.data_path(&name, token)?,
            _ if name == "data" && self.dialect == Dialect::Extended => Path::new(Some(DATA), &[], &name),
            _ => Path::new(Some(&format!("{ATTRIBUTES}{name}")), &[], &name),
        };
        let reference = Reference {
            required: REQUIRED.contains(&name.as_str()),
            attribute: path.mount.as_deref() != Some(DATA),
            path,
        };
        let known = self.references.iter().position(|known| *known == reference);
        if known.is_none() {
            if self.references.len() == CESQL_REFERENCES_MAX {
                let message = format!("an expression names at most {CESQL_REFERENCES_MAX} attributes");
                return Err(too_complex(token.span.start, message));
            }
            self.references.push(reference);
        }
        Ok(position(known.unwrap_or(self.references.len() - 1)))
    }

    /// Takes the rest of a path into data.
    pub(super) fn data_path(&mut self, name: &str, token: &Token<'t>) -> Result<Path, CompileError> {
        if name != "data" {
            return Err(refused(token.span.end, "attributes have no parts".into()));
        }
        if self.dialect == Dialect::Standard {
            let message =
                "CESQL sees the attributes of an event and not its data; paths into JSON data are an extension";
            return Err(refused(token.span.start, message.into()).suggesting("say dialect: extended".into()));
        }
        let mut keys: Vec<Vec<u8>> = Vec::new();
        while self.token.kind == Kind::Dot {
            self.advance()?;
            let key = self.advance()?;
            match key.kind {
                Kind::Word(word) | Kind::Digits(word) => keys.push(word.into()),
                Kind::Text(text) => keys.extend(text.split('.').map(Into::into)),
                _ => return Err(expected("a key of the data", &key)),
            }
        }
        let keys: Vec<&[u8]> = keys.iter().map(Vec::as_slice).collect();
        let written = format!("data.{}", String::from_utf8_lossy(&keys.join(&b'.')));
        Ok(Path::new(Some(DATA), &keys, &written))
    }
}
