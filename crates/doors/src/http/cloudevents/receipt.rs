//! What a publisher gets: where its events stand.

use crate::http::{
    answer::{self, Answer},
    problem::EntryProblem,
};
use bytes::Bytes;
use control::Model;
use delivery::Published;
use http::StatusCode;
use serde::Serialize;

#[derive(Serialize)]
struct Receipt<'a> {
    #[serde(skip_serializing_if = "Option::is_none")]
    index: Option<usize>,
    id: &'a str,
    topic: &'a str,
    partition: u32,
    offset: u64,
    #[serde(skip_serializing_if = "is_false")]
    duplicate: bool,
}

#[derive(Serialize)]
struct Receipts<'a> {
    events: Vec<Receipt<'a>>,
    #[serde(skip_serializing_if = "<[_]>::is_empty")]
    errors: &'a [EntryProblem],
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde passes a reference")]
fn is_false(value: &bool) -> bool {
    !*value
}

impl<'a> Receipt<'a> {
    fn new(model: &'a Model, bus: &str, index: Option<usize>, id: &'a str, published: &Published) -> Self {
        let partition = published.position.partition;
        Receipt {
            index,
            id,
            topic: topic_name(model, bus, partition.topic.topic),
            partition: partition.index,
            offset: published.position.offset,
            duplicate: published.duplicate,
        }
    }
}

/// `{"id", "topic", "partition", "offset"}`, and `"duplicate": true` for one that was there already.
pub(super) fn one(model: &Model, bus: &str, id: &str, published: &Published) -> Answer {
    encode(&Receipt::new(model, bus, None, id, published))
}

/// `{"events": […]}` in the order of the request, each with its `index`; with `partial` also `"errors"`.
pub(super) fn many<'a>(
    model: &Model,
    bus: &str,
    published: impl Iterator<Item = (usize, &'a str, &'a Published)>,
    errors: &[EntryProblem],
) -> Answer {
    let receipt = |(index, id, published)| Receipt::new(model, bus, Some(index), id, published);
    encode(&Receipts {
        events: published.map(receipt).collect(),
        errors,
    })
}

fn encode(receipt: &impl Serialize) -> Answer {
    let body = serde_json::to_vec(receipt).expect("strings and numbers always serialise");
    answer::json(StatusCode::OK, Bytes::from(body))
}

/// Empty for a topic that was deleted while its event was on the way.
fn topic_name<'a>(model: &'a Model, bus: &str, topic: u32) -> &'a str {
    let topics = model.buses.get(bus).map(|bus| bus.topics.values());
    topics
        .and_then(|mut topics| topics.find(|found| found.id == topic))
        .map_or("", |found| found.name.as_str())
}
