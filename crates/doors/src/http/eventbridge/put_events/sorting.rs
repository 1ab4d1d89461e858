//! From entries to the events of each bus, and what is wrong with the others.

use super::{
    input::{Entry, Request, Text},
    outcome::{Failed, Outcomes},
};
use crate::http::{
    State, cloudevents,
    eventbridge::{fault::Fault, identity::Caller, names},
};
use control::{Denied, Model, resources::Scope};
use event::{Event, Invalid, codes, eventbridge};
use std::{borrow::Cow, sync::Arc};

/// Characters of a detail type, by AWS's documentation.
const DETAIL_TYPE_CHARACTERS_MAX: usize = 128;
/// Sources that only AWS itself has.
const RESERVED_SOURCES: &str = "aws.";

/// What sorting needs to know of the request.
pub(super) struct Sorter<'s> {
    pub(super) state: &'s State,
    pub(super) model: Arc<Model>,
    pub(super) caller: &'s Caller,
    pub(super) trace: Option<cloudevents::trace::Trace>,
    pub(super) ids: &'s [String],
}

/// Events for a bus, with the indexes of their entries.
pub(super) struct Group {
    pub(super) bus: String,
    pub(super) indexes: Vec<usize>,
    pub(super) events: Vec<Event>,
}

impl Sorter<'_> {
    /// The events of the entries that are open, by bus. If the caller may publish to no bus of the request, that is the answer.
    pub(super) fn sort(&self, request: Request<'_>, outcomes: &mut Outcomes) -> Result<Vec<Group>, Fault> {
        let mut groups: Vec<Group> = Vec::with_capacity(1);
        let count = request.entries.len();
        for (index, entry) in request.entries.into_iter().enumerate() {
            if !outcomes.is_open(index) {
                continue;
            }
            let sorted = self.bus(&entry).and_then(|bus| Ok((bus, self.event(index, entry)?)));
            let (bus, event) = match sorted {
                Ok((Some(bus), event)) => (bus, event),
                Ok((None, _)) => {
                    outcomes.accept(index, &self.ids[index]);
                    continue;
                }
                Err(failed) => {
                    outcomes.fail(index, failed);
                    continue;
                }
            };
            let at = groups.iter().position(|group| group.bus == bus).unwrap_or_else(|| {
                groups.push(Group {
                    bus,
                    indexes: Vec::with_capacity(count),
                    events: Vec::with_capacity(count),
                });
                groups.len() - 1
            });
            groups[at].indexes.push(index);
            groups[at].events.push(event);
        }
        match outcomes.all_denied() {
            Some(denied) => Err(Fault::denied(denied.message.clone())),
            None => Ok(groups),
        }
    }

    /// The bus of an entry; `None`: the event is to be lost.
    fn bus(&self, entry: &Entry<'_>) -> Result<Option<String>, Failed> {
        let named = entry.event_bus_name.as_ref().map_or("", |Text(name)| name);
        let named = if named.is_empty() { names::DEFAULT_BUS } else { named };
        let wrong = || Failed::parameter("EventBusName", "It must be a name or an ARN of an event bus.");
        let bus = names::bus(named).ok_or_else(wrong)?;
        if control::authorize(&self.caller.principal, bus, Scope::Publish).is_err() {
            let arn = names::arn(&self.caller.region, names::EVENT_BUS, bus);
            let message = format!("The key is not authorized to perform: events:PutEvents on resource: {arn}");
            return Err(Failed::new("AccessDeniedException", message));
        }
        match self.model.buses.contains_key(bus) {
            true => Ok(Some(bus.to_owned())),
            false if self.state.eventbridge.settings.loses_events_of_unknown_buses => Ok(None),
            false => Err(Failed::new(
                "ResourceNotFoundException",
                format!("Event bus {bus} does not exist."),
            )),
        }
    }

    fn event(&self, index: usize, entry: Entry<'_>) -> Result<Event, Failed> {
        let entry = self.entry(entry)?;
        let mut event = entry.into_event(self.ids[index].as_str()).map_err(invalid)?;
        if let Some(trace) = &self.trace {
            trace.adopt(&mut event).map_err(invalid)?;
        }
        let permitted = self.caller.principal.permits(event.event_type(), event.source());
        permitted.map_err(|denied| match denied {
            Denied::Source => Failed::new("NotAuthorizedForSourceException", "Not authorized for the source."),
            Denied::Type => Failed::new(
                "NotAuthorizedForDetailTypeException",
                "Not authorized for the detail type.",
            ),
        })?;
        Ok(event)
    }

    fn entry<'a>(&self, entry: Entry<'a>) -> Result<eventbridge::Entry<'a>, Failed> {
        let source = required("Source", entry.source)?;
        let detail_type = required("DetailType", entry.detail_type)?;
        let detail = required("Detail", entry.detail)?;
        if source.starts_with(RESERVED_SOURCES) {
            return Err(Failed::new(
                "NotAuthorizedForSourceException",
                "Not authorized for the source.",
            ));
        }
        if detail_type.len() > DETAIL_TYPE_CHARACTERS_MAX && detail_type.chars().count() > DETAIL_TYPE_CHARACTERS_MAX {
            return Err(Failed::parameter("DetailType", "It must have at most 128 characters."));
        }
        let resources = entry.resources.map_or_else(Vec::new, |list| list.kept);
        Ok(eventbridge::Entry {
            source,
            detail_type,
            detail,
            time: entry.time.map(|time| time_of(time.get())).transpose()?.map(Cow::Owned),
            resources: resources.into_iter().map(|Text(text)| text).collect(),
            trace_header: entry.trace_header.map(|Text(text)| text),
            account: None,
            region: Some(Cow::Owned(self.caller.region.clone())),
        })
    }
}

fn required<'a>(member: &str, text: Option<Text<'a>>) -> Result<Cow<'a, str>, Failed> {
    let missing = || Failed::parameter(member, &format!("{member} is a required argument."));
    text.map(|Text(text)| text)
        .filter(|text| !text.is_empty())
        .ok_or_else(missing)
}

/// A time as SDKs write it: a number of seconds; RFC 3339 as a text is taken too.
fn time_of(json: &str) -> Result<String, Failed> {
    let time = match serde_json::from_str::<String>(json) {
        Ok(text) => Some(text),
        Err(_) => eventbridge::time_of_epoch(json),
    };
    time.ok_or_else(|| Failed::parameter("Time", "It must be a number of seconds since 1970."))
}

/// What is wrong with an entry, in AWS's words where it has some.
fn invalid(invalid: Invalid) -> Failed {
    if invalid.attribute == "Detail" && invalid.code == codes::DATA_INVALID {
        return Failed::new("MalformedDetail", format!("Detail is malformed. It {}.", invalid.rule));
    }
    Failed::parameter(&invalid.attribute, &format!("It {}.", invalid.rule))
}
