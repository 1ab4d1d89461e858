//! `PutEvents`: up to ten entries, each accepted or failed by itself. What is accepted goes the way of every event: one request, one
//! group in the journal for each bus.
//!
//! An SDK that did not get its answer sends the request again, under the same invocation id. Events take their ids from that and from
//! the request's bytes, so that the intake recognises them; without an invocation id they are random.

mod ids;
mod input;
mod outcome;
mod sorting;

use super::{fault::Fault, identity::Caller};
use crate::http::{State, answer::Answer, cloudevents, problem::Problem};
use bytes::Bytes;
use control::usage::Holder;
use delivery::{PublishError, Rejected};
use futures_util::future::join_all;
use http::request::Parts;
use input::Request;
use outcome::{Failed, Outcomes};
use sorting::{Group, Sorter};

/// How often the entries that a bus refused are taken out and the rest offered again: once does it unless the bus's rules change
/// meanwhile.
const OFFERS_MAX: usize = 3;

/// Takes the entries that can be taken.
pub(super) async fn run(
    state: &State,
    head: &Parts,
    caller: &Caller,
    holder: &Holder,
    body: Bytes,
) -> Result<Answer, Fault> {
    let request = Request::read(&body)?;
    let ids = ids::of(&head.headers, caller, request.entries.len())?;
    cloudevents::within_quotas(&caller.principal, request.entries.len(), body.len())?;
    let sorter = Sorter {
        state,
        model: state.core.model(),
        caller,
        trace: cloudevents::trace::Trace::of(&head.headers),
        ids: &ids,
    };
    let mut outcomes = Outcomes::new(request.entries.len());
    let mut groups = sorter.sort(request, &mut outcomes)?;
    for group in &groups {
        group.hold(holder, &sorter)?;
    }
    for offer in 1..=OFFERS_MAX {
        let refused = offer_all(state, groups, &ids, &mut outcomes).await?;
        if !refused {
            break;
        }
        if offer == OFFERS_MAX {
            outcomes.fail_open(&Failed::internal());
            break;
        }
        // Publishing took the events: the entries that are left are read again.
        groups = sorter.sort(Request::read(&body)?, &mut outcomes)?;
    }
    Ok(outcomes.answer())
}

/// Offers each bus its events. True: some bus refused some of its own, and kept none of the others yet.
async fn offer_all(state: &State, groups: Vec<Group>, ids: &[String], outcomes: &mut Outcomes) -> Result<bool, Fault> {
    let is_alone = groups.len() == 1;
    let offers = groups
        .into_iter()
        .map(|Group { bus, indexes, events }| async move { (indexes, state.core.publish(&bus, events).await) });
    let mut refused = false;
    for (indexes, published) in join_all(offers).await {
        match published {
            Ok(_) => indexes.iter().for_each(|index| outcomes.accept(*index, &ids[*index])),
            Err(PublishError::Rejected(rejected)) => {
                refused = true;
                for Rejected { index, code, detail } in rejected {
                    if let Some(index) = indexes.get(index) {
                        outcomes.fail(*index, Failed::rejected(code, detail));
                    }
                }
            }
            Err(error) => {
                let fault = Fault::from(cloudevents::not_published(error));
                // Nothing of the request is kept: the SDK tries it again by itself.
                if is_alone && outcomes.has_none_accepted() {
                    return Err(fault);
                }
                let failed = Failed::of(&fault);
                indexes.iter().for_each(|index| outcomes.fail(*index, failed.clone()));
            }
        }
    }
    Ok(refused)
}

impl Group {
    /// Counts the connection for the bus.
    fn hold(&self, holder: &Holder, sorter: &Sorter<'_>) -> Result<(), Fault> {
        match sorter.model.buses.get(&self.bus) {
            Some(bus) => Ok(holder.hold_bus(&bus.usage, &bus.spec.quotas).map_err(Problem::from)?),
            None => Ok(()),
        }
    }
}
