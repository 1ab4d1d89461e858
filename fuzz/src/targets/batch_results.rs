//! What receivers answer about the single events of a batch: whatever they say, each event is spoken of at most once.

use super::{Target, ending, texts};
use destinations::webhook::results::{Said, Unusable, read};
use serde_json::json;

pub(super) const TARGET: Target = Target {
    name: "batch_results",
    run,
    samples,
};

const IDS: [&str; 4] = ["msg_a", "msg_b", "msg_c", "msg_d"];

fn run(input: &[u8]) -> u64 {
    let said = read(input, &IDS);
    if let Ok(Some(said)) = &said {
        assert_eq!(said.len(), IDS.len(), "one place for each event");
        let kept = said.iter().flatten();
        for said in kept {
            assert!((200..=599).contains(&said.status), "{said:?}");
            assert!(said.error.chars().count() <= 200, "a receiver's words are cut");
        }
        assert_eq!(read(&written(said), &IDS).as_ref(), Ok(&Some(said.clone())));
    }
    let told = |unusable| match unusable {
        Unusable::Form(_) => "form",
        Unusable::Unknown(_) => "unknown",
        Unusable::Twice(_) => "twice",
        Unusable::Status(_) => "status",
        Unusable::TooMany => "many",
    };
    let places = |said: Vec<Option<Said>>| {
        said.iter()
            .map(|said| said.as_ref().map(|said| said.status / 100))
            .collect()
    };
    ending(
        &said
            .map(|said| said.map(|said| -> Vec<_> { places(said) }))
            .map_err(told),
    )
}

/// The same in the documented form, last event first.
fn written(said: &[Option<Said>]) -> Vec<u8> {
    let said = IDS.iter().zip(said).rev();
    let entries = said.filter_map(|(id, said)| {
        let said = said.as_ref()?;
        Some(json!({"id": id, "status": said.status, "error": said.error, "retry_after": said.retry_after}))
    });
    json!({"results": entries.collect::<Vec<_>>()}).to_string().into_bytes()
}

fn samples() -> Vec<Vec<u8>> {
    texts(&[
        r#"{"results": [{"id": "msg_b", "status": 503, "error": "busy", "retry_after": 30}]}"#,
        r#"{"results": [{"index": 2, "status": 422}, {"index": 0, "status": 200}]}"#,
        r#"{"results": [{"status": 200}, {"status": 429}, {"status": 202}, {"status": 500}]}"#,
        r#"{"results": [{"id": "msg_a", "status": 99}, {"index": 0, "status": 200}]}"#,
        r#"{"batchItemFailures": [{"itemIdentifier": "msg_c"}]}"#,
        r#"{"results": null, "batchItemFailures": []}"#,
        r#"{"status": "ok"}"#,
    ])
}
