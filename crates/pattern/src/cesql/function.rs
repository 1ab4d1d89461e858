//! The functions: their names, how many arguments of which types they take, and what they yield.

use std::borrow::Cow;

use super::value::{Datum, ErrorKind, Type};

/// A function with a certain number of arguments.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Function {
    Length,
    Concat,
    ConcatWs,
    Lower,
    Upper,
    Trim,
    Left,
    Right,
    SubstringFrom,
    Substring,
    Abs,
    Int,
    Bool,
    Text,
    IsInt,
    IsBool,
}

/// A name, the least and the most arguments, and the function.
type Signature = (&'static str, usize, usize, Function);

/// Everything that can be called. The casts' `IS_…` are of the language's drafts and kept by its implementations.
const SIGNATURES: [Signature; 16] = [
    ("LENGTH", 1, 1, Function::Length),
    ("CONCAT", 0, usize::MAX, Function::Concat),
    ("CONCAT_WS", 1, usize::MAX, Function::ConcatWs),
    ("LOWER", 1, 1, Function::Lower),
    ("UPPER", 1, 1, Function::Upper),
    ("TRIM", 1, 1, Function::Trim),
    ("LEFT", 2, 2, Function::Left),
    ("RIGHT", 2, 2, Function::Right),
    ("SUBSTRING", 2, 2, Function::SubstringFrom),
    ("SUBSTRING", 3, 3, Function::Substring),
    ("ABS", 1, 1, Function::Abs),
    ("INT", 1, 1, Function::Int),
    ("BOOL", 1, 1, Function::Bool),
    ("STRING", 1, 1, Function::Text),
    ("IS_INT", 1, 1, Function::IsInt),
    ("IS_BOOL", 1, 1, Function::IsBool),
];

/// What a function yields: a value, and perhaps an error beside it.
pub(super) type Outcome<'v> = (Datum<'v>, Option<(ErrorKind, String)>);

impl Function {
    /// The function of a name, in any case, and a number of arguments.
    pub(super) fn find(name: &str, count: usize) -> Option<Self> {
        SIGNATURES
            .iter()
            .find(|(known, least, most, _)| name.eq_ignore_ascii_case(known) && (*least..=*most).contains(&count))
            .map(|(.., function)| *function)
    }

    /// Whether there is a function of this name at all.
    pub(super) fn is_name(name: &str) -> bool {
        SIGNATURES.iter().any(|(known, ..)| name.eq_ignore_ascii_case(known))
    }

    /// The name that is nearest to this one, if any is near.
    pub(super) fn nearest(name: &str) -> Option<&'static str> {
        let name = name.to_ascii_uppercase();
        let distance = |known: &str| strsim::damerau_levenshtein(&name, known);
        let nearest = SIGNATURES
            .iter()
            .map(|(known, ..)| *known)
            .min_by_key(|known| distance(known))?;
        (distance(nearest) <= nearest.len() / 2).then_some(nearest)
    }

    /// What it yields.
    pub(super) fn yields(self) -> Type {
        match self {
            Function::Length | Function::Abs | Function::Int => Type::Integer,
            Function::Bool | Function::IsInt | Function::IsBool => Type::Boolean,
            _ => Type::Text,
        }
    }

    /// What an argument is cast to; none if it is taken as it is.
    pub(super) fn takes(self, argument: usize) -> Option<Type> {
        match self {
            Function::Abs => Some(Type::Integer),
            Function::Left | Function::Right | Function::SubstringFrom | Function::Substring if argument > 0 => {
                Some(Type::Integer)
            }
            // The casts report their own errors.
            Function::Int | Function::Bool | Function::IsInt | Function::IsBool => None,
            _ => Some(Type::Text),
        }
    }

    /// Calls it with arguments of the right types.
    pub(super) fn call<'v>(self, arguments: &mut [Datum<'v>]) -> Outcome<'v> {
        match self {
            Function::Length => plain(Datum::Integer(count(&text(arguments, 0)))),
            Function::Concat => plain(joined(arguments, "")),
            Function::ConcatWs => {
                let delimiter = text(arguments, 0);
                plain(joined(&mut arguments[1..], &delimiter))
            }
            Function::Lower => plain(changed(
                text(arguments, 0),
                |c| c.to_lowercase().eq([c]),
                str::to_lowercase,
            )),
            Function::Upper => plain(changed(
                text(arguments, 0),
                |c| c.to_uppercase().eq([c]),
                str::to_uppercase,
            )),
            Function::Trim => plain(map(text(arguments, 0), str::trim)),
            Function::Left | Function::Right => self.side(text(arguments, 0), integer(arguments, 1)),
            Function::SubstringFrom => substring(text(arguments, 0), integer(arguments, 1), i32::MAX),
            Function::Substring => substring(text(arguments, 0), integer(arguments, 1), integer(arguments, 2)),
            Function::Abs => absolute(integer(arguments, 0)),
            Function::Int => explicit(&arguments[0], Type::Integer),
            Function::Bool => explicit(&arguments[0], Type::Boolean),
            Function::Text => plain(Datum::Text(text(arguments, 0))),
            Function::IsInt => plain(Datum::Boolean(arguments[0].to_integer().is_some())),
            Function::IsBool => plain(Datum::Boolean(arguments[0].to_boolean().is_some())),
        }
    }

    /// The first or last characters.
    fn side<'v>(self, value: Cow<'v, str>, wanted: i32) -> Outcome<'v> {
        let Ok(wanted) = usize::try_from(wanted) else {
            let message = format!("a number of characters is not negative: {wanted}");
            return (Datum::Text(value), Some((ErrorKind::FunctionEvaluation, message)));
        };
        plain(match self {
            Function::Right => {
                let skipped = value.chars().count().saturating_sub(wanted);
                map(value, |value| &value[offset(value, skipped)..])
            }
            _ => map(value, |value| &value[..offset(value, wanted)]),
        })
    }
}

fn plain(value: Datum<'_>) -> Outcome<'_> {
    (value, None)
}

/// Takes an argument that was cast to a string.
fn text<'v>(arguments: &mut [Datum<'v>], index: usize) -> Cow<'v, str> {
    std::mem::replace(&mut arguments[index], Datum::Boolean(false)).into_text()
}

/// An argument that was cast to an integer.
fn integer(arguments: &[Datum<'_>], index: usize) -> i32 {
    arguments[index].to_integer().unwrap_or_default()
}

/// Applies what yields a part of a text.
fn map<'v>(value: Cow<'v, str>, part: impl Fn(&str) -> &str) -> Datum<'v> {
    Datum::Text(match value {
        Cow::Borrowed(value) => {
            let part = part(value);
            let start = part.as_ptr().addr() - value.as_ptr().addr();
            Cow::Borrowed(&value[start..start + part.len()])
        }
        Cow::Owned(value) => part(&value).to_owned().into(),
    })
}

/// Writes a text anew if one of its characters changes.
fn changed<'v>(value: Cow<'v, str>, stays: impl Fn(char) -> bool, write: impl Fn(&str) -> String) -> Datum<'v> {
    Datum::Text(match value.chars().all(stays) {
        true => value,
        false => write(&value).into(),
    })
}

/// How many characters a text has; texts are shorter than what an integer holds.
fn count(text: &str) -> i32 {
    i32::try_from(text.chars().count()).unwrap_or(i32::MAX)
}

/// The byte at which a character begins; the end if there are not so many.
fn offset(text: &str, character: usize) -> usize {
    text.char_indices().nth(character).map_or(text.len(), |(at, _)| at)
}

fn joined<'v>(arguments: &mut [Datum<'v>], delimiter: &str) -> Datum<'v> {
    let length = |argument: &Datum<'_>| delimiter.len() + argument.with_text(str::len);
    let mut all = String::with_capacity(arguments.iter().map(length).sum());
    for index in 0..arguments.len() {
        if index > 0 {
            all.push_str(delimiter);
        }
        all.push_str(&text(arguments, index));
    }
    Datum::Text(all.into())
}

/// A part of a text: positions count from 1, or back from the end.
fn substring(value: Cow<'_, str>, position: i32, length: i32) -> Outcome<'_> {
    let wrong = |message: String| (Type::Text.zero(), Some((ErrorKind::FunctionEvaluation, message)));
    let Ok(length) = usize::try_from(length) else {
        return wrong(format!("a length is not negative: {length}"));
    };
    let characters = count(&value);
    if position.unsigned_abs() > characters.unsigned_abs() {
        return wrong(format!(
            "a string of {characters} characters has no position {position}"
        ));
    }
    let skipped = match position {
        0 => return plain(Type::Text.zero()),
        1.. => position - 1,
        _ => characters + position,
    };
    plain(map(value, |value| {
        let rest = &value[offset(value, skipped.unsigned_abs() as usize)..];
        &rest[..offset(rest, length)]
    }))
}

fn absolute<'v>(value: i32) -> Outcome<'v> {
    match value.checked_abs() {
        Some(absolute) => plain(Datum::Integer(absolute)),
        None => {
            let message = format!("the absolute value of {value} is not a 32-bit integer");
            (Datum::Integer(i32::MAX), Some((ErrorKind::Math, message)))
        }
    }
}

/// A cast that is asked for.
fn explicit<'v>(value: &Datum<'_>, to: Type) -> Outcome<'v> {
    let cast = match to {
        Type::Integer => value.to_integer().map(Datum::Integer),
        _ => value.to_boolean().map(Datum::Boolean),
    };
    match cast {
        Some(cast) => plain(cast),
        None => (to.zero(), Some((ErrorKind::Cast, format!("{value} is not {to}")))),
    }
}
