//! `trunkline event`: an event's whole story, in the order in which it happened.

use crate::{
    client::{Client, segment},
    exit::Failure,
    output::{Output, printable},
};
use serde_json::Value;

/// Tell an event's whole story.
#[derive(Debug, clap::Args)]
pub struct Event {
    /// The event's id.
    pub id: String,
    /// Its source, when the id alone names several events.
    #[arg(long, value_name = "URI")]
    pub source: Option<String>,
}

impl Event {
    /// Prints the story.
    pub async fn run(self, client: &Client, output: Output) -> Result<(), Failure> {
        let mut path = format!("/v1/buses/{}/events/{}", segment(client.bus()), segment(&self.id));
        if let Some(source) = &self.source {
            path.push_str(&format!("?source={}", segment(source)));
        }
        let story = client.get(&path).await?;
        if output.is_json() {
            output.line(&format!("{story:#}"));
        } else {
            lines(&story).iter().for_each(|line| output.line(&printable(line)));
        }
        Ok(())
    }
}

/// The story as lines for a person.
fn lines(story: &Value) -> Vec<String> {
    let text = |value: &Value| value.as_str().map_or_else(|| value.to_string(), str::to_string);
    let event = &story["event"];
    let mut lines = vec![
        format!(
            "{}  {}  {}",
            text(&event["type"]),
            text(&event["source"]),
            text(&event["id"])
        ),
        format!("received {}", text(&story["received"])),
    ];
    for place in story["stored"].as_array().into_iter().flatten() {
        let (topic, partition, offset) = (text(&place["topic"]), &place["partition"], &place["offset"]);
        let replay = place["replay"].as_str();
        let replay = replay.map_or_else(String::new, |name| format!(", by replay {name}"));
        lines.push(format!(
            "stored   {topic}, partition {partition}, offset {offset}{replay}"
        ));
    }
    for subscription in story["subscriptions"].as_array().into_iter().flatten() {
        lines.push(String::new());
        lines.push(format!(
            "{} (version {}): {}",
            text(&subscription["subscription"]),
            subscription["version"],
            text(&subscription["state"])
        ));
        if let Some(reason) = subscription["reason"].as_str() {
            lines.push(format!("  did not match: {reason}"));
        }
        lines.extend(subscription["attempts"].as_array().into_iter().flatten().map(attempt));
        lines.extend(subscription.get("edited").map(edited));
    }
    for replay in story["replays"].as_array().into_iter().flatten() {
        lines.push(String::new());
        let (name, subscription) = (text(&replay["replay"]), text(&replay["subscription"]));
        lines.push(format!("replay {name} into {subscription}: {}", text(&replay["state"])));
        lines.extend(replay["attempts"].as_array().into_iter().flatten().map(attempt));
    }
    lines
}

/// What stands in place of the event that was received; all of it is in the JSON.
fn edited(edited: &Value) -> String {
    let data = &edited["event"]["data"];
    let data = data.as_str().map_or_else(|| data.to_string(), str::to_owned);
    format!("  edited ({}), is now {data:.200}", edited["edits"])
}

fn attempt(attempt: &Value) -> String {
    let text = |value: &Value| value.as_str().map_or_else(|| value.to_string(), str::to_string);
    let status = attempt["status"]
        .as_u64()
        .map_or_else(String::new, |status| format!("  HTTP {status}"));
    let reason = attempt["reason"].as_str().filter(|reason| !reason.is_empty());
    let reason = reason.map_or_else(String::new, |reason| format!("  {reason}"));
    let answer = attempt["answer"].as_str().filter(|answer| !answer.is_empty());
    let answer = answer.map_or_else(String::new, |answer| format!("  {answer:.200}"));
    let milliseconds = attempt["duration_ms"].as_f64().unwrap_or_default();
    let edit = attempt["edits"].as_u64().filter(|edits| *edits > 0);
    let edit = edit.map_or_else(String::new, |edits| format!(" of edit {edits}"));
    let (number, started, outcome) = (&attempt["number"], text(&attempt["started"]), text(&attempt["outcome"]));
    format!("  attempt {number}{edit}  {started}  {outcome}{status}  {milliseconds:.1} ms{reason}{answer}")
}
