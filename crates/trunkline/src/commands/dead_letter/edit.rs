//! `trunkline dead-letter edit`: another event in a dead letter's place, from a file, from options, or from an editor.

use crate::{
    client::{Client, segment},
    exit::{Code, Failure},
    output::{Output, printable},
};
use serde_json::Value;
use std::{io::Read, path::PathBuf};

/// Put another event in its place; the one that was received is kept beside it.
#[derive(Debug, clap::Args)]
pub struct Edit {
    /// Its id, from the list.
    pub id: String,
    /// The whole event as CloudEvents JSON; `-` is standard input.
    #[arg(long, value_name = "FILE", conflicts_with_all = ["data", "event_type", "attributes"])]
    pub event: Option<PathBuf>,
    /// Its new data, as JSON.
    #[arg(long, value_name = "JSON")]
    pub data: Option<String>,
    /// Its new type.
    #[arg(long = "type", value_name = "TYPE")]
    pub event_type: Option<String>,
    /// Another attribute, `name=value`; an empty value takes it away; repeatable.
    #[arg(long = "attribute", value_name = "NAME=VALUE")]
    pub attributes: Vec<String>,
}

impl Edit {
    /// Runs it. What somebody else has edited since it was read is not written over.
    pub async fn run(self, client: &Client, output: Output, collection: &str) -> Result<(), Failure> {
        let path = format!("{collection}/{}", segment(&self.id));
        let found = client.get(&path).await?;
        let event = match &self.event {
            Some(file) => from_file(file)?,
            None => self.changed(found["event"].clone())?,
        };
        let edits = found["edits"].as_u64();
        let answer = client.put(&format!("{path}/event"), &event, edits).await?;
        match output.is_json() {
            true => output.line(&format!("{answer:#}")),
            false => {
                let edits = &answer["edits"];
                output.line(&printable(&format!("{}: edited ({edits}); it is sent with:", self.id)));
                output.line(&printable(&format!("trunkline dead-letter redrive {}", self.id)));
            }
        }
        Ok(())
    }

    fn changed(&self, mut event: Value) -> Result<Value, Failure> {
        let usage = |message: String| Failure::new(Code::Usage, message);
        if self.data.is_none() && self.event_type.is_none() && self.attributes.is_empty() {
            return Err(usage(
                "say what is to change: --event, --data, --type or --attribute".to_owned(),
            ));
        }
        let fields = event
            .as_object_mut()
            .ok_or_else(|| Failure::new(Code::Failed, "the dead letter holds no event".to_owned()))?;
        if let Some(data) = &self.data {
            let data = serde_json::from_str(data).map_err(|error| usage(format!("--data is not JSON: {error}")))?;
            fields.remove("data_base64");
            fields.insert("data".to_owned(), data);
        }
        if let Some(event_type) = &self.event_type {
            fields.insert("type".to_owned(), event_type.as_str().into());
        }
        for attribute in &self.attributes {
            match attribute.split_once('=') {
                Some((name, "")) => drop(fields.remove(name)),
                Some((name, value)) => drop(fields.insert(name.to_owned(), value.into())),
                None => return Err(usage(format!("--attribute {attribute:?} is not name=value"))),
            }
        }
        Ok(event)
    }
}

fn from_file(file: &PathBuf) -> Result<Value, Failure> {
    let wrong = |error: String| Failure::new(Code::Usage, format!("--event {}: {error}", file.display()));
    let mut text = Vec::new();
    match file.as_os_str() == "-" {
        true => std::io::stdin().read_to_end(&mut text).map(drop),
        false => std::fs::read(file).map(|read| text = read),
    }
    .map_err(|error| wrong(error.to_string()))?;
    crate::client::read_json(&text).map_err(|error| wrong(error.to_string()))
}
