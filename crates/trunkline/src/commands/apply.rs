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
        let dry_run = self.dry_run;
        let mut resources = Vec::new();
        for file in &self.files {
            resources.extend(read(file)?);
        }
        if resources.is_empty() {
            return Err(Failure::new(Code::Usage, "the files hold no resource"));
        }
        resources.sort_by_key(Resource::rank);
        for (index, resource) in resources.iter().enumerate() {
            let planned = preview(client, resource, &resources[..index])
                .await
                .map_err(|failure| named(resource, failure))?;
            if !dry_run && planned["action"] != "none" {
                put(client, resource, "")
                    .await
                    .map_err(|failure| named(resource, failure))?;
            }
            report(output, resource, &planned);
        }
        Ok(())
    }
}

/// What applying the resource would do. One that needs a resource which comes before it in the same files, and which a dry
/// run did not make, would be created after that.
async fn preview(client: &Client, resource: &Resource, before: &[Resource]) -> Result<Value, Failure> {
    match put(client, resource, "?dry_run=true").await {
        Err(failure) if comes_before(resource, &failure, before) => Ok(json!({"action": "create", "changes": []})),
        planned => planned,
    }
}

/// Whether what the server misses is made by an earlier resource of the same files.
fn comes_before(resource: &Resource, failure: &Failure, before: &[Resource]) -> bool {
    let made = |name: &str| before.iter().any(|other| other.name == name);
    match &failure.pointer {
        Some(pointer) => {
            let body = Value::Object(resource.body.clone());
            body.pointer(pointer).and_then(Value::as_str).is_some_and(made)
        }
        None => failure.code == Code::NotFound && resource.bus.as_deref().is_some_and(made),
    }
}

async fn put(client: &Client, resource: &Resource, query: &str) -> Result<Value, Failure> {
    let path = format!("{}{query}", resource.path(client.bus())?);
    let body = serde_json::to_vec(&resource.body).expect("values serialize");
    client.send(Method::PUT, &path, Some(("application/json", body))).await
}

fn named(resource: &Resource, failure: Failure) -> Failure {
    Failure {
        message: format!("{} {}: {}", resource.kind, resource.name, failure.message),
        ..failure
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
    let effect = answer["action"].as_str().unwrap_or("none");
    output.line(&printable(&format!("{effect:<7} {} {}", resource.kind, resource.name)));
    if effect == "create" {
        return;
    }
    for change in answer["changes"].as_array().into_iter().flatten() {
        let shown = |value: &Value| {
            if value.is_null() {
                "(absent)".to_string()
            } else {
                value.to_string()
            }
        };
        let place = change["pointer"].as_str().unwrap_or_default();
        output.line(&printable(&format!(
            "  {place}: {} -> {}",
            shown(&change["before"]),
            shown(&change["after"])
        )));
    }
}
