//! `trunkline apply`: creates or replaces what resource files declare; `--dry-run` prints what would change.

use crate::{
    client::Client,
    exit::{Code, Failure},
    output::{Output, printable},
    resource_files::{Resource, read},
};
use control::counted;
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
    /// Asks what all of it would do, in an order in which resources can need each other; then does it, unless one is refused:
    /// then nothing is changed. It goes on to the end, whoever reads what it says.
    pub async fn run(self, client: &Client, output: Output) -> Result<(), Failure> {
        let mut resources = Vec::new();
        for file in &self.files {
            resources.extend(read(file)?);
        }
        if resources.is_empty() {
            return Err(Failure::new(Code::Usage, "the files hold no resource"));
        }
        resources.sort_by_key(Resource::rank);
        let planned = preview(client, &resources).await?;
        for (done, (resource, planned)) in resources.iter().zip(&planned).enumerate() {
            if !self.dry_run && planned["action"] != "none" {
                put(client, resource)
                    .await
                    .map_err(|failure| broken_off(resource, (done, resources.len()), failure))?;
            }
            if !self.dry_run {
                let all = counted(resources.len() as u64, "resource");
                output.did(format!("{} of {all} applied", done + 1));
            }
            report(output, resource, planned);
        }
        Ok(())
    }
}

/// What applying each would do, once those before it are applied; or the first that is refused.
async fn preview(client: &Client, resources: &[Resource]) -> Result<Vec<Value>, Failure> {
    let documents: Vec<Value> = resources
        .iter()
        .map(|resource| resource.document(client.bus()))
        .collect::<Result<_, _>>()?;
    let body = serde_json::to_vec(&json!({"resources": documents})).expect("values serialize");
    let mut answer = client
        .send(Method::POST, "/v1/resources:preview", Some(("application/json", body)))
        .await
        .map_err(|failure| match failure.code {
            Code::Unreachable => failure,
            _ => Failure {
                message: format!("{}; nothing was changed", failure.message),
                ..failure
            },
        })?
        .into_value();
    match answer["items"].take() {
        Value::Array(items) if items.len() == resources.len() => Ok(items),
        _ => Err(Failure::new(
            Code::Failed,
            "the server's answer has not one item for each resource",
        )),
    }
}

async fn put(client: &Client, resource: &Resource) -> Result<(), Failure> {
    let path = resource.path(client.bus())?;
    let body = serde_json::to_vec(&resource.body).expect("values serialize");
    client
        .send(Method::PUT, &path, Some(("application/json", body)))
        .await?;
    Ok(())
}

/// What had looked well went wrong in the middle: what is done stays, and is said.
fn broken_off(resource: &Resource, (done, all): (usize, usize), failure: Failure) -> Failure {
    let this = match failure.code {
        Code::Unreachable | Code::Failed => "whether this one was applied is not known",
        _ => "this one was not",
    };
    Failure {
        message: format!(
            "{} {}: {}\n  {done} of {}, all before it, are applied; {this}; those behind it are not",
            resource.kind,
            resource.name,
            failure.message,
            counted(all as u64, "resource")
        ),
        hint: Some(
            "once that is mended, apply the same files again: what is applied already stays as it is".to_owned(),
        ),
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
