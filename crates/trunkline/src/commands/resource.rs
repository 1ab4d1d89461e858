//! `trunkline topic | connection | type | bus`, and the half of `subscription` that is the same: list, show, set and delete what is
//! declared. Files of many are `apply`'s.

use crate::{
    answer::is_json,
    client::{Client, segment},
    doubled,
    exit::{Code, Failure},
    output::Output,
    resource_files::resolve,
};
use clap::Subcommand;
use control::filters::{FilterText, read_document};
use http::Method;
use serde_json::{Map, Value, json};

/// Which kind of resource.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// Buses.
    Bus,
    /// Topics.
    Topic,
    /// Event types.
    Type,
    /// Connections.
    Connection,
    /// Subscriptions.
    Subscription,
}

/// What is done to a resource.
#[derive(Debug, Subcommand)]
pub enum Resource {
    /// All of them.
    List,
    /// One, whole.
    Show {
        /// Its name.
        name: String,
    },
    /// Create one, or change some fields of it.
    Set(Set),
    /// Delete one; what others need is not deleted.
    Delete(Delete),
}

/// Create one, or change some fields of it.
#[derive(Debug, clap::Args)]
pub struct Set {
    /// Its name.
    pub name: String,
    /// What to set, as path=value: retention.age=7d. A value is JSON where it can be read as such, else text; null takes the
    /// field away; {"env": "NAME"} and {"file": "PATH"} stand for what they name.
    #[arg(value_name = "PATH=VALUE")]
    pub fields: Vec<String>,
}

/// Delete one.
#[derive(Debug, clap::Args)]
pub struct Delete {
    /// Its name.
    pub name: String,
}

impl Resource {
    /// Runs it.
    pub async fn run(self, kind: Kind, client: &Client, output: Output) -> Result<(), Failure> {
        match self {
            Resource::List => list(kind, client, output).await,
            Resource::Show { name } => {
                let found = client.get(&item(kind, client, &name)).await?;
                output.line(&format!("{found:#}"));
                Ok(())
            }
            Resource::Set(set) => set.run(kind, client, output).await,
            Resource::Delete(delete) => delete.run(kind, client, output).await,
        }
    }
}

impl Set {
    /// Reads what is there, sets the fields, and writes it at the version that was read.
    pub async fn run(self, kind: Kind, client: &Client, output: Output) -> Result<(), Failure> {
        let path = item(kind, client, &self.name);
        let (mut document, version) = match client.get(&path).await {
            Ok(found) => {
                let version = found["version"].as_u64();
                (found.into_value(), version)
            }
            Err(failure) if failure.code == Code::NotFound => (json!({}), None),
            Err(failure) => return Err(failure),
        };
        for field in &self.fields {
            set(&mut document, field).map_err(|reason| {
                Failure::new(Code::Usage, reason).hint("for example: retention.age=7d partitions=6 'tags=[\"pii\"]'")
            })?;
        }
        let body = serde_json::to_vec(&document).expect("values serialize");
        let changed = client.put(&path, body, version).await?;
        let done = format!("{}: {}", self.name, if version.is_some() { "set" } else { "created" });
        output.did(&done);
        match output.is_json() {
            true => output.line(&format!("{changed:#}")),
            false => output.line(&done),
        }
        Ok(())
    }
}

impl Delete {
    /// Deletes it.
    pub async fn run(self, kind: Kind, client: &Client, output: Output) -> Result<(), Failure> {
        client
            .send(Method::DELETE, &item(kind, client, &self.name), None)
            .await?;
        done(output, &self.name, "deleted");
        Ok(())
    }
}

/// What was done to a named thing: a line, or an object of it.
pub fn done(output: Output, name: &str, what: &str) {
    let done = format!("{name}: {what}");
    output.did(&done);
    match output.is_json() {
        true => output.line(&json!({"name": name, "done": what}).to_string()),
        false => output.line(&done),
    }
}

fn collection(kind: Kind, client: &Client) -> String {
    let segment_of = match kind {
        Kind::Bus => return "/v1/buses".to_owned(),
        Kind::Topic => "topics",
        Kind::Type => "event-types",
        Kind::Connection => "connections",
        Kind::Subscription => "subscriptions",
    };
    format!("/v1/buses/{}/{segment_of}", segment(client.bus()))
}

fn item(kind: Kind, client: &Client, name: &str) -> String {
    format!("{}/{}", collection(kind, client), segment(name))
}

/// Columns of a list: titles, and where their values are.
fn columns(kind: Kind) -> &'static [(&'static str, &'static str)] {
    match kind {
        Kind::Bus => &[
            ("name", "/name"),
            ("unknown types", "/unknown_types"),
            ("description", "/description"),
        ],
        Kind::Topic => &[
            ("name", "/name"),
            ("partitions", "/partitions"),
            ("age", "/retention/age"),
            ("bytes", "/retention/bytes"),
            ("description", "/description"),
        ],
        Kind::Type => &[
            ("name", "/name"),
            ("owner", "/owner"),
            ("lifecycle", "/lifecycle"),
            ("topic", "/routes/0/topic"),
            ("key", "/routes/0/key"),
        ],
        Kind::Connection => &[("name", "/name"), ("provider", "/provider"), ("url", "/config/url")],
        Kind::Subscription => &[
            ("name", "/name"),
            ("connection", "/connection"),
            ("state", "/status/state"),
        ],
    }
}

async fn list(kind: Kind, client: &Client, output: Output) -> Result<(), Failure> {
    let items = client.list(&collection(kind, client)).await?;
    let columns = columns(kind);
    let cell = |item: &Value, pointer: &str| match item.pointer(pointer) {
        None | Some(Value::Null) => String::new(),
        Some(Value::String(text)) => text.clone(),
        Some(other) => other.to_string(),
    };
    let rows: Vec<Vec<String>> = items
        .iter()
        .map(|item| columns.iter().map(|(_, pointer)| cell(item, pointer)).collect())
        .collect();
    let header: Vec<&str> = columns.iter().map(|(title, _)| *title).collect();
    output.print(&Value::from(items), &header, rows);
    Ok(())
}

/// Sets one field of a document.
fn set(document: &mut Value, field: &str) -> Result<(), String> {
    let (path, text) = field
        .split_once('=')
        .filter(|(path, _)| path.split('.').all(|name| !name.is_empty()))
        .ok_or_else(|| format!("{field:?} is not of the form path=value"))?;
    let mut names: Vec<&str> = path.split('.').collect();
    let value = read(&names, text)?;
    let last = names.pop().expect("split gives one name at least");
    let mut place = document;
    for name in names {
        let object = members(place, path)?;
        place = object.entry(name).or_insert_with(|| json!({}));
    }
    let object = members(place, path)?;
    match value {
        Value::Null => drop(object.remove(last)),
        value => drop(object.insert(last.to_owned(), value)),
    }
    Ok(())
}

/// The value of a field: JSON where it can be read as such, else text.
fn read(names: &[&str], text: &str) -> Result<Value, String> {
    let json: Option<Value> = serde_json::from_str(text).ok();
    if json.is_some() && !matches!(names, ["filter" | "transform", ..]) {
        doubled::check_value(text).map_err(|error| format!("{}: {error}", names.join(".")))?;
    }
    let plain = json.unwrap_or_else(|| text.into());
    let mut value = plain.clone();
    resolve(&mut value)?;
    match names {
        // Filters and constants keep their text, as those in a file do; what stands for another text has been put in.
        ["filter" | "transform"] | ["filter" | "transform", _] if value == plain => {
            Ok(as_written(names, text).unwrap_or(value))
        }
        ["filter", whole, _, ..] | ["transform", whole @ "input", _, ..]
            if is_json(text) && FilterText::new(text).to_value().is_none() =>
        {
            let place = format!("{}.{whole}", names[0]);
            Err(format!(
                "{text} would not stay as it is; set the whole of it: {place}=…"
            ))
        }
        _ => Ok(value),
    }
}

/// The value as a document keeps it that has it there.
fn as_written(names: &[&str], text: &str) -> Option<Value> {
    let around = |inside, name: &&str| format!("{{{}:{inside}}}", json!(name));
    let document = names.iter().rev().fold(text.to_owned(), around);
    let document = read_document(document.as_bytes()).ok()?;
    names
        .iter()
        .try_fold(document, |mut value, name| value.get_mut(*name).map(Value::take))
}

fn members<'v>(value: &'v mut Value, path: &str) -> Result<&'v mut Map<String, Value>, String> {
    value
        .as_object_mut()
        .ok_or_else(|| format!("{path:?} leads into something that has no fields; set the whole of it as JSON"))
}

#[cfg(test)]
mod tests {
    use super::set;
    use serde_json::json;

    #[test]
    fn filters_and_constants_keep_the_text_that_was_written() {
        let text = r#"{"detail":{"a":[12345678901234567890123,1.10,1e400],"a":[1]}}"#;
        for field in [
            format!("filter={{\"eventbridge\":{text}}}"),
            format!("filter.eventbridge={text}"),
        ] {
            let mut document = json!({"filter": {}});
            set(&mut document, &field).expect("it is a field");
            assert_eq!(document["filter"]["eventbridge"], text);
        }
        let mut document = json!({});
        set(&mut document, "filter.eventbridge.detail.a=[1]").expect("it is a field");
        assert_eq!(document, json!({"filter": {"eventbridge": {"detail": {"a": [1]}}}}));
        assert!(set(&mut document, "filter.eventbridge.detail.b=[1.10]").is_err());
        set(&mut document, &format!("transform.input={text}")).expect("it is a field");
        assert_eq!(document["transform"]["input"], text);
        set(&mut document, "transform={\"input\": {\"a\": 1.10}}").expect("it is a field");
        assert_eq!(document["transform"]["input"], "{\"a\":1.10}");
        set(&mut document, "transform=null").expect("it is a field");
        set(&mut document, "filter={\"cesql\":\"TRUE\"}").expect("it is a field");
        assert_eq!(document, json!({"filter": {"cesql": "TRUE"}}));
        set(&mut document, "filter=null").expect("it is a field");
        assert_eq!(document, json!({}));
    }

    #[test]
    fn what_stands_for_a_file_is_that_file_in_a_filter_too() {
        let directory = tempfile::tempdir().expect("a directory");
        let file = directory.path().join("pattern.json");
        std::fs::write(&file, "{\"source\": [1.10]}\n").expect("written");
        let mut document = json!({});
        let reference = json!({ "file": file });
        set(&mut document, &format!("filter.eventbridge={reference}")).expect("it is a field");
        assert_eq!(document["filter"]["eventbridge"], "{\"source\": [1.10]}");
    }

    #[test]
    fn fields_are_set_by_path_and_taken_away_by_null() {
        let mut document = json!({"retention": {"age": "7d", "hold": "8d"}, "partitions": 3});
        for field in [
            "partitions=6",
            "retention.age=1d",
            "retention.hold=null",
            "a.b=x=y",
            "tags=[\"pii\"]",
        ] {
            set(&mut document, field).expect("it is a field");
        }
        let wanted = json!({"retention": {"age": "1d"}, "partitions": 6, "a": {"b": "x=y"}, "tags": ["pii"]});
        assert_eq!(document, wanted);
        for wrong in [
            "partitions",
            "=1",
            "a..b=1",
            "partitions.x=1",
            "retention={\"age\": \"1d\", \"age\": \"2d\"}",
        ] {
            assert!(set(&mut document, wrong).is_err(), "{wrong}");
        }
    }
}
