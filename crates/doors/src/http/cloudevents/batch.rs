//! Batches: all entries or none; with `?partial=true` every entry that can be kept.

use super::{not_published, permitted, read_document, receipt, rejected_status, trace, within_quotas};
use crate::http::{
    State,
    answer::Answer,
    errors,
    problem::{EntryProblem, Problem},
    query::Query,
};
use bytes::Bytes;
use control::Principal;
use delivery::{Core, PublishError, Published, Rejected};
use event::{Event, Invalid};
use http::request::Parts;

/// With `partial`, how often the entries that the bus refused are taken out and the rest offered again: once does it unless
/// the bus's rules change meanwhile.
const OFFERS_MAX: usize = 3;

/// Entries on their way: those that can be kept so far, with their indexes, and those that cannot.
#[derive(Default)]
struct Sorted {
    kept: Vec<(usize, Event)>,
    refused: Vec<EntryProblem>,
}

pub(in crate::http) async fn publish<B: http_body::Body<Data = Bytes>>(
    state: &State,
    publisher: &Principal,
    bus: &str,
    head: &Parts,
    body: B,
) -> Result<Answer, Problem> {
    let partial = Query::of(&head.uri)?.flag("partial")?;
    let core = &state.core;
    let (body, _share) = read_document(state, head, body).await?;
    let mut sorted = sort(
        publisher,
        event::json::decode_batch(&body)?,
        trace::Trace::of(&head.headers),
    );
    within_quotas(publisher, sorted.kept.len(), body.len())?;
    drop(body);
    if !sorted.refused.is_empty() && !partial {
        return Err(refused(sorted.refused));
    }
    let ids: Vec<(usize, String)> = sorted
        .kept
        .iter()
        .map(|(index, event)| (*index, event.id().to_owned()))
        .collect();
    let published = offer(core, bus, &mut sorted, partial).await?;
    if published.is_empty() && !sorted.refused.is_empty() {
        return Err(refused(sorted.refused));
    }
    sorted.refused.sort_by_key(|problem| problem.index);
    let kept = ids
        .iter()
        .filter(|(index, _)| !sorted.refused.iter().any(|problem| problem.index == *index));
    let receipts = kept
        .zip(&published)
        .map(|((index, id), published)| (*index, id.as_str(), published));
    Ok(receipt::many(&core.model(), bus, receipts, &sorted.refused))
}

/// Publishes all of the entries, or none.
pub(in crate::http) async fn publish_all(
    core: &Core,
    publisher: &Principal,
    bus: &str,
    entries: Vec<Result<Event, Invalid>>,
    trace: Option<trace::Trace>,
) -> Result<Vec<Published>, Problem> {
    let mut sorted = sort(publisher, entries, trace);
    if !sorted.refused.is_empty() {
        return Err(refused(sorted.refused));
    }
    offer(core, bus, &mut sorted, false).await
}

fn sort(publisher: &Principal, entries: Vec<Result<Event, Invalid>>, trace: Option<trace::Trace>) -> Sorted {
    let mut sorted = Sorted::default();
    for (index, entry) in entries.into_iter().enumerate() {
        let adopted = entry.and_then(|mut event| {
            if let Some(trace) = &trace {
                trace.adopt(&mut event)?;
            }
            permitted(publisher, &event)?;
            Ok(event)
        });
        match adopted {
            Ok(event) => sorted.kept.push((index, event)),
            Err(Invalid { code, attribute, rule }) => {
                sorted.refused.push(EntryProblem {
                    index,
                    code,
                    attribute: Some(attribute),
                    detail: rule,
                });
            }
        }
    }
    sorted
}

/// Offers the entries to the bus; with `partial` without those that it refuses.
async fn offer(core: &Core, bus: &str, sorted: &mut Sorted, partial: bool) -> Result<Vec<Published>, Problem> {
    for _ in 0..OFFERS_MAX {
        if sorted.kept.is_empty() {
            return Ok(Vec::new());
        }
        let again = if partial { sorted.kept.clone() } else { Vec::new() };
        let (indexes, events): (Vec<usize>, Vec<Event>) = std::mem::take(&mut sorted.kept).into_iter().unzip();
        let rejected = match core.publish(bus, events).await {
            Ok(published) => return Ok(published),
            Err(PublishError::Rejected(rejected)) => rejected,
            Err(error) => return Err(not_published(error)),
        };
        let entries = rejected.into_iter().filter_map(|Rejected { index, code, detail }| {
            Some(EntryProblem {
                index: *indexes.get(index)?,
                code,
                attribute: None,
                detail,
            })
        });
        sorted.refused.extend(entries);
        if !partial {
            break;
        }
        sorted.kept = again;
        sorted
            .kept
            .retain(|(index, _)| !sorted.refused.iter().any(|problem| problem.index == *index));
    }
    Err(refused(std::mem::take(&mut sorted.refused)))
}

/// The worst status of the entries that all have in common; 400 when they differ.
fn refused(entries: Vec<EntryProblem>) -> Problem {
    let status_of =
        |entry: &EntryProblem| errors::find(entry.code).map_or(rejected_status(entry.code), |known| known.status);
    let first = entries.first().map_or(400, status_of);
    let status = if entries.iter().all(|entry| status_of(entry) == first) {
        first
    } else {
        400
    };
    let detail = match entries.as_slice() {
        [only] => {
            let attribute = only
                .attribute
                .iter()
                .map(|name| format!("{name}: "))
                .collect::<String>();
            format!(
                "entry {} was refused: {attribute}{}; nothing was kept",
                only.index, only.detail
            )
        }
        all => format!("{} entries were refused; nothing was kept", all.len()),
    };
    Problem::with_status("batch_refused", status, detail).entries(entries)
}
