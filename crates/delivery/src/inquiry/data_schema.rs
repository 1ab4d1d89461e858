//! What is known of the data that a filter is about: a JSON Schema that somebody gives, or the examples that the catalogue has of
//! its event types, read as one.
//!
//! Examples say nothing unless every type that is asked for is catalogued with one; what they do not show may be there all the same,
//! so that what is found by them is advice.

use control::{Bus, resources::EventTypeSpec};
use pattern::{Document, Filter, Finding, FindingCode, Severity};
use serde_json::{Map, Value, json};
use std::collections::{BTreeMap, BTreeSet};

/// Examples that are read: more say nothing new.
const EXAMPLES_MAX: usize = 200;

/// What is known of the data.
#[derive(Clone, Debug)]
pub enum DataSchema {
    /// Nothing.
    Unknown,
    /// A JSON Schema.
    Given(Value),
    /// A JSON Schema that examples keep to.
    OfExamples(Value),
}

impl DataSchema {
    /// What the examples of these types of a bus say.
    pub fn of_types(bus: &Bus, types: &[String]) -> Self {
        examples(bus, types).map_or(Self::Unknown, |examples| Self::OfExamples(schema_of(&examples)))
    }

    /// Where it comes from, in one word for programs.
    pub fn origin(&self) -> &'static str {
        match self {
            Self::Unknown => "none",
            Self::Given(_) => "question",
            Self::OfExamples(_) => "examples",
        }
    }

    pub(super) fn json(&self) -> Option<&Value> {
        match self {
            Self::Unknown => None,
            Self::Given(schema) | Self::OfExamples(schema) => Some(schema),
        }
    }

    /// Makes advice of what is an error only where a schema is whole.
    pub(super) fn weigh(&self, findings: &mut [Finding]) {
        if matches!(self, Self::OfExamples(_)) {
            let missing = findings
                .iter_mut()
                .filter(|finding| finding.code == FindingCode::PathNotInSchema);
            missing.for_each(|finding| finding.severity = Severity::Warning);
        }
    }
}

/// The examples of these types; none if one of them is not catalogued with an example, or if there are too many.
fn examples<'b>(bus: &'b Bus, types: &[String]) -> Option<Vec<&'b Value>> {
    let mut examples = Vec::new();
    for wanted in types {
        let named = named(bus, wanted);
        if named.is_empty() || named.iter().any(|event_type| event_type.examples.is_empty()) {
            return None;
        }
        examples.extend(named.iter().flat_map(|event_type| &event_type.examples));
    }
    (1..=EXAMPLES_MAX).contains(&examples.len()).then_some(examples)
}

/// The catalogued types of a name, or of a name with `*`.
fn named<'b>(bus: &'b Bus, wanted: &str) -> Vec<&'b EventTypeSpec> {
    if !wanted.contains('*') {
        return bus
            .event_types
            .get(wanted)
            .map(|known| &known.spec)
            .into_iter()
            .collect();
    }
    let Ok(filter) = Filter::types(&[wanted]) else {
        return Vec::new();
    };
    let matching = bus.event_types.iter();
    matching
        .filter(|(name, _)| filter.matches(&Document::new().text("/attr/type", name)))
        .map(|(_, known)| &known.spec)
        .collect()
}

/// A schema that these values keep to. The recursion follows their nesting, which the reader of resources bounds.
fn schema_of(values: &[&Value]) -> Value {
    let types: BTreeSet<&str> = values.iter().map(|value| type_of(value)).collect();
    let mut schema = Map::from_iter([("type".to_owned(), json!(types))]);
    let mut properties = BTreeMap::<&String, Vec<&Value>>::new();
    for (name, value) in values.iter().filter_map(|value| value.as_object()).flatten() {
        properties.entry(name).or_default().push(value);
    }
    if !properties.is_empty() {
        let of_property = |(name, values): (&String, Vec<&Value>)| (name.clone(), schema_of(&values));
        let properties: Map<String, Value> = properties.into_iter().map(of_property).collect();
        schema.insert("properties".into(), properties.into());
    }
    let items: Vec<&Value> = values.iter().filter_map(|value| value.as_array()).flatten().collect();
    if !items.is_empty() {
        schema.insert("items".into(), schema_of(&items));
    }
    schema.into()
}

fn type_of(value: &Value) -> &'static str {
    match value {
        Value::Null => "null",
        Value::Bool(_) => "boolean",
        Value::Number(_) => "number",
        Value::String(_) => "string",
        Value::Array(_) => "array",
        Value::Object(_) => "object",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn examples_that_differ_keep_to_one_schema() {
        let examples = [
            json!({"id": 7, "lines": [{"price": 1.5}, {"price": null, "sku": "A"}]}),
            json!({"id": "x", "open": true}),
        ];
        let schema = schema_of(&examples.iter().collect::<Vec<_>>());
        let price = json!({"type": ["null", "number"]});
        let line = json!({"type": ["object"], "properties": {"price": price, "sku": {"type": ["string"]}}});
        let expected = json!({"type": ["object"], "properties": {
            "id": {"type": ["number", "string"]},
            "lines": {"type": ["array"], "items": line},
            "open": {"type": ["boolean"]},
        }});
        assert_eq!(schema, expected);
    }
}
