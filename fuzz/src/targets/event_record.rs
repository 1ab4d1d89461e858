//! Records that a Kafka client or a damaged row may hand over as events: lines of headers, an empty line, the value.

use super::{Target, ending, events, halves, outline, texts};
use event::{EventView, http_binding, json};

pub(super) const TARGET: Target = Target {
    name: "event_record",
    run,
    samples,
};

fn run(input: &[u8]) -> u64 {
    let (head, value) = halves(input, "\n\n");
    let headers = head.split(|byte| *byte == b'\n').take(64).filter_map(|line| {
        let (name, value) = halves(line, ": ");
        Some((
            std::str::from_utf8(name).ok()?,
            Some(value).filter(|value| *value != b"null"),
        ))
    });
    let Some(view) = EventView::from_record(headers, Some(value)) else {
        return ending(&"no event");
    };
    check_goes_out(&view);
    let checked = view.to_event();
    checked.iter().for_each(events::check);
    ending(&(
        checked.map(drop).map_err(|invalid| outline(&invalid.rule)),
        view.data_form() as u8,
        view.extensions().len().min(8),
    ))
}

/// Whatever the record holds, a message made of it is well-formed.
fn check_goes_out(view: &EventView<'_>) {
    let mut body = Vec::new();
    json::encode_structured(view, &mut body);
    assert!(json::check(&body).is_ok(), "{}", String::from_utf8_lossy(&body));
    assert!(http_binding::is_event(&http_binding::encode_binary(view)));
}

fn samples() -> Vec<Vec<u8>> {
    texts(&[
        "ce_specversion: 1.0\nce_id: 1\nce_source: /shop\nce_type: order.placed\ncontent-type: application/json\n\n {\"a\": 1}",
        "ce_specversion: 1.0\nce_id: 1\nce_source: s\nce_type: t\nce_n: 5\nce_b: true\ntl-types: b=boolean,n=integer\ntl-data: \
         binary\ntl-copy: 7\n\n\0\u{7f}",
        "ce_specversion: 1.0\nce_id: \u{e9}\nce_source: s t\nce_type: t\nce_subject: x\nce_time: now\nce_dataschema: y\nother: \
         null\ncontent-type: text/plain\ntl-data: text\n\ntext",
        "ce_specversion: 1.0\nce_id: 1\nce_source: s\nce_type: t\ntl-data: json\n\n{\"a\": [1e400, \"\\ud800\"]}",
        "ce_specversion: 1.0\nce_id: 1\nce_source: s\nce_type: t\ncontent-type: application/cloudevents+json\n\n{}",
    ])
}
