//! A filter's JSON as it was written: repeated names, the spelling of numbers and the order of names all mean something to an
//! EventBridge pattern, and a JSON tree loses them. It is kept as a text, and goes out as JSON where that loses nothing. So is the
//! constant that a transform delivers.

use serde::{Deserialize, Deserializer, Serialize, Serializer};
use serde_json::{Value, value::RawValue};
use std::fmt;

/// The text of a filter that is JSON, or of a constant. Two of them are equal when they differ in white space and escapes alone.
#[derive(Clone, Debug)]
pub struct FilterText(Box<str>);

/// Names of a resource's filter whose JSON is kept as it is written.
const KEPT: [&str; 3] = ["eventbridge", "cloudevents", "eventgrid"];
/// Names of texts that go out as JSON: those of filters, and a transform's constant.
const SHOWN: [&str; 4] = [KEPT[0], KEPT[1], KEPT[2], CONSTANT];
/// The name of a transform's constant.
const CONSTANT: &str = "input";

impl FilterText {
    /// A text; whether it is a filter is found when it is compiled.
    pub fn new(text: impl Into<Box<str>>) -> Self {
        Self(text.into())
    }

    /// As it was written.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// As a JSON value, if that says all that the text says.
    pub fn to_value(&self) -> Option<Value> {
        let value: Value = serde_json::from_str(&self.0).ok()?;
        let written = value.to_string();
        (written == normal(&self.0)).then_some(value)
    }
}

impl PartialEq for FilterText {
    fn eq(&self, other: &Self) -> bool {
        self.0 == other.0 || normal(&self.0) == normal(&other.0)
    }
}

impl Eq for FilterText {}

/// Always a string: what leaves as JSON is turned into it by [`show`].
impl Serialize for FilterText {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&self.0)
    }
}

/// JSON, or a string that holds it.
impl<'de> Deserialize<'de> for FilterText {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Ok(match Value::deserialize(deserializer)? {
            Value::String(text) => Self(text.into()),
            value => Self(value.to_string().into()),
        })
    }
}

/// Reads a resource's JSON into a value whose filter is still the text that was written, and whose transform's constant is that
/// text without the white space between its tokens. The bytes must be UTF-8.
pub fn read_document(bytes: &[u8]) -> Result<Value, serde_json::Error> {
    if bytes.trim_ascii_start().first() != Some(&b'{') {
        return serde_json::from_slice(bytes);
    }
    members(bytes, |name, raw| match name {
        "filter" if raw.starts_with('{') => members(raw.as_bytes(), |name, raw| match KEPT.contains(&name) {
            true if raw.starts_with(['{', '[']) => Ok(Value::String(raw.to_owned())),
            _ => serde_json::from_str(raw),
        }),
        "transform" if raw.starts_with('{') => members(raw.as_bytes(), |name, raw| match name {
            // A string holds the text itself.
            CONSTANT if !raw.starts_with('"') => Ok(Value::String(normal(raw))),
            _ => serde_json::from_str(raw),
        }),
        _ => serde_json::from_str(raw),
    })
}

/// An object whose members are read one by one.
fn members(
    bytes: &[u8],
    mut read: impl FnMut(&str, &str) -> Result<Value, serde_json::Error>,
) -> Result<Value, serde_json::Error> {
    let Members(members) = serde_json::from_slice(bytes)?;
    let members = members
        .into_iter()
        .map(|(name, raw)| read(&name, raw.get()).map(|value| (name, value)));
    members.collect::<Result<_, _>>().map(Value::Object)
}

/// The members of an object, in their order.
struct Members<'a>(Vec<(String, &'a RawValue)>);

impl<'de> Deserialize<'de> for Members<'de> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Visitor;

        impl<'de> serde::de::Visitor<'de> for Visitor {
            type Value = Members<'de>;

            fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
                formatter.write_str("an object")
            }

            fn visit_map<A: serde::de::MapAccess<'de>>(self, mut map: A) -> Result<Members<'de>, A::Error> {
                let mut members = Vec::new();
                while let Some(member) = map.next_entry()? {
                    members.push(member);
                }
                Ok(Members(members))
            }
        }

        deserializer.deserialize_map(Visitor)
    }
}

/// Turns the texts of a resource's filter or transform into JSON where that loses nothing.
pub(crate) fn show(filter: &mut Value) {
    for name in SHOWN {
        if let Some(shown) = filter.get_mut(name)
            && let Some(text) = shown.as_str()
            && let Some(value) = FilterText::new(text).to_value()
            // A string would be read as the text that it holds.
            && !value.is_string()
        {
            *shown = value;
        }
    }
}

/// The text without white space between its tokens, its strings written in one way.
fn normal(text: &str) -> String {
    let mut normal = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(at) = rest.find(|character: char| character == '"' || character.is_ascii_whitespace()) {
        normal.push_str(&rest[..at]);
        rest = &rest[at..];
        if !rest.starts_with('"') {
            rest = &rest[1..];
            continue;
        }
        let end = string_end(rest);
        match serde_json::from_str::<String>(&rest[..end]) {
            Ok(string) => normal.push_str(&Value::String(string).to_string()),
            Err(_) => normal.push_str(&rest[..end]),
        }
        rest = &rest[end..];
    }
    normal.push_str(rest);
    normal
}

/// Where the string of JSON ends that a text begins with.
pub fn string_end(text: &str) -> usize {
    let mut escaped = false;
    for (at, byte) in text.bytes().enumerate().skip(1) {
        match byte {
            _ if escaped => escaped = false,
            b'\\' => escaped = true,
            b'"' => return at + 1,
            _ => {}
        }
    }
    text.len()
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn white_space_and_escapes_make_no_difference_and_everything_else_does() {
        let same = |left: &str, right: &str| FilterText::new(left) == FilterText::new(right);
        assert!(same(r#"{"a": ["\u0062\/"]}"#, "{\n\"a\":[\"b/\"] }"));
        for other in [r#"{"a":[3e2]}"#, r#"{"a":["300"]}"#, r#"{"a":[300.0]}"#] {
            assert!(!same(r#"{"a":[300]}"#, other), "{other}");
        }
        assert!(!same(r#"{"a":["x y"]}"#, r#"{"a":["xy"]}"#));
        assert!(!same(r#"{"a":[1],"b":[1]}"#, r#"{"b":[1],"a":[1]}"#));
        assert!(same(r#"{"a":["\ud800"]}"#, r#"{"a" : ["\ud800"]}"#));
    }

    #[test]
    fn a_text_goes_out_as_json_where_that_loses_nothing() {
        for kept in [r#"{"z":[300.0, 1.5, -0.0],"a":["é"]}"#, "[]", r#"{"a":["\u00e9\n"]}"#] {
            let value = FilterText::new(kept).to_value().expect(kept);
            assert_eq!(FilterText::new(value.to_string()), FilterText::new(kept));
        }
        for lost in [
            r#"{"a":[3e2]}"#,
            r#"{"a":[1e400]}"#,
            r#"{"a":[1],"a":[2]}"#,
            r#"{"a":[123456789012345678901234567890]}"#,
            r#"{"a":["\ud800"]}"#,
            "{",
            "",
        ] {
            assert_eq!(FilterText::new(lost).to_value(), None, "{lost}");
        }
    }

    #[test]
    fn a_document_keeps_the_text_of_its_filter() {
        let text = r#"{"kind": "subscription", "filter": {"eventbridge": {"a": [1e400], "a": [ 3e2 ]}, "dialect": "extended"}, "b": 1}"#;
        let document = read_document(text.as_bytes()).expect("a document");
        assert_eq!(document["filter"]["eventbridge"], r#"{"a": [1e400], "a": [ 3e2 ]}"#);
        assert_eq!(
            (&document["filter"]["dialect"], &document["b"]),
            (&json!("extended"), &json!(1))
        );
        for (text, value) in [
            (r#"{"filter": {"cesql": "TRUE"}}"#, json!({"filter": {"cesql": "TRUE"}})),
            (r#"{"filter": null}"#, json!({"filter": null})),
            (
                r#"{"transform": {"input": {"n": [1.10, 1e400], "n": "a b"}}}"#,
                json!({"transform": {"input": r#"{"n":[1.10,1e400],"n":"a b"}"#}}),
            ),
            (
                r#"{"transform": {"input": "{ \"n\": 1 }"}}"#,
                json!({"transform": {"input": "{ \"n\": 1 }"}}),
            ),
            (
                r#"{"transform": {"input_path": "$.a"}}"#,
                json!({"transform": {"input_path": "$.a"}}),
            ),
            (
                r#"{"filter": {"eventbridge": 5}}"#,
                json!({"filter": {"eventbridge": 5}}),
            ),
            (" [1]", json!([1])),
        ] {
            assert_eq!(read_document(text.as_bytes()).expect(text), value);
        }
        assert!(read_document(b"{").is_err());
        assert!(read_document(br#"{"a": 1e400}"#).is_err());
    }
}
