//! Azure Event Grid's door: schemas, credentials, errors in Azure's form, and the answers to a real Event Grid that asks.

use crate::{
    harness::{Answer, Node, event, start},
    keys::{create, with},
};
use base64::{Engine as _, engine::general_purpose::STANDARD};
use ring::hmac;
use serde_json::{Value, json};

/// Asserts an error in Azure's form with this status and one of Trunkline's codes, and gives it.
pub fn refused(answer: &Answer, status: u16, code: &str) -> Value {
    assert_eq!(answer.status, status, "{answer}");
    assert_eq!(answer.header("content-type"), Some("application/json"), "{answer}");
    let error = answer.json()["error"].clone();
    assert!(error["code"].is_string() && error["message"].is_string(), "{answer}");
    assert_eq!(error["details"][0]["code"], code, "{answer}");
    error
}

fn grid_event(id: &str) -> Value {
    json!({"id": id, "subject": "/orders/1", "eventType": "Order.Placed", "eventTime": "2026-01-31T12:00:00Z",
        "data": {"total": 5}, "dataVersion": "1.0"})
}

/// Publishes in Event Grid's schema.
async fn publish(node: &Node, path: &str, headers: &[&str], events: Value) -> Answer {
    let all: Vec<&str> = headers
        .iter()
        .copied()
        .chain(["content-type: application/json; charset=utf-8"])
        .collect();
    node.ask("POST", path, &all, events.to_string()).await
}

/// A key of kind `eventgrid`; its secret.
async fn grid_key(node: &Node, id: &str, more: Value, admin: &str) -> String {
    let mut spec = json!({"scopes": ["publish"], "signing": "eventgrid"});
    spec.as_object_mut()
        .expect("an object")
        .extend(more.as_object().expect("an object").clone());
    let made = with(node, "PUT", &format!("/v1/keys/{id}"), Some(admin), &spec.to_string()).await;
    made.json()["secret"].as_str().expect("shown once").to_owned()
}

/// A shared access signature, as Azure's SDKs make it.
fn sas(secret: &str, resource: &str, expires: &str) -> String {
    let mut form = url::form_urlencoded::Serializer::new(String::new());
    let unsigned = form.append_pair("r", resource).append_pair("e", expires).finish();
    let key = hmac::Key::new(hmac::HMAC_SHA256, &STANDARD.decode(secret).expect("Base64"));
    let signature = STANDARD.encode(hmac::sign(&key, unsigned.as_bytes()));
    let encoded: String = url::form_urlencoded::byte_serialize(signature.as_bytes()).collect();
    format!("{unsigned}&s={encoded}")
}

const LATER: &str = "2099-01-31 12:00:00+00:00";

#[tokio::test]
async fn events_of_every_schema_become_the_same_events() {
    let node = start().await;
    let path = "/default/api/events?api-version=2018-01-01";
    let answer = publish(&node, path, &[], json!([grid_event("1"), grid_event("2")])).await;
    assert_eq!((answer.status, answer.body.as_slice()), (200, &b""[..]), "{answer}");
    let one = event("3").to_string();
    let headers = ["content-type: application/cloudevents+json; charset=utf-8"];
    assert_eq!(node.ask("POST", "/api/events", &headers, one).await.status, 200);
    let batch = json!([event("4"), event("5")]).to_string();
    let headers = ["content-type: application/cloudevents-batch+json; charset=utf-8"];
    assert_eq!(node.ask("POST", path, &headers, batch).await.status, 200);
    let headers = [
        "ce-specversion: 1.0",
        "ce-id: 6",
        "ce-source: /test",
        "ce-type: t",
        "content-type: application/json",
    ];
    assert_eq!(node.ask("POST", path, &headers, "[1]").await.status, 200);
    let story = node.get("/v1/buses/default/events/1").await.json();
    assert_eq!(story["event"]["source"], "/v1/buses/default", "{story}");
    assert_eq!(
        (&story["event"]["type"], &story["event"]["dataversion"]),
        (&json!("Order.Placed"), &json!("1.0")),
        "{story}"
    );
    for id in ["2", "3", "4", "5", "6"] {
        let story = node.get(&format!("/v1/buses/default/events/{id}")).await;
        assert_eq!(story.status, 200, "{id}: {story}");
    }
}

#[tokio::test]
async fn what_is_wrong_is_said_in_azures_form_and_nothing_is_kept() {
    let node = start().await;
    let path = "/default/api/events";
    let mut bad = grid_event("2");
    bad["eventTime"] = json!("yesterday");
    let answer = publish(&node, path, &[], json!([grid_event("1"), bad])).await;
    let error = refused(&answer, 400, "batch_refused");
    assert_eq!(error["code"], "BadRequest");
    assert_eq!(
        (&error["details"][1]["code"], &error["details"][1]["target"]),
        (&json!("event_attribute_invalid"), &json!("[1].eventTime"))
    );
    node.get("/v1/buses/default/events/1")
        .await
        .problem(404, "event_not_found");
    refused(
        &publish(&node, path, &[], grid_event("1")).await,
        400,
        "event_body_invalid",
    );
    let large = json!([{"id": "1", "eventType": "t", "data": "x".repeat(1 << 20)}]);
    let error = refused(&publish(&node, path, &[], large).await, 413, "body_too_large");
    assert_eq!(error["code"], "RequestEntityTooLarge");
    refused(
        &publish(&node, "/absent/api/events", &[], json!([])).await,
        404,
        "bus_not_found",
    );
    let other = publish(&node, "/default/api/events?api-version=2024-06-01", &[], json!([])).await;
    refused(&other, 400, "query_invalid");
    let channel = publish(&node, path, &["aeg-channel-name: c"], json!([])).await;
    refused(&channel, 400, "event_attribute_invalid");
    let text = node.ask("POST", path, &["content-type: text/plain"], "hello").await;
    refused(&text, 415, "event_media_type_unsupported");
}

/// `?partial=true` belongs to another door: here a batch is taken whole or not at all.
#[tokio::test]
async fn a_batch_is_never_kept_in_part() {
    let node = start().await;
    let batch = json!([event("1"), {"id": "2"}]).to_string();
    let headers = ["content-type: application/cloudevents-batch+json"];
    let answer = node
        .ask("POST", "/default/api/events?partial=true", &headers, batch.clone())
        .await;
    refused(&answer, 400, "query_invalid");
    let answer = node.ask("POST", "/default/api/events", &headers, batch).await;
    refused(&answer, 400, "batch_refused");
    node.get("/v1/buses/default/events/1")
        .await
        .problem(404, "event_not_found");
}

#[tokio::test]
async fn a_key_is_shown_itself_and_two_of_them_are_good_while_a_rotation_overlaps() {
    let node = start().await;
    let admin = create(&node, "admin", json!({"scopes": ["administer"]}), None).await;
    let made = with(&node, "PUT", "/v1/buses/other", Some(&admin), "{}").await;
    assert_eq!(made.status, 201, "{made}");
    let of_default = json!({"buses": ["default"], "publish": {"types": ["Order.*"]}});
    let first = grid_key(&node, "grid", of_default, &admin).await;
    let shown = async |path: &str, key: &str, events: Value| {
        publish(&node, path, &[&format!("aeg-sas-key: {key}")], events).await
    };
    let path = "/default/api/events";
    assert_eq!(shown(path, &first, json!([grid_event("1")])).await.status, 200);
    refused(&shown("/other/api/events", &first, json!([])).await, 401, "key_invalid");
    refused(
        &shown("/absent/api/events", &first, json!([])).await,
        401,
        "key_invalid",
    );
    let mut foreign = grid_event("2");
    foreign["eventType"] = json!("Bank.Robbed");
    // Check 44: the types and sources of a key are held at this door too.
    refused(&shown(path, &first, json!([foreign])).await, 403, "batch_refused");
    let rotated = with(&node, "POST", "/v1/keys/grid:rotate", Some(&admin), "{}")
        .await
        .json();
    let second = rotated["secret"].as_str().expect("shown once").to_owned();
    for key in [&first, &second] {
        assert_eq!(shown(path, key, json!([grid_event("3")])).await.status, 200);
    }
    let body = r#"{"overlap": "0s"}"#;
    let rotated = with(&node, "POST", "/v1/keys/grid:rotate", Some(&admin), body)
        .await
        .json();
    let third = rotated["secret"].as_str().expect("shown once").to_owned();
    assert_eq!(shown(path, &third, json!([grid_event("4")])).await.status, 200);
    for key in [first.as_str(), &second, "AAAA", "", "%", &"A".repeat(10_000)] {
        refused(&shown(path, key, json!([grid_event("5")])).await, 401, "key_invalid");
    }
    let bearer = create(&node, "bearer", json!({"scopes": ["publish"]}), Some(&admin)).await;
    let answer = publish(
        &node,
        path,
        &[&format!("authorization: Bearer {bearer}")],
        json!([grid_event("6")]),
    )
    .await;
    assert_eq!(answer.status, 200, "{answer}");
    let several = [
        format!("aeg-sas-key: {third}"),
        format!("authorization: Bearer {bearer}"),
    ];
    let answer = publish(&node, path, &[&several[0], &several[1]], json!([])).await;
    refused(&answer, 401, "unauthenticated");
    let reader = grid_key(&node, "reader", json!({"scopes": ["read"]}), &admin).await;
    refused(&shown(path, &reader, json!([])).await, 403, "scope_missing");
    let ended = grid_key(&node, "ended", json!({}), &admin).await;
    let spec = json!({"scopes": ["publish"], "signing": "eventgrid"});
    crate::keys::expire(&node, "ended", spec, &admin).await;
    refused(&shown(path, &ended, json!([])).await, 401, "key_expired");
}

/// Check 43: a shared access signature is good for its resource, until its time, as it was signed; anything else is 401.
#[tokio::test]
async fn check_43_a_shared_access_signature_is_good_for_its_bus_until_it_expires() {
    let node = start().await;
    let admin = create(&node, "admin", json!({"scopes": ["administer"]}), None).await;
    let made = with(&node, "PUT", "/v1/buses/other", Some(&admin), "{}").await;
    assert_eq!(made.status, 201, "{made}");
    let secret = grid_key(&node, "grid", json!({}), &admin).await;
    let of_other = grid_key(&node, "other", json!({"buses": ["other"]}), &admin).await;
    let resource = "http://localhost/default/api/events?apiVersion=2018-01-01";
    let sent = async |path: &str, token: &str, id: &str| {
        publish(
            &node,
            path,
            &[&format!("aeg-sas-token: {token}")],
            json!([grid_event(id)]),
        )
        .await
    };
    let path = "/default/api/events";
    let good = sas(&secret, resource, LATER);
    assert_eq!(sent(path, &good, "1").await.status, 200);
    let of_us = sas(&secret, "https://bus.example.com/api/events", "1/31/2099 12:00:00 PM");
    assert_eq!(sent("/api/events", &of_us, "2").await.status, 200);
    let authorization = format!("authorization: SharedAccessSignature {good}");
    assert_eq!(
        publish(&node, path, &[&authorization], json!([grid_event("3")]))
            .await
            .status,
        200
    );

    refused(&sent("/other/api/events", &good, "9").await, 401, "key_invalid");
    let expired = sas(&secret, resource, "2020-01-31 12:00:00+00:00");
    refused(&sent(path, &expired, "9").await, 401, "key_expired");
    let altered = [
        good.replace("2099", "2098"),
        good.replace("%2Fdefault%2F", "%2F%2Fdefault%2F"),
        good.replace("&e=", "&x=1&e="),
        format!("{good}x"),
        sas(&of_other, resource, LATER),
        sas(&STANDARD.encode([1; 32]), resource, LATER),
        expired.replace("2020", "2099"),
        String::new(),
        "r=a".to_owned(),
    ];
    for token in altered {
        refused(&sent(path, &token, "9").await, 401, "key_invalid");
    }
    // An altered signature, at each of its bytes.
    let (unsigned, signature) = good.rsplit_once("&s=").expect("it is signed");
    for at in 0..8 {
        let mut bytes = signature.as_bytes().to_vec();
        bytes[at] = if bytes[at] == b'A' { b'B' } else { b'A' };
        let token = format!("{unsigned}&s={}", String::from_utf8_lossy(&bytes));
        refused(&sent(path, &token, "9").await, 401, "key_invalid");
    }
    let story = with(
        &node,
        "GET",
        "/v1/buses/default/events/9",
        Some(&create(&node, "seer", json!({"scopes": ["subscribe"]}), Some(&admin)).await),
        "",
    )
    .await;
    story.problem(404, "event_not_found");
}

/// Check 38: who may publish on one bus cannot tell another one from none, with whatever it shows.
#[tokio::test]
async fn check_38_a_bus_of_another_tenant_is_answered_as_one_that_is_not_there() {
    let node = start().await;
    let admin = create(&node, "admin", json!({"scopes": ["administer"]}), None).await;
    for bus in ["victim", "mine"] {
        let path = format!("/v1/buses/{bus}");
        assert_eq!(with(&node, "PUT", &path, Some(&admin), "{}").await.status, 201);
    }
    let own = json!({"scopes": ["publish"], "buses": ["mine"]});
    let secret = grid_key(&node, "grid", own.clone(), &admin).await;
    let token = create(&node, "bearer", own, Some(&admin)).await;
    for of_bus in [
        |secret: &str, _: &str, _: &str| format!("aeg-sas-key: {secret}"),
        |_: &str, token: &str, _: &str| format!("authorization: Bearer {token}"),
        |secret: &str, _: &str, bus: &str| {
            let resource = format!("http://localhost/{bus}/api/events");
            format!("aeg-sas-token: {}", sas(secret, &resource, LATER))
        },
    ] {
        let ask = async |bus: &str| {
            let path = format!("/{bus}/api/events");
            let header = of_bus(&secret, &token, bus);
            publish(&node, &path, &[&header], json!([grid_event("1")])).await
        };
        assert_eq!(ask("mine").await.status, 200);
        let (there, nowhere) = (ask("victim").await, ask("absent").await);
        assert!([401, 403].contains(&there.status), "{there}");
        assert_eq!(
            (there.status, String::from_utf8_lossy(&there.body).into_owned()),
            (
                nowhere.status,
                String::from_utf8_lossy(&nowhere.body).replace("absent", "victim")
            )
        );
    }
}

/// Check 45, the half of Event Grid: a validation is answered with its code to who may publish, and its address is not called.
#[tokio::test]
async fn check_45_a_validation_is_answered_to_who_shows_a_key_and_its_address_is_never_called() {
    let node = start().await;
    let admin = create(&node, "admin", json!({"scopes": ["administer"]}), None).await;
    let secret = grid_key(&node, "grid", json!({}), &admin).await;
    let canary = tokio::net::TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let url = format!("http://{}/validate?id=1", canary.local_addr().expect("an address"));
    let asked = json!([{"id": "1", "topic": "/subscriptions/s", "subject": "", "eventType":
        "Microsoft.EventGrid.SubscriptionValidationEvent", "eventTime": "2026-01-31T12:00:00Z", "metadataVersion": "1",
        "dataVersion": "2", "data": {"validationCode": "512d38b6-c7b8-40c8-89fe-f46f9e9622b6", "validationUrl": url}}]);
    let kind = "aeg-event-type: SubscriptionValidation";
    let path = "/default/api/events";
    let key = format!("aeg-sas-key: {secret}");
    let answer = publish(&node, path, &[kind, &key], asked.clone()).await;
    assert_eq!(
        (answer.status, answer.json()),
        (
            200,
            json!({"validationResponse": "512d38b6-c7b8-40c8-89fe-f46f9e9622b6"})
        ),
        "{answer}"
    );
    refused(
        &publish(&node, path, &[kind], asked.clone()).await,
        401,
        "unauthenticated",
    );
    let wrong = format!("aeg-sas-key: {}", STANDARD.encode([1; 32]));
    refused(
        &publish(&node, path, &[kind, &wrong], asked.clone()).await,
        401,
        "key_invalid",
    );
    // Without the header it would be an event that subscribers answer.
    refused(
        &publish(&node, path, &[&key], asked.clone()).await,
        400,
        "batch_refused",
    );
    refused(
        &publish(&node, path, &[kind, &key], json!([])).await,
        400,
        "event_body_invalid",
    );
    refused(
        &publish(&node, path, &[kind, &key], json!([grid_event("1")])).await,
        400,
        "event_body_invalid",
    );
    let called = tokio::time::timeout(std::time::Duration::from_millis(50), canary.accept()).await;
    assert!(called.is_err(), "the address of the validation was called");
}

#[tokio::test]
async fn a_webhook_for_cloudevents_is_allowed_to_who_shows_a_key() {
    let node = start().await;
    let admin = create(&node, "admin", json!({"scopes": ["administer"]}), None).await;
    let bearer = create(&node, "bearer", json!({"scopes": ["publish"]}), Some(&admin)).await;
    let origin = [
        "webhook-request-origin: eventgrid.azure.net",
        "webhook-request-rate: 120",
    ];
    let path = format!("/default/api/events?access_token={bearer}");
    let answer = node.ask("OPTIONS", &path, &origin, "").await;
    assert_eq!(answer.status, 200, "{answer}");
    assert_eq!(answer.header("webhook-allowed-origin"), Some("eventgrid.azure.net"));
    assert_eq!(answer.header("webhook-allowed-rate"), Some("*"));
    refused(
        &node.ask("OPTIONS", "/default/api/events", &origin, "").await,
        401,
        "unauthenticated",
    );
}

/// The address of a validation needs no key: its code is one, and counts once.
#[tokio::test]
async fn who_opens_the_address_of_a_validation_says_yes_for_the_webhook() {
    let node = start().await;
    create(&node, "admin", json!({"scopes": ["administer"]}), None).await;
    let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH);
    let now = now.expect("after 1970").as_secs().cast_signed();
    let asked = node.validations.begin(7, "http://hook/", now).await.expect("kept");
    let url = asked.url.expect("it has an address");
    let path = url.strip_prefix("http://localhost:8080").expect("the server's own");
    node.get("/v1/validations/wrong").await.problem(404, "not_found");
    let confirmed = node.get(path).await;
    assert_eq!((confirmed.status, confirmed.json()), (200, json!({"validated": true})));
    node.get(path).await.problem(404, "not_found");
    let shown = node.validations.shown(7).expect("it was asked");
    assert_eq!(shown.state, delivery::ValidationState::Succeeded);
}

/// A client that was made for a namespace is told so, whatever it shows; what only looks alike is not there.
#[tokio::test]
async fn a_namespace_is_refused_by_its_name() {
    let node = start().await;
    for path in [
        "/topics/orders:publish?api-version=2024-06-01",
        "/topics/orders/eventsubscriptions/mine:receive?api-version=2024-06-01&maxEvents=10",
        "/topics/orders/eventsubscriptions/mine:renewLock",
    ] {
        let answer = publish(&node, path, &["authorization: SharedAccessKey c2VjcmV0"], json!([])).await;
        let error = refused(&answer, 404, "not_found");
        let message = error["message"].as_str().expect("a text");
        assert!(message.contains("namespaces are not built here"), "{message}");
    }
    let answer = publish(&node, "/topics/orders:delete", &[], json!([])).await;
    assert!(answer.status == 404 && answer.json().get("error").is_none(), "{answer}");
}
