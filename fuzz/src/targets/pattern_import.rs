//! Rules, triggers and event subscriptions of other systems: one JSON text, read as each of the three.

use super::{Target, ending, texts};
use pattern::{
    Dialect, Filter, Mounts,
    import::{Conversion, ImportedFilter, System},
};

pub(super) const TARGET: Target = Target {
    name: "pattern_import",
    run,
    samples,
};

fn run(input: &[u8]) -> u64 {
    let Ok(text) = std::str::from_utf8(input) else {
        return 0;
    };
    ending(&[System::EventBridge, System::Knative, System::EventGrid].map(|system| {
        let opened = system.resources(text).map_or(0, |resources| resources.len().min(4));
        let imported = system.convert(text).map_err(|error| (error.message.len() / 16).min(8));
        let notes = imported.map(|conversion| match conversion {
            Conversion::Subscription(imported) => {
                imported.filter.iter().for_each(compiles);
                Some(imported.notes.len().min(4))
            }
            Conversion::Skipped(_) => None,
        });
        (opened, notes)
    }))
}

fn compiles(filter: &ImportedFilter) {
    let json = filter.json.as_bytes();
    let compiled = match filter.language {
        "eventbridge" => Filter::eventbridge(json, &Mounts::bare()),
        "eventgrid" => Filter::eventgrid(json, &Mounts::bare()),
        _ => Filter::cloudevents(json, Dialect::Standard),
    };
    compiled.expect("what was imported compiles");
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
