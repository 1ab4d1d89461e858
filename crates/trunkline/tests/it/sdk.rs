//! Client libraries as they come from their registries: the CloudEvents SDKs for Python and JavaScript publish and decode,
//! the reference library of Standard Webhooks verifies.

use crate::support::{script::Script, server::Server};
use serde_json::json;

const SECRET: &str = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw";

#[tokio::test]
async fn the_python_sdk_publishes_and_understands_what_is_delivered() {
    let Some(python) = installed("TRUNKLINE_PYTHON") else {
        return;
    };
    let script = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/sdk/round_trip.py");
    round_trip(|server| Script::start(&python, &[script, server, SECRET])).await;
}

#[tokio::test]
async fn the_javascript_sdk_publishes_and_understands_what_is_delivered() {
    let Some(packages) = installed("TRUNKLINE_NODE_PACKAGES") else {
        return;
    };
    let script = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/sdk/round_trip.mjs");
    round_trip(|server| Script::start("node", &[script, &packages, server])).await;
}

/// Runs a script that publishes and receives. Its asserts are the test; its last words say what it saw.
async fn round_trip(script: impl FnOnce(&str) -> Script) {
    let directory = tempfile::tempdir().expect("a directory");
    let server = Server::start(directory.path());
    let mut script = script(server.url());
    let port = script.line();
    declare(&server, &port).await;
    script.tell("declared");
    let last = script.ended();
    assert_eq!(last.as_deref(), Some("4 events each in binary and structured mode"));
}

/// What `cargo xtask services` prepared. Without it the test fails, unless the tier is the quick one.
pub fn installed(variable: &str) -> Option<String> {
    match std::env::var(variable) {
        Ok(found) => Some(found),
        Err(_) if std::env::var_os("TRUNKLINE_QUICK").is_some() => {
            println!("left out of the quick tier: needs packages of other registries");
            None
        }
        Err(_) => {
            panic!("{variable} is not set: run `cargo xtask test`, or `cargo xtask test --quick` without services")
        }
    }
}

async fn declare(server: &Server, port: &str) {
    for mode in ["binary", "structured"] {
        let config = json!({
            "url": format!("http://127.0.0.1:{port}/{mode}"),
            "signing": {"style": "standard-webhooks", "secrets": [SECRET]},
        });
        let connection = json!({"provider": "webhook", "config": config});
        server
            .put(&format!("/v1/buses/default/connections/{mode}"), connection)
            .await;
        let subscription = json!({"connection": mode, "target": {"mode": mode}, "types": ["com.example.*"]});
        server
            .put(&format!("/v1/buses/default/subscriptions/{mode}"), subscription)
            .await;
    }
}
