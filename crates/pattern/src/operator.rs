//! One test of one value: everything that may stand in the list of a pattern's field.

use std::fmt;
use std::net::IpAddr;

use crate::address::{self, Network};
use crate::extended::Extended;
use crate::fields::Value;
use crate::fold::Folded;
use crate::wildcard::Wildcard;

/// A test of one value.
#[derive(Debug, Clone)]
pub(crate) enum Operator {
    Text(Box<[u8]>),
    /// A plain string that spells an IP address: every spelling of it.
    Address(Box<[u8]>, IpAddr),
    /// By value, or by spelling when the value cannot be compared.
    Number(Box<[u8]>, Option<f64>),
    True,
    False,
    Null,
    Prefix(Box<[u8]>),
    PrefixFolded(Folded),
    Suffix(Box<[u8]>),
    SuffixFolded(Folded),
    Folded(Folded),
    Wildcard(Wildcard),
    AnythingBut(Exceptions),
    Numeric(Bounds),
    Cidr(Box<[u8]>, Network),
    Exists,
    Absent,
    /// What AWS's patterns do not have.
    Extended(Box<Extended>),
}

/// What `anything-but` excepts; it takes every other value, also of other types.
#[derive(Debug, Clone)]
pub(crate) enum Exceptions {
    /// Sorted.
    Texts(Box<[Box<[u8]>]>),
    Numbers(Box<[f64]>),
    Prefixes(Box<[Box<[u8]>]>),
    Suffixes(Box<[Box<[u8]>]>),
    Folded(Box<[Folded]>),
    Wildcards(Box<[Wildcard]>),
    Extended(Box<[Extended]>),
}

/// One end of a numeric range.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Bound {
    pub(crate) value: f64,
    pub(crate) inclusive: bool,
}

/// A numeric range; `=` is a range of one number.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Bounds {
    pub(crate) low: Option<Bound>,
    pub(crate) high: Option<Bound>,
}

impl Operator {
    /// Whether a value that is present passes.
    pub(crate) fn accepts(&self, value: Value<'_>) -> bool {
        match (self, value) {
            (Operator::Exists, _) | (Operator::True, Value::True) => true,
            (Operator::False, Value::False) | (Operator::Null, Value::Null) => true,
            (Operator::AnythingBut(exceptions), value) => !exceptions.hold(value),
            (operator, Value::Text(text)) => operator.accepts_text(text),
            (Operator::Number(_, Some(wanted)), Value::Number(_, Some(number))) => *wanted == number,
            (Operator::Number(wanted, None), Value::Number(text, None)) => **wanted == *text,
            (Operator::Numeric(bounds), Value::Number(_, Some(number))) => bounds.contain(number),
            _ => false,
        }
    }

    /// Writes what only operators have that accept the same, piece by piece; false if a piece was not taken or it cannot be told.
    pub(crate) fn name(&self, write: &mut impl FnMut(&[u8]) -> bool) -> bool {
        let mut one = |kind: u8, text: &[u8]| write(&[kind]) && write(&text.len().to_le_bytes()) && write(text);
        match self {
            Operator::Text(text) => one(0, text),
            Operator::Address(text, _) => one(1, text),
            Operator::Number(spelling, None) => one(2, spelling),
            Operator::Number(_, Some(number)) => one(3, &number.to_le_bytes()),
            Operator::True => one(4, b""),
            Operator::False => one(5, b""),
            Operator::Null => one(6, b""),
            Operator::Prefix(text) => one(7, text),
            Operator::PrefixFolded(text) => one(8, text.text()),
            Operator::Suffix(text) => one(9, text),
            Operator::SuffixFolded(text) => one(10, text.text()),
            Operator::Folded(text) => one(11, text.text()),
            Operator::Wildcard(wildcard) => one(12, wildcard.text()) && wildcard.pieces().all(|piece| one(13, piece)),
            Operator::Numeric(bounds) => {
                let end = |end: Option<Bound>| {
                    (
                        end.map_or(0.0, |end| end.value),
                        end.map_or(2, |end| u8::from(end.inclusive)),
                    )
                };
                [bounds.low, bounds.high]
                    .map(end)
                    .iter()
                    .all(|(value, kind)| one(14 + kind, &value.to_le_bytes()))
            }
            Operator::Cidr(text, _) => one(17, text),
            Operator::Exists => one(18, b""),
            Operator::Absent => one(19, b""),
            Operator::AnythingBut(exceptions) => exceptions.name(&mut one),
            Operator::Extended(_) => false,
        }
    }

    /// Bytes on the heap.
    pub(crate) fn memory(&self) -> usize {
        match self {
            Operator::Text(text) | Operator::Address(text, _) | Operator::Number(text, _) => text.len(),
            Operator::Prefix(text) | Operator::Suffix(text) | Operator::Cidr(text, _) => text.len(),
            Operator::PrefixFolded(text) | Operator::SuffixFolded(text) | Operator::Folded(text) => text.memory(),
            Operator::Wildcard(wildcard) => wildcard.memory(),
            Operator::AnythingBut(exceptions) => exceptions.memory(),
            Operator::Extended(_) => EXTENDED_BYTES,
            _ => 0,
        }
    }

    fn accepts_text(&self, text: &[u8]) -> bool {
        match self {
            Operator::Text(wanted) => **wanted == *text,
            Operator::Address(wanted, address) => **wanted == *text || address::parse(text) == Some(*address),
            Operator::Prefix(prefix) => text.starts_with(prefix),
            Operator::PrefixFolded(prefix) => prefix.starts(text),
            Operator::Suffix(suffix) => text.ends_with(suffix),
            Operator::SuffixFolded(suffix) => suffix.ends(text),
            Operator::Folded(wanted) => wanted.equals(text),
            Operator::Wildcard(wildcard) => wildcard.matches(text),
            Operator::Extended(extended) => extended.accepts(text),
            Operator::Cidr(_, network) => address::parse(text).is_some_and(|address| network.contains(address)),
            _ => false,
        }
    }
}

/// Texts that are compared one by one; in a longer list a text is searched for.
pub(crate) const LISTED_MAX: usize = 8;

/// What an automaton takes, roughly.
const EXTENDED_BYTES: usize = 4_096;

impl Exceptions {
    fn name(&self, one: &mut impl FnMut(u8, &[u8]) -> bool) -> bool {
        match self {
            Exceptions::Texts(texts) => one(20, b"") && texts.iter().all(|text| one(30, text)),
            Exceptions::Numbers(numbers) => one(21, b"") && numbers.iter().all(|number| one(30, &number.to_le_bytes())),
            Exceptions::Prefixes(texts) => one(22, b"") && texts.iter().all(|text| one(30, text)),
            Exceptions::Suffixes(texts) => one(23, b"") && texts.iter().all(|text| one(30, text)),
            Exceptions::Folded(texts) => one(24, b"") && texts.iter().all(|text| one(30, text.text())),
            Exceptions::Wildcards(texts) => one(25, b"") && texts.iter().all(|text| one(30, text.text())),
            Exceptions::Extended(_) => false,
        }
    }

    fn memory(&self) -> usize {
        let of_texts = |texts: &[Box<[u8]>]| texts.iter().map(|text| size_of::<Box<[u8]>>() + text.len()).sum();
        match self {
            Exceptions::Texts(texts) | Exceptions::Prefixes(texts) | Exceptions::Suffixes(texts) => of_texts(texts),
            Exceptions::Numbers(numbers) => size_of_val(&**numbers),
            Exceptions::Folded(texts) => size_of_val(&**texts) + texts.iter().map(Folded::memory).sum::<usize>(),
            Exceptions::Wildcards(texts) => size_of_val(&**texts) + texts.iter().map(Wildcard::memory).sum::<usize>(),
            Exceptions::Extended(all) => all.len() * EXTENDED_BYTES,
        }
    }

    fn hold(&self, value: Value<'_>) -> bool {
        match (self, value) {
            (Exceptions::Numbers(numbers), Value::Number(_, Some(number))) => numbers.contains(&number),
            (Exceptions::Numbers(_), _) => false,
            (exceptions, Value::Text(text)) => exceptions.hold_text(text),
            _ => false,
        }
    }

    fn hold_text(&self, text: &[u8]) -> bool {
        match self {
            Exceptions::Texts(texts) if texts.len() <= LISTED_MAX => texts.iter().any(|known| **known == *text),
            Exceptions::Texts(texts) => texts.binary_search_by(|known| (**known).cmp(text)).is_ok(),
            Exceptions::Numbers(_) => false,
            Exceptions::Prefixes(prefixes) => prefixes.iter().any(|prefix| text.starts_with(prefix)),
            Exceptions::Suffixes(suffixes) => suffixes.iter().any(|suffix| text.ends_with(suffix)),
            Exceptions::Folded(texts) => texts.iter().any(|known| known.equals(text)),
            Exceptions::Wildcards(wildcards) => wildcards.iter().any(|wildcard| wildcard.matches(text)),
            Exceptions::Extended(extended) => extended.iter().any(|extended| extended.accepts(text)),
        }
    }
}

impl Bounds {
    /// The range of one number.
    pub(crate) fn exactly(value: f64) -> Self {
        let bound = Some(Bound { value, inclusive: true });
        Self {
            low: bound,
            high: bound,
        }
    }

    /// The number, if the range has just one.
    pub(crate) fn only(&self) -> Option<f64> {
        let (low, high) = (self.low?, self.high?);
        (low == high && low.inclusive).then_some(low.value)
    }

    /// How far it is from one end to the other, if there are two.
    pub(crate) fn width(&self) -> Option<f64> {
        let width = self.high?.value - self.low?.value;
        width.is_finite().then_some(width)
    }

    pub(crate) fn contain(&self, number: f64) -> bool {
        let above = |low: Bound| number > low.value || (low.inclusive && number == low.value);
        let below = |high: Bound| number < high.value || (high.inclusive && number == high.value);
        self.low.is_none_or(above) && self.high.is_none_or(below)
    }
}

impl fmt::Display for Operator {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Operator::Text(text) | Operator::Address(text, _) => quoted(f, text),
            Operator::Number(text, _) => write!(f, "{}", String::from_utf8_lossy(text)),
            Operator::True => f.write_str("true"),
            Operator::False => f.write_str("false"),
            Operator::Null => f.write_str("null"),
            Operator::Prefix(text) => named(f, "prefix", |f| quoted(f, text)),
            Operator::Suffix(text) => named(f, "suffix", |f| quoted(f, text)),
            Operator::Folded(text) => ignoring_case(f, text),
            Operator::PrefixFolded(text) => named(f, "prefix", |f| ignoring_case(f, text)),
            Operator::SuffixFolded(text) => named(f, "suffix", |f| ignoring_case(f, text)),
            Operator::Wildcard(wildcard) => named(f, "wildcard", |f| quoted(f, wildcard.text())),
            Operator::AnythingBut(exceptions) => named(f, "anything-but", |f| write!(f, "{exceptions}")),
            Operator::Numeric(bounds) => named(f, "numeric", |f| write!(f, "{bounds}")),
            Operator::Cidr(text, _) => named(f, "cidr", |f| quoted(f, text)),
            Operator::Exists => f.write_str("{\"exists\":true}"),
            Operator::Absent => f.write_str("{\"exists\":false}"),
            Operator::Extended(extended) => write!(f, "{extended}"),
        }
    }
}

impl fmt::Display for Exceptions {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Exceptions::Texts(texts) => list(f, texts, |f, text| quoted(f, text)),
            Exceptions::Numbers(numbers) => list(f, numbers, |f, number| write!(f, "{number}")),
            Exceptions::Prefixes(texts) => named(f, "prefix", |f| list(f, texts, |f, text| quoted(f, text))),
            Exceptions::Suffixes(texts) => named(f, "suffix", |f| list(f, texts, |f, text| quoted(f, text))),
            Exceptions::Folded(texts) => named(f, "equals-ignore-case", |f| {
                list(f, texts, |f, text| quoted(f, text.text()))
            }),
            Exceptions::Wildcards(texts) => named(f, "wildcard", |f| list(f, texts, |f, text| quoted(f, text.text()))),
            Exceptions::Extended(texts) => list(f, texts, |f, text| write!(f, "{text}")),
        }
    }
}

impl fmt::Display for Bounds {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let sign = |bound: Bound, open: &'static str, closed: &'static str| if bound.inclusive { closed } else { open };
        match (self.low, self.high) {
            (Some(low), Some(high)) if low == high => write!(f, "[\"=\",{}]", low.value),
            (Some(low), Some(high)) => {
                let (above, below) = (sign(low, ">", ">="), sign(high, "<", "<="));
                write!(f, "[\"{above}\",{},\"{below}\",{}]", low.value, high.value)
            }
            (Some(low), None) => write!(f, "[\"{}\",{}]", sign(low, ">", ">="), low.value),
            (None, Some(high)) => write!(f, "[\"{}\",{}]", sign(high, "<", "<="), high.value),
            (None, None) => f.write_str("[]"),
        }
    }
}

/// Writes bytes as a JSON string.
pub(crate) fn quoted(f: &mut fmt::Formatter<'_>, text: &[u8]) -> fmt::Result {
    let text = String::from_utf8_lossy(text);
    f.write_str(&serde_json::to_string(&*text).map_err(|_| fmt::Error)?)
}

fn ignoring_case(f: &mut fmt::Formatter<'_>, text: &Folded) -> fmt::Result {
    named(f, "equals-ignore-case", |f| quoted(f, text.text()))
}

fn named(
    f: &mut fmt::Formatter<'_>,
    name: &str,
    write_value: impl FnOnce(&mut fmt::Formatter<'_>) -> fmt::Result,
) -> fmt::Result {
    write!(f, "{{\"{name}\":")?;
    write_value(f)?;
    f.write_str("}")
}

/// One item alone, several as a list.
fn list<T>(
    f: &mut fmt::Formatter<'_>,
    items: &[T],
    write_item: impl Fn(&mut fmt::Formatter<'_>, &T) -> fmt::Result,
) -> fmt::Result {
    if let [item] = items {
        return write_item(f, item);
    }
    f.write_str("[")?;
    for (index, item) in items.iter().enumerate() {
        if index > 0 {
            f.write_str(",")?;
        }
        write_item(f, item)?;
    }
    f.write_str("]")
}
