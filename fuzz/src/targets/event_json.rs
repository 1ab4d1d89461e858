//! CloudEvents in the JSON format: one event, and a batch.

use super::{Target, ending, events, outline, texts};
use event::{Event, EventView, Invalid, json};

pub(super) const TARGET: Target = Target {
    name: "event_json",
    run,
    samples,
};

fn run(input: &[u8]) -> u64 {
    let body = input.to_vec().into();
    let one = json::decode_structured(&body);
    if let Ok(event) = &one {
        assert!(json::check(input).is_ok());
        events::check(event);
    }
    let batch = json::decode_batch(&body).map(|entries| {
        check_batch(&entries);
        let good = entries.iter().filter(|entry| entry.is_ok()).count();
        (good.min(4), (entries.len() - good).min(4))
    });
    let whole = |invalid: Invalid| (invalid.code, outline(&invalid.rule));
    ending(&(told(&one), batch.map_err(whole)))
}

/// How one event ended.
fn told(event: &Result<Event, Invalid>) -> Result<(Option<u8>, usize), String> {
    match event {
        Ok(event) => Ok((
            event.data().map(|data| data.form as u8),
            event.attributes().count().min(16),
        )),
        Err(invalid) => Err(outline(&invalid.rule)),
    }
}

/// The good events of a batch are a batch.
fn check_batch(entries: &[Result<Event, Invalid>]) {
    let good: Vec<&Event> = entries.iter().flatten().collect();
    good.iter().for_each(|event| events::check(event));
    let views: Vec<EventView<'_>> = good.iter().map(|event| event.view()).collect();
    let mut body = Vec::new();
    json::encode_batch(&views, &mut body);
    let again = json::decode_batch(&body.into()).expect("what is written can be read");
    assert!(
        again
            .iter()
            .flatten()
            .map(Event::id)
            .eq(good.iter().map(|event| event.id()))
    );
}

fn samples() -> Vec<Vec<u8>> {
    texts(&[
        r#"{"specversion":"1.0","id":"1","source":"/shop","type":"order.placed"}"#,
        r#"{"specversion":"1.0","id":"1","source":"/s","type":"t","datacontenttype":"application/json","data": {"a": [1, null]} }"#,
        r#"{"specversion":"1.0","id":"\u00e9","source":"urn:x","type":"t","subject":"a\tb","time":"2026-01-31T12:00:00Z",
            "dataschema":"http://x/s","data_base64":"AAEC/w==","datacontenttype":"image/png"}"#,
        r#"{"specversion":"1.0","id":"1","source":"/s","type":"t","datacontenttype":"text/plain","data":"a \"\ud83d\ude00\" b"}"#,
        r#"{"specversion":"1.0","id":"1","source":"/s","type":"t","a":1,"b":-2147483648,"c":true,"d":"x","e":null,"data":null}"#,
        r#"[{"specversion":"1.0","id":"1","source":"/s","type":"t"},{"id":2},{"specversion":"1.0","id":"2","source":"/s","type":"t",
            "data":5,"datacontenttype":"text/xml"}]"#,
        r#"{"specversion":"1.0","id":"1","source":"/s","type":"t","datacontenttype":"application/cloudevents+json","data":{}}"#,
        r#"{"specversion":"1.0","id":"1","source":"/s","type":"t","data":"\ud800","datacontenttype":" text/json ; a=b "}"#,
    ])
}
