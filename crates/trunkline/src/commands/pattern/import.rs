//! `trunkline pattern import`: rules, triggers and event subscriptions of other systems as subscriptions. What has no counterpart is
//! said on standard error.

use super::filter_files::read_text;
use crate::{
    exit::{Code, Failure},
    output::Output,
    resource_files::{parse_yaml, print},
};
use pattern::{
    CompileError,
    import::{Imported, event_grid_subscription, eventbridge_rule, knative_trigger},
};
use serde_json::{Map, Value, json};
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

/// Members under which lists of resources lie.
const LISTS: [&str; 4] = ["Rules", "items", "value", "Resources"];

impl Import {
    /// Prints a document for each; fails if one could not be converted.
    pub fn run(self, output: Output) -> Result<(), Failure> {
        let shown = self.file.display().to_string();
        let wrong = |reason: String| Failure::new(Code::Usage, format!("{shown}: {reason}"));
        let sources = sources(&read_text(&self.file)?).map_err(wrong)?;
        let (mut documents, mut refused) = (Vec::new(), 0);
        for (index, (name, source)) in sources.iter().enumerate() {
            let place = name.clone().unwrap_or_else(|| format!("number {}", index + 1));
            match self.convert(source) {
                Ok(imported) => {
                    imported.notes.iter().for_each(|note| eprintln!("{place}: {note}"));
                    documents.push(self.document(imported, name.as_deref(), index));
                }
                Err(error) => {
                    refused += 1;
                    eprintln!("{place}: not imported: {error}");
                }
            }
        }
        print(output, &documents)?;
        match refused {
            0 => Ok(()),
            refused => Err(Failure::new(
                Code::Failed,
                format!("{refused} of {} could not be imported", sources.len()),
            )),
        }
    }

    fn convert(&self, source: &Value) -> Result<Imported, CompileError> {
        match self.from {
            System::Eventbridge => eventbridge_rule(source),
            System::Knative => knative_trigger(source),
            System::Eventgrid => event_grid_subscription(source),
        }
    }

    fn document(&self, imported: Imported, name: Option<&str>, index: usize) -> Value {
        let name = imported
            .name
            .or(name.map(Into::into))
            .unwrap_or_else(|| format!("imported-{}", index + 1));
        let mut document = json!({"kind": "subscription", "name": legal(&name)});
        if let Some(types) = imported.types {
            document["types"] = types.into();
        }
        if !imported.filter.is_null() {
            document["filter"] = imported.filter;
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

/// The resources of a file, with the names that a list gives them.
fn sources(text: &str) -> Result<Vec<(Option<String>, Value)>, String> {
    let is_json = text.trim_start().starts_with(['{', '[']);
    let documents: Vec<Value> = if is_json {
        vec![serde_json::from_str(text).map_err(|error| error.to_string())?]
    } else {
        parse_yaml(text)?
    };
    let documents = documents.into_iter().filter(|document| !document.is_null());
    Ok(documents.flat_map(opened).collect())
}

fn opened(document: Value) -> Vec<(Option<String>, Value)> {
    let list = |items: Vec<Value>| items.into_iter().map(|item| (None, item)).collect();
    let mut object = match document {
        Value::Array(items) => return list(items),
        Value::Object(object) => object,
        other => return vec![(None, other)],
    };
    for name in LISTS {
        match object.get_mut(name).map(Value::take) {
            Some(Value::Array(items)) => return list(items),
            Some(Value::Object(resources)) => return rules(resources),
            Some(other) => drop(object.insert(name.to_owned(), other)),
            None => {}
        }
    }
    vec![(None, Value::Object(object))]
}

/// The rules of a CloudFormation template, by their logical names.
fn rules(resources: Map<String, Value>) -> Vec<(Option<String>, Value)> {
    let is_rule = |resource: &Value| resource["Type"].as_str() == Some("AWS::Events::Rule");
    let rules = resources.into_iter().filter(|(_, resource)| is_rule(resource));
    rules.map(|(name, resource)| (Some(name), resource)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lists_and_templates_are_opened() {
        let names = |text: &str| {
            let sources = sources(text).expect(text);
            sources.into_iter().map(|(name, _)| name).collect::<Vec<_>>()
        };
        assert_eq!(names(r#"{"Rules": [{"Name": "a"}, {"Name": "b"}]}"#), [None, None]);
        assert_eq!(names("kind: Trigger\n---\nkind: Trigger\n"), [None, None]);
        assert_eq!(names(r#"{"detail": {"a": [1]}}"#), [None]);
        let template =
            r#"{"Resources": {"Paid": {"Type": "AWS::Events::Rule"}, "Bucket": {"Type": "AWS::S3::Bucket"}}}"#;
        assert_eq!(names(template), [Some("Paid".to_owned())]);
    }

    #[test]
    fn a_name_keeps_what_names_may_hold() {
        assert_eq!(legal("a b/c.d-e_f é"), "a-b-c.d-e_f--");
    }
}
