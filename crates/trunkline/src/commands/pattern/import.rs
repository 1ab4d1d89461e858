//! `trunkline pattern import`: rules, triggers and event subscriptions of other systems as subscriptions. What has no counterpart is
//! said on standard error.

use super::filter_files::read_text;
use crate::{
    exit::{Code, Failure},
    output::{Output, say},
    resource_files::{check_numbers, parse_yaml, print},
};
use control::{filters::FilterText, limits::NAME_CHARACTERS_MAX, names::Name};
use pattern::import::{self, Conversion, ImportedFilter, Resource};
use serde_json::{Value, json};
use std::{collections::HashSet, path::PathBuf};

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
        let mut names = Names::default();
        for (index, Resource { name, json }) in resources.iter().enumerate() {
            let place = name.clone().unwrap_or_else(|| format!("number {}", index + 1));
            match system.convert(json) {
                Ok(Conversion::Subscription(imported)) => {
                    imported.notes.iter().for_each(|note| say!("{place}: {note}"));
                    let called = imported.name.as_ref().or(name.as_ref());
                    let name = names.of(called.map(String::as_str), index);
                    if let Some(called) = called.filter(|called| **called != name) {
                        say!("{place}: {called:?} is imported as {name}");
                    }
                    documents.push(self.document(imported.filter, &name));
                }
                Ok(Conversion::Skipped(reason)) => {
                    skipped += 1;
                    say!("{place}: skipped, it is no subscription: {reason}");
                }
                Err(error) => {
                    refused += 1;
                    say!("{place}: not imported: {error}");
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

    fn document(&self, filter: Option<ImportedFilter>, name: &str) -> Value {
        let mut document = json!({"kind": "subscription", "name": name});
        if let Some(ImportedFilter { language, json }) = filter {
            // What JSON libraries would change goes as a string.
            let content = FilterText::new(json.as_str()).to_value();
            document["filter"] = json!({ language: content.unwrap_or(json.into()) });
        }
        document["connection"] = self.connection.as_str().into();
        document
    }
}

/// The names given so far. None is given twice: the later document would overwrite the earlier when they are applied.
#[derive(Default)]
struct Names(HashSet<String>);

impl Names {
    /// A name for what is called so, or for the resource at this place.
    fn of(&mut self, called: Option<&str>, index: usize) -> String {
        let wanted = called.and_then(legal);
        let wanted = wanted.unwrap_or_else(|| format!("imported-{}", index + 1));
        let mut name = wanted.clone();
        for number in 2.. {
            if self.0.insert(name.clone()) {
                break;
            }
            let suffix = format!("-{number}");
            let kept = wanted.len().min(NAME_CHARACTERS_MAX - suffix.len());
            name = wanted[..kept].to_owned() + &suffix;
        }
        name
    }
}

/// The nearest name, if there is anything in it that names may hold.
fn legal(name: &str) -> Option<String> {
    if Name::new(name).is_ok() {
        return Some(name.to_owned());
    }
    let illegal = |character: char| !(character.is_ascii_alphanumeric() || matches!(character, '.' | '_' | '-'));
    let pieces = name.split(illegal).map(|piece| piece.trim_matches('-'));
    let joined = pieces.filter(|piece| !piece.is_empty()).collect::<Vec<_>>().join("-");
    let begun = joined.trim_start_matches(['.', '_', '-']);
    let legal = &begun[..begun.len().min(NAME_CHARACTERS_MAX)];
    (!legal.is_empty()).then(|| legal.to_owned())
}

/// The JSON of a file's documents.
fn texts(file: String) -> Result<Vec<String>, String> {
    if file.trim_start().starts_with(['{', '[']) {
        return Ok(vec![file]);
    }
    let mut documents = parse_yaml(&file)?;
    documents.retain(|document| !document.is_null());
    for document in &documents {
        check_numbers(document, &file)?;
    }
    Ok(documents.iter().map(Value::to_string).collect())
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
            import.document(Some(filter), "paid")["filter"]["eventbridge"].clone()
        };
        assert_eq!(document(r#"{"a": [1]}"#), json!({"a": [1]}));
        for text in [r#"{"a":[1],"a":[2]}"#, r#"{"a":[123456789012345678901]}"#] {
            assert_eq!(document(text), json!(text));
        }
    }

    #[test]
    fn a_name_keeps_what_names_may_hold() {
        for (name, expected) in [
            ("a--b_", Some("a--b_")),
            ("a b/c.d-e_f é", Some("a-b-c.d-e_f")),
            ("${X}-r", Some("X-r")),
            ("-.a", Some("a")),
            ("é", None),
            ("", None),
        ] {
            assert_eq!(legal(name).as_deref(), expected, "{name}");
        }
        assert_eq!(legal(&"a".repeat(300)), Some("a".repeat(NAME_CHARACTERS_MAX)));
    }

    #[test]
    fn no_name_is_given_twice() {
        let mut names = Names::default();
        let called = [Some("a b"), Some("a-b"), Some("a-b-2"), Some("a b"), Some("é"), None];
        let given = called.into_iter().enumerate();
        let given: Vec<String> = given.map(|(index, called)| names.of(called, index)).collect();
        assert_eq!(given, ["a-b", "a-b-2", "a-b-2-2", "a-b-3", "imported-5", "imported-6"]);
        let long = "a".repeat(NAME_CHARACTERS_MAX);
        assert_eq!(names.of(Some(&long), 6), long);
        assert!(Name::new(&names.of(Some(&long), 7)).is_ok());
    }
}
