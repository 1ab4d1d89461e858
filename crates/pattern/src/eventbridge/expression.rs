//! What may stand in the list of a field: plain values, and objects of one operator each.

use super::{AND, Compiler, Dialect, NOT};
use crate::address::{self, Network};
use crate::automaton::Automaton;
use crate::error::{CompileCode, CompileError};
use crate::extended::{Extended, WildcardFolded};
use crate::fold::Folded;
use crate::number::comparable;
use crate::operator::{Bound, Bounds, Exceptions, Operator};
use crate::tokens::Token;
use crate::wildcard::{self, Wildcard};

const ONE_KEY: &str = "Only one key allowed in match expression";
const TOO_MANY: &str = "Too many elements in numeric expression";
const ANYTHING_BUT_VALUE: &str = "Value of anything-but must be an array or single string/number value.";
const OPERATORS: [&str; 9] = [
    "exactly",
    "prefix",
    "suffix",
    "equals-ignore-case",
    "wildcard",
    "anything-but",
    "numeric",
    "cidr",
    "exists",
];

/// Beyond this many edits a name is not taken for a misspelt operator.
const EDITS_MAX: usize = 2;

impl Compiler<'_> {
    /// Reads one entry of a field's list, whose first token is taken.
    pub(super) fn operator(&mut self, token: Token) -> Result<Operator, CompileError> {
        Ok(match token {
            Token::StartObject => return self.expression(),
            Token::Text(text) => match address::parse(&text) {
                Some(address) => Operator::Address(text, address),
                None => Operator::Text(text),
            },
            Token::Number(text) => {
                let value = comparable(&text);
                Operator::Number(text, value)
            }
            Token::True => Operator::True,
            Token::False => Operator::False,
            Token::Null => Operator::Null,
            _ => return Err(self.refuse("Match value must be String, number, true, false, or null")),
        })
    }

    /// Reads an object of one operator, whose opening brace is taken.
    fn expression(&mut self) -> Result<Operator, CompileError> {
        let Token::Name(name) = self.next()? else {
            return Err(self.refuse("Match expression name not found"));
        };
        match &*name {
            b"exactly" => self.text_operator("exact").map(Operator::Text),
            b"equals-ignore-case" => self
                .text_operator("equals-ignore-case")
                .map(|text| Operator::Folded(Folded::new(&text))),
            b"prefix" => self.affix("prefix", Operator::Prefix, Operator::PrefixFolded),
            b"suffix" => self.affix("suffix", Operator::Suffix, Operator::SuffixFolded),
            b"wildcard" => self.wildcard_operator(),
            b"regex" if self.dialect == Dialect::Extended => {
                let text = self.text_operator("regex")?;
                Ok(Operator::Extended(Box::new(self.regex(&text)?)))
            }
            b"cidr" => {
                let text = self.text("prefix")?;
                let network = Network::parse(&text).map_err(|message| self.refuse(message))?;
                self.end(ONE_KEY)?;
                Ok(Operator::Cidr(text, network))
            }
            b"exists" => self.exists(),
            b"numeric" => self.numeric(),
            b"anything-but" => self.anything_but(),
            unknown => Err(self.unknown_operator(&String::from_utf8_lossy(unknown))),
        }
    }

    fn unknown_operator(&self, name: &str) -> CompileError {
        let lower = name.to_ascii_lowercase().replace('_', "-");
        let extended = if self.dialect == Dialect::Extended {
            &["regex"][..]
        } else {
            &[]
        };
        let known = OPERATORS.iter().chain(extended);
        let nearest = known.map(|known| (strsim::levenshtein(&lower, known), known)).min();
        let nearest = nearest.filter(|(edits, _)| *edits <= EDITS_MAX);
        let suggestion = match name {
            "regex" => Some("regex is an operator of `dialect: extended`".into()),
            _ if self.is_below_nested() => Some("$and and $not are operators of `dialect: extended`".into()),
            _ => nearest.map(|(_, known)| format!("did you mean \"{known}\"?")),
        };
        CompileError {
            suggestion,
            ..self.refuse(format!("Unrecognized match type {name}"))
        }
    }

    /// Whether the field is called like an operator of the extended dialect.
    fn is_below_nested(&self) -> bool {
        let name = self.path.last().map(|name| &**name);
        self.dialect == Dialect::Strict && (name == Some(AND) || name == Some(NOT))
    }

    /// Reads what `wildcard` stands before.
    fn wildcard_operator(&mut self) -> Result<Operator, CompileError> {
        let token = self.next()?;
        if token != Token::StartObject {
            let text = self.as_text(token, "wildcard")?;
            let wildcard = self.wildcard(&text)?;
            self.end(ONE_KEY)?;
            return Ok(Operator::Wildcard(wildcard));
        }
        if self.dialect == Dialect::Strict {
            return Err(CompileError {
                suggestion: Some("wildcards whatever the case are of `dialect: extended`".into()),
                ..self
                    .as_text(token, "wildcard")
                    .err()
                    .unwrap_or_else(|| self.refuse(ONE_KEY))
            });
        }
        let text = self.ignoring_case("wildcard")?;
        self.end(ONE_KEY)?;
        Ok(Operator::Extended(Box::new(self.wildcard_folded(&text)?)))
    }

    /// Reads the name `equals-ignore-case`, its text and the end of the object, whose opening brace is taken.
    fn ignoring_case(&mut self, operator: &str) -> Result<Box<[u8]>, CompileError> {
        match self.next()? {
            Token::Name(name) if *name == *b"equals-ignore-case" => {}
            Token::Name(name) => {
                let name = String::from_utf8_lossy(&name);
                return Err(self.refuse(format!("Unsupported {operator} pattern: {name}")));
            }
            _ => {
                let (first, rest) = operator.split_at(1);
                let first = first.to_ascii_uppercase();
                return Err(self.refuse(format!("{first}{rest} expression name not found")));
            }
        }
        let text = self.text("equals-ignore-case")?;
        self.end(ONE_KEY)?;
        Ok(text)
    }

    fn wildcard_folded(&mut self, text: &[u8]) -> Result<Extended, CompileError> {
        // The same texts are refused as where the case matters.
        self.wildcard(text)?;
        let pieces = wildcard::split(text).map_err(|message| self.refuse(message))?;
        let folded = WildcardFolded::new(text, &pieces, &mut self.automata);
        let folded = folded.map_err(|reason| self.too_large(reason))?;
        Ok(Extended::WildcardFolded(folded))
    }

    fn regex(&mut self, text: &[u8]) -> Result<Extended, CompileError> {
        let text = std::str::from_utf8(text).map_err(|_| self.refuse("regex must be well-formed Unicode"))?;
        let automaton = Automaton::new(text, &mut self.automata).map_err(|reason| self.too_large(reason))?;
        Ok(Extended::Regex(automaton))
    }

    fn too_large(&self, reason: String) -> CompileError {
        let code = match reason.contains("too complex") {
            true => CompileCode::TooComplex,
            false => CompileCode::BadPattern,
        };
        CompileError {
            code,
            ..self.refuse(reason)
        }
    }

    /// Takes the end of an operator's object.
    fn end(&mut self, otherwise: &str) -> Result<(), CompileError> {
        match self.next()? {
            Token::EndObject => Ok(()),
            _ => Err(self.refuse(otherwise)),
        }
    }

    /// Takes an operator's string.
    fn text(&mut self, operator: &str) -> Result<Box<[u8]>, CompileError> {
        let token = self.next()?;
        self.as_text(token, operator)
    }

    fn as_text(&self, token: Token, operator: &str) -> Result<Box<[u8]>, CompileError> {
        match token {
            Token::Text(text) => Ok(text),
            _ => Err(self.refuse(format!("{operator} match pattern must be a string"))),
        }
    }

    fn text_operator(&mut self, operator: &str) -> Result<Box<[u8]>, CompileError> {
        let text = self.text(operator)?;
        self.end(ONE_KEY)?;
        Ok(text)
    }

    fn wildcard(&mut self, text: &[u8]) -> Result<Wildcard, CompileError> {
        Wildcard::escaped(text, &mut self.wildcard_places).map_err(|message| self.refuse(message))
    }

    /// Reads `prefix` or `suffix`: a string, or one in `equals-ignore-case`.
    fn affix(
        &mut self,
        operator: &str,
        plain: fn(Box<[u8]>) -> Operator,
        folded: fn(Folded) -> Operator,
    ) -> Result<Operator, CompileError> {
        let token = self.next()?;
        if token != Token::StartObject {
            let text = self.as_text(token, operator)?;
            self.end(ONE_KEY)?;
            return Ok(plain(text));
        }
        let text = self.ignoring_case(operator)?;
        self.end(ONE_KEY)?;
        Ok(folded(Folded::new(&text)))
    }

    fn exists(&mut self) -> Result<Operator, CompileError> {
        let operator = match self.next()? {
            Token::True => Operator::Exists,
            Token::False => Operator::Absent,
            _ => return Err(self.refuse("exists match pattern must be either true or false.")),
        };
        self.end(ONE_KEY)?;
        Ok(operator)
    }

    fn numeric(&mut self) -> Result<Operator, CompileError> {
        if self.next()? != Token::StartArray {
            return Err(self.refuse("Value of numeric must be an array."));
        }
        let sign = match self.next()? {
            Token::Text(sign) => sign,
            other => return Err(self.refuse(format!("Invalid member in numeric match: {other}"))),
        };
        let bounds = match &*sign {
            b"=" => {
                let number = self.number("equals")?;
                self.end_of_numbers()?;
                Bounds::exactly(self.comparable(&number)?)
            }
            b">" => self.range_from(">", false)?,
            b">=" => self.range_from(">=", true)?,
            b"<" => self.range_below("<", false)?,
            b"<=" => self.range_below("<=", true)?,
            unknown => {
                let unknown = String::from_utf8_lossy(unknown);
                return Err(self.refuse(format!("Unrecognized numeric range operator: {unknown}")));
            }
        };
        self.end(TOO_MANY)?;
        Ok(Operator::Numeric(bounds))
    }

    fn range_below(&mut self, sign: &str, inclusive: bool) -> Result<Bounds, CompileError> {
        let number = self.number(sign)?;
        self.end_of_numbers()?;
        let value = self.comparable(&number)?;
        Ok(Bounds {
            low: None,
            high: Some(Bound { value, inclusive }),
        })
    }

    fn range_from(&mut self, sign: &str, inclusive: bool) -> Result<Bounds, CompileError> {
        let low = self.number(sign)?;
        let upper = match self.next()? {
            Token::EndArray => None,
            Token::Text(sign) => Some(self.upper_end(&sign)?),
            other => return Err(self.refuse(format!("Bad value in numeric range: {other}"))),
        };
        let low = Bound {
            value: self.comparable(&low)?,
            inclusive,
        };
        let Some((high, inclusive)) = upper else {
            return Ok(Bounds {
                low: Some(low),
                high: None,
            });
        };
        let high = Bound {
            value: self.comparable(&high)?,
            inclusive,
        };
        if low.value >= high.value {
            return Err(self.refuse("Bottom must be less than top"));
        }
        Ok(Bounds {
            low: Some(low),
            high: Some(high),
        })
    }

    /// Reads the number after `<` or `<=`, and the end of the list.
    fn upper_end(&mut self, sign: &[u8]) -> Result<(Box<[u8]>, bool), CompileError> {
        let (sign, inclusive) = match sign {
            b"<" => ("<", false),
            b"<=" => ("<=", true),
            other => {
                let other = String::from_utf8_lossy(other);
                return Err(self.refuse(format!("Bad numeric range operator: {other}")));
            }
        };
        let number = self.number(sign)?;
        match self.next()? {
            Token::EndArray => Ok((number, inclusive)),
            _ => Err(self.refuse("Too many terms in numeric range expression")),
        }
    }

    fn number(&mut self, sign: &str) -> Result<Box<[u8]>, CompileError> {
        match self.next()? {
            Token::Number(number) => Ok(number),
            _ => Err(self.refuse(format!("Value of {sign} must be numeric"))),
        }
    }

    fn end_of_numbers(&mut self) -> Result<(), CompileError> {
        match self.next()? {
            Token::EndArray => Ok(()),
            _ => Err(self.refuse(TOO_MANY)),
        }
    }

    fn comparable(&self, number: &[u8]) -> Result<f64, CompileError> {
        let refused = || self.refuse(format!("Cannot compare number : {}", String::from_utf8_lossy(number)));
        comparable(number).ok_or_else(refused)
    }

    fn anything_but(&mut self) -> Result<Operator, CompileError> {
        let exceptions = match self.next()? {
            Token::StartObject => return self.anything_but_operator().map(Operator::AnythingBut),
            Token::StartArray => self.anything_but_list()?,
            Token::Text(text) => Exceptions::Texts([text].into()),
            Token::Number(number) => Exceptions::Numbers([self.comparable(&number)?].into()),
            _ => return Err(self.refuse(ANYTHING_BUT_VALUE)),
        };
        self.end(TOO_MANY)?;
        Ok(Operator::AnythingBut(exceptions))
    }

    /// Reads a list of strings or of numbers, whose opening bracket is taken.
    fn anything_but_list(&mut self) -> Result<Exceptions, CompileError> {
        let (mut texts, mut numbers) = (Vec::new(), Vec::new());
        loop {
            match self.next()? {
                Token::EndArray => break,
                Token::Text(text) => texts.push(text),
                Token::Number(number) => numbers.push(self.comparable(&number)?),
                _ => return Err(self.refuse("Inside anything but list, start|null|boolean is not supported.")),
            }
        }
        if texts.is_empty() == numbers.is_empty() {
            let message =
                "Inside anything but list, either all values are number or string, mixed type is not supported";
            return Err(self.refuse(message));
        }
        texts.sort_unstable();
        Ok(if numbers.is_empty() {
            Exceptions::Texts(texts.into())
        } else {
            Exceptions::Numbers(numbers.into())
        })
    }

    /// Reads an operator inside `anything-but`, whose opening brace is taken, up to the end of both objects.
    fn anything_but_operator(&mut self) -> Result<Exceptions, CompileError> {
        let Token::Name(name) = self.next()? else {
            return Err(self.refuse("Anything-But expression name not found"));
        };
        let otherwise = if *name == *b"equals-ignore-case" {
            TOO_MANY
        } else {
            ONE_KEY
        };
        let exceptions = match &*name {
            b"prefix" => Exceptions::Prefixes(self.texts(Self::affix_exception)?.into()),
            b"suffix" => Exceptions::Suffixes(self.texts(Self::affix_exception)?.into()),
            b"equals-ignore-case" => {
                let texts = self.texts(Self::folded_exception)?;
                Exceptions::Folded(texts.iter().map(|text| Folded::new(text)).collect())
            }
            b"wildcard" => {
                let texts = self.texts(|compiler, token| compiler.as_text(token, "wildcard"))?;
                let wildcards: Result<Vec<_>, _> = texts.iter().map(|text| self.wildcard(text)).collect();
                Exceptions::Wildcards(wildcards?.into())
            }
            b"regex" if self.dialect == Dialect::Extended => {
                let texts = self.texts(|compiler, token| compiler.as_text(token, "regex"))?;
                let regexes: Result<Box<[Extended]>, _> = texts.iter().map(|text| self.regex(text)).collect();
                Exceptions::Extended(regexes?)
            }
            unknown => {
                let unknown = String::from_utf8_lossy(unknown);
                return Err(self.refuse(format!("Unsupported anything-but pattern: {unknown}")));
            }
        };
        self.end(otherwise)?;
        self.end(otherwise)?;
        Ok(exceptions)
    }

    fn affix_exception(&self, token: Token) -> Result<Box<[u8]>, CompileError> {
        let text = self.as_text(token, "prefix/suffix")?;
        if text.is_empty() {
            return Err(self.refuse("Null prefix/suffix not allowed"));
        }
        Ok(text)
    }

    fn folded_exception(&self, token: Token) -> Result<Box<[u8]>, CompileError> {
        let message = "Inside anything-but/equals-ignore-case list, number|start|null|boolean is not supported.";
        match token {
            Token::Text(text) => Ok(text),
            _ => Err(self.refuse(message)),
        }
    }

    /// Reads a string or a list of strings, each of which is checked as it is read.
    fn texts(
        &mut self,
        checked: impl Fn(&Self, Token) -> Result<Box<[u8]>, CompileError>,
    ) -> Result<Vec<Box<[u8]>>, CompileError> {
        match self.next()? {
            Token::StartArray => {}
            token @ (Token::Text(_) | Token::Number(_)) => return Ok(vec![checked(self, token)?]),
            _ => return Err(self.refuse(ANYTHING_BUT_VALUE)),
        }
        let mut texts = Vec::new();
        loop {
            match self.next()? {
                Token::EndArray => return Ok(texts),
                token => texts.push(checked(self, token)?),
            }
        }
    }
}
