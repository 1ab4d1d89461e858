//! What a tail is asked for: the query and `Last-Event-ID`.

use crate::http::{call::Call, problem::Problem, query::Query, query::wrong};
use control::{filters::read_filter, resources::FilterSpec};
use delivery::{LiveRequest, LiveStart};
use std::collections::BTreeMap;

const LAST_EVENT_ID: &str = "last-event-id";

pub(super) fn read(call: &Call) -> Result<LiveRequest, Problem> {
    let query = call.query()?;
    Ok(LiveRequest {
        topics: list(&query, "topics")?,
        types: list(&query, "types")?,
        filter: query.text("filter").map(filter).transpose()?,
        start: match call.header(LAST_EVENT_ID) {
            Some(id) if !id.is_empty() => resume(id)?,
            _ => start(query.text("from").unwrap_or("now"))?,
        },
    })
}

fn filter(text: &str) -> Result<FilterSpec, Problem> {
    let malformed = |reason| wrong(format!("parameter \"filter\" is not JSON: {reason}"));
    event::json::check(text.as_bytes()).map_err(malformed)?;
    Ok(read_filter(text)?)
}

/// Names separated by commas.
fn list(query: &Query<'_>, name: &str) -> Result<Option<Vec<String>>, Problem> {
    let Some(text) = query.text(name) else { return Ok(None) };
    let names: Vec<String> = text.split(',').map(|name| name.trim().to_owned()).collect();
    if names.iter().any(String::is_empty) {
        return Err(wrong(format!("parameter {name:?} takes names separated by commas")));
    }
    Ok(Some(names))
}

fn resume(id: &str) -> Result<LiveStart, Problem> {
    let invalid = |_| Problem::new("cursor_invalid", "Last-Event-ID is not an id that a tail gave");
    id.parse().map(LiveStart::At).map_err(invalid)
}

fn start(text: &str) -> Result<LiveStart, Problem> {
    match text {
        "now" => return Ok(LiveStart::Now),
        "earliest" => return Ok(LiveStart::Earliest),
        _ => {}
    }
    if let Ok(time) = text.parse::<jiff::Timestamp>() {
        return Ok(LiveStart::Time(time.as_millisecond()));
    }
    let offsets: Option<BTreeMap<u32, u64>> = text.split(',').map(offset).collect();
    offsets.map(LiveStart::Offsets).ok_or_else(|| {
        wrong(
            "parameter \"from\" takes now, earliest, a time of RFC 3339, or partition:offset separated by commas"
                .to_owned(),
        )
    })
}

fn offset(text: &str) -> Option<(u32, u64)> {
    let (partition, offset) = text.trim().split_once(':')?;
    Some((partition.parse().ok()?, offset.parse().ok()?))
}
