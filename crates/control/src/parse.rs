//! Reads a resource out of JSON and says where it went wrong: a pointer to the place, the fields that exist there, and
//! the nearest right name. What it says never repeats a value, because a misplaced value may be a secret.

use crate::refusal::Refusal;
use serde::de::{self, DeserializeOwned, DeserializeSeed, IntoDeserializer, Unexpected, Visitor};
use serde_json::Value;
use std::{fmt, marker::PhantomData};

/// The most characters of an unknown name that a refusal repeats.
const ECHO_CHARACTERS_MAX: usize = 64;
/// Below this likeness a name is not offered as the one that was meant.
const LIKENESS_MIN: f64 = 0.75;
/// Letters of a name from which on one slip (a letter wrong, missing, added, or two swapped) is a slip and not another name.
const SLIP_LETTERS_MIN: usize = 3;

/// Reads a `T`; `at` is the pointer of `value` in the request, `beside` the names that are right there besides `T`'s.
pub(crate) fn parse<T: DeserializeOwned>(value: &Value, at: &str, beside: &[&'static str]) -> Result<T, Refusal> {
    T::deserialize(Node(value)).map_err(|fault| fault.refusal(at, beside))
}

/// Reads a `T` of another protocol's request as resources are read: objects are objects, and faults are told in JSON's words.
pub fn read_json<T: DeserializeOwned>(value: &Value) -> Result<T, Refusal> {
    parse(value, "", &[])
}

/// One reference token of a JSON pointer, escaped.
pub(crate) fn token(name: &str) -> String {
    format!("/{}", name.replace('~', "~0").replace('/', "~1"))
}

/// The name of `names` that `found` was most likely meant to be.
pub(crate) fn nearest<'a>(found: &str, names: impl Iterator<Item = &'a str>) -> Option<&'a str> {
    let found: String = found
        .chars()
        .take(ECHO_CHARACTERS_MAX)
        .flat_map(char::to_lowercase)
        .collect();
    let alike = names
        .map(|name| (likeness(&found, name), name))
        .filter(|(likeness, _)| *likeness >= LIKENESS_MIN);
    alike
        .max_by(|left, right| left.0.total_cmp(&right.0))
        .map(|(_, name)| name)
}

/// Jaro-Winkler, which sees through long names; one slip in a short name it judges too hard.
fn likeness(found: &str, name: &str) -> f64 {
    let slip = found.len() >= SLIP_LETTERS_MIN && strsim::osa_distance(found, name) == 1;
    strsim::jaro_winkler(found, name).max(if slip { 0.9 } else { 0.0 })
}

/// A name shortened and escaped for a sentence.
pub(crate) fn echo(name: &str) -> String {
    match name.char_indices().nth(ECHO_CHARACTERS_MAX) {
        None => format!("{name:?}"),
        Some((end, _)) => format!("{:?}…", &name[..end]),
    }
}

#[derive(Debug)]
struct Fault {
    /// From the value that was read, outwards in; grows while the fault travels up.
    pointer: String,
    what: What,
}

#[derive(Debug)]
enum What {
    Said(String),
    UnknownField(String, &'static [&'static str]),
    UnknownWord(String, &'static [&'static str]),
}

impl Fault {
    fn new(what: What) -> Self {
        Self {
            pointer: String::new(),
            what,
        }
    }

    fn below(mut self, name: &str) -> Self {
        self.pointer.insert_str(0, &token(name));
        self
    }

    fn refusal(self, at: &str, beside: &[&'static str]) -> Refusal {
        let at_root = self.pointer.rfind('/') == Some(0);
        let pointer = format!("{at}{}", self.pointer);
        match self.what {
            What::Said(detail) => Refusal::invalid(pointer, detail),
            What::UnknownField(found, fields) => {
                let beside = if at_root { beside } else { &[] };
                let detail = format!(
                    "unknown field {}{}",
                    echo(&found),
                    offer(&found, fields, beside, "fields")
                );
                Refusal {
                    code: "field_unknown",
                    ..Refusal::invalid(pointer, detail)
                }
            }
            What::UnknownWord(found, words) => {
                let detail = format!("unknown value {}{}", echo(&found), offer(&found, words, &[], "values"));
                Refusal::invalid(pointer, detail)
            }
        }
    }
}

fn offer(found: &str, names: &[&'static str], beside: &[&'static str], of: &str) -> String {
    let all = || names.iter().chain(beside).copied();
    match nearest(found, all()) {
        Some(name) => format!("; did you mean {name:?}?"),
        None if names.is_empty() => format!("; there are no {of} here"),
        None => format!("; the {of} here are {}", all().collect::<Vec<_>>().join(", ")),
    }
}

impl fmt::Display for Fault {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{:?}", self.what)
    }
}

impl std::error::Error for Fault {}

impl de::Error for Fault {
    fn custom<T: fmt::Display>(said: T) -> Self {
        Self::new(What::Said(said.to_string()))
    }

    fn invalid_type(found: Unexpected<'_>, expected: &dyn de::Expected) -> Self {
        Self::custom(format_args!("expected {}, found {}", wanted(expected), kind_of(found)))
    }

    fn invalid_value(_: Unexpected<'_>, expected: &dyn de::Expected) -> Self {
        Self::custom(format_args!("expected {}", wanted(expected)))
    }

    fn unknown_field(found: &str, fields: &'static [&'static str]) -> Self {
        Self::new(What::UnknownField(found.to_owned(), fields))
    }

    fn unknown_variant(found: &str, words: &'static [&'static str]) -> Self {
        Self::new(What::UnknownWord(found.to_owned(), words))
    }

    fn missing_field(field: &'static str) -> Self {
        Self::custom(format_args!("field {field:?} is missing"))
    }
}

/// What was expected, in JSON's words where serde has Rust's.
fn wanted(expected: &dyn de::Expected) -> String {
    let expected = expected.to_string();
    match expected.as_str() {
        "u8" => format!("a whole number from 0 to {}", u8::MAX),
        "u16" => format!("a whole number from 0 to {}", u16::MAX),
        "u32" => format!("a whole number from 0 to {}", u32::MAX),
        "u64" | "usize" => "a whole number from 0 on".to_owned(),
        "i32" | "i64" => "a whole number".to_owned(),
        "f32" | "f64" => "a number".to_owned(),
        "a sequence" => "a list".to_owned(),
        "a map" => "an object".to_owned(),
        _ if expected.starts_with("struct ") => "an object".to_owned(),
        _ => expected,
    }
}

fn kind_of(found: Unexpected<'_>) -> &'static str {
    match found {
        Unexpected::Bool(_) => "a boolean",
        Unexpected::Unsigned(_) | Unexpected::Signed(_) => "an integer",
        Unexpected::Float(_) => "a number with a fraction",
        Unexpected::Str(_) | Unexpected::Char(_) | Unexpected::Bytes(_) => "a string",
        Unexpected::Unit | Unexpected::Option => "null",
        Unexpected::Seq => "a list",
        Unexpected::Map => "an object",
        _ => "something else",
    }
}

/// What is in place of one of these words. It takes nothing.
struct OneOf<T>(&'static [&'static str], PhantomData<T>);

impl<'de, T> Visitor<'de> for OneOf<T> {
    type Value = T;

    fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "one of {}", self.0.join(", "))
    }
}

/// A value being read.
struct Node<'a>(&'a Value);

impl<'de> de::Deserializer<'de> for Node<'de> {
    type Error = Fault;

    fn deserialize_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Fault> {
        match self.0 {
            Value::Null => visitor.visit_unit(),
            Value::Bool(value) => visitor.visit_bool(*value),
            Value::String(text) => visitor.visit_borrowed_str(text),
            Value::Array(items) => visitor.visit_seq(Items(items.iter().enumerate())),
            Value::Object(map) => visitor.visit_map(Entries {
                rest: map.iter(),
                value: None,
            }),
            Value::Number(number) => match (number.as_u64(), number.as_i64(), number.as_f64()) {
                (Some(number), _, _) => visitor.visit_u64(number),
                (_, Some(number), _) => visitor.visit_i64(number),
                (_, _, number) => visitor.visit_f64(number.unwrap_or(f64::NAN)),
            },
        }
    }

    fn deserialize_option<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Fault> {
        if self.0.is_null() {
            visitor.visit_none()
        } else {
            visitor.visit_some(self)
        }
    }

    fn deserialize_newtype_struct<V: Visitor<'de>>(self, _: &'static str, visitor: V) -> Result<V::Value, Fault> {
        visitor.visit_newtype_struct(self)
    }

    /// An object; a list of the fields' values, which serde would take as well, is none.
    fn deserialize_struct<V: Visitor<'de>>(
        self,
        _: &'static str,
        _: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, Fault> {
        if self.0.is_array() {
            return Err(de::Error::invalid_type(Unexpected::Seq, &visitor));
        }
        self.deserialize_any(visitor)
    }

    fn deserialize_enum<V: Visitor<'de>>(
        self,
        _: &'static str,
        words: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, Fault> {
        match self.0 {
            Value::String(word) => visitor.visit_enum(Variant {
                name: word,
                content: None,
            }),
            Value::Object(map) => match map.iter().next().filter(|_| map.len() == 1) {
                Some((name, content)) => visitor.visit_enum(Variant {
                    name,
                    content: Some(content),
                }),
                None => Err(de::Error::custom("expected an object with exactly one field")),
            },
            _ => self.deserialize_any(OneOf(words, PhantomData)),
        }
    }

    serde::forward_to_deserialize_any! {
        bool i8 i16 i32 i64 i128 u8 u16 u32 u64 u128 f32 f64 char str string bytes byte_buf unit unit_struct seq tuple
        tuple_struct map identifier ignored_any
    }
}

struct Items<'a>(std::iter::Enumerate<std::slice::Iter<'a, Value>>);

impl<'de> de::SeqAccess<'de> for Items<'de> {
    type Error = Fault;

    fn next_element_seed<T: DeserializeSeed<'de>>(&mut self, seed: T) -> Result<Option<T::Value>, Fault> {
        let Some((index, item)) = self.0.next() else {
            return Ok(None);
        };
        seed.deserialize(Node(item))
            .map(Some)
            .map_err(|fault| fault.below(&index.to_string()))
    }
}

struct Entries<'a> {
    rest: serde_json::map::Iter<'a>,
    value: Option<(&'a str, &'a Value)>,
}

impl<'de> de::MapAccess<'de> for Entries<'de> {
    type Error = Fault;

    fn next_key_seed<K: DeserializeSeed<'de>>(&mut self, seed: K) -> Result<Option<K::Value>, Fault> {
        let Some((key, value)) = self.rest.next() else {
            return Ok(None);
        };
        self.value = Some((key, value));
        seed.deserialize(Key(key)).map(Some).map_err(|fault| fault.below(key))
    }

    fn next_value_seed<V: DeserializeSeed<'de>>(&mut self, seed: V) -> Result<V::Value, Fault> {
        let (key, value) = self
            .value
            .take()
            .ok_or_else(|| de::Error::custom("a value without its key"))?;
        seed.deserialize(Node(value)).map_err(|fault| fault.below(key))
    }
}

/// A member's name, which may have to be a number.
struct Key<'a>(&'a str);

impl<'de> de::Deserializer<'de> for Key<'de> {
    type Error = Fault;

    fn deserialize_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Fault> {
        visitor.visit_borrowed_str(self.0)
    }

    fn deserialize_u16<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Fault> {
        match self.0.parse() {
            Ok(number) => visitor.visit_u16(number),
            Err(_) => Err(de::Error::custom("expected a number as the name")),
        }
    }

    fn deserialize_u32<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Fault> {
        match self.0.parse() {
            Ok(number) => visitor.visit_u32(number),
            Err(_) => Err(de::Error::custom("expected a number as the name")),
        }
    }

    serde::forward_to_deserialize_any! {
        bool i8 i16 i32 i64 i128 u8 u64 u128 f32 f64 char str string bytes byte_buf option unit unit_struct
        newtype_struct seq tuple tuple_struct map struct enum identifier ignored_any
    }
}

struct Variant<'a> {
    name: &'a str,
    content: Option<&'a Value>,
}

impl<'de> de::EnumAccess<'de> for Variant<'de> {
    type Error = Fault;
    type Variant = Self;

    fn variant_seed<V: DeserializeSeed<'de>>(self, seed: V) -> Result<(V::Value, Self), Fault> {
        let read = seed.deserialize(IntoDeserializer::<Fault>::into_deserializer(self.name));
        let place = |fault: Fault| {
            if self.content.is_some() {
                fault.below(self.name)
            } else {
                fault
            }
        };
        read.map(|variant| (variant, Self { ..self })).map_err(place)
    }
}

impl<'de> de::VariantAccess<'de> for Variant<'de> {
    type Error = Fault;

    fn unit_variant(self) -> Result<(), Fault> {
        match self.content {
            None => Ok(()),
            Some(_) => Err(de::Error::custom("expected a string, found an object")),
        }
    }

    fn newtype_variant_seed<T: DeserializeSeed<'de>>(self, seed: T) -> Result<T::Value, Fault> {
        let content = self
            .content
            .ok_or_else(|| de::Error::custom("expected an object with one field"));
        content.and_then(|content| {
            seed.deserialize(Node(content))
                .map_err(|fault: Fault| fault.below(self.name))
        })
    }

    fn tuple_variant<V: Visitor<'de>>(self, _: usize, _: V) -> Result<V::Value, Fault> {
        Err(de::Error::custom("expected a string"))
    }

    fn struct_variant<V: Visitor<'de>>(self, _: &'static [&'static str], visitor: V) -> Result<V::Value, Fault> {
        use de::Deserializer as _;
        let content = self
            .content
            .ok_or_else(|| de::Error::custom("expected an object with one field"))?;
        Node(content)
            .deserialize_struct("", &[], visitor)
            .map_err(|fault| fault.below(self.name))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::resources::{Start, SubscriptionSpec, TopicSpec};
    use serde_json::json;

    #[test]
    fn wrong_types_are_told_in_the_words_of_json() {
        fn told<T: DeserializeOwned>(value: &Value) -> String {
            let refusal = parse::<T>(value, "", &[]).err().expect("it is refused");
            format!("{}: {}", refusal.pointer.unwrap_or_default(), refusal.detail)
        }
        assert_eq!(
            told::<TopicSpec>(&json!({"partitions": -1})),
            "/partitions: expected a whole number from 0 to 4294967295"
        );
        assert_eq!(
            told::<TopicSpec>(&json!({"retention": ["1d"]})),
            "/retention: expected an object, found a list"
        );
        assert_eq!(
            told::<SubscriptionSpec>(&json!({"connection": "crm", "delivery": {"outcomes": []}})),
            "/delivery/outcomes: expected an object, found a list"
        );
        assert_eq!(
            told::<Start>(&json!(5)),
            ": expected one of now, earliest, time, offsets, found an integer"
        );
    }
}
