//! `trunkline pattern import`: rules, triggers and event subscriptions of other systems as subscriptions. What has no counterpart is
//! said on standard error.

use super::filter_files::read_text;
use crate::{
    exit::{Code, Failure},
    output::Output,
    resource_files::{parse_yaml, print},
};
use control::filters::FilterText;
use pattern::import::{self, Conversion, Imported, ImportedFilter, Resource};
use serde_json::{Value, json};
use std::path::PathBuf;

/// Convert another system's subscriptions into resource documents.
#[derive(Debug, clap::Args)]
pub struct Import {
    /// The system they come from.
    #[arg(long, value_name = "SYSTEM")]
    from: System,
    /// One of them, several, or a list as the system's command line prints it; JSON or YAML; `-` is standard input.
    #[arg(value_name = "FILE")]
    file: PathBuf,
    /// The connection that the subscriptions deliver to.
    #[arg(long, default_value = "imported", value_name = "NAME")]
    connection: String,
}

/// A system that subscriptions come from.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub enum System {
    /// Rules of AWS EventBridge: as the API, CloudFormation or Terraform write them, or patterns alone.
    Eventbridge,
    /// Triggers of Knative Eventing.
    Knative,
    /// Event subscriptions of Azure Event Grid, or their filters alone.
    Eventgrid,
}

impl From<System> for import::System {
    fn from(system: System) -> Self {
        match system {
            System::Eventbridge => Self::EventBridge,
            System::Knative => Self::Knative,
            System::Eventgrid => Self::EventGrid,
        }
    }
}

impl Import {
    /// Prints a document for each; fails if one could not be converted.
    pub fn run(self, output: Output) -> Result<(), Failure> {
        let shown = self.file.display().to_string();
        let wrong = |reason: String| Failure::new(Code::Usage, format!("{shown}: {reason}"));
        let system = import::System::from(self.from);
        let texts = texts(read_text(&self.file)?).map_err(wrong)?;
        let mut resources = Vec::new();
        for text in &texts {
            resources.extend(system.resources(text).map_err(|error| wrong(error.message))?);
        }
        let (mut documents, mut refused, mut skipped) = (Vec::new(), 0, 0);
        for (index, Resource { name, json }) in resources.iter().enumerate() {
            let place = name.clone().unwrap_or_else(|| format!("number {}", index + 1));
            match system.convert(json) {
                Ok(Conversion::Subscription(imported)) => {
                    imported.notes.iter().for_each(|note| eprintln!("{place}: {note}"));
                    documents.push(self.document(imported, name.as_deref(), index));
                }
                Ok(Conversion::Skipped(reason)) => {
                    skipped += 1;
                    eprintln!("{place}: skipped, it is no subscription: {reason}");
                }
                Err(error) => {
                    refused += 1;
                    eprintln!("{place}: not imported: {error}");
                }
            }
        }
        print(output, &documents)?;
        match refused {
            0 if skipped > 0 && documents.is_empty() => {
                Err(Failure::new(Code::Failed, format!("{shown} holds no subscription")))
            }
            0 => Ok(()),
            refused => Err(Failure::new(
                Code::Failed,
                format!("{refused} of {} could not be imported", resources.len()),
            )),
        }
    }

    fn document(&self, imported: Imported, name: Option<&str>, index: usize) -> Value {
        let name = imported
            .name
            .or(name.map(Into::into))
            .unwrap_or_else(|| format!("imported-{}", index + 1));
        let mut document = json!({"kind": "subscription", "name": legal(&name)});
        if let Some(ImportedFilter { language, json }) = imported.filter {
            // What JSON libraries would change goes as a string.
            let content = FilterText::new(json.as_str()).to_value();
            document["filter"] = json!({ language: content.unwrap_or(json.into()) });
        }
        document["connection"] = self.connection.as_str().into();
        document
    }
}

/// A name with what names may hold.
fn legal(name: &str) -> String {
    let legal = |character: char| character.is_ascii_alphanumeric() || matches!(character, '.' | '_' | '-');
    name.chars()
        .map(|character| if legal(character) { character } else { '-' })
        .collect()
}

/// The JSON of a file's documents.
fn texts(file: String) -> Result<Vec<String>, String> {
    if file.trim_start().starts_with(['{', '[']) {
        return Ok(vec![file]);
    }
    let documents = parse_yaml(&file)?.into_iter();
    let documents = documents.filter(|document| !document.is_null());
    Ok(documents.map(|document| document.to_string()).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn documents_of_yaml_are_told_apart() {
        let texts = |file: &str| texts(file.to_owned()).expect("documents");
        let two = [r#"{"kind":"Trigger"}"#, r#"{"kind":"Trigger"}"#];
        assert_eq!(texts("kind: Trigger\n---\n---\nkind: Trigger\n"), two);
        assert_eq!(texts(" {\"a\": 1e400}"), [" {\"a\": 1e400}"]);
    }

    #[test]
    fn a_pattern_that_json_libraries_would_change_is_a_string() {
        let import = Import {
            from: System::Eventbridge,
            file: "rules.json".into(),
            connection: "crm".into(),
        };
        let document = |json: &str| {
            let filter = ImportedFilter {
                language: "eventbridge",
                json: json.to_owned(),
            };
            let imported = Imported {
                name: Some("paid".into()),
                filter: Some(filter),
                notes: Vec::new(),
            };
            import.document(imported, None, 0)["filter"]["eventbridge"].clone()
        };
        assert_eq!(document(r#"{"a": [1]}"#), json!({"a": [1]}));
        for text in [r#"{"a":[1],"a":[2]}"#, r#"{"a":[123456789012345678901]}"#] {
            assert_eq!(document(text), json!(text));
        }
    }

    #[test]
    fn a_name_keeps_what_names_may_hold() {
        assert_eq!(legal("a b/c.d-e_f é"), "a-b-c.d-e_f--");
    }
}
