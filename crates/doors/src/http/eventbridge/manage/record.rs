//! What a bus remembers for this door: one annotation for each rule, connection and the like, as JSON; and what all of them have.

use super::super::{asked::Asked, fault::Fault};
use control::resources::Annotations;
use serde::{Deserialize, Serialize, de::DeserializeOwned};
use serde_json::Value;
use std::collections::BTreeMap;

/// Before the kind in an annotation's name.
const PREFIX: &str = "eventbridge.";
/// Letters of most names, by the model.
pub(super) const NAME_MAX: usize = 64;
/// Characters of a description, by the model.
const DESCRIPTION_MAX: usize = 512;
/// Tags of a thing.
const TAGS_MAX: usize = 50;
/// Characters of a tag's key and value, by the model.
const TAG_KEY_MAX: usize = 128;
const TAG_VALUE_MAX: usize = 256;

/// Kinds of records: the words before their names.
pub(super) const BUS: &str = "bus";
pub(super) const RULE: &str = "rule";
pub(super) const CONNECTION: &str = "connection";
pub(super) const API_DESTINATION: &str = "api-destination";
/// Of a connection that is an API destination of another bus.
pub(super) const COPY: &str = "api-destination-copy";
pub(super) const ARCHIVE: &str = "archive";
/// Of the bus itself: its resource policy.
pub(super) const POLICY: &str = "policy";
pub(super) const REPLAY: &str = "replay";

/// Tags by key.
pub(super) type Tags = BTreeMap<String, String>;

/// What is remembered of a bus itself.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub(super) struct BusRecord {
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub tags: Tags,
    /// When it was made, in milliseconds since the epoch; 0: not by this door.
    #[serde(default)]
    pub created: i64,
}

/// The one record of its kind that is about the bus itself.
pub(super) const ITSELF: &str = "itself";

fn key(kind: &str, name: &str) -> String {
    format!("{PREFIX}{kind}/{name}")
}

/// A record, if there is one that can be read.
pub(super) fn get<T: DeserializeOwned>(annotations: &Annotations, kind: &str, name: &str) -> Option<T> {
    serde_json::from_str(annotations.get(&key(kind, name))?).ok()
}

/// Whether there is a record.
pub(super) fn has(annotations: &Annotations, kind: &str, name: &str) -> bool {
    annotations.contains_key(&key(kind, name))
}

/// Every record of a kind, by name.
pub(super) fn all<T: DeserializeOwned>(annotations: &Annotations, kind: &str) -> Vec<(String, T)> {
    let begin = key(kind, "");
    let records = annotations
        .range(begin.clone()..)
        .take_while(|(key, _)| key.starts_with(&begin));
    let read =
        |(key, text): (&String, &String)| Some((key[begin.len()..].to_owned(), serde_json::from_str(text).ok()?));
    records.filter_map(read).collect()
}

/// Keeps a record.
pub(super) fn put(annotations: &mut Annotations, kind: &str, name: &str, record: &impl Serialize) {
    let text = serde_json::to_string(record).expect("plain data with string keys");
    annotations.insert(key(kind, name), text);
}

/// Forgets a record; says whether there was one.
pub(super) fn remove(annotations: &mut Annotations, kind: &str, name: &str) -> bool {
    annotations.remove(&key(kind, name)).is_some()
}

/// A name of the model: letters, digits, `.`, `-` and `_`; the first a letter or digit, as names here have it.
pub(super) fn name<'a>(given: Option<&'a String>, member: &str, max: usize) -> Result<&'a str, Fault> {
    let name = required(given, member)?;
    if name.len() > max {
        let rule = format!("Member must have length less than or equal to {max}");
        return Err(Fault::constraint(name, member, &rule));
    }
    let legal = |byte: u8| byte.is_ascii_alphanumeric() || b"._-".contains(&byte);
    let begins = name.bytes().next().is_some_and(|byte| byte.is_ascii_alphanumeric());
    match begins && name.bytes().all(legal) {
        true => Ok(name),
        false => Err(Fault::constraint(
            name,
            member,
            "Member must satisfy regular expression pattern: [A-Za-z0-9][.\\-_A-Za-z0-9]*",
        )),
    }
}

/// A member that must be there.
pub(super) fn required<'a, T>(given: Option<&'a T>, member: &str) -> Result<&'a T, Fault> {
    given.ok_or_else(|| Fault::constraint("null", member, "Member must not be null"))
}

/// A word of an enumeration of the model, if one is given.
pub(super) fn one_of(given: Option<&str>, member: &str, words: &[&str]) -> Result<(), Fault> {
    match given.filter(|word| !words.contains(word)) {
        None => Ok(()),
        Some(word) => {
            let rule = format!("Member must satisfy enum value set: [{}]", words.join(", "));
            Err(Fault::constraint(word, member, &rule))
        }
    }
}

/// A description within its bound.
pub(super) fn description(given: Option<&String>) -> Result<(), Fault> {
    match given.filter(|text| text.chars().count() > DESCRIPTION_MAX) {
        None => Ok(()),
        Some(text) => Err(Fault::constraint(
            text,
            "description",
            "Member must have length less than or equal to 512",
        )),
    }
}

/// A member that is not taken here.
pub(super) fn refuse(given: Option<&Value>, member: &str, why: &str) -> Result<(), Fault> {
    match given.filter(|value| !value.is_null()) {
        None => Ok(()),
        Some(_) => Err(Fault::validation(format!(
            "Parameter {member} is not valid. Reason: {why}"
        ))),
    }
}

/// A tag, as requests and answers have it.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(super) struct Tag {
    pub key: String,
    pub value: String,
}

/// What keys of tags of AWS's own begin with.
const RESERVED: &str = "aws:";

/// Tags by key, of those there are and those that come.
pub(super) fn tagged(mut tags: Tags, more: &[Tag]) -> Result<Tags, Fault> {
    for Tag { key, value } in more {
        if !(1..=TAG_KEY_MAX).contains(&key.chars().count()) {
            return Err(Fault::constraint(
                key,
                "tags.member.key",
                "Member must have length between 1 and 128",
            ));
        }
        if key.starts_with(RESERVED) {
            let rule = "Member must not begin with aws:";
            return Err(Fault::constraint(key, "tags.member.key", rule));
        }
        if value.chars().count() > TAG_VALUE_MAX {
            let rule = "Member must have length less than or equal to 256";
            return Err(Fault::constraint(value, "tags.member.value", rule));
        }
        tags.insert(key.clone(), value.clone());
    }
    match tags.len() <= TAGS_MAX {
        true => Ok(tags),
        false => Err(limit()),
    }
}

/// The tags of a thing, as an answer has them.
pub(super) fn listed(tags: &Tags) -> Vec<Tag> {
    let listed = tags.iter().map(|(key, value)| Tag {
        key: key.clone(),
        value: value.clone(),
    });
    listed.collect()
}

/// There are too many.
pub(super) fn limit() -> Fault {
    Fault::new(
        "LimitExceededException",
        "The requested resource exceeds the maximum number allowed.",
    )
}

/// There is one already.
pub(super) fn exists(what: &str, name: &str) -> Fault {
    Fault::new(
        "ResourceAlreadyExistsException",
        format!("{what} {name} already exists."),
    )
}

/// There is none.
pub(super) fn missing(what: &str, name: &str) -> Fault {
    Fault::not_found(format!("{what} '{name}' does not exist."))
}

/// The time now, in milliseconds since the epoch, as records get it.
pub(super) fn now(asked: &Asked) -> i64 {
    asked.state.journal.now()
}

/// A time as answers have it: seconds since the epoch.
pub(super) fn seconds(millis: i64) -> f64 {
    millis as f64 / 1_000.0
}

/// The end of the ARN of a thing: what AWS puts there is random, here it follows from where the thing is and when it was made.
pub(super) fn unique(kind: &str, bus: &str, name: &str, created: i64) -> String {
    let text = format!("{kind}/{bus}/{name}/{created}");
    let digest = ring::digest::digest(&ring::digest::SHA256, text.as_bytes());
    let bytes = digest.as_ref()[..16].try_into().expect("SHA-256 has 32 bytes");
    super::super::fault::uuid(bytes, 8)
}
