//! Events as a service's entries: as many as fit into one request, within its count and its bytes. Pure.

use crate::outcomes::TOO_LARGE;
pub(super) use crate::outcomes::Unfit;
use control::{
    limits::MESSAGE_GROUP_BYTES_MAX,
    resources::{MessageGroup, TargetMode, TargetSpec},
};
use delivery::Member;
use event::{EventView, json};
use transform::{InputPath, Paths};

impl Unfit {
    pub(super) fn too_large(what: &str, bytes: usize, max: usize) -> Unfit {
        Unfit {
            reason: TOO_LARGE,
            detail: format!("{what} of {bytes} bytes is larger than the {max} bytes that the service takes"),
        }
    }

    pub(super) fn unsuitable(detail: impl Into<String>) -> Unfit {
        Unfit {
            reason: "event_unsuitable",
            detail: detail.into(),
        }
    }
}

/// One entry, written.
pub(super) struct Entry {
    /// Its text in the request.
    pub text: Vec<u8>,
    /// What the service counts it as, in bytes.
    pub size: usize,
}

/// The bounds of one request.
#[derive(Clone, Copy, Debug)]
pub(super) struct Bounds {
    /// Entries.
    pub entries: usize,
    /// What the service counts, of all entries together.
    pub bytes: usize,
    /// What it counts, of one entry that goes alone.
    pub alone: usize,
}

/// The first members' entries between `before` and `after`, separated by commas, and how many there are.
pub(super) fn fill(
    bounds: Bounds,
    members: &[Member<'_>],
    separator: &[u8],
    body: &mut Vec<u8>,
    write: impl Fn(usize, &Member<'_>) -> Result<Entry, Unfit>,
) -> Result<usize, Unfit> {
    let (mut sent, mut size) = (0, 0);
    for member in members.iter().take(bounds.entries) {
        let entry = match write(sent, member) {
            Ok(entry) => entry,
            // It is the first one of the next request, and refused then.
            Err(_) if sent > 0 => break,
            Err(unfit) => return Err(unfit),
        };
        if sent == 0 && entry.size > bounds.alone {
            return Err(Unfit::too_large("an entry", entry.size, bounds.alone));
        }
        if sent > 0 && size + entry.size > bounds.bytes {
            break;
        }
        if sent > 0 {
            body.extend_from_slice(separator);
        }
        body.extend_from_slice(&entry.text);
        (sent, size) = (sent + 1, size + entry.size);
    }
    Ok(sent)
}

/// What a message holds: the event in the CloudEvents JSON format, or its data alone.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Content {
    Structured,
    Data,
}

impl Content {
    /// As a subscription's target says, where CloudEvents are usual.
    pub(super) fn of(target: &TargetSpec) -> Content {
        match target.mode {
            // The envelope stands in place of the data already.
            Some(TargetMode::Data | TargetMode::Envelope) => Content::Data,
            _ => Content::Structured,
        }
    }

    /// The bytes of a message.
    pub(super) fn bytes(self, event: &EventView<'_>) -> Vec<u8> {
        match self {
            Content::Structured => {
                let mut body = Vec::with_capacity(event.data().map_or(0, <[u8]>::len) + 512);
                json::encode_structured(event, &mut body);
                body
            }
            Content::Data => event.data().unwrap_or_default().to_vec(),
        }
    }

    /// A message that must be text, of the characters that SQS and SNS take.
    pub(super) fn text(self, event: &EventView<'_>) -> Result<String, Unfit> {
        let text = String::from_utf8(self.bytes(event));
        let text = text.map_err(|_| Unfit::unsuitable("the data is not text; target.mode structured can carry it"))?;
        if text.is_empty() {
            return Err(Unfit::unsuitable(
                "the event has no data, and a message must not be empty",
            ));
        }
        let legal =
            |one: char| matches!(one, '\t' | '\n' | '\r' | ' '..='\u{d7ff}' | '\u{e000}'..='\u{fffd}' | '\u{10000}'..);
        match text.chars().all(legal) {
            true => Ok(text),
            false => Err(Unfit::unsuitable(
                "the text holds a character that the service does not take",
            )),
        }
    }
}

/// A text as a JSON string.
pub(super) fn quoted(text: &str, out: &mut Vec<u8>) {
    serde_json::to_writer(out, text).expect("a string is written to memory");
}

/// Which group a FIFO message is of, or which shard a record goes to.
pub(super) enum Grouping {
    By(MessageGroup),
    Id(String),
    Path(Paths),
}

impl Grouping {
    /// As a subscription's target says.
    pub(super) fn of(target: &TargetSpec) -> Result<Grouping, String> {
        Ok(match (&target.group_id, &target.group_path) {
            (Some(id), _) => Self::Id(id.clone()),
            (_, Some(path)) => {
                let path = InputPath::new(path).map_err(|error| error.message)?;
                Self::Path(Paths::new(&[path]))
            }
            _ => Self::By(target.group.unwrap_or(MessageGroup::Key)),
        })
    }

    /// Of one event; at most 128 characters that SQS and SNS take.
    pub(super) fn text(&self, member: &Member<'_>) -> String {
        match self {
            Self::By(by) => group(*by, member),
            Self::Id(id) => id.clone(),
            Self::Path(path) => {
                let found = member.texts_at(path).ok().and_then(|mut texts| texts.pop()?);
                found.map_or_else(|| group(MessageGroup::Event, member), legal)
            }
        }
    }
}

/// Which group a message is of by an attribute of its event.
pub(super) fn group(by: MessageGroup, member: &Member<'_>) -> String {
    use MessageGroup::{Event, Key, Source, Subject, Type};
    let event = member.event;
    let text = match by {
        Key => member
            .key()
            .and_then(|key| std::str::from_utf8(key).ok())
            .unwrap_or(event.source()),
        Subject => event.subject().unwrap_or(event.source()),
        Source => event.source(),
        Type => event.event_type(),
        Event => return member.message_id.to_owned(),
    };
    legal(text.to_owned())
}

/// A text as a group that the services take: what they would not is its hash, which is still the same for the same text.
fn legal(text: String) -> String {
    let is_legal = |one: char| one.is_ascii_graphic();
    match (1..=MESSAGE_GROUP_BYTES_MAX).contains(&text.len()) && text.chars().all(is_legal) {
        true => text,
        false => format!("h-{:032x}", event::identity::unique_hash("", &text)),
    }
}
