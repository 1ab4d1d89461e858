//! Strings and integers as a query writes them.

use super::parser::{Parser, Refused};
use super::syntax::Literal;

/// The largest integer that every double of its size holds exactly, as the specification bounds indexes.
const INTEGER_MAX: i64 = (1 << 53) - 1;

impl Parser<'_> {
    /// Takes a string; the position is at its quotation mark.
    pub(super) fn string(&mut self) -> Result<Box<[u8]>, Refused> {
        let quote = self.peek().expect("the caller has seen the quotation mark");
        let start = self.position;
        self.position += 1;
        let mut value = String::new();
        loop {
            let Some(character) = self.character() else {
                self.position = start;
                return Err(self.refuse("a string is not closed"));
            };
            match character {
                character if character == char::from(quote) => break,
                '\\' => self.escape(quote, &mut value)?,
                control if control < ' ' => {
                    self.position -= 1;
                    return Err(self.refuse("a control character in a string must be written as \\u and four digits"));
                }
                other => value.push(other),
            }
        }
        Ok(value.into_bytes().into())
    }

    /// Takes what follows a backslash.
    fn escape(&mut self, quote: u8, value: &mut String) -> Result<(), Refused> {
        let at = self.position - 1;
        let escaped = match self.character() {
            Some('b') => '\u{8}',
            Some('f') => '\u{c}',
            Some('n') => '\n',
            Some('r') => '\r',
            Some('t') => '\t',
            Some(plain @ ('/' | '\\')) => plain,
            Some(mark) if mark == char::from(quote) => mark,
            Some('u') => self.unicode(at)?,
            _ => {
                self.position = at;
                return Err(self.refuse("an escape that strings do not have"));
            }
        };
        value.push(escaped);
        Ok(())
    }

    /// Takes four digits, and a second escape if they are half of a pair.
    fn unicode(&mut self, at: usize) -> Result<char, Refused> {
        let unit = self.hexadecimal(at)?;
        if !(0xD800..0xDC00).contains(&unit) {
            return char::from_u32(unit).ok_or_else(|| self.half_of_a_pair(at));
        }
        if !self.rest().starts_with(b"\\u") {
            return Err(self.half_of_a_pair(at));
        }
        self.position += 2;
        let low = self.hexadecimal(at)?;
        if !(0xDC00..0xE000).contains(&low) {
            return Err(self.half_of_a_pair(at));
        }
        char::from_u32(0x1_0000 + ((unit - 0xD800) << 10) + (low - 0xDC00)).ok_or_else(|| self.half_of_a_pair(at))
    }

    fn half_of_a_pair(&mut self, at: usize) -> Refused {
        self.position = at;
        self.refuse("half of a surrogate pair is no character")
    }

    fn hexadecimal(&mut self, at: usize) -> Result<u32, Refused> {
        let mut value = 0;
        for _ in 0..4 {
            let digit = self.peek().and_then(|byte| char::from(byte).to_digit(16));
            let Some(digit) = digit else {
                self.position = at;
                return Err(self.refuse("\\u needs four hexadecimal digits"));
            };
            value = value << 4 | digit;
            self.position += 1;
        }
        Ok(value)
    }

    /// Takes an integer if there is one.
    pub(super) fn integer(&mut self) -> Result<Option<i64>, Refused> {
        let start = self.position;
        let negative = self.take(b"-");
        let digits = self.digits();
        let text = &self.text()[start..self.position];
        if digits == 0 {
            return match negative {
                false => Ok(None),
                true => Err(self.refuse("a minus sign without digits")),
            };
        }
        let unsigned = text.trim_start_matches('-');
        let refused = if text == "-0" {
            Some("an index is not -0")
        } else if unsigned.starts_with('0') && digits > 1 {
            Some("an integer has no leading zeros")
        } else {
            None
        };
        let value = text.parse().ok().filter(|value: &i64| value.abs() <= INTEGER_MAX);
        match (refused, value) {
            (None, Some(value)) => Ok(Some(value)),
            (refused, _) => {
                self.position = start;
                Err(self.refuse(refused.unwrap_or("an integer beyond 2^53 - 1")))
            }
        }
    }

    /// Takes a number; the position is at its sign or first digit.
    pub(super) fn number(&mut self) -> Result<Literal, Refused> {
        let start = self.position;
        self.take(b"-");
        let first = self.position;
        let digits = self.digits();
        let leading_zero = digits > 1 && self.text().as_bytes()[first] == b'0';
        let mut complete = digits > 0 && !leading_zero;
        if self.take(b".") {
            complete &= self.digits() > 0;
        }
        if self.take(b"e") || self.take(b"E") {
            let _sign = self.take(b"+") || self.take(b"-");
            complete &= self.digits() > 0;
        }
        if !complete {
            self.position = start;
            return Err(self.refuse("a malformed number"));
        }
        Ok(Literal::Number(self.text().as_bytes()[start..self.position].into()))
    }

    fn digits(&mut self) -> usize {
        let count = self.rest().iter().take_while(|byte| byte.is_ascii_digit()).count();
        self.position += count;
        count
    }
}
