//! What replays and redrives have in common at the door: both are numbered in their order, and named by whoever begins them.

use super::{
    call::Call,
    json,
    page::{self, Page},
    problem::Problem,
};
use control::resources::check_replay_name;
use serde_json::Value;

/// The page that a request asks for, of all that there are in their order.
pub(super) fn page<T>(
    call: &Call,
    mut all: Vec<T>,
    number: impl Fn(&T) -> u32,
    described: impl Fn(&T) -> Value,
) -> json::Result {
    let query = call.query()?;
    let limit = query.limit()?;
    let after = match page::read_cursor(query.text("cursor"))? {
        None => 0,
        Some(text) => text.parse::<u32>().map_err(|_| page::wrong_cursor())?,
    };
    all.retain(|item| number(item) > after);
    let more = all.len() > limit;
    all.truncate(limit);
    let last = all.last().filter(|_| more);
    let next = last.map(|last| page::cursor(&number(last).to_string()));
    json::ok(&Page {
        items: all.iter().map(described).collect(),
        next,
    })
}

/// Takes the name out of what is asked for, if it has one.
pub(super) fn take_name(document: &mut Value) -> Result<Option<String>, Problem> {
    let name = match document.as_object_mut().and_then(|object| object.remove("name")) {
        None | Some(Value::Null) => None,
        Some(Value::String(name)) => Some(name),
        Some(_) => {
            let problem = Problem::new("resource_invalid", "name is a text");
            return Err(problem.pointer(Some("/name".to_owned())));
        }
    };
    if let Some(name) = &name {
        check_replay_name(name)?;
    }
    Ok(name)
}
