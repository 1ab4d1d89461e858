//! Work that the server does for a while, such as a replay: begun, held, and followed with a bar at a terminal, with plain lines
//! elsewhere. What it is, and how it is told, the command says.

use crate::{
    answer::Answer,
    client::{Client, segment},
    exit::Failure,
    output::{Output, printable},
};
use http::Method;
use indicatif::{ProgressBar, ProgressStyle};
use serde_json::Value;
use std::{io::IsTerminal, time::Duration};

/// How often work is looked at while it is followed.
const LOOK: Duration = Duration::from_millis(500);
/// Without a terminal a line is printed for each tenth of the way.
const LINES: u64 = 10;

/// How far it has come.
pub struct Way {
    /// Of `all`.
    pub done: u64,
    /// In all.
    pub all: u64,
    /// Beside the bar.
    pub message: String,
    /// What stands there without a terminal.
    pub line: String,
}

/// Begins it, or asks what it would do.
pub async fn begin(client: &Client, collection: &str, request: &Value, dry_run: bool) -> Result<Answer, Failure> {
    let query = if dry_run { "?dry_run=true" } else { "" };
    let body = ("application/json", request.to_string().into_bytes());
    client
        .send(Method::POST, &format!("{collection}{query}"), Some(body))
        .await
}

/// Prints it: as it came, or in words.
pub fn tell(output: Output, work: &Answer, said: impl FnOnce(&Value) -> String) {
    match output.is_json() {
        true => output.line(&format!("{work:#}")),
        false => output.line(&printable(&said(work))),
    }
}

/// Pauses, resumes or cancels it, and prints how it stands then.
pub async fn act(
    client: &Client,
    output: Output,
    path: &str,
    verb: &str,
    said: impl FnOnce(&Value) -> String,
) -> Result<(), Failure> {
    let work = client.send(Method::POST, &format!("{path}:{verb}"), None).await?;
    output.did(format!("{} is {}", text(&work["name"]), text(&work["status"]["state"])));
    tell(output, &work, said);
    Ok(())
}

/// Prints it whole.
pub async fn show(client: &Client, output: Output, path: &str) -> Result<(), Failure> {
    output.line(&format!("{:#}", client.get(path).await?));
    Ok(())
}

/// Has the server forget it.
pub async fn delete(client: &Client, output: Output, collection: &str, name: &str) -> Result<(), Failure> {
    let path = format!("{collection}/{}", segment(name));
    client.send(Method::DELETE, &path, None).await?;
    output.did(format!("{name} deleted"));
    output.line(&printable(&format!("{name}: deleted")));
    Ok(())
}

/// Shows how it goes on, with a bar of this template, until it is over or held, or nobody looks; as it is then.
pub async fn follow(
    client: &Client,
    output: Output,
    path: &str,
    template: &str,
    way: impl Fn(&Value) -> Way,
) -> Result<Answer, Failure> {
    let bar = bar(output, template);
    let mut told = None;
    loop {
        let work = client.get(path).await?;
        let way = way(&work["status"]);
        bar.set_length(way.all);
        bar.set_position(way.done);
        bar.set_message(way.message);
        let tenth = way.done * LINES / way.all.max(1);
        if bar.is_hidden() && !output.is_json() && told.replace(tenth) != Some(tenth) {
            output.line(&way.line);
        }
        if work["status"]["state"] != "running" || !output.is_open() {
            bar.finish_and_clear();
            return Ok(work);
        }
        tokio::time::sleep(LOOK).await;
    }
}

fn bar(output: Output, template: &str) -> ProgressBar {
    if output.is_json() || !std::io::stderr().is_terminal() {
        return ProgressBar::hidden();
    }
    let style = ProgressStyle::with_template(template);
    ProgressBar::new(0).with_style(style.expect("the template is correct"))
}

/// A value in a sentence or a table: a string without its quotes.
pub fn text(value: &Value) -> String {
    value.as_str().map_or_else(|| value.to_string(), str::to_owned)
}

/// A count; nothing where there is none.
pub fn count(value: &Value) -> u64 {
    value.as_u64().unwrap_or_default()
}
