//! Lists of resources that are tried without being put: what is said of them, and who may ask.

use crate::harness::{Answer, start};
use crate::keys::{create, with};
use serde_json::{Value, json};

const PREVIEW: &str = "/v1/resources:preview";

fn list() -> Value {
    json!({"resources": [
        {"kind": "bus", "name": "shop"},
        {"kind": "topic", "bus": "shop", "name": "orders", "partitions": 3},
        {"kind": "connection", "bus": "shop", "name": "crm", "provider": "webhook", "config": {"url": "http://127.0.0.1:9/"}},
        {"kind": "subscription", "bus": "shop", "name": "orders-to-crm", "topics": ["orders"], "connection": "crm",
            "filter": {"eventbridge": {"detail": {"total": [{"numeric": ["<", 1e3]}]}}}},
    ]})
}

fn actions(answer: &Answer) -> Vec<String> {
    let items = answer.json()["items"].clone();
    let items = items.as_array().unwrap_or_else(|| panic!("{answer}")).clone();
    let word = |item: &Value| {
        format!(
            "{} {}",
            item["action"].as_str().expect("a word"),
            item["name"].as_str().expect("a name")
        )
    };
    items.iter().map(word).collect()
}

#[tokio::test]
async fn a_list_is_tried_as_if_those_before_were_there_and_nothing_is_changed() {
    let node = start().await;
    let before = node.get("/v1/buses").await.json();
    let tried = node.ask("POST", PREVIEW, &[], list().to_string()).await;
    assert_eq!(tried.status, 200, "{tried}");
    assert_eq!(
        actions(&tried),
        ["create shop", "create orders", "create crm", "create orders-to-crm"]
    );
    assert_eq!(tried.json()["items"][0].get("bus"), None, "a bus is of no bus");
    assert_eq!(node.get("/v1/buses").await.json(), before);

    assert_eq!(node.put("/v1/buses/shop", json!({})).await.status, 201);
    assert_eq!(
        node.put("/v1/buses/shop/topics/orders", json!({"partitions": 2}))
            .await
            .status,
        201
    );
    let tried = node.ask("POST", PREVIEW, &[], list().to_string()).await;
    assert_eq!(actions(&tried)[..2], ["none shop", "update orders"]);
    let change = &tried.json()["items"][1]["changes"][0];
    assert_eq!(*change, json!({"pointer": "/partitions", "before": 2, "after": 3}));
}

#[tokio::test]
async fn what_is_wrong_in_a_list_is_refused_with_its_place() {
    let node = start().await;
    let mut wrong = list();
    wrong["resources"][3]["connection"] = json!("cmr");
    let nowhere = json!({"resources": [{"kind": "topic", "bus": "nowhere", "name": "t"}]});
    let of = |resource: Value| json!({"resources": [{"kind": "topic", "name": "t"}, resource]}).to_string();
    for (body, status, code, pointer) in [
        (
            wrong.to_string(),
            422,
            "resource_invalid",
            Some("/resources/3/connection"),
        ),
        (nowhere.to_string(), 404, "resource_not_found", Some("/resources/0")),
        (of(json!(5)), 422, "resource_invalid", Some("/resources/1")),
        (
            of(json!({"kind": "key", "name": "k"})),
            422,
            "resource_invalid",
            Some("/resources/1/kind"),
        ),
        (
            of(json!({"kind": "topic"})),
            422,
            "resource_invalid",
            Some("/resources/1/name"),
        ),
        (
            of(json!({"kind": "topic", "name": "t", "bus": 7})),
            422,
            "resource_invalid",
            Some("/resources/1/bus"),
        ),
        (
            of(json!({"kind": "topic", "name": "../t"})),
            422,
            "name_invalid",
            Some("/resources/1/name"),
        ),
        ("{\"resources\": 1}".to_owned(), 400, "resource_malformed", None),
        ("[]".to_owned(), 400, "resource_malformed", None),
        (
            json!({"resources": [], "more": 1}).to_string(),
            400,
            "resource_malformed",
            None,
        ),
    ] {
        let answer = node.ask("POST", PREVIEW, &[], body.clone()).await;
        let problem = answer.problem(status, code);
        assert_eq!(problem["pointer"].as_str(), pointer, "{body}: {answer}");
    }
    let empty = node.ask("POST", PREVIEW, &[], "{\"resources\": []}").await;
    assert_eq!((empty.status, empty.json()), (200, json!({"items": []})));
}

#[tokio::test]
async fn each_resource_of_a_list_asks_for_the_right_to_put_it_before_anything_is_said() {
    let node = start().await;
    let admin = create(&node, "admin", json!({"scopes": ["administer"]}), None).await;
    let manager = create(
        &node,
        "m",
        json!({"scopes": ["manage"], "buses": ["default"]}),
        Some(&admin),
    )
    .await;
    let subscriber = create(
        &node,
        "s",
        json!({"scopes": ["subscribe"], "buses": ["default"]}),
        Some(&admin),
    )
    .await;
    let one = |resource: Value| json!({"resources": [resource]}).to_string();
    let topic = one(json!({"kind": "topic", "name": "t"}));
    let bus = one(json!({"kind": "bus", "name": "default"}));
    let subscription = one(json!({"kind": "subscription", "name": "s", "connection": "none"}));
    // Whether the other bus is there is nobody's business.
    let elsewhere = one(json!({"kind": "topic", "bus": "absent", "name": "t"}));
    for (key, body, status) in [
        (&admin, &bus, 200),
        (&admin, &topic, 200),
        (&admin, &elsewhere, 404),
        (&manager, &bus, 403),
        (&manager, &topic, 200),
        (&manager, &subscription, 422),
        (&manager, &elsewhere, 403),
        (&subscriber, &topic, 403),
        (&subscriber, &subscription, 422),
    ] {
        let answer = with(&node, "POST", PREVIEW, Some(key), body).await;
        assert_eq!(answer.status, status, "{body}: {answer}");
    }
}
