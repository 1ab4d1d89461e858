//! Events as one request to a topic: as many as fit into 1 MiB. Pure. Each carries how many buses it has left, so that a loop of
//! buses ends.

use super::config::Shared;
use crate::outcomes::{TOO_LARGE, Unfit};
use bytes::Bytes;
use connector::SendError;
use control::resources::EventGridSchema;
use delivery::Member;
use event::{eventgrid, hops, json};
use http::{HeaderName, HeaderValue, Method, Request, header};

/// Bytes of a request, as Azure's limit is for an event and for an array of them.
pub(super) const REQUEST_BYTES_MAX: usize = 1 << 20;
const SAS_TOKEN: HeaderName = HeaderName::from_static("aeg-sas-token");
/// What the schemas add to data and attributes, about; a first size for the buffer.
const OVERHEAD: usize = 512;

/// A body, and how many members it holds.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Array {
    pub body: Vec<u8>,
    pub sent: usize,
}

/// The first members as an array, as many as fit, at this second since the epoch.
pub(super) fn array(schema: EventGridSchema, members: &[Member<'_>], now: i64) -> Result<Array, Unfit> {
    let size = |member: &Member<'_>| member.event.data().map_or(0, <[u8]>::len) + OVERHEAD;
    let mut body = Vec::with_capacity(members.iter().map(size).sum::<usize>().min(REQUEST_BYTES_MAX));
    let now = rfc_3339(now);
    body.push(b'[');
    let mut sent = 0;
    for member in members {
        let before = body.len();
        if sent > 0 {
            body.push(b',');
        }
        let put = put(schema, member, &now, &mut body);
        // The closing bracket counts.
        let fits = put.and_then(|()| match body.len() < REQUEST_BYTES_MAX {
            true => Ok(()),
            false => Err(too_large(body.len() - before)),
        });
        match fits {
            Ok(()) => sent += 1,
            // It is the first one of the next request, and refused then if it cannot go at all.
            Err(_) if sent > 0 => {
                body.truncate(before);
                break;
            }
            Err(unfit) => return Err(unfit),
        }
    }
    body.push(b']');
    Ok(Array { body, sent })
}

fn put(schema: EventGridSchema, member: &Member<'_>, now: &str, body: &mut Vec<u8>) -> Result<(), Unfit> {
    let hops = hops::next(member.event).map_err(|loops| Unfit {
        reason: "too_many_hops",
        detail: loops.to_string(),
    })?;
    let (name, hops) = (hops::EXTENSION, hops.to_string());
    match schema {
        EventGridSchema::CloudEvents => json::encode_structured_with(member.event, name, &hops, body),
        EventGridSchema::EventGrid => eventgrid::encode_with(member.event, now, (name, &hops), body),
    }
    Ok(())
}

fn too_large(bytes: usize) -> Unfit {
    Unfit {
        reason: TOO_LARGE,
        detail: format!("the event takes {bytes} bytes, and Event Grid takes {REQUEST_BYTES_MAX} in a request"),
    }
}

/// The time of a request, for events that have none of their own.
pub(crate) fn rfc_3339(now: i64) -> String {
    jiff::Timestamp::from_second(now).map_or_else(|_| "1970-01-01T00:00:00Z".to_owned(), |time| time.to_string())
}

/// The request of a body.
pub(super) fn request(shared: &Shared, body: Vec<u8>, now: i64) -> Result<Request<Bytes>, SendError> {
    let mut request = Request::new(Bytes::from(body));
    (*request.method_mut(), *request.uri_mut()) = (Method::POST, shared.webhook.uri()?.clone());
    let headers = request.headers_mut();
    headers.clone_from(&shared.webhook.headers);
    let media_type = match shared.schema {
        EventGridSchema::CloudEvents => json::BATCH_MEDIA_TYPE,
        EventGridSchema::EventGrid => eventgrid::MEDIA_TYPE,
    };
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(media_type));
    if let Some(sas) = &shared.sas {
        headers.insert(SAS_TOKEN, sas.token(now));
    }
    Ok(request)
}
