//! Claim checks: of an event that is too large for its provider, where it is instead of what it holds. CloudEvents calls the
//! attribute `dataref`. Pure; the place is served by the door of `/v1`.

use crate::outcomes::{TOO_LARGE, Unfit};
use control::resources::SubscriptionSpec;
use delivery::{Attempt, Member};
use event::{DataForm, Event, EventView, record_binding::ORIGINAL_HEADER};
use serde_json::json;
use std::sync::Arc;
use url::form_urlencoded;

/// CloudEvents' documented extension for it.
const EXTENSION: &str = "dataref";

/// How a request carries an event.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Carries {
    /// Its attributes too: the place is one of them, and there are no data.
    Attributes,
    /// Its data alone: they are an object that names the place.
    Data,
}

/// How the events of one subscription are checked in.
#[derive(Clone, Debug)]
pub(crate) struct ClaimCheck {
    /// Where this server is reached from outside, without a slash at its end; empty: nobody said.
    public_url: Arc<str>,
    /// Data of more bytes are never sent; absent: whatever the provider takes is.
    over: Option<u64>,
    carries: Carries,
}

impl ClaimCheck {
    /// `None`: the subscription does not ask for it.
    pub(crate) fn of(subscription: &SubscriptionSpec, public_url: &Arc<str>, carries: Carries) -> Option<ClaimCheck> {
        let asked = subscription.target.claim_check.as_ref()?;
        Some(ClaimCheck {
            public_url: Arc::clone(public_url),
            over: asked.over,
            carries,
        })
    }

    /// Writes the first members that need none; where the first one does, its place alone.
    pub(crate) fn write<W>(
        &self,
        attempt: &Attempt<'_>,
        write: impl Fn(&[Member<'_>]) -> Result<W, Unfit>,
    ) -> Result<W, Unfit> {
        let members = attempt.members;
        let small = members.iter().take_while(|member| !self.is_over(member)).count();
        if small > 0 {
            match write(&members[..small]) {
                Err(unfit) if unfit.reason == TOO_LARGE => {}
                written => return written,
            }
        }
        self.write_place(attempt.origin, &members[0], write)
    }

    fn is_over(&self, member: &Member<'_>) -> bool {
        let bytes = member.event.data().map_or(0, <[u8]>::len) as u64;
        self.over.is_some_and(|over| bytes > over)
    }

    fn write_place<W>(
        &self,
        bus: &str,
        member: &Member<'_>,
        write: impl Fn(&[Member<'_>]) -> Result<W, Unfit>,
    ) -> Result<W, Unfit> {
        let is_edited = member
            .record
            .view(0, 0)
            .headers()
            .any(|(name, _)| name == ORIGINAL_HEADER);
        if is_edited {
            let detail =
                "the event is too large and was edited: its place holds what was received, so it cannot stand for it";
            return Err(Unfit {
                reason: TOO_LARGE,
                detail: detail.to_owned(),
            });
        }
        let place = self.place(bus, member.event);
        match self.carries {
            Carries::Attributes => {
                let event = with_place(member.event, place)?;
                write(&[Member {
                    event: &event.view(),
                    ..*member
                }])
            }
            Carries::Data => {
                let data = json!({EXTENSION: place}).to_string();
                let event = member
                    .event
                    .with_data(data.as_bytes(), DataForm::Json, "application/json");
                write(&[Member {
                    event: &event,
                    ..*member
                }])
            }
        }
    }

    /// Where the data are. An id is one among those of its source.
    fn place(&self, bus: &str, event: &EventView<'_>) -> String {
        let (id, source) = (encoded(event.id()), encoded(event.source()));
        format!("{}/v1/buses/{bus}/events/{id}/data?source={source}", self.public_url)
    }
}

fn with_place(event: &EventView<'_>, place: String) -> Result<Event, Unfit> {
    let unsuitable = |why: event::Invalid| Unfit {
        reason: TOO_LARGE,
        detail: format!("the event is too large, and its place does not fit into it: {why}"),
    };
    let mut event = event.without_data().to_event().map_err(unsuitable)?;
    event.set_extension(EXTENSION, place).map_err(unsuitable)?;
    Ok(event)
}

/// For a path and for a query alike.
fn encoded(text: &str) -> String {
    let text: String = form_urlencoded::byte_serialize(text.as_bytes()).collect();
    text.replace('+', "%20")
}
