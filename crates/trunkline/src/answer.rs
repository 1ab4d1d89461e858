//! What a server says: read for what a command looks at, printed as the server wrote it. The data of an event is nobody's here to
//! change: no number of it is read, because a double holds fewer digits than JSON may have, and no number above 1.8e308 at all.

use control::filters::string_end;
use serde::de::{DeserializeSeed, Deserializer, Error, IgnoredAny, MapAccess, SeqAccess, Visitor};
use serde_json::{Map, Value, value::RawValue};
use std::{collections::BTreeMap, fmt, ops::Deref};

/// Deeper than any answer: what it puts around an event, whose data alone may have [`event::limits::JSON_DEPTH_MAX`] levels.
const JSON_DEPTH_MAX: usize = event::limits::JSON_DEPTH_MAX + 32;
/// Members that hold an event. Its `data` reads as a text: a JSON string as what it says, any other value as it is written.
const EVENTS: [&str; 2] = ["event", "original"];
/// Spaces of one level, where it is printed for people.
const INDENT: &str = "  ";

/// A JSON text and what it says. It prints on one line, or with `{:#}` indented, its numbers and strings as they are written.
#[derive(Clone, Debug)]
pub struct Answer {
    text: String,
    value: Value,
}

impl Answer {
    /// Reads it; nothing is `null`. The error is a fragment that says why it cannot be read.
    pub fn read(text: &[u8]) -> Result<Self, String> {
        let text = match text.trim_ascii() {
            [] => "null",
            text => std::str::from_utf8(text).map_err(|error| error.to_string())?,
        };
        let mut reader = serde_json::Deserializer::from_str(text);
        if event::json::nests_within(text.as_bytes(), JSON_DEPTH_MAX) {
            reader.disable_recursion_limit();
        }
        let value = Reader { is_event: false }.deserialize(&mut reader);
        let value = value.and_then(|value| reader.end().map(|()| value));
        Ok(Self {
            value: value.map_err(|error| error.to_string())?,
            text: text.to_owned(),
        })
    }

    /// The text of a member of it.
    pub fn member(&self, name: &str) -> Option<&str> {
        let members: BTreeMap<String, &RawValue> = serde_json::from_str(&self.text).ok()?;
        members.get(name).map(|raw| raw.get())
    }

    /// What it says.
    pub fn into_value(self) -> Value {
        self.value
    }
}

impl Deref for Answer {
    type Target = Value;

    fn deref(&self) -> &Value {
        &self.value
    }
}

impl fmt::Display for Answer {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let is_indented = formatter.alternate();
        write(&self.text, is_indented, formatter)
    }
}

/// Whether a text is JSON, whatever its numbers are. How deep it may be nested is the server's to say.
pub fn is_json(text: &str) -> bool {
    serde_json::from_str::<IgnoredAny>(text).is_ok()
}

/// A JSON text without white space between its tokens, which stay as they are.
pub fn compact(json: &str) -> String {
    let mut compact = String::with_capacity(json.len());
    write(json, false, &mut compact).expect("a string takes every write");
    compact
}

/// Writes the tokens of a text that is known to be JSON.
fn write(json: &str, is_indented: bool, out: &mut impl fmt::Write) -> fmt::Result {
    let (mut depth, mut rest) = (0_usize, json.trim_ascii());
    let line = |out: &mut dyn fmt::Write, depth: usize| match is_indented {
        true => write!(out, "\n{}", INDENT.repeat(depth)),
        false => Ok(()),
    };
    while let Some(first) = rest.bytes().next() {
        let (token, behind) = rest.split_at(token_end(rest));
        rest = behind.trim_ascii_start();
        match first {
            b'{' | b'[' => {
                out.write_str(token)?;
                // What is empty stays on its line.
                if rest.starts_with(['}', ']']) {
                    out.write_str(&rest[..1])?;
                    rest = rest[1..].trim_ascii_start();
                } else {
                    depth += 1;
                    line(out, depth)?;
                }
            }
            b'}' | b']' => {
                depth = depth.saturating_sub(1);
                line(out, depth)?;
                out.write_str(token)?;
            }
            b',' => {
                out.write_str(token)?;
                line(out, depth)?;
            }
            b':' if is_indented => out.write_str(": ")?,
            _ => out.write_str(token)?,
        }
    }
    Ok(())
}

/// Where the token ends that a text begins with: a string, a literal, or one of the marks between them.
fn token_end(text: &str) -> usize {
    let bytes = text.as_bytes();
    match bytes[0] {
        b'"' => string_end(text),
        b'{' | b'}' | b'[' | b']' | b',' | b':' => 1,
        _ => {
            let ends = |byte: &u8| byte.is_ascii_whitespace() || b"{}[],:\"".contains(byte);
            bytes.iter().position(ends).unwrap_or(bytes.len())
        }
    }
}

/// What the data of an event reads as.
fn data(raw: &RawValue) -> Value {
    match raw.get() {
        "null" => Value::Null,
        // One with a lone surrogate is no text, and stays as it is written.
        text if text.starts_with('"') => serde_json::from_str(text).unwrap_or_else(|_| text.into()),
        text => compact(text).into(),
    }
}

/// Reads a value; of an event, all but the data.
struct Reader {
    is_event: bool,
}

impl<'de> DeserializeSeed<'de> for Reader {
    type Value = Value;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Value, D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Reader {
    type Value = Value;

    fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("JSON")
    }

    fn visit_unit<E: Error>(self) -> Result<Value, E> {
        Ok(Value::Null)
    }

    fn visit_bool<E: Error>(self, value: bool) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_i64<E: Error>(self, value: i64) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_u64<E: Error>(self, value: u64) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_f64<E: Error>(self, value: f64) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_str<E: Error>(self, value: &str) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut sequence: A) -> Result<Value, A::Error> {
        let mut items = Vec::new();
        while let Some(item) = sequence.next_element_seed(Reader { is_event: false })? {
            items.push(item);
        }
        Ok(items.into())
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Value, A::Error> {
        let mut members = Map::new();
        while let Some(name) = map.next_key::<String>()? {
            let value = match self.is_event && name == "data" {
                true => data(map.next_value()?),
                false => {
                    let is_event = EVENTS.contains(&name.as_str());
                    map.next_value_seed(Reader { is_event })?
                }
            };
            members.insert(name, value);
        }
        Ok(members.into())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Data that every reader of numbers changes or refuses.
    const DATA: &str = r#"{"big":123456789012345678901234567890,"f":1.10,"e":3e2,"dup":1,"dup":2,"z":-0,"inf":1e400,"u":"\u00e9\/\ud800"}"#;

    fn story(data: &str) -> Answer {
        let text = format!(r#"{{"event":{{"id":"1","data":{data}}},"stored":[{{"offset":7}}]}}"#);
        Answer::read(text.as_bytes()).expect("it is read")
    }

    #[test]
    fn an_event_is_printed_as_the_server_wrote_it_whatever_its_numbers_are() {
        let story = story(DATA);
        assert_eq!(story["event"]["id"], "1");
        assert_eq!(story["stored"][0]["offset"], 7);
        assert_eq!(story["event"]["data"], DATA);
        assert!(story.to_string().contains(DATA));
        let compacted = compact(&format!("{story:#}"));
        assert_eq!(compacted, story.to_string());
        assert_eq!(
            story.member("event").map(compact),
            Some(format!(r#"{{"id":"1","data":{DATA}}}"#))
        );
    }

    #[test]
    fn data_reads_as_text() {
        for (data, read) in [
            (r#""a\nb""#, "a\nb"),
            (r#""\ud800""#, r#""\ud800""#),
            ("[1,\n 2.0]", "[1,2.0]"),
            ("1e400", "1e400"),
        ] {
            assert_eq!(story(data)["event"]["data"], read, "{data}");
        }
        assert!(story("null")["event"]["data"].is_null());
    }

    #[test]
    fn an_answer_is_indented_as_json_usually_is() {
        for text in [
            r#"{"a":[1,{"b c":"x: [,] \"y\""},[],{}],"d":null,"e":{"f":true}}"#,
            r#""text""#,
            "[]",
            "5",
        ] {
            let usual: Value = serde_json::from_str(text).expect("JSON");
            let answer = Answer::read(format!(" {usual:#}\n").as_bytes()).expect("it is read");
            assert_eq!(format!("{answer:#}"), format!("{usual:#}"));
            assert_eq!(answer.to_string(), text);
        }
    }

    #[test]
    fn nothing_is_null_and_what_cannot_be_read_is_said() {
        assert!(Answer::read(b" ").is_ok_and(|answer| answer.is_null() && answer.to_string() == "null"));
        for wrong in [
            &b"{} x"[..],
            b"<html>",
            b"\xff",
            b"{\"n\":1e400}",
            b"{\"event\":{\"data\":tru}}",
        ] {
            assert!(Answer::read(wrong).is_err(), "{wrong:?}");
        }
    }

    #[test]
    fn the_story_of_the_deepest_event_is_read_and_nothing_hostile() {
        let nested = |depth: usize| "[".repeat(depth) + &"]".repeat(depth);
        let deepest = nested(event::limits::JSON_DEPTH_MAX);
        assert_eq!(story(&deepest)["event"]["data"], deepest.as_str());
        assert!(Answer::read(nested(1_000_000).as_bytes()).is_err());
    }
}
