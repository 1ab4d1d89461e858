//! `trunkline subscription`: how subscriptions are doing; pause and resume.

use super::resource::{Delete, Kind, Set, done};
use crate::{
    client::{Client, segment},
    exit::Failure,
    output::Output,
};
use control::counted;
use http::Method;
use serde_json::Value;

/// Look at subscriptions, set, delete, pause and resume them.
#[derive(Debug, clap::Subcommand)]
pub enum Subscription {
    /// All of the bus, with their lag.
    List,
    /// One, whole.
    Show {
        /// Its name.
        name: String,
    },
    /// Create one, or change some fields of it.
    Set(Set),
    /// Delete one; what it has not settled is recorded as discarded.
    Delete(Delete),
    /// Stop delivering; the position stays where it is.
    Pause {
        /// Its name.
        name: String,
    },
    /// Deliver again from where it stopped; also after a 410 or a bound stopped it.
    Resume {
        /// Its name.
        name: String,
        /// `now`: what waits in the journal is counted, recorded as skipped, and not delivered.
        #[arg(long, value_name = "now", value_parser = ["now"])]
        from: Option<String>,
    },
}

impl Subscription {
    /// Runs it.
    pub async fn run(self, client: &Client, output: Output) -> Result<(), Failure> {
        let collection = format!("/v1/buses/{}/subscriptions", segment(client.bus()));
        match self {
            Subscription::List => list(client, output, &collection).await,
            Subscription::Show { name } => {
                let found = client.get(&format!("{collection}/{}", segment(&name))).await?;
                output.line(&format!("{found:#}"));
                Ok(())
            }
            Subscription::Set(set) => set.run(Kind::Subscription, client, output).await,
            Subscription::Delete(delete) => delete.run(Kind::Subscription, client, output).await,
            Subscription::Pause { name } => act(client, output, &collection, &name, "pause").await,
            Subscription::Resume { name, from: None } => act(client, output, &collection, &name, "resume").await,
            Subscription::Resume { name, .. } => resume_from_now(client, output, &collection, &name).await,
        }
    }
}

async fn list(client: &Client, output: Output, collection: &str) -> Result<(), Failure> {
    let items = client.list(collection).await?;
    let rows = items.iter().map(|item| {
        let status = &item["status"];
        let text = |value: &Value| value.as_str().map_or_else(|| value.to_string(), str::to_string);
        vec![
            text(&item["name"]),
            text(&item["connection"]),
            text(&status["state"]),
            text(&status["lag"]["events"]),
            format!("{:.1}", status["lag"]["seconds"].as_f64().unwrap_or_default()),
            text(&status["parked"]),
            text(&status["dead_letters"]),
            reason(status),
        ]
    });
    let header = [
        "name",
        "connection",
        "state",
        "lag",
        "lag s",
        "parked",
        "dead",
        "reason",
    ];
    output.print(&Value::from(items.clone()), &header, rows.collect::<Vec<_>>());
    Ok(())
}

/// Why it does not go on; or what its webhook answered instead of a yes to its validation.
fn reason(status: &Value) -> String {
    let validation = &status["validation"];
    match (status["reason"].as_str(), validation["state"].as_str()) {
        (Some(reason), _) => reason.to_owned(),
        (None, Some(state)) if state != "succeeded" => {
            format!(
                "validation {state}: {}",
                validation["reason"].as_str().unwrap_or_default()
            )
        }
        (None, _) => String::new(),
    }
}

async fn resume_from_now(client: &Client, output: Output, collection: &str, name: &str) -> Result<(), Failure> {
    let path = format!("{collection}/{}:resume?from=now", segment(name));
    let answer = client.send(Method::POST, &path, None).await?;
    let skipped = &answer["status"]["skipped"];
    output.did(format!("{name}: resumed"));
    if output.is_json() {
        output.line(&answer.to_string());
        return Ok(());
    }
    output.line(&format!(
        "{name}: resumed from now; {} skipped",
        counted(skipped["events"].as_u64().unwrap_or_default(), "event")
    ));
    if let Some(parked) = skipped["parked"].as_u64().filter(|parked| *parked > 0) {
        output.line(&format!("tried on: {}", counted(parked, "parked delivery")));
    }
    Ok(())
}

async fn act(client: &Client, output: Output, collection: &str, name: &str, verb: &str) -> Result<(), Failure> {
    client
        .send(Method::POST, &format!("{collection}/{}:{verb}", segment(name)), None)
        .await?;
    done(output, name, &format!("{verb}d"));
    Ok(())
}
