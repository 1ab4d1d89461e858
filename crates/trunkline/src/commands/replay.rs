//! `trunkline replay`: past events delivered once more, to a subscription or into a topic; followed with a bar at a terminal,
//! with plain lines elsewhere.

use crate::{
    answer::Answer,
    client::{Client, segment},
    exit::{Code, Failure},
    output::{Output, printable},
    running::{self, Way, count, text},
};
use control::counted;
use control::filters::read_document;
use serde_json::{Map, Value, json};
use std::path::{Path, PathBuf};

/// The bar of one that is followed.
const BAR: &str = "{bar:40} {pos}/{len} records, {msg}, {eta} left";

/// Deliver past events once more.
#[derive(Debug, clap::Subcommand)]
pub enum Replay {
    /// Begin one, or see what it would do.
    Start(Box<Start>),
    /// Those that run, and those that are over.
    List,
    /// One, whole.
    Show {
        /// Its name.
        name: String,
    },
    /// Follow one to its end.
    Watch {
        /// Its name.
        name: String,
    },
    /// Hold one: what is in flight ends, nothing else begins.
    Pause {
        /// Its name.
        name: String,
    },
    /// Let one go on.
    Resume {
        /// Its name.
        name: String,
    },
    /// End one: nothing of it is attempted any more; its dead letters stay.
    Cancel {
        /// Its name.
        name: String,
    },
    /// Forget one that is over.
    Delete {
        /// Its name.
        name: String,
    },
}

/// Begin one, or see what it would do.
#[derive(Debug, clap::Args)]
pub struct Start {
    /// Its name; absent: one is made up.
    pub name: Option<String>,
    /// Where it begins: `earliest`, a time such as `2026-11-17T00:00:00Z`, or offsets such as `{"orders": {"0": 12}}`.
    #[arg(long, value_name = "PLACE")]
    pub from: String,
    /// Where it ends (that record is not part of it); absent: what is stored now.
    #[arg(long, value_name = "PLACE")]
    pub to: Option<String>,
    /// A topic to read; repeatable; absent: those of the subscription.
    #[arg(long = "topic", value_name = "NAME")]
    pub topics: Vec<String>,
    /// Event types, with `*`; repeatable.
    #[arg(long = "type", value_name = "PATTERN")]
    pub types: Vec<String>,
    /// A filter besides the subscription's own, as a subscription has it: `{"cesql": "…"}`; or a file with one.
    #[arg(long, value_name = "JSON")]
    pub filter: Option<String>,
    /// Deliver to this subscription.
    #[arg(
        long,
        value_name = "NAME",
        conflicts_with = "into_topic",
        required_unless_present = "into_topic"
    )]
    pub into_subscription: Option<String>,
    /// Publish into this topic.
    #[arg(long, value_name = "NAME")]
    pub into_topic: Option<String>,
    /// The bus of that subscription or topic, if it is another one.
    #[arg(long, value_name = "NAME")]
    pub into_bus: Option<String>,
    /// Make that subscription first, as this file declares it (JSON or YAML).
    #[arg(long, value_name = "FILE", requires = "into_subscription")]
    pub create: Option<PathBuf>,
    /// Attempts, or records published, per time, such as `100/s`; `none`: as fast as the subscription.
    #[arg(long, value_name = "RATE")]
    pub rate: Option<String>,
    /// Only count and show samples.
    #[arg(long)]
    pub dry_run: bool,
    /// Follow it to its end.
    #[arg(long, conflicts_with = "dry_run")]
    pub wait: bool,
}

impl Replay {
    /// Runs it.
    pub async fn run(self, client: &Client, output: Output) -> Result<(), Failure> {
        let collection = format!("/v1/buses/{}/replays", segment(client.bus()));
        let path = |name: &str| format!("{collection}/{}", segment(name));
        match self {
            Replay::Start(arguments) => arguments.run(client, output, &collection).await,
            Replay::List => list(client, output, &collection).await,
            Replay::Show { name } => running::show(client, output, &path(&name)).await,
            Replay::Watch { name } => follow(client, output, &path(&name)).await,
            Replay::Pause { name } => running::act(client, output, &path(&name), "pause", said).await,
            Replay::Resume { name } => running::act(client, output, &path(&name), "resume", said).await,
            Replay::Cancel { name } => running::act(client, output, &path(&name), "cancel", said).await,
            Replay::Delete { name } => running::delete(client, output, &collection, &name).await,
        }
    }
}

impl Start {
    async fn run(self, client: &Client, output: Output, collection: &str) -> Result<(), Failure> {
        let answer = running::begin(client, collection, &self.document()?, self.dry_run).await?;
        if self.dry_run {
            previewed(output, &answer);
            return Ok(());
        }
        let name = text(&answer["name"]);
        output.did(format!("{name} started"));
        match (self.wait, output.is_json()) {
            (true, _) => follow(client, output, &format!("{collection}/{}", segment(&name))).await,
            (false, true) => {
                output.line(&format!("{answer:#}"));
                Ok(())
            }
            (false, false) => {
                let all = counted(count(&answer["status"]["records"]["all"]), "record");
                output.line(&printable(&format!("{name}: started, {all} to look at")));
                output.line(&printable(&format!("follow it with: trunkline replay watch {name}")));
                Ok(())
            }
        }
    }

    /// The request.
    fn document(&self) -> Result<Value, Failure> {
        let mut document = Map::new();
        let mut put = |name: &str, value: Option<Value>| {
            value.map(|value| document.insert(name.to_owned(), value));
        };
        put("name", self.name.clone().map(Value::from));
        put("from", Some(place(&self.from)?));
        put("to", self.to.as_deref().map(place).transpose()?);
        put("topics", some(&self.topics));
        put("types", some(&self.types));
        put("filter", self.filter.as_deref().map(filter).transpose()?);
        let rate = self.rate.as_deref().map(|rate| match rate {
            "none" => Value::Null,
            rate => rate.into(),
        });
        put("rate", rate);
        let mut into = Map::new();
        let parts = [
            ("bus", &self.into_bus),
            ("subscription", &self.into_subscription),
            ("topic", &self.into_topic),
        ];
        for (name, value) in parts {
            if let Some(value) = value {
                into.insert(name.to_owned(), value.as_str().into());
            }
        }
        if let Some(path) = &self.create {
            into.insert("create".to_owned(), declared(path)?);
        }
        document.insert("into".to_owned(), into.into());
        Ok(document.into())
    }
}

fn some(names: &[String]) -> Option<Value> {
    (!names.is_empty()).then(|| json!(names))
}

/// A word, a time or offsets.
fn place(text: &str) -> Result<Value, Failure> {
    match text {
        "earliest" | "now" => Ok(text.into()),
        text if text.starts_with('{') => {
            let offsets: Value = serde_json::from_str(text)
                .map_err(|error| Failure::new(Code::Usage, format!("the offsets {text:?} are not JSON: {error}")))?;
            Ok(json!({ "offsets": offsets }))
        }
        time => Ok(json!({ "time": time })),
    }
}

/// A filter's JSON, or that of a file.
fn filter(text: &str) -> Result<Value, Failure> {
    let wrong = |reason: String| Failure::new(Code::Usage, format!("--filter: {reason}"));
    let text = match text.trim_start().starts_with('{') {
        true => text.to_owned(),
        false => std::fs::read_to_string(text).map_err(|error| wrong(format!("cannot read {text}: {error}")))?,
    };
    let document = format!("{{\"filter\":{text}}}");
    let mut document = read_document(document.as_bytes()).map_err(|error| wrong(error.to_string()))?;
    Ok(document["filter"].take())
}

/// The one subscription of a resource file.
fn declared(path: &Path) -> Result<Value, Failure> {
    let mut resources = crate::resource_files::read(path)?;
    match (resources.pop(), resources.is_empty()) {
        (Some(resource), true) if resource.kind == "subscription" => Ok(resource.body.into()),
        _ => {
            let message = format!("{} must hold one subscription and nothing else", path.display());
            Err(Failure::new(Code::Usage, message))
        }
    }
}

fn previewed(output: Output, answer: &Answer) {
    if output.is_json() {
        return output.line(&format!("{answer:#}"));
    }
    let (matched, looked_at, records) = (&answer["matched"], &answer["looked_at"], &answer["records"]);
    output.line(&format!(
        "{} of {} would be delivered",
        counted(count(matched), "event"),
        counted(count(looked_at), "record")
    ));
    if answer["complete"] != json!(true) {
        output.line(&format!(
            "only {looked_at} of {} looked at, in the time that a preview has",
            counted(count(records), "record")
        ));
    }
    if let (Some(first), Some(last)) = (answer["first"].as_str(), answer["last"].as_str()) {
        output.line(&format!("received from {first} to {last}"));
    }
    let samples = answer["samples"].as_array().into_iter().flatten();
    let rows: Vec<Vec<String>> = samples
        .map(|sample| {
            let event = &sample["event"];
            ["type", "source", "id"]
                .map(|name| text(&event[name]))
                .into_iter()
                .chain([text(&sample["topic"]), text(&sample["received"])])
                .collect()
        })
        .collect();
    if !rows.is_empty() {
        output.table(&["type", "source", "id", "topic", "received"], rows);
    }
}

async fn list(client: &Client, output: Output, collection: &str) -> Result<(), Failure> {
    let items = client.list(collection).await?;
    let rows = items.iter().map(|item| {
        let status = &item["status"];
        let records = &status["records"];
        vec![
            text(&item["name"]),
            goes_to(&item["into"]),
            text(&status["state"]),
            format!("{}/{}", records["done"], records["all"]),
            text(&status["matched"]),
            settled(status).to_string(),
            text(&status["dead_lettered"]),
            status["reason"].as_str().unwrap_or_default().to_owned(),
        ]
    });
    let header = [
        "name",
        "into",
        "state",
        "records",
        "matched",
        "delivered",
        "dead",
        "reason",
    ];
    output.print(&Value::from(items.clone()), &header, rows.collect::<Vec<_>>());
    Ok(())
}

fn goes_to(into: &Value) -> String {
    let name = into["subscription"]
        .as_str()
        .or(into["topic"].as_str())
        .unwrap_or_default();
    match into["bus"].as_str() {
        Some(bus) => format!("{bus}/{name}"),
        None => name.to_owned(),
    }
}

fn settled(status: &Value) -> u64 {
    count(&status["delivered"]) + count(&status["published"])
}

fn said(replay: &Value) -> String {
    format!("{}: {}", text(&replay["name"]), text(&replay["status"]["state"]))
}

/// Shows how a replay goes on until it is over or held.
async fn follow(client: &Client, output: Output, path: &str) -> Result<(), Failure> {
    let replay = running::follow(client, output, path, BAR, |status| {
        let records = &status["records"];
        let (done, all, delivered) = (count(&records["done"]), count(&records["all"]), settled(status));
        Way {
            done,
            all,
            message: format!("{delivered} delivered, {} dead", status["dead_lettered"]),
            line: format!("{done} of {}, {delivered} delivered", counted(all, "record")),
        }
    });
    ended(output, &replay.await?)
}

fn ended(output: Output, replay: &Answer) -> Result<(), Failure> {
    let status = &replay["status"];
    let state = text(&status["state"]);
    if output.is_json() {
        output.line(&format!("{replay:#}"));
    } else {
        let (delivered, dead) = (settled(status), &status["dead_lettered"]);
        output.line(&printable(&format!(
            "{}: {state}; {delivered} delivered, {}",
            text(&replay["name"]),
            counted(count(dead), "dead letter")
        )));
        for lost in status["lost"].as_array().into_iter().flatten() {
            let (topic, reason) = (text(&lost["topic"]), text(&lost["reason"]));
            let place = format!(
                "partition {} from {} to {}",
                lost["partition"], lost["from"], lost["to"]
            );
            output.line(&printable(&format!("  not read: {topic}, {place}: {reason}")));
        }
    }
    match state.as_str() {
        "failed" => Err(Failure::new(Code::Failed, text(&status["reason"]))),
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_place_is_a_word_a_time_or_offsets() {
        assert_eq!(place("earliest").unwrap(), json!("earliest"));
        assert_eq!(
            place("2026-01-02T00:00:00Z").unwrap(),
            json!({"time": "2026-01-02T00:00:00Z"})
        );
        assert_eq!(
            place(r#"{"a": {"0": 5}}"#).unwrap(),
            json!({"offsets": {"a": {"0": 5}}})
        );
        assert!(place("{a").is_err());
    }

    #[test]
    fn a_filter_keeps_the_text_that_was_written() {
        let filter = filter(r#"{"eventbridge": {"detail": {"n": [1.0]}}}"#).unwrap();
        assert!(filter["eventbridge"].to_string().contains("1.0"), "{filter}");
    }
}
