//! Check 37: what every route asks for, held against every kind of key. The addresses come from the table of routes; what each is
//! meant to ask for stands here again, so that a route without a row, or with another right than was meant, fails.

use crate::{
    harness::{Answer, Node, start},
    keys::{create, expire, with},
};
use doors::http::routes::{self, Route, Verb};
use serde_json::json;
use std::collections::BTreeSet;

/// What a route is meant to ask for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Right {
    /// Nothing.
    Open,
    /// Any key in force.
    AnyKey,
    /// To publish on the bus.
    Publish,
    /// To see what the bus has.
    Read,
    /// To see the bus's events.
    Subscribe,
    /// To change what the bus has.
    Manage,
    /// To see who did what on the bus.
    Audit,
    /// To see what all buses have.
    ReadAll,
    /// To see who did what anywhere.
    AuditAll,
    /// To change the installation.
    Administer,
    /// A signature, and what its operation asks for: `eventbridge` has the matrix.
    Signed,
}

use Right::*;

const RIGHTS: &[(&str, Right)] = &[
    ("publish", Publish),
    ("allowPublishing", Publish),
    ("eventBridge", Signed),
    ("refuseEventBridgeV2", Signed),
    ("publishToEventGrid", Publish),
    ("publishToEventGridDefault", Publish),
    ("allowEventGrid", Publish),
    ("allowEventGridDefault", Publish),
    ("listBuses", AnyKey),
    ("getBus", Read),
    ("putBus", Administer),
    ("deleteBus", Administer),
    ("listKeys", Administer),
    ("getKey", Administer),
    ("putKey", Administer),
    ("deleteKey", Administer),
    ("rotateKey", Administer),
    ("listTopics", Read),
    ("getTopic", Read),
    ("putTopic", Manage),
    ("deleteTopic", Manage),
    ("listEventTypes", Read),
    ("getEventType", Read),
    ("putEventType", Manage),
    ("deleteEventType", Manage),
    ("listConnections", Read),
    ("getConnection", Read),
    ("putConnection", Manage),
    ("deleteConnection", Manage),
    ("testConnection", Manage),
    ("listSubscriptions", Read),
    ("getSubscription", Read),
    ("putSubscription", Subscribe),
    ("deleteSubscription", Subscribe),
    ("pauseSubscription", Subscribe),
    ("resumeSubscription", Subscribe),
    ("confirmValidation", Open),
    ("showEvent", Subscribe),
    ("showEventData", Subscribe),
    ("tailEvents", Subscribe),
    ("testFilter", Subscribe),
    ("explainFilter", Subscribe),
    ("lintFilter", Subscribe),
    ("testTransform", Subscribe),
    ("listDeadLetters", Read),
    ("showDeadLetter", Subscribe),
    ("redriveDeadLetters", Subscribe),
    ("discardDeadLetters", Subscribe),
    ("editDeadLetter", Subscribe),
    ("exportDeadLetters", Subscribe),
    ("importDeadLetters", Subscribe),
    ("startRedrive", Subscribe),
    ("listRedrives", Read),
    ("getRedrive", Read),
    ("deleteRedrive", Subscribe),
    ("pauseRedrive", Subscribe),
    ("resumeRedrive", Subscribe),
    ("cancelRedrive", Subscribe),
    ("listAudit", AuditAll),
    ("listAuditOfBus", Audit),
    ("verifyAudit", AuditAll),
    ("startReplay", Subscribe),
    ("listReplays", Read),
    ("getReplay", Read),
    ("deleteReplay", Subscribe),
    ("pauseReplay", Subscribe),
    ("resumeReplay", Subscribe),
    ("cancelReplay", Subscribe),
    ("showClock", ReadAll),
    ("confirmClock", Administer),
    ("showMasterKey", Administer),
    ("rotateMasterKey", Administer),
    ("forgetMasterKey", Administer),
    ("createBackup", Administer),
    ("listBackups", ReadAll),
    ("showBackup", ReadAll),
    ("reloadConfig", Administer),
    ("metrics", ReadAll),
    ("health", Open),
    ("readiness", Open),
    ("explainError", Open),
    ("previewResources", AnyKey),
    ("describeApi", AnyKey),
];

/// The keys, each with the scopes and buses of its specification, and the rights that follow from them on bus `default`.
const KEYS: &[(&str, &str, &[Right])] = &[
    (
        "publisher",
        r#"{"scopes": ["publish"], "buses": ["default"]}"#,
        &[AnyKey, Publish],
    ),
    (
        "reader",
        r#"{"scopes": ["read"], "buses": ["default"]}"#,
        &[AnyKey, Read],
    ),
    (
        "subscriber",
        r#"{"scopes": ["subscribe"], "buses": ["default"]}"#,
        &[AnyKey, Read, Subscribe],
    ),
    (
        "manager",
        r#"{"scopes": ["manage"], "buses": ["default"]}"#,
        &[AnyKey, Read, Subscribe, Manage],
    ),
    (
        "auditor",
        r#"{"scopes": ["audit"], "buses": ["default"]}"#,
        &[AnyKey, Audit],
    ),
    ("reader-of-all", r#"{"scopes": ["read"]}"#, &[AnyKey, Read, ReadAll]),
    (
        "manager-of-all",
        r#"{"scopes": ["manage"]}"#,
        &[AnyKey, Read, Subscribe, Manage, ReadAll],
    ),
    ("auditor-of-all", r#"{"scopes": ["audit"]}"#, &[AnyKey, Audit, AuditAll]),
    (
        "stranger",
        r#"{"scopes": ["publish", "read", "subscribe", "manage", "audit"], "buses": ["other"]}"#,
        &[AnyKey],
    ),
    (
        "administrator",
        r#"{"scopes": ["administer"]}"#,
        &[AnyKey, Read, Subscribe, Manage, ReadAll, Administer],
    ),
    ("expired", r#"{"scopes": ["publish", "manage"]}"#, &[]),
];

/// An address of a row, of things of which only the bus is there; what would be deleted is not.
fn address(row: &Route) -> String {
    let bus = match (row.verb, row.path) {
        (Verb::Delete, "/v1/buses/{bus}") => "absent",
        _ => "default",
    };
    let mut path = row.path.replace("{bus}", bus);
    while let Some((before, after)) = path.split_once('{') {
        let after = after.split_once('}').expect("a brace is closed").1;
        path = format!("{before}absent{after}");
    }
    // A tail that is well asked for has no end.
    if row.id == "tailEvents" {
        path += "?from=wrong";
    }
    path
}

#[test]
fn check_37_every_route_has_a_row_and_every_row_a_route() {
    let routes: BTreeSet<&str> = routes::all().map(|row| row.id).collect();
    let rows: BTreeSet<&str> = RIGHTS.iter().map(|(id, _)| *id).collect();
    let missing: Vec<_> = routes.difference(&rows).collect();
    let idle: Vec<_> = rows.difference(&routes).collect();
    assert!(
        missing.is_empty(),
        "say in RIGHTS what these are meant to ask for: {missing:?}"
    );
    assert!(idle.is_empty(), "there are no such routes: {idle:?}");
}

#[tokio::test]
async fn check_37_every_route_asks_for_its_right() {
    let node = start().await;
    let admin = create(&node, "admin", json!({"scopes": ["administer"]}), None).await;
    let made = with(&node, "PUT", "/v1/buses/other", Some(&admin), "{}").await;
    assert_eq!(made.status, 201, "{made}");
    let mut tokens = Vec::new();
    for (id, spec, rights) in KEYS {
        let spec = serde_json::from_str(spec).expect("it is JSON");
        tokens.push((*id, *rights, create(&node, id, spec, Some(&admin)).await));
    }
    expire(&node, "expired", json!({"scopes": ["publish", "manage"]}), &admin).await;
    for row in routes::all() {
        let right = RIGHTS
            .iter()
            .find(|(id, _)| *id == row.id)
            .expect("the other test looks")
            .1;
        check(&node, row, right, &tokens).await;
    }
}

async fn check(node: &Node, row: &Route, right: Right, tokens: &[(&str, &[Right], String)]) {
    if right == Signed {
        return;
    }
    let (method, path) = (row.verb.method().to_string(), address(row));
    let ask = async |token: Option<&str>| with(node, &method, &path, token, "{}").await;
    if right == Open {
        let answer = ask(None).await;
        assert!(!matches!(answer.status, 401 | 403), "{method} {path}: {answer}");
        return;
    }
    let refused = |answer: &Answer, status, code| match row.errors_as {
        Some("EventGridError") => drop(crate::eventgrid::refused(answer, status, code)),
        _ => drop(answer.problem(status, code)),
    };
    refused(&ask(None).await, 401, "unauthenticated");
    for wrong in [
        "nonsense",
        "tlk_admin.AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA",
        "tlk_nobody.AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA",
    ] {
        refused(&ask(Some(wrong)).await, 401, "key_invalid");
    }
    for (id, rights, token) in tokens {
        let answer = ask(Some(token)).await;
        match (*id, rights.contains(&right)) {
            ("expired", _) => refused(&answer, 401, "key_expired"),
            (_, false) => refused(&answer, 403, "scope_missing"),
            (_, true) => assert!(
                !matches!(answer.status, 401 | 403) && answer.status < 500,
                "{id} {method} {path}: {answer}"
            ),
        }
    }
}
