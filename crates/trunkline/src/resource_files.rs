//! Resource files: JSON or YAML, several documents in a file, secrets resolved from the environment or from files before
//! anything is sent. What a resource may hold is the server's business.

use crate::{
    doubled,
    exit::{Code, Failure},
    output::Output,
};
use control::filters::read_document;
use serde_json::{Map, Value, value::RawValue};
use std::{env::VarError, io::Read, path::Path};

/// YAML documents of one file: ten buses, each with as many subscriptions as a bus may well have.
const DOCUMENTS_MAX: usize = 100_000;

/// Values in one file of YAML: a hundred for each document.
const NODES_MAX: usize = 100 * DOCUMENTS_MAX;

/// One document of a file.
#[derive(Clone, Debug, PartialEq)]
pub struct Resource {
    /// `topic`, `connection`, …
    pub kind: String,
    /// The bus it names, if it does.
    pub bus: Option<String>,
    /// Its name.
    pub name: String,
    /// Everything else.
    pub body: Map<String, Value>,
}

impl Resource {
    /// The path of its kind in `/v1`, for the bus given or its own.
    pub fn path(&self, bus: &str) -> Result<String, Failure> {
        let bus = crate::client::segment(self.bus.as_deref().unwrap_or(bus));
        let name = crate::client::segment(&self.name);
        let collection = match self.kind.as_str() {
            "bus" => return Ok(format!("/v1/buses/{name}")),
            "topic" => "topics",
            "event-type" => "event-types",
            "connection" => "connections",
            "subscription" => "subscriptions",
            "key" => {
                let message = format!(
                    "{:?} is a key, which no file makes: making one gives a secret",
                    self.name
                );
                return Err(
                    Failure::new(Code::Usage, message).hint("`trunkline key create` makes it and shows the secret")
                );
            }
            other => {
                let message = format!(
                    "kind {other:?} of {:?} is none of bus, topic, event-type, connection, subscription",
                    self.name
                );
                return Err(Failure::new(Code::Usage, message));
            }
        };
        Ok(format!("/v1/buses/{bus}/{collection}/{name}"))
    }

    /// The whole of it, with its bus said: for the bus given or its own.
    pub fn document(&self, bus: &str) -> Result<Value, Failure> {
        self.path(bus)?;
        let mut document = self.body.clone();
        document.insert("kind".to_owned(), self.kind.as_str().into());
        document.insert("name".to_owned(), self.name.as_str().into());
        if self.kind != "bus" {
            document.insert("bus".to_owned(), self.bus.as_deref().unwrap_or(bus).into());
        }
        Ok(Value::Object(document))
    }

    /// Where it goes among resources that need each other: topics before event types, connections before subscriptions.
    pub fn rank(&self) -> usize {
        let order = ["bus", "topic", "event-type", "connection", "subscription"];
        order.iter().position(|kind| *kind == self.kind).unwrap_or(order.len())
    }
}

/// Reads the documents of a file (`-`: standard input), secrets resolved, in the order they can be applied in.
pub fn read(path: &Path) -> Result<Vec<Resource>, Failure> {
    let shown = path.display();
    let text = text(path).map_err(|error| Failure::new(Code::Usage, format!("cannot read {shown}: {error}")))?;
    let documents: Vec<Value> =
        parse(&text).map_err(|reason| Failure::new(Code::Usage, format!("{shown}: {reason}")))?;
    let mut resources = Vec::new();
    for (index, document) in documents
        .into_iter()
        .enumerate()
        .filter(|(_, document)| !document.is_null())
    {
        let place = format!("{shown}, document {}", index + 1);
        resources.push(resource(document).map_err(|reason| Failure::new(Code::Usage, format!("{place}: {reason}")))?);
    }
    resources.sort_by_key(Resource::rank);
    Ok(resources)
}

fn text(path: &Path) -> std::io::Result<String> {
    if path == Path::new("-") {
        let mut text = String::new();
        std::io::stdin().read_to_string(&mut text)?;
        return Ok(text);
    }
    std::fs::read_to_string(path)
}

/// Prints documents as a file that [`read`] takes: YAML for people, JSON for scripts.
pub fn print(output: Output, documents: &[Value]) -> Result<(), Failure> {
    if output.is_json() {
        output.line(&format!("{:#}", Value::from(documents.to_vec())));
        return Ok(());
    }
    for (index, document) in documents.iter().enumerate() {
        let text = serde_saphyr::to_string(document);
        let text = text.map_err(|error| Failure::new(Code::Failed, format!("write YAML: {error}")))?;
        if index > 0 {
            output.line("---");
        }
        output.line(text.trim_end());
    }
    Ok(())
}

/// JSON (one document, or an array of them) or YAML (several documents).
fn parse(text: &str) -> Result<Vec<Value>, String> {
    if text.trim_start().starts_with(['{', '[']) {
        return parse_json(text).map_err(|error| error.to_string());
    }
    let documents = parse_yaml(text)?;
    for (index, document) in documents.iter().enumerate() {
        if let Some(filter) = document.get("filter") {
            check_numbers(filter, text).map_err(|reason| format!("document {}: {reason}", index + 1))?;
        }
    }
    Ok(documents)
}

/// Refuses numbers of a filter that YAML has changed: it has 64-bit integers and doubles, and rounds what is neither.
pub fn check_numbers(value: &Value, text: &str) -> Result<(), String> {
    match value {
        Value::Array(items) => items.iter().try_for_each(|item| check_numbers(item, text)),
        Value::Object(members) => members.values().try_for_each(|member| check_numbers(member, text)),
        Value::Number(number) if number.is_f64() => {
            let number = number.to_string();
            let significand = number.split('e').next().unwrap_or_default();
            let significand = significand.trim_matches(['-', '0', '.']);
            let digits = significand.bytes().filter(u8::is_ascii_digit).count();
            // So many digits pass through a double, and so does what is already written as doubles are.
            if digits <= f64::DIGITS as usize || text.contains(&number) {
                return Ok(());
            }
            Err(format!(
                "YAML rounds a number to {number}; write the filter as JSON, which may stand in a string"
            ))
        }
        _ => Ok(()),
    }
}

/// The documents of YAML, as many as a file may hold.
pub fn parse_yaml(text: &str) -> Result<Vec<Value>, String> {
    let options = serde_saphyr::options! {
        budget: serde_saphyr::budget! {
            max_documents: DOCUMENTS_MAX,
            max_nodes: NODES_MAX,
            max_events: 4 * NODES_MAX,
        },
    };
    serde_saphyr::from_multiple_with_options(text, options).map_err(|error| yaml_reason(&error))
}

/// Why YAML cannot be read, without what the library says to whoever programs with it.
pub fn yaml_reason(error: &serde_saphyr::Error) -> String {
    error
        .to_string()
        .replace(", set DuplicateKeyPolicy in Options if acceptable", "")
}

/// The text of a filter stays as it is written.
fn parse_json(text: &str) -> serde_json::Result<Vec<Value>> {
    if text.trim_start().starts_with('{') {
        return parse_document(text).map(|document| vec![document]);
    }
    let documents: Vec<&RawValue> = serde_json::from_str(text)?;
    documents
        .into_iter()
        .map(|document| parse_document(document.get()))
        .collect()
}

/// A transform's constant stays as it is written too, unless something in it is to be resolved.
fn parse_document(text: &str) -> serde_json::Result<Value> {
    let mut document = read_document(text.as_bytes())?;
    doubled::check_resource(text)?;
    if document.pointer("/transform/input").is_none() {
        return Ok(document);
    }
    let plain: Option<Value> = serde_json::from_str(text).ok();
    let constant = plain.as_ref().and_then(|plain| plain.pointer("/transform/input"));
    if let Some(constant) = constant.filter(|constant| has_reference(constant)) {
        document["transform"]["input"] = constant.clone();
    }
    Ok(document)
}

fn resource(document: Value) -> Result<Resource, String> {
    let Value::Object(mut body) = document else {
        return Err("a resource is an object with kind and name".into());
    };
    let mut take = |field: &str| match body.remove(field) {
        None => Ok(None),
        Some(Value::String(text)) => Ok(Some(text)),
        Some(Value::Bool(_)) => Err(format!(
            "{field} must be a string, and is a boolean; YAML reads words such as y, no and on as one: write them in quotes"
        )),
        Some(_) => Err(format!("{field} must be a string: write it in quotes")),
    };
    let kind = take("kind")?.ok_or("kind is missing")?;
    let bus = take("bus")?;
    let name = take("name")?.ok_or("name is missing")?;
    for value in body.values_mut() {
        resolve(value)?;
    }
    Ok(Resource { kind, bus, name, body })
}

/// Replaces `{env: NAME}` and `{file: PATH}` by what they name, at any depth.
pub fn resolve(value: &mut Value) -> Result<(), String> {
    match value {
        Value::Array(items) => items.iter_mut().try_for_each(resolve),
        Value::Object(object) => match reference(object) {
            Some(("env", name)) => {
                let found = std::env::var(name).map_err(|error| match error {
                    VarError::NotPresent => format!("environment variable {name} is not set"),
                    VarError::NotUnicode(_) => format!("environment variable {name} is not UTF-8"),
                })?;
                *value = Value::String(found);
                Ok(())
            }
            Some((_, path)) => {
                let found = std::fs::read_to_string(path).map_err(|error| format!("cannot read {path}: {error}"))?;
                *value = Value::String(found.trim_end_matches(['\r', '\n']).to_string());
                Ok(())
            }
            None => object.values_mut().try_for_each(resolve),
        },
        _ => Ok(()),
    }
}

fn has_reference(value: &Value) -> bool {
    match value {
        Value::Array(items) => items.iter().any(has_reference),
        Value::Object(object) => reference(object).is_some() || object.values().any(has_reference),
        _ => false,
    }
}

fn reference(object: &Map<String, Value>) -> Option<(&str, &str)> {
    let (key, value) = object.iter().next().filter(|_| object.len() == 1)?;
    matches!(key.as_str(), "env" | "file").then_some((key.as_str(), value.as_str()?))
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn a_key_in_a_file_is_told_how_keys_are_made() {
        let key = Resource {
            bus: None,
            kind: "key".to_owned(),
            name: "checkout".to_owned(),
            body: Map::new(),
        };
        let refused = key.path("default").expect_err("no file makes keys");
        assert!(refused.hint.is_some_and(|hint| hint.contains("trunkline key create")));
    }

    #[test]
    fn a_file_of_several_documents_is_read_in_an_order_that_can_be_applied() {
        let directory = tempfile::tempdir().expect("a directory");
        let secret = directory.path().join("secret");
        std::fs::write(&secret, "whsec_from_file\n").expect("written");
        let text = format!(
            "kind: subscription\nname: a\nconnection: crm\n---\nkind: topic\nbus: shop\nname: orders\npartitions: 6\n---\n\
             kind: connection\nname: crm\nprovider: webhook\nconfig: {{signing: {{secrets: [{{file: {}}}]}}}}\n",
            secret.display()
        );
        let file = directory.path().join("resources.yaml");
        std::fs::write(&file, text).expect("written");
        let resources = read(&file).expect("resources");
        let kinds: Vec<_> = resources.iter().map(|resource| resource.kind.as_str()).collect();
        assert_eq!(kinds, ["topic", "connection", "subscription"]);
        assert_eq!(
            resources[0].path("default").expect("a path"),
            "/v1/buses/shop/topics/orders"
        );
        assert_eq!(resources[0].body["partitions"], json!(6));
        assert_eq!(
            resources[1].body["config"]["signing"]["secrets"],
            json!(["whsec_from_file"])
        );
    }

    #[test]
    fn a_constant_stays_as_it_is_written_unless_something_in_it_is_to_be_resolved() {
        let constant = |input: &str| {
            let text = format!(r#"[{{"kind": "subscription", "name": "a", "transform": {{"input": {input}}}}}]"#);
            parse(&text).expect("documents")[0]["transform"]["input"].clone()
        };
        assert_eq!(constant(r#"{"n": 1.10, "n": 1e400}"#), r#"{"n":1.10,"n":1e400}"#);
        let reference = json!({"token": [{"env": "TOKEN"}]});
        assert_eq!(constant(&reference.to_string()), reference);
        // A string says what it says.
        assert_eq!(constant(r#""{\"env\": \"TOKEN\"}""#), r#"{"env": "TOKEN"}"#);
    }

    #[test]
    fn a_file_holds_more_resources_than_a_bus() {
        let documents: String = (0..12_000)
            .map(|number| format!("---\nkind: topic\nname: topic-{number}\n"))
            .collect();
        assert_eq!(parse(&documents).expect("documents").len(), 12_000);
    }

    #[test]
    fn a_number_of_a_filter_that_yaml_rounds_is_refused() {
        let filter =
            |number: &str| format!("kind: subscription\nname: a\nfilter: {{eventbridge: {{a: [{number}]}}}}\n");
        for number in ["123456789012345678901", "-9223372036854775809", "0.1234567890123456789"] {
            let refused = parse(&filter(number)).expect_err(number);
            assert!(refused.contains("document 1: YAML rounds a number"), "{refused}");
        }
        for number in [
            "18446744073709551615",
            "3.141592653589793",
            "3e2",
            "1e20",
            "'123456789012345678901'",
        ] {
            assert!(parse(&filter(number)).is_ok(), "{number}");
        }
        let elsewhere = "kind: topic\nname: a\nx: 123456789012345678901\n";
        assert!(parse(elsewhere).is_ok());
    }

    #[test]
    fn mistakes_are_named_with_their_document() {
        for (text, said) in [
            ("kind: topic\n", "document 1: name is missing"),
            (
                "[{\"kind\": \"topic\", \"name\": 5}]",
                "document 1: name must be a string",
            ),
            ("kind: topic\nname: y\n", "YAML reads words such as y, no and on as one"),
            (
                "{\"kind\": \"topic\", \"name\": \"a\", \"retention\": {\"age\": \"1d\", \"age\": \"2d\"}}",
                "\"age\" is given twice",
            ),
            (
                "kind: topic\nname: a\nx: {env: TRUNKLINE_NOT_SET_ANYWHERE}\n",
                "TRUNKLINE_NOT_SET_ANYWHERE is not set",
            ),
            ("- 5\n", "document 1: a resource is an object"),
        ] {
            let directory = tempfile::tempdir().expect("a directory");
            let file = directory.path().join("resources.yaml");
            std::fs::write(&file, text).expect("written");
            let refused = read(&file).expect_err("refused").message;
            assert!(refused.contains(said), "{text:?}: {refused}");
        }
    }
}
