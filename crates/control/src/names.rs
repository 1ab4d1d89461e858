//! Names and the rules they follow. A name that exists as one of these types can stand in a path, a log line and a Kafka
//! topic list; it still never becomes part of a file's name: files are named by internal numbers.

use crate::{
    limits,
    refusal::{Class, Refusal},
    resources::ResourceKind,
};

/// The name of a bus, topic, connection or subscription: `[A-Za-z0-9][A-Za-z0-9._-]{0,199}`.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Name(String);

/// The id of a key: as [`Name`], without a dot, because the dot ends it in a token.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct KeyId(String);

/// A catalogued event type: any CloudEvents `type` of at most 255 printable characters without `*`, which is a pattern.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct EventTypeName(String);

const NAME_RULE: &str = "1 to 200 of A-Z, a-z, 0-9, '.', '_', '-', the first a letter or digit";
const KEY_ID_RULE: &str = "1 to 200 of A-Z, a-z, 0-9, '_', '-', the first a letter or digit";
const EVENT_TYPE_RULE: &str = "1 to 255 printable characters without '*', no space at an end, not '.' or '..'";

impl Name {
    /// Checks a name.
    pub fn new(name: &str) -> Result<Self, Refusal> {
        let legal = is_plain(name, |byte| byte.is_ascii_alphanumeric() || b"._-".contains(&byte));
        if legal {
            Ok(Self(name.to_owned()))
        } else {
            Err(refused("a name", name, NAME_RULE))
        }
    }

    /// The text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl KeyId {
    /// Checks an id.
    pub fn new(id: &str) -> Result<Self, Refusal> {
        let legal = is_plain(id, |byte| byte.is_ascii_alphanumeric() || b"_-".contains(&byte));
        if legal {
            Ok(Self(id.to_owned()))
        } else {
            Err(refused("a key's id", id, KEY_ID_RULE))
        }
    }

    /// The text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl EventTypeName {
    /// Checks a type.
    pub fn new(name: &str) -> Result<Self, Refusal> {
        let short = name.len() <= 4 * limits::EVENT_TYPE_CHARACTERS_MAX
            && (1..=limits::EVENT_TYPE_CHARACTERS_MAX).contains(&name.chars().count());
        let whole = name.trim() == name && name != "." && name != "..";
        let legal = short
            && whole
            && name
                .chars()
                .all(|character| is_printable(character) && character != '*');
        if legal {
            Ok(Self(name.to_owned()))
        } else {
            Err(refused("an event type", name, EVENT_TYPE_RULE))
        }
    }

    /// The text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// Checks a name by the rule of its kind.
pub(crate) fn check(kind: ResourceKind, name: &str) -> Result<(), Refusal> {
    match kind {
        ResourceKind::Key => KeyId::new(name).map(drop),
        ResourceKind::EventType => EventTypeName::new(name).map(drop),
        ResourceKind::Bus | ResourceKind::Topic | ResourceKind::Connection | ResourceKind::Subscription => {
            Name::new(name).map(drop)
        }
    }
}

fn is_plain(name: &str, legal: impl Fn(u8) -> bool) -> bool {
    name.len() <= limits::NAME_CHARACTERS_MAX
        && name.as_bytes().first().is_some_and(u8::is_ascii_alphanumeric)
        && name.bytes().all(legal)
}

/// Whether a person can see a character for what it is: no controls, no invisible or direction-changing ones, no spaces but
/// the plain one, nothing private or unassigned for ever.
pub(crate) fn is_printable(character: char) -> bool {
    let code = u32::from(character);
    let invisible = matches!(code,
        0xAD | 0x34F | 0x61C | 0x115F..=0x1160 | 0x17B4..=0x17B5 | 0x180B..=0x180F | 0x200B..=0x200F | 0x202A..=0x202E
        | 0x2060..=0x206F | 0x3164 | 0xFE00..=0xFE0F | 0xFEFF | 0xFFA0 | 0xFFF0..=0xFFFB | 0xE0000..=0xE0FFF);
    let private = matches!(code, 0xE000..=0xF8FF | 0xF0000..);
    let noncharacter = matches!(code, 0xFDD0..=0xFDEF) || code & 0xFFFE == 0xFFFE;
    let space = character.is_whitespace() && character != ' ';
    !(character.is_control() || invisible || private || noncharacter || space)
}

fn refused(what: &str, name: &str, rule: &str) -> Refusal {
    let detail = format!("{} is not {what}: {rule}", crate::parse::echo(name));
    Refusal {
        pointer: Some("/name".to_owned()),
        ..Refusal::new("name_invalid", Class::Invalid, detail)
    }
}
