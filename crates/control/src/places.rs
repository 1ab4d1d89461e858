//! Topics and offsets that somebody names, compared with what a bus has.

use crate::{
    counted,
    model::{Bus, Topic},
    parse::{echo, nearest, token},
    refusal::Refusal,
    resources::Offsets,
};
use std::sync::Arc;

/// Checks offsets against the topics that they may name; `at` is the pointer to them.
pub(crate) fn check_offsets<'a>(
    at: &str,
    offsets: &Offsets,
    topics: impl Iterator<Item = &'a Arc<Topic>>,
) -> Result<(), Refusal> {
    let topics: Vec<_> = topics.collect();
    for (name, offsets) in offsets {
        let pointer = format!("{at}{}", token(name));
        let Some(topic) = topics.iter().find(|topic| topic.name == *name) else {
            return Err(Refusal::invalid(
                pointer,
                format!("topic {} is not read here", echo(name)),
            ));
        };
        let partitions = topic.spec.partitions;
        if let Some(index) = offsets.keys().find(|index| **index >= partitions) {
            let detail = format!(
                "topic {name:?} has {}, from 0 on",
                counted(partitions.into(), "partition")
            );
            return Err(Refusal::invalid(format!("{pointer}/{index}"), detail));
        }
    }
    Ok(())
}

impl Bus {
    /// The topics of these names, at `at` in the request; absent: all.
    pub fn topics_named(&self, at: &str, names: Option<&[String]>) -> Result<Vec<Arc<Topic>>, Refusal> {
        let Some(names) = names else {
            return Ok(self.topics.values().cloned().collect());
        };
        let topic = |(index, name): (usize, &String)| {
            let missing = || {
                let near = nearest(name, self.topics.keys().map(String::as_str));
                let hint = near.map(|name| format!("; did you mean {name:?}?")).unwrap_or_default();
                Refusal::invalid(
                    format!("{at}/{index}"),
                    format!("topic {} does not exist{hint}", echo(name)),
                )
            };
            self.topics.get(name).cloned().ok_or_else(missing)
        };
        names.iter().enumerate().map(topic).collect()
    }

    /// Checks offsets at `at` in a request against these topics.
    pub fn check_offsets(&self, at: &str, offsets: &Offsets, topics: &[Arc<Topic>]) -> Result<(), Refusal> {
        check_offsets(at, offsets, topics.iter())
    }
}
