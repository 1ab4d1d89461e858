//! What stands in a filter: logical expressions, comparisons, calls, and the types that these must have.

use super::super::regexp;
use super::super::syntax::{Comparison, Extent, Literal, Logical, Origin, Pattern, Segment, Subquery, Value};
use super::{Parser, Refused};
use crate::error::CompileError;

/// The functions there are.
const FUNCTIONS: [&str; 5] = ["length", "count", "match", "search", "value"];

/// Beyond this many edits a name is not taken for a misspelt function.
const EDITS_MAX: usize = 2;

/// What a function's argument is before its type is known.
enum Argument {
    Literal(Literal),
    Query(Subquery),
    Function(Function),
}

/// A call, by the type of its result.
enum Function {
    Value(Value),
    Logical(Logical),
}

impl Parser<'_> {
    pub(super) fn logical(&mut self) -> Result<Logical, Refused> {
        self.chain(b"||", Self::conjunction, Logical::Or)
    }

    fn conjunction(&mut self) -> Result<Logical, Refused> {
        self.chain(b"&&", Self::basic, Logical::And)
    }

    fn chain(
        &mut self,
        sign: &[u8],
        take: fn(&mut Self) -> Result<Logical, Refused>,
        make: fn(Box<[Logical]>) -> Logical,
    ) -> Result<Logical, Refused> {
        let mut terms = vec![take(self)?];
        loop {
            let before = self.position;
            self.blanks();
            if !self.take(sign) {
                self.position = before;
                break;
            }
            self.blanks();
            terms.push(take(self)?);
        }
        Ok(match terms.len() {
            1 => terms.remove(0),
            _ => make(terms.into()),
        })
    }

    /// Takes a negation, something in parentheses, a comparison or a test.
    fn basic(&mut self) -> Result<Logical, Refused> {
        if self.take(b"!") {
            self.blanks();
            let negated = match self.peek() {
                Some(b'(') => self.parenthesised()?,
                _ => {
                    let argument = self.argument()?;
                    self.test(argument)?
                }
            };
            return Ok(Logical::Not(Box::new(negated)));
        }
        if self.peek() == Some(b'(') {
            return self.parenthesised();
        }
        let start = self.position;
        let left = self.argument()?;
        let after = self.position;
        self.blanks();
        let Some(comparison) = self.comparison()? else {
            self.position = after;
            return self.test(left);
        };
        let left = self.comparable(left, start)?;
        self.blanks();
        let start = self.position;
        let right = self.argument()?;
        let right = self.comparable(right, start)?;
        Ok(Logical::Compare(left, comparison, right))
    }

    fn parenthesised(&mut self) -> Result<Logical, Refused> {
        self.position += 1;
        self.blanks();
        let logical = self.nested(Self::logical)?;
        self.blanks();
        if !self.take(b")") {
            return Err(self.unexpected("`)`"));
        }
        Ok(logical)
    }

    fn comparison(&mut self) -> Result<Option<Comparison>, Refused> {
        let signs: [(&[u8], Comparison); 6] = [
            (b"==", Comparison::Equal),
            (b"!=", Comparison::NotEqual),
            (b"<=", Comparison::LessOrEqual),
            (b">=", Comparison::GreaterOrEqual),
            (b"<", Comparison::Less),
            (b">", Comparison::Greater),
        ];
        let found = signs.into_iter().find(|(sign, _)| self.take(sign));
        if found.is_none() && self.peek() == Some(b'=') {
            let wrong = if self.rest().starts_with(b"=~") {
                "search() or match()"
            } else {
                "=="
            };
            return Err(self.refuse(format!("`=` is no comparison; write {wrong}")));
        }
        Ok(found.map(|(_, comparison)| comparison))
    }

    /// What stands alone in a filter must say yes or no.
    fn test(&mut self, argument: Argument) -> Result<Logical, Refused> {
        match argument {
            Argument::Query(query) => Ok(Logical::Exists(query)),
            Argument::Function(Function::Logical(logical)) => Ok(logical),
            Argument::Literal(_) => Err(self.refuse("a literal must be compared")),
            Argument::Function(Function::Value(_)) => Err(self.refuse("the value of a function must be compared")),
        }
    }

    /// What is compared must be a single value.
    fn comparable(&mut self, argument: Argument, start: usize) -> Result<Value, Refused> {
        let refused = match argument {
            Argument::Literal(literal) => return Ok(Value::Literal(literal)),
            Argument::Function(Function::Value(value)) => return Ok(value),
            Argument::Query(query) if query.segments.iter().all(Segment::is_singular) => {
                return Ok(Value::Single(query));
            }
            Argument::Query(_) => "a query that may select several nodes cannot be compared or be a function's value",
            Argument::Function(Function::Logical(_)) => {
                "the answer of a test cannot be compared or be a function's value"
            }
        };
        self.position = start;
        Err(self.refuse(refused))
    }

    /// Takes a literal, a query or a call.
    fn argument(&mut self) -> Result<Argument, Refused> {
        match self.peek() {
            Some(b'@') => self.subquery(Origin::Current).map(Argument::Query),
            Some(b'$') => {
                let origin = Origin::Root(self.absolutes);
                self.absolutes += 1;
                self.subquery(origin).map(Argument::Query)
            }
            Some(b'\'' | b'"') => Ok(Argument::Literal(Literal::Text(self.string()?))),
            Some(b'-' | b'0'..=b'9') => self.number().map(Argument::Literal),
            Some(b'a'..=b'z') => self.word(),
            _ => Err(self.unexpected("`@`, `$`, a literal or a function")),
        }
    }

    fn subquery(&mut self, origin: Origin) -> Result<Subquery, Refused> {
        self.position += 1;
        let mut segments = Vec::new();
        while let Some(segment) = self.segment()? {
            segments.push(segment);
        }
        Ok(Subquery {
            origin,
            segments: segments.into(),
        })
    }

    /// Takes `true`, `false`, `null` or a call.
    fn word(&mut self) -> Result<Argument, Refused> {
        let start = self.position;
        let is_inside = |byte: &&u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || **byte == b'_';
        let length = self.rest().iter().take_while(is_inside).count();
        let name = &self.text[start..start + length];
        self.position += length;
        if self.peek() == Some(b'(') {
            return self.nested(|parser| parser.call(name, start)).map(Argument::Function);
        }
        Ok(Argument::Literal(match name {
            "true" => Literal::Bool(true),
            "false" => Literal::Bool(false),
            "null" => Literal::Null,
            _ => {
                self.position = start;
                return Err(self.refuse(format!("{name:?} is no literal; strings stand in quotation marks")));
            }
        }))
    }

    /// Takes a call's arguments; the position is at the parenthesis.
    fn call(&mut self, name: &str, start: usize) -> Result<Function, Refused> {
        let mut arguments = self.arguments()?;
        let end = std::mem::replace(&mut self.position, start);
        let wanted = match name {
            "match" | "search" => 2,
            name if FUNCTIONS.contains(&name) => 1,
            unknown => return Err(self.unknown_function(unknown)),
        };
        if arguments.len() != wanted {
            return Err(self.refuse(format!(
                "{name}() takes {wanted} argument(s), and has {}",
                arguments.len()
            )));
        }
        let (first_at, first) = arguments.swap_remove(0);
        let function = match name {
            "length" => Function::Value(Value::Length(Box::new(self.comparable(first, first_at)?))),
            "count" => Function::Value(Value::Count(self.nodes(first, first_at)?)),
            "value" => Function::Value(Value::Only(self.nodes(first, first_at)?)),
            name => {
                let (second_at, second) = arguments.swap_remove(0);
                let text = self.comparable(first, first_at)?;
                let extent = if name == "match" { Extent::Whole } else { Extent::Part };
                Function::Logical(Logical::Matches(text, self.pattern(second, second_at, extent)?))
            }
        };
        self.position = end;
        Ok(function)
    }

    fn arguments(&mut self) -> Result<Vec<(usize, Argument)>, Refused> {
        self.position += 1;
        let mut arguments = Vec::new();
        self.blanks();
        if self.take(b")") {
            return Ok(arguments);
        }
        loop {
            self.blanks();
            arguments.push((self.position, self.argument()?));
            self.blanks();
            if self.take(b")") {
                return Ok(arguments);
            }
            if !self.take(b",") {
                return Err(self.unexpected("`,` or `)`"));
            }
        }
    }

    fn nodes(&mut self, argument: Argument, start: usize) -> Result<Subquery, Refused> {
        match argument {
            Argument::Query(query) => Ok(query),
            _ => {
                self.position = start;
                Err(self.refuse("the function takes a query"))
            }
        }
    }

    fn pattern(&mut self, argument: Argument, start: usize, extent: Extent) -> Result<Pattern, Refused> {
        match self.comparable(argument, start)? {
            Value::Literal(Literal::Text(text)) => {
                let text = String::from_utf8_lossy(&text);
                self.position = start;
                let regex = regexp::compile(&text, extent, &mut self.automata);
                let regex = regex.map_err(|fault| {
                    Box::new(CompileError {
                        suggestion: fault.suggestion,
                        ..*self.refuse(fault.message)
                    })
                })?;
                Ok(Pattern::Fixed(regex))
            }
            value => Ok(Pattern::Found(value, extent)),
        }
    }

    fn unknown_function(&self, name: &str) -> Refused {
        let nearest = FUNCTIONS
            .iter()
            .map(|known| (strsim::levenshtein(name, known), known))
            .min();
        let nearest = nearest.filter(|(edits, _)| *edits <= EDITS_MAX);
        let refused = self.refuse(format!("there is no function {name}()"));
        Box::new(CompileError {
            suggestion: nearest.map(|(_, known)| format!("did you mean {known}()?")),
            ..*refused
        })
    }
}
