//! `trunkline dead-letter edit`: another event in a dead letter's place, from a file, from options, or from an editor.

use crate::{
    client::{Client, segment},
    exit::{Code, Failure},
    output::{Output, printable},
};
use serde_json::value::{RawValue, to_raw_value};
use std::{collections::BTreeMap, io::Read, path::PathBuf};

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
            None => self.changed(found.member("event"))?,
        };
        let edits = found["edits"].as_u64();
        let answer = client.put(&format!("{path}/event"), event, edits).await?;
        output.did(format!("{}: edited", self.id));
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

    /// The event with what is to change; all else of it keeps the text that it has.
    fn changed(&self, event: Option<&str>) -> Result<Vec<u8>, Failure> {
        let usage = |message: String| Failure::new(Code::Usage, message);
        if self.data.is_none() && self.event_type.is_none() && self.attributes.is_empty() {
            return Err(usage(
                "say what is to change: --event, --data, --type or --attribute".to_owned(),
            ));
        }
        let members = event.and_then(|event| serde_json::from_str(event).ok());
        let mut members: BTreeMap<String, Box<RawValue>> =
            members.ok_or_else(|| Failure::new(Code::Failed, "the dead letter holds no event".to_owned()))?;
        if let Some(data) = &self.data {
            let data = serde_json::from_str(data).map_err(|error| usage(format!("--data is not JSON: {error}")))?;
            members.remove("data_base64");
            members.insert("data".to_owned(), data);
        }
        let text = |text: &str| to_raw_value(text).expect("a text serializes");
        if let Some(event_type) = &self.event_type {
            members.insert("type".to_owned(), text(event_type));
        }
        for attribute in &self.attributes {
            match attribute.split_once('=') {
                Some((name, "")) => drop(members.remove(name)),
                Some((name, value)) => drop(members.insert(name.to_owned(), text(value))),
                None => return Err(usage(format!("--attribute {attribute:?} is not name=value"))),
            }
        }
        Ok(serde_json::to_vec(&members).expect("texts serialize"))
    }
}

/// The text of a file, which is JSON: what else it must be is the server's to say.
fn from_file(file: &PathBuf) -> Result<Vec<u8>, Failure> {
    let wrong = |error: String| Failure::new(Code::Usage, format!("--event {}: {error}", file.display()));
    let mut text = Vec::new();
    match file.as_os_str() == "-" {
        true => std::io::stdin().read_to_end(&mut text).map(drop),
        false => std::fs::read(file).map(|read| text = read),
    }
    .map_err(|error| wrong(error.to_string()))?;
    serde_json::from_slice::<&RawValue>(&text).map_err(|error| wrong(error.to_string()))?;
    Ok(text)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn edit() -> Edit {
        Edit {
            id: "1".to_owned(),
            event: None,
            data: None,
            event_type: None,
            attributes: Vec::new(),
        }
    }

    #[test]
    fn what_is_not_edited_and_what_is_given_keep_their_text() {
        let data = r#"{"big":123456789012345678901234567890,"f":1.10,"dup":1,"dup":2,"inf":1e400}"#;
        let event = format!(r#"{{"data":{data},"id":"1","time":"t","type":"a"}}"#);
        let typed = Edit {
            event_type: Some("b".to_owned()),
            attributes: vec!["time=".to_owned(), "x=\"".to_owned()],
            ..edit()
        };
        let changed = typed.changed(Some(&event)).expect("it is changed");
        let expected = format!(r#"{{"data":{data},"id":"1","type":"b","x":"\""}}"#);
        assert_eq!(String::from_utf8(changed).expect("UTF-8"), expected);

        let deep = "[".repeat(event::limits::JSON_DEPTH_MAX) + &"]".repeat(event::limits::JSON_DEPTH_MAX);
        for data in [data, &deep] {
            let given = Edit {
                data: Some(data.to_owned()),
                ..edit()
            };
            let changed = given
                .changed(Some(r#"{"data_base64":"AA==","id":"1"}"#))
                .expect("it is changed");
            let expected = format!(r#"{{"data":{data},"id":"1"}}"#);
            assert_eq!(String::from_utf8(changed).expect("UTF-8"), expected);
        }
        assert!(typed.changed(None).is_err());
    }
}
