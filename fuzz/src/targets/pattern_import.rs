//! Rules, triggers and event subscriptions of other systems: one JSON text, read as each of the three.

use super::{Target, ending, texts};
use pattern::{Filter, Mounts, import};
use serde_json::Value;

pub(super) const TARGET: Target = Target {
    name: "pattern_import",
    run,
    samples,
};

fn run(input: &[u8]) -> u64 {
    let Ok(source) = serde_json::from_slice::<Value>(input) else {
        return 0;
    };
    let rule = import::eventbridge_rule(&source).map(|imported| {
        let pattern = imported.filter["eventbridge"].to_string();
        Filter::eventbridge(pattern.as_bytes(), &Mounts::bare()).expect("what was imported compiles");
        imported.notes.len().min(4)
    });
    let trigger = import::knative_trigger(&source).map(|imported| imported.notes.len().min(4));
    let subscription = import::event_grid_subscription(&source).map(|imported| {
        if let Some(filter) = imported.filter.get("eventgrid") {
            Filter::eventgrid(filter.to_string().as_bytes(), &Mounts::bare()).expect("what was imported compiles");
        }
        imported.notes.len().min(4)
    });
    ending(&[rule, trigger, subscription].map(|imported| imported.map_err(|error| (error.message.len() / 16).min(8))))
}

fn samples() -> Vec<Vec<u8>> {
    texts(&[
        "{\"Name\":\"a\",\"EventPattern\":\"{\\\"source\\\":[\\\"shop\\\"]}\",\"State\":\"DISABLED\",\"Targets\":[]}",
        "{\"Type\":\"AWS::Events::Rule\",\"Properties\":{\"EventPattern\":{\"detail\":{\"a\":[1]}}}}",
        "{\"metadata\":{\"name\":\"t\"},\"spec\":{\"broker\":\"b\",\"filter\":{\"attributes\":{\"type\":\"a\",\"x\":\"\"}}}}",
        "{\"spec\":{\"filters\":[{\"cesql\":\"TRUE\"},{\"any\":[{\"prefix\":{\"type\":\"a\"}},{\"not\":{\"exact\":{\"id\":\"1\"}}}]}]}}",
        "{\"name\":\"s\",\"properties\":{\"filter\":{\"includedEventTypes\":[\"a\"],\"advancedFilters\":[{\"operatorType\":\"NumberIn\",\"key\":\"data.a\",\"values\":[1]}]}}}",
    ])
}
