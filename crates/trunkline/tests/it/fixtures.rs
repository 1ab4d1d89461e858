//! Data directories that earlier releases left behind, in `tests/fixtures`, opened by this program: check 66. `make.sh` there
//! says how they were made and what is in them.

use crate::support::server::Server;
use serde_json::{Value, json};
use std::{
    fs,
    path::{Path, PathBuf},
};

/// The releases whose directories are kept, by the version of the format.
const RELEASES: &[&str] = &["data-v1", "data-v2"];

pub fn fixture(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures").join(name)
}

/// A fixture's data directory, unpacked.
pub fn unpacked(name: &str) -> tempfile::TempDir {
    let directory = tempfile::tempdir().expect("a directory");
    let packed = fs::File::open(fixture(&format!("{name}.tar.zst"))).expect("the fixture is there");
    let unpacked = zstd::Decoder::new(packed).expect("a decoder");
    let mut archive = tar::Archive::new(unpacked);
    archive.unpack(directory.path()).expect("it unpacks");
    directory
}

async fn opened(release: &str, ending: &str, events: u64) {
    let directory = unpacked(&format!("{release}-{ending}"));
    let expected = fs::read(fixture(&format!("{release}.json"))).expect("it is there");
    let expected: Value = serde_json::from_slice(&expected).expect("JSON");
    let server = Server::start(&directory.path().join("data"));
    let exported = server.run(&["export"]);
    // Secrets' fingerprints are equal too: what was sealed opens.
    assert_eq!(
        exported,
        expected["export"].as_str().expect("a text"),
        "{release}-{ending}"
    );
    for number in 1..=events {
        let id = format!("event-{number}");
        let told = server.get(&format!("/v1/buses/default/events/{id}")).await;
        let stored = &told["stored"][0];
        let place = json!([stored["partition"], stored["offset"]]);
        assert_eq!(place, expected["stored"][&id], "{release}-{ending}: {id}");
        assert_eq!(told["event"]["data"]["number"], number, "{release}-{ending}: {id}");
        assert_eq!(told["event"]["data"]["text"], "Grüße", "{release}-{ending}: {id}");
        for (subscription, state) in expected["states"][&id].as_object().into_iter().flatten() {
            let all = told["subscriptions"].as_array().expect("a list");
            let found = all
                .iter()
                .find(|one| one["subscription"] == **subscription)
                .expect("it matched");
            assert_eq!(&found["state"], state, "{release}-{ending}: {id} for {subscription}");
        }
        let expected = expected["edits"].get(&id).cloned().unwrap_or_else(|| json!({}));
        assert_eq!(edits(&told), expected, "{release}-{ending}: {id}");
    }
    let dead: Value =
        serde_json::from_str(&server.run(&["--output", "json", "dead-letter", "list", "--subscription", "refused"]))
            .expect("JSON");
    assert_eq!(dead["items"].as_array().expect("a list").len(), 5, "{dead}");
    assert_eq!(server.status("parked").await["parked"], 3);
    // It goes on from there.
    let published = server
        .publish("com.example.order.placed", "event-new", json!({"customer": "c1"}))
        .await;
    assert!(
        published["events"][0]["offset"].as_u64().is_some() || published["offset"].as_u64().is_some(),
        "{published}"
    );
    assert_eq!(server.stop(), Some(0));
}

/// By subscription, how often the event was edited, and which edit each attempt sent; nothing where none was.
fn edits(told: &Value) -> Value {
    let mut edits = json!({});
    for one in told["subscriptions"].as_array().into_iter().flatten() {
        if let Some(edited) = one.get("edited") {
            let attempts = one["attempts"].as_array().into_iter().flatten();
            let sent: Vec<u64> = attempts.map(|attempt| attempt["edits"].as_u64().unwrap_or(0)).collect();
            edits[one["subscription"].as_str().expect("a name")] = json!([edited["edits"], sent]);
        }
    }
    edits
}

#[tokio::test]
async fn directories_of_every_release_that_were_stopped_in_order_open_with_all_that_was_in_them_check_66() {
    for release in RELEASES {
        opened(release, "clean", 60).await;
    }
}

#[tokio::test]
async fn directories_of_every_release_that_were_killed_open_with_all_that_was_acknowledged_check_66() {
    for release in RELEASES {
        opened(release, "killed", 100).await;
    }
}
