//! schemathesis over the OpenAPI document: thousands of requests, right and wrong ones, and no answer is a server error or outside of
//! what the document says. `TRUNKLINE_EXAMPLES` turns it up.

use crate::{
    sdk::installed,
    support::server::{BINARY, Server},
};
use std::{path::Path, process::Command};

/// Requests of each kind for each operation: some thousand in all.
const EXAMPLES_DEFAULT: &str = "5";
/// The same requests each time.
const SEED: &str = "1";
const CHECKS: &str = "not_a_server_error,status_code_conformance,content_type_conformance,response_schema_conformance";

#[tokio::test]
async fn every_answer_is_one_of_the_openapi_document() {
    let Some(python) = installed("TRUNKLINE_PYTHON") else {
        return;
    };
    let directory = tempfile::tempdir().expect("a directory");
    let made = Command::new(BINARY)
        .args(["key", "generate"])
        .output()
        .expect("it runs");
    let token = String::from_utf8(made.stdout).expect("text").trim().to_owned();
    let environment = [("TRUNKLINE_ADMIN_KEY", token.as_str())];
    let server = Server::start_with(
        &directory.path().join("data"),
        &["--listen", "127.0.0.1:0"],
        &environment,
    );
    let examples = std::env::var("TRUNKLINE_EXAMPLES").unwrap_or_else(|_| EXAMPLES_DEFAULT.to_owned());
    let mut command = Command::new(Path::new(&python).with_file_name("schemathesis"));
    command
        .current_dir(directory.path())
        .arg("run")
        .arg(format!("{}/v1/openapi.json", server.url()))
        .args(["--seed", SEED, "--max-examples", &examples, "--checks", CHECKS])
        .args([
            "--phases",
            "examples,coverage,fuzzing",
            "--request-timeout",
            "30",
            "--no-color",
        ])
        // A tail has no end, to rotate the key of this test would end the test, and lines of JSON it cannot write.
        .args([
            "--exclude-operation-id",
            "tailEvents",
            "--exclude-operation-id",
            "importDeadLetters",
            "--exclude-operation-id",
            "rotateKey",
        ])
        .args(["--header", &format!("Authorization: Bearer {token}")]);
    let output = tokio::task::spawn_blocking(move || command.output())
        .await
        .expect("it ends")
        .expect("it runs");
    let told = String::from_utf8_lossy(&output.stdout).replace(&token, "TOKEN");
    assert!(
        output.status.success(),
        "{told}\n{}",
        String::from_utf8_lossy(&output.stderr)
    );
    let cases = told
        .lines()
        .find(|line| line.contains(" generated, "))
        .unwrap_or_default();
    assert!(!cases.is_empty(), "{told}");
    println!("schemathesis: {}", cases.trim());
}
