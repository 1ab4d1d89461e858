//! Client libraries as they come from their registries: the CloudEvents SDKs for Python and JavaScript publish and decode,
//! the reference library of Standard Webhooks verifies.

use crate::support::server::Server;
use serde_json::json;
use std::{
    io::{BufRead, BufReader, Write},
    process::{Command, Stdio},
};

const SECRET: &str = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw";

#[tokio::test]
async fn the_python_sdk_publishes_and_understands_what_is_delivered() {
    let Some(python) = installed("TRUNKLINE_PYTHON") else {
        return;
    };
    let script = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/sdk/round_trip.py");
    round_trip(|server| command(&python, &[script, server, SECRET])).await;
}

#[tokio::test]
async fn the_javascript_sdk_publishes_and_understands_what_is_delivered() {
    let Some(packages) = installed("TRUNKLINE_NODE_PACKAGES") else {
        return;
    };
    let script = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/sdk/round_trip.mjs");
    round_trip(|server| command("node", &[script, &packages, server])).await;
}

fn command(program: &str, arguments: &[&str]) -> Command {
    let mut command = Command::new(program);
    command.args(arguments);
    command
}

/// Runs a script that publishes and receives. Its asserts are the test; its last words say what it saw.
async fn round_trip(script: impl FnOnce(&str) -> Command) {
    let directory = tempfile::tempdir().expect("a directory");
    let server = Server::start(directory.path());
    let mut child = script(server.url())
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .expect("the interpreter starts");
    let mut output = BufReader::new(child.stdout.take().expect("piped")).lines();
    let port = output.next().expect("a line").expect("text");
    declare(&server, &port).await;
    writeln!(child.stdin.take().expect("piped"), "declared").expect("written");
    let last = tokio::task::spawn_blocking(move || output.map_while(Result::ok).last())
        .await
        .expect("it ends");
    assert!(child.wait().expect("it ends").success());
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
