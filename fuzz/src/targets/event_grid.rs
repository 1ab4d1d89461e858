//! Arrays of events in Event Grid's schema.

use super::{Target, ending, events, outline, texts};
use event::{Event, Invalid, eventgrid, json};

pub(super) const TARGET: Target = Target {
    name: "event_grid",
    run,
    samples,
};

fn run(input: &[u8]) -> u64 {
    let body = input.to_vec().into();
    let whole = |invalid: Invalid| (invalid.code, outline(&invalid.rule));
    let entries = eventgrid::decode(&body, "/v1/buses/default").map_err(whole);
    let Ok(entries) = &entries else {
        return ending(&entries.map(|_| ()));
    };
    if !entries.is_empty() {
        assert!(json::check(input).is_ok());
    }
    entries.iter().flatten().for_each(events::check);
    let told: Vec<_> = entries.iter().take(4).map(told).collect();
    ending(&told)
}

/// How one entry ended.
fn told(entry: &Result<Event, Invalid>) -> Result<(Option<u8>, usize), String> {
    match entry {
        Ok(event) => Ok((
            event.data().map(|data| data.form as u8),
            event.attributes().count().min(16),
        )),
        Err(invalid) => Err(outline(&invalid.rule)),
    }
}

fn samples() -> Vec<Vec<u8>> {
    texts(&[
        r#"[{"id":"1","subject":"/orders/1","eventType":"Order.Placed","eventTime":"2026-01-31T12:00:00.1234567Z","data":{"a":[1,null]},
            "dataVersion":"1.0","metadataVersion":"1","topic":"/subscriptions/s/resourceGroups/g/providers/Microsoft.EventGrid/topics/t"}]"#,
        r#"[{"id":"1","subject":"","eventType":"t","eventTime":"2017-08-10T21:03:07","topic":null,"data":null},{"id":2},5]"#,
        r#"[{"id":"1","eventType":"t","cloudEvent":{"time":null,"datacontenttype":"text/xml","dataschema":"http://x/s","a":1,"b":true},
            "data":"<a/>"}]"#,
        r#"[{"id":"1","eventType":"t","data":"AAEC/w==","cloudEvent":{"data_base64":true,"datacontenttype":"image/png","dataversion":""}}]"#,
        "[]",
    ])
}
