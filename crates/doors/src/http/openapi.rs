//! The OpenAPI 3.1 document of `/v1`: made from the table of routes, the table of errors, and the schemas and examples beside this
//! file. Tests hold the schemas against what is read and answered.

use super::{call::Call, routes::Verb};
use super::{
    errors, json,
    routes::{self, Content, Permission, Route, Takes, in_json, route},
};
use axum::routing;
use serde_json::{Map, Value, json};
use std::{
    collections::{BTreeMap, BTreeSet},
    sync::LazyLock,
};

const SCHEMAS: &str = include_str!("openapi/schemas.json");
const EXAMPLES: &str = include_str!("openapi/examples.json");

pub(super) const ROUTES: &[Route] = &[
    route(Verb::Get, "/v1/openapi.json", "describeApi", Permission::AnyKey, |on| {
        routing::on(on, show)
    })
    .summary("This document")
    .gives(&[in_json(200, "OpenApi")]),
];

static DOCUMENT: LazyLock<Value> = LazyLock::new(document);

async fn show(_: Call) -> json::Result {
    json::ok(&*DOCUMENT)
}

/// Bodies to try an operation with, by its id: what a reader sees in the document, and what a test sends.
pub fn examples() -> Map<String, Value> {
    read(EXAMPLES)
}

/// The document.
pub fn document() -> Value {
    let examples = examples();
    let mut paths = Map::new();
    let mut tags: Vec<Value> = Vec::new();
    for group in routes::GROUPS {
        let mut documented = group
            .routes
            .iter()
            .filter(|row| row.permission != Permission::Signed)
            .peekable();
        if documented.peek().is_none() {
            continue;
        }
        if !tags.iter().any(|tag| tag["name"] == group.name) {
            tags.push(json!({"name": group.name, "description": group.about}));
        }
        for row in documented {
            let path = paths.entry(row.path).or_insert_with(|| json!({}));
            let verb = row.verb.method().as_str().to_lowercase();
            path[verb] = operation(row, group.name, examples.get(row.id));
        }
    }
    json!({
        "openapi": "3.1.0",
        "info": {
            "title": "Trunkline",
            "version": env!("CARGO_PKG_VERSION"),
            "summary": "An event bus in one binary",
            "description": "Errors are problem+json with a stable code. Resources change at a version: If-Match takes an ETag. Lists come in pages.",
            "license": {"name": "Apache 2.0", "identifier": "Apache-2.0"},
        },
        "servers": [{"url": "/"}],
        "tags": tags,
        "paths": paths,
        "components": {
            "schemas": read(SCHEMAS),
            "securitySchemes": {
                "key": {"type": "http", "scheme": "bearer", "description": "A key's token. Without any key the server answers its own machine."},
            },
        },
    })
}

fn read(text: &str) -> Map<String, Value> {
    serde_json::from_str(text).expect("the file is compiled in; a test reads it")
}

fn operation(row: &Route, tag: &str, example: Option<&Value>) -> Value {
    let mut operation = json!({
        "operationId": row.id,
        "summary": row.summary,
        "tags": [tag],
        "parameters": parameters(row),
        "responses": responses(row),
        "security": if row.permission == Permission::Open { json!([]) } else { json!([{"key": []}, {}]) },
        "x-permission": permission(row.permission),
    });
    if !row.takes.is_empty() {
        let bodies: Map<String, Value> = row.takes.iter().map(|content| body(content, example)).collect();
        operation["requestBody"] = json!({"required": true, "content": bodies});
    }
    operation
}

fn body(content: &Content, example: Option<&Value>) -> (String, Value) {
    let mut body = json!({"schema": reference(content.schema)});
    // An example is of the first form of the body.
    if let Some(example) =
        example.filter(|example| example["media_type"].as_str().unwrap_or(routes::JSON) == content.media_type)
    {
        body["example"] = example["body"].clone();
    }
    (content.media_type.to_owned(), body)
}

fn reference(schema: &str) -> Value {
    json!({"$ref": format!("#/components/schemas/{schema}")})
}

fn permission(permission: Permission) -> String {
    match permission {
        Permission::Open => "none".to_owned(),
        Permission::AnyKey => "any key".to_owned(),
        Permission::Signed => "a signature".to_owned(),
        Permission::Bus(scope) => format!("{} of the bus", scope.word()),
        Permission::DefaultBus(scope) => format!("{} of the bus default", scope.word()),
        Permission::Installation(scope) => format!("{} of all buses", scope.word()),
    }
}

fn parameters(row: &Route) -> Vec<Value> {
    let in_path = row.path.split('{').skip(1).filter_map(|rest| rest.split_once('}'));
    let in_path = in_path.map(|(name, _)| {
        let example = match name {
            "bus" => "default",
            "code" => "in_use",
            _ => "example",
        };
        json!({"name": name, "in": "path", "required": true, "schema": {"type": "string", "minLength": 1}, "example": example})
    });
    let in_query = row.query.iter().map(|parameter| {
        let schema = match parameter.takes {
            Takes::Text => json!({"type": "string"}),
            Takes::Flag => json!({"type": "boolean"}),
            Takes::Number(min, max) => json!({"type": "integer", "minimum": min, "maximum": max}),
            Takes::Time => json!({"type": "string", "format": "date-time"}),
        };
        json!({"name": parameter.name, "in": "query", "description": parameter.about, "schema": schema})
    });
    let conditions = [
        ("If-Match", "The ETag that a GET gave: change this version only."),
        ("If-None-Match", "`*`: create only."),
    ];
    let has_conditions = row.problems.contains(&"precondition_invalid");
    let conditions = conditions.iter().filter(|_| has_conditions);
    let in_head = conditions
        .map(|(name, about)| json!({"name": name, "in": "header", "description": about, "schema": {"type": "string"}}));
    in_path.chain(in_query).chain(in_head).collect()
}

/// The answers by status: each form once, and the problems with the codes that they may have.
fn responses(row: &Route) -> Value {
    let mut forms: BTreeMap<u16, BTreeMap<&str, Vec<Value>>> = BTreeMap::new();
    for gives in row.gives {
        let of_status = forms.entry(gives.status).or_default();
        if let Some(content) = gives.content {
            of_status
                .entry(content.media_type)
                .or_default()
                .push(reference(content.schema));
        }
    }
    for (status, codes) in problems(row) {
        let schema = json!({"allOf": [reference("Problem"), {"properties": {"code": {"enum": codes}}}]});
        forms
            .entry(status)
            .or_default()
            .insert("application/problem+json", vec![schema]);
        if let Some(schema) = row.errors_as {
            let of_status = forms.entry(status).or_default();
            of_status.insert(routes::JSON, vec![reference(schema)]);
        }
    }
    let responses = forms.into_iter().map(|(status, contents)| {
        let contents: Map<String, Value> = contents
            .into_iter()
            .map(|(media_type, mut schemas)| {
                let schema = match schemas.len() {
                    1 => schemas.remove(0),
                    _ => json!({"anyOf": schemas}),
                };
                (media_type.to_owned(), json!({"schema": schema}))
            })
            .collect();
        let mut response = json!({"description": description(status)});
        if !contents.is_empty() {
            response["content"] = contents.into();
        }
        (status.to_string(), response)
    });
    Value::Object(responses.collect())
}

fn description(status: u16) -> &'static str {
    http::StatusCode::from_u16(status)
        .ok()
        .and_then(|status| status.canonical_reason())
        .unwrap_or("An answer")
}

/// Every code that an operation may answer, by status.
pub(super) fn problems(row: &Route) -> BTreeMap<u16, BTreeSet<&'static str>> {
    if row.permission == Permission::Signed {
        // Its errors have another shape.
        return BTreeMap::new();
    }
    let mut codes: BTreeSet<&'static str> = row.problems.iter().copied().collect();
    codes.extend([
        "internal",
        "not_found",
        "query_invalid",
        "request_too_many_headers",
        "shutting_down",
    ]);
    if row.permission != Permission::Open {
        codes.extend(["unauthenticated", "key_invalid", "key_expired", "scope_missing"]);
        codes.extend(["cross_origin_refused", "forwarded_refused", "host_refused"]);
    }
    if row.problems.contains(&"precondition_invalid") {
        codes.extend(["already_exists", "version_conflict"]);
    }
    if row.path.contains("{bus}") {
        codes.insert("bus_not_found");
    }
    if !row.takes.is_empty() {
        codes.extend([
            "body_incomplete",
            "body_too_large",
            "content_encoding_invalid",
            "content_encoding_unsupported",
        ]);
        codes.extend(["request_timeout", "server_busy"]);
    }
    let mut by_status: BTreeMap<u16, BTreeSet<&'static str>> = BTreeMap::new();
    for code in codes {
        let status = errors::find(code).map_or(500, |entry| entry.status);
        by_status.entry(status).or_default().insert(code);
    }
    // What cannot be read at all is 400 although a rule of the same code that is broken is 422.
    let unreadable: BTreeSet<_> = by_status.get(&422).into_iter().flatten().copied().collect();
    if !row.takes.is_empty() || !row.query.is_empty() {
        by_status.entry(400).or_default().extend(unreadable);
    }
    by_status
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_schema_that_is_named_is_defined_and_every_one_defined_is_used() {
        let document = document();
        let text = document.to_string();
        let schemas = document["components"]["schemas"].as_object().expect("an object");
        let named: BTreeSet<&str> = text
            .split("#/components/schemas/")
            .skip(1)
            .filter_map(|rest| rest.split('"').next())
            .collect();
        for name in &named {
            assert!(
                schemas.contains_key(*name),
                "{name} is named by a route; define it in openapi/schemas.json"
            );
        }
        for name in schemas.keys() {
            assert!(named.contains(name.as_str()), "nothing uses {name}");
        }
    }

    #[test]
    fn every_example_is_of_an_operation() {
        for id in examples().keys() {
            assert!(routes::all().any(|row| row.id == id), "{id}");
        }
    }
}
