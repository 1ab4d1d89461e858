//! Checks 37 and 40 on the EventBridge door: every operation of its table with every kind of key, and signatures that are not of the
//! request.

use super::{Signer, administrator, ask, entry, fault, signed_node, signer::time, signing_key};
use crate::{
    harness::{Answer, Node, start},
    keys::with,
};
use control::resources::Scope;
use doors::http::eventbridge::{OPERATIONS, Operation, operations::Right};
use serde_json::{Value, json};

/// The keys, and the scopes that follow from theirs on bus `default`, and on all buses.
const KEYS: &[(&str, &str, &[Scope], bool)] = &[
    (
        "publisher",
        r#"{"scopes": ["publish"], "buses": ["default"]}"#,
        &[Scope::Publish],
        false,
    ),
    (
        "reader",
        r#"{"scopes": ["read"], "buses": ["default"]}"#,
        &[Scope::Read],
        false,
    ),
    (
        "subscriber",
        r#"{"scopes": ["subscribe"], "buses": ["default"]}"#,
        &[Scope::Read, Scope::Subscribe],
        false,
    ),
    (
        "manager",
        r#"{"scopes": ["manage"], "buses": ["default"]}"#,
        &[Scope::Read, Scope::Subscribe, Scope::Manage],
        false,
    ),
    (
        "foreign",
        r#"{"scopes": ["publish", "manage"], "buses": ["other"]}"#,
        &[],
        false,
    ),
    ("reader-of-all", r#"{"scopes": ["read"]}"#, &[Scope::Read], true),
    (
        "administrator",
        r#"{"scopes": ["administer"]}"#,
        &[Scope::Read, Scope::Subscribe, Scope::Manage, Scope::Administer],
        true,
    ),
];

/// What an operation is asked with, so that only the right decides.
fn input(operation: &Operation) -> Value {
    match operation.name {
        "PutEvents" => json!({"Entries": [entry()]}),
        _ => json!({}),
    }
}

fn has(right: Right, id: &str, scopes: &[Scope], all_buses: bool) -> bool {
    match right {
        Right::AnyKey => true,
        // It may manage a bus of its own.
        Right::SomeBus(_) if id == "foreign" => true,
        Right::SomeBus(scope) => scopes.contains(&scope),
        Right::Bus(scope) => scopes.contains(&scope),
        Right::Installation(scope) => all_buses && scopes.contains(&scope),
    }
}

#[tokio::test]
async fn check_37_every_operation_asks_for_its_right() {
    let node = start().await;
    let admin = administrator(&node).await;
    assert_eq!(
        with(&node, "PUT", "/v1/buses/other", Some(&admin), "{}").await.status,
        201
    );
    let mut signers = Vec::new();
    for (id, spec, scopes, all_buses) in KEYS {
        let spec = serde_json::from_str(spec).expect("JSON");
        signers.push((*id, *scopes, *all_buses, signing_key(&node, &admin, id, spec).await));
    }
    let gone = json!({"scopes": ["publish", "manage"], "signing": "aws"});
    let expired = signing_key(&node, &admin, "expired", gone.clone()).await;
    crate::keys::expire(&node, "expired", gone, &admin).await;
    for operation in OPERATIONS {
        let input = input(operation);
        let body = input.to_string();
        let target = format!("x-amz-target: AWSEvents.{}", operation.name);
        let none = node.ask("POST", "/", &[&target], &body).await;
        fault(&none, 403, "MissingAuthenticationTokenException");
        let bearer = format!("authorization: Bearer {admin}");
        fault(
            &node.ask("POST", "/", &[&target, &bearer], &body).await,
            403,
            "IncompleteSignatureException",
        );
        let wrong = Signer {
            secret: "wrong".to_owned(),
            ..signers[0].3.clone()
        };
        fault(
            &ask(&node, &wrong, operation.name, &input).await,
            403,
            "InvalidSignatureException",
        );
        for id in ["nobody", "admin", ""] {
            let unknown = Signer {
                id: id.to_owned(),
                ..signers[0].3.clone()
            };
            let code = if id.is_empty() {
                "IncompleteSignatureException"
            } else {
                "UnrecognizedClientException"
            };
            fault(&ask(&node, &unknown, operation.name, &input).await, 403, code);
        }
        fault(
            &ask(&node, &expired, operation.name, &input).await,
            403,
            "ExpiredTokenException",
        );
        for (id, scopes, all_buses, signer) in &signers {
            let answer = ask(&node, signer, operation.name, &input).await;
            let is_denied = answer.header("x-amzn-errortype") == Some("AccessDeniedException");
            let may = has(operation.right, id, scopes, *all_buses);
            assert_eq!(is_denied, !may, "{id} {}: {answer}", operation.name);
            assert!(
                answer.status < 500 && answer.status != 403,
                "{id} {}: {answer}",
                operation.name
            );
        }
    }
}

/// A key that signs opens nothing as a bearer token, and a bearer token signs nothing.
#[tokio::test]
async fn check_37_the_secret_of_a_key_that_signs_is_no_token() {
    let (node, signer) = signed_node().await;
    for token in [format!("tlk_{}.{}", signer.id, signer.secret), signer.secret.clone()] {
        with(&node, "GET", "/v1/buses", Some(&token), "")
            .await
            .problem(401, "key_invalid");
    }
}

async fn put(node: &Node, signer: &Signer) -> Answer {
    ask(node, signer, "PutEvents", &json!({"Entries": [entry()]})).await
}

#[tokio::test]
async fn check_40_a_signature_of_another_scope_time_or_host_is_refused() {
    let (node, signer) = signed_node().await;
    assert_eq!(put(&node, &signer).await.status, 200);
    let refused = |change: fn(&mut Signer)| {
        let mut other = signer.clone();
        change(&mut other);
        other
    };
    for other in [
        refused(|signer| signer.service = "s3".to_owned()),
        refused(|signer| signer.time = time(-16 * 60)),
        refused(|signer| signer.time = time(16 * 60)),
        refused(|signer| signer.host = "events.eu-west-1.amazonaws.com".to_owned()),
        refused(|signer| signer.secret.push('x')),
    ] {
        fault(&put(&node, &other).await, 403, "InvalidSignatureException");
    }
    assert_eq!(
        put(&node, &refused(|signer| signer.time = time(-14 * 60))).await.status,
        200
    );
    assert_eq!(
        put(&node, &refused(|signer| signer.region = "ap-southeast-2".to_owned()))
            .await
            .status,
        200
    );
}

#[tokio::test]
async fn check_40_an_altered_request_is_refused() {
    let (node, signer) = signed_node().await;
    let body = json!({"Entries": [entry()]}).to_string();
    let headers = signer.headers("PutEvents", &body);
    let send = async |headers: &[String], path: &str, body: &str| {
        node.ask(
            "POST",
            path,
            &headers.iter().map(String::as_str).collect::<Vec<_>>(),
            body,
        )
        .await
    };
    let changed = |from: &str, to: &str| -> Vec<String> { headers.iter().map(|line| line.replace(from, to)).collect() };
    let with = |line: &str| -> Vec<String> { headers.iter().cloned().chain([line.to_owned()]).collect() };
    assert_eq!(send(&headers, "/", &body).await.status, 200);
    for (headers, path, body) in [
        (headers.clone(), "/", body.replace("total", "totaI")),
        (headers.clone(), "/?a=b", body.clone()),
        (changed("eu-west-1", "us-east-1"), "/", body.clone()),
        (
            changed("AWSEvents.PutEvents", "AWSEvents.TestEventPattern"),
            "/",
            body.clone(),
        ),
        (
            changed(
                "content-type: application/x-amz-json-1.1",
                "content-type: application/json",
            ),
            "/",
            body.clone(),
        ),
        (with("x-amz-content-sha256: UNSIGNED-PAYLOAD"), "/", body.clone()),
        (with("x-amz-user: admin"), "/", body.clone()),
    ] {
        fault(&send(&headers, path, &body).await, 403, "InvalidSignatureException");
    }
    fault(
        &send(&with("x-amz-security-token: t"), "/", &body).await,
        403,
        "UnrecognizedClientException",
    );
    fault(
        &send(&with("x-amz-target: AWSEvents.PutEvents"), "/", &body).await,
        403,
        "InvalidSignatureException",
    );
}

#[tokio::test]
async fn a_rotated_secret_is_good_until_its_overlap_ends() {
    let node = start().await;
    let admin = administrator(&node).await;
    let first = signing_key(&node, &admin, "k", json!({"scopes": ["publish"]})).await;
    let rotate = async |overlap: &str| {
        let body = json!({"overlap": overlap}).to_string();
        let rotated = with(&node, "POST", "/v1/keys/k:rotate", Some(&admin), &body).await;
        assert_eq!(rotated.status, 200, "{rotated}");
        Signer::new("k", rotated.json()["secret"].as_str().expect("it is shown once"))
    };
    assert_eq!(put(&node, &first).await.status, 200);
    let second = rotate("1h").await;
    assert_eq!(
        (put(&node, &first).await.status, put(&node, &second).await.status),
        (200, 200)
    );
    let third = rotate("0s").await;
    fault(&put(&node, &first).await, 403, "InvalidSignatureException");
    fault(&put(&node, &second).await, 403, "InvalidSignatureException");
    assert_eq!(put(&node, &third).await.status, 200);
    assert_eq!(with(&node, "DELETE", "/v1/keys/k", Some(&admin), "").await.status, 204);
    fault(&put(&node, &third).await, 403, "UnrecognizedClientException");
}
