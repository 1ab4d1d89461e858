//! `trunkline apply`: creates or replaces what resource files declare; `--dry-run` prints what would change.

use crate::{
    client::Client,
    exit::{Code, Failure},
    output::{Output, printable},
    resource_files::{Resource, read},
};
use http::Method;
use serde_json::{Value, json};
use std::path::PathBuf;

/// Create or replace what a resource file declares.
#[derive(Debug, clap::Args)]
pub struct Apply {
    /// Resource file, JSON or YAML, several documents in a file; repeatable; `-` is standard input.
    #[arg(short, long = "file", value_name = "FILE", required = true)]
    pub files: Vec<PathBuf>,
    /// Print what would change, and change nothing.
    #[arg(long)]
    pub dry_run: bool,
}

impl Apply {
    /// Applies every resource in an order in which they can need each other; stops at the first refusal.
    pub async fn run(self, client: &Client, output: Output) -> Result<(), Failure> {
        let mut resources = Vec::new();
        for file in &self.files {
            resources.extend(read(file)?);
        }
        if resources.is_empty() {
            return Err(Failure::new(Code::Usage, "the files hold no resource"));
        }
        resources.sort_by_key(Resource::rank);
        for resource in &resources {
            let answer = self.put(client, resource).await?;
            report(output, resource, &answer);
        }
        Ok(())
    }

    async fn put(&self, client: &Client, resource: &Resource) -> Result<Value, Failure> {
        let mut path = resource.path(client.bus())?;
        path.push_str(if self.dry_run { "?dry_run=true" } else { "" });
        let body = serde_json::to_vec(&resource.body).expect("values serialize");
        let sent = client.send_full(Method::PUT, &path, Some(("application/json", body))).await;
        let named = |failure: Failure| {
            let message = format!("{} {}: {}", resource.kind, resource.name, failure.message);
            Failure { message, ..failure }
        };
        let answer = sent.map_err(named)?;
        if self.dry_run {
            return Ok(answer.body);
        }
        let done = match (answer.status, answer.headers.get("trunkline-unchanged").is_some()) {
            (201, _) => "created",
            (_, true) => "unchanged",
            _ => "replaced",
        };
        Ok(json!({"effect": done}))
    }
}

fn report(output: Output, resource: &Resource, answer: &Value) {
    if output.is_json() {
        let mut line = json!({"kind": resource.kind, "bus": resource.bus, "name": resource.name});
        for (key, value) in answer.as_object().into_iter().flatten() {
            line[key] = value.clone();
        }
        return output.line(&line.to_string());
    }
    let effect = answer["effect"].as_str().unwrap_or("done");
    output.line(&printable(&format!("{} {} {effect}", resource.kind, resource.name)));
    for change in answer["changes"].as_array().into_iter().flatten() {
        let shown = |value: &Value| if value.is_null() { "(absent)".to_string() } else { value.to_string() };
        let place = change["pointer"].as_str().unwrap_or_default();
        output.line(&printable(&format!("  {place}: {} -> {}", shown(&change["before"]), shown(&change["after"]))));
    }
}
