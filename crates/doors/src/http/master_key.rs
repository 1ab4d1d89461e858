//! `/v1/master-key`: what seals secrets, by its id; another one becomes current, earlier ones go. No key is ever shown, and where
//! one is given, no answer repeats it.

use super::{
    call::Call,
    json,
    problem::Problem,
    routes::{JSON, Permission, Route, Verb, content, in_json, route},
};
use axum::{body::Body, routing};
use control::{resources::Scope, seal::KeptIn};
use delivery::MasterKeys;
use http::StatusCode;
use serde_json::{Value, json};

const ADMINISTER: Permission = Permission::Installation(Scope::Administer);

pub(super) const ROUTES: &[Route] = &[
    route(Verb::Get, "/v1/master-key", "showMasterKey", ADMINISTER, |on| {
        routing::on(on, show)
    })
    .summary("Show the master key's id, and what is sealed under which")
    .gives(&[in_json(200, "MasterKey")]),
    route(
        Verb::Post,
        "/v1/master-key:rotate",
        "rotateMasterKey",
        ADMINISTER,
        |on| routing::on(on, rotate),
    )
    .summary("Make another master key current, and seal everything again")
    .takes(&[content(JSON, "MasterKeyRotation")])
    .gives(&[in_json(202, "MasterKey")])
    .problems(&[
        "master_key_invalid",
        "master_key_rotating",
        "master_key_unwritten",
        "resource_invalid",
        "resource_malformed",
        "store_failed",
    ]),
    route(
        Verb::Post,
        "/v1/master-key:forget",
        "forgetMasterKey",
        ADMINISTER,
        |on| routing::on(on, forget),
    )
    .summary("Forget an earlier master key that seals nothing any more")
    .takes(&[content(JSON, "MasterKeyForgetting")])
    .gives(&[in_json(200, "MasterKey")])
    .problems(&[
        "master_key_rotating",
        "master_key_unknown",
        "master_key_unwritten",
        "resource_invalid",
        "resource_malformed",
        "store_failed",
    ]),
];

async fn show(call: Call) -> json::Result {
    json::ok(&shown(&call.state.core.master_keys()))
}

async fn rotate(call: Call, body: Body) -> json::Result {
    let given = text(&call.document(body).await?, "key")?;
    call.state.core.rotate_master_key(given, call.actor()).await?;
    json::answer(StatusCode::ACCEPTED, &shown(&call.state.core.master_keys()))
}

async fn forget(call: Call, body: Body) -> json::Result {
    let Some(id) = text(&call.document(body).await?, "id")? else {
        let problem = Problem::new(
            "resource_invalid",
            "id is the earlier key's, as GET /v1/master-key shows it",
        );
        return Err(problem.pointer(Some("/id".to_owned())));
    };
    let id = super::shown(&id).to_owned();
    call.state.core.forget_master_key(id, call.actor()).await?;
    json::ok(&shown(&call.state.core.master_keys()))
}

/// The one member that a body may have. What stands there instead is not repeated: it may be a key.
fn text(body: &Value, member: &'static str) -> json::Result<Option<String>> {
    let Value::Object(body) = body else {
        let detail = "the body is an object, which may be empty";
        return Err(Problem::new("resource_malformed", detail));
    };
    if body.keys().any(|name| name != member) {
        let detail = format!("the body has no other member than {member}");
        return Err(Problem::new("resource_invalid", detail));
    }
    match body.get(member) {
        None | Some(Value::Null) => Ok(None),
        Some(Value::String(text)) => Ok(Some(text.clone())),
        Some(_) => {
            let problem = Problem::new("resource_invalid", format!("{member} is a text"));
            Err(problem.pointer(Some(format!("/{member}"))))
        }
    }
}

fn shown(keys: &MasterKeys) -> Value {
    let state = match (keys.left, &keys.failure) {
        (0, _) => "at_rest",
        (_, None) => "rotating",
        (_, Some(_)) => "failing",
    };
    let earlier = keys.earlier.iter();
    let earlier: Vec<Value> = earlier
        .map(|(id, secrets)| json!({"id": id, "secrets": secrets}))
        .collect();
    json!({
        "current": keys.current,
        "kept_in": match keys.kept_in {
            KeptIn::File => "file",
            KeptIn::Configuration => "configuration",
        },
        "state": state,
        "reason": keys.failure.as_ref().filter(|_| keys.left > 0),
        "secrets": keys.secrets,
        "left": keys.left,
        "earlier": earlier,
        "unreadable": keys.unreadable,
    })
}
