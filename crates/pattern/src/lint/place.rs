//! Where a path leads in a JSON Schema.
//!
//! It follows what every value must satisfy: `properties`, `items`, `allOf`, and `$ref` inside of the schema. Other keywords may know
//! more names, and types under conditions: where one of them is on the way, no name is said to be missing.

use serde_json::Value as Json;

use super::schema::nearest;
use crate::limits::JSON_DEPTH_MAX;

/// Keywords that may describe members which `properties` beside them does not list.
const OPEN: [&str; 11] = [
    "anyOf",
    "oneOf",
    "if",
    "then",
    "else",
    "dependentSchemas",
    "dependencies",
    "patternProperties",
    "unevaluatedProperties",
    "$dynamicRef",
    "$recursiveRef",
];
/// Keywords that do not count beside `$ref` in older drafts.
const BESIDE_REFERENCE: [&str; 7] = [
    "properties",
    "additionalProperties",
    "items",
    "prefixItems",
    "allOf",
    "type",
    "enum",
];
/// `items` inside each other that are followed.
const ITEMS_DEPTH_MAX: usize = 32;
/// Schemas of one place that are looked at.
const SCHEMAS_MAX: usize = 16;
/// Names of a path that the name of one property is made of at most, dots between them; a longer one is not found.
const DOTTED_MAX: usize = 16;

/// Where a path leads.
pub(super) enum Place<'s> {
    /// The schema does not say.
    Unknown,
    /// An object of the schema lists its properties, and this is none of them; the name that was perhaps meant.
    Missing(&'s str, Option<String>),
    /// What every value there satisfies, all of it.
    Found(Vec<&'s Json>),
}

/// Follows a path; a property may have dots in its name.
pub(super) fn find<'s>(root: &'s Json, names: &'s [String]) -> Place<'s> {
    if names.len() > JSON_DEPTH_MAX {
        return Place::Unknown;
    }
    let mut walk = Walk { root, is_open: false };
    let (mut schemas, mut names) = (vec![root], names);
    while let Some(here) = walk.here(schemas) {
        let Some(first) = names.first() else {
            return match here.is_array_or_else {
                true => Place::Unknown,
                false => Place::Found(here.schemas),
            };
        };
        let counts = (1..=names.len().min(DOTTED_MAX)).map(|count| (count, here.members(&names[..count].join("."))));
        let found: Vec<_> = counts.filter(|(_, members)| !members.is_empty()).collect();
        match <[_; 1]>::try_from(found) {
            Ok([(count, members)]) => {
                // Of several schemas, one may describe as additional what another one lists.
                walk.is_open |= here.schemas.len() > 1 && here.has_additional();
                (schemas, names) = (members, &names[count..]);
            }
            Err(found) if !found.is_empty() => return Place::Unknown,
            Err(_) => return here.missing(first, &walk),
        }
    }
    Place::Unknown
}

struct Walk<'s> {
    root: &'s Json,
    /// Whether something on the way may know more names.
    is_open: bool,
}

/// What a schema says of one place, inside of the arrays around it.
struct Here<'s> {
    schemas: Vec<&'s Json>,
    /// Whether it may lie outside of these arrays as well, and be something else.
    is_array_or_else: bool,
}

impl<'s> Walk<'s> {
    /// What schemas say together; nothing where it cannot be told.
    fn here(&mut self, mut schemas: Vec<&'s Json>) -> Option<Here<'s>> {
        let mut is_array_or_else = false;
        for _ in 0..ITEMS_DEPTH_MAX {
            schemas = self.all_of(schemas)?;
            let items: Vec<&Json> = schemas.iter().filter_map(|schema| schema.get("items")).collect();
            if items.is_empty() {
                return Some(Here {
                    schemas,
                    is_array_or_else,
                });
            }
            let may_be = |name: &str| schemas.iter().any(|schema| schema.get(name).is_some());
            let types: Vec<&str> = schemas.iter().flat_map(|schema| types(schema)).collect();
            let is_of_one_kind = items.iter().all(|items| items.is_object()) && !may_be("prefixItems");
            if !is_of_one_kind || may_be("properties") || types.contains(&"object") {
                return None;
            }
            is_array_or_else |= types.iter().any(|name| *name != "array");
            schemas = items;
        }
        None
    }

    /// Schemas with what they refer to.
    fn all_of(&mut self, mut schemas: Vec<&'s Json>) -> Option<Vec<&'s Json>> {
        let (mut seen, mut all): (Vec<&Json>, Vec<&Json>) = (Vec::new(), Vec::new());
        while let Some(schema) = schemas.pop() {
            if seen.iter().any(|known| std::ptr::eq(*known, schema)) {
                continue;
            }
            // References inside of a schema with a name of its own begin there.
            let is_other = schema.get("$id").is_some() && !std::ptr::eq(schema, self.root);
            if is_other || seen.len() == SCHEMAS_MAX {
                return None;
            }
            seen.push(schema);
            self.is_open |= OPEN.iter().any(|name| describes(schema, name));
            if let Some(reference) = schema.get("$ref") {
                let target = self.target(reference);
                self.is_open |= target.is_none() || BESIDE_REFERENCE.iter().any(|name| schema.get(name).is_some());
                schemas.extend(target);
                continue;
            }
            all.push(schema);
            schemas.extend(schema.get("allOf").and_then(Json::as_array).into_iter().flatten());
        }
        Some(all)
    }

    fn target(&self, reference: &Json) -> Option<&'s Json> {
        let pointer = reference.as_str()?.strip_prefix('#')?;
        self.root.pointer(pointer)
    }
}

impl<'s> Here<'s> {
    fn members(&self, name: &str) -> Vec<&'s Json> {
        let properties = self.schemas.iter().filter_map(|schema| schema.get("properties"));
        properties.filter_map(|properties| properties.get(name)).collect()
    }

    fn has_additional(&self) -> bool {
        let mut schemas = self.schemas.iter();
        schemas.any(|schema| describes(schema, "additionalProperties"))
    }

    fn missing(&self, name: &'s str, walk: &Walk<'_>) -> Place<'s> {
        let properties = self.schemas.iter().filter_map(|schema| schema.get("properties"));
        let names = properties
            .filter_map(Json::as_object)
            .flat_map(|properties| properties.keys());
        let names: Vec<&str> = names.map(String::as_str).collect();
        if walk.is_open || self.has_additional() || names.is_empty() {
            return Place::Unknown;
        }
        Place::Missing(name, nearest(name, names.into_iter()))
    }
}

/// Whether a keyword has a schema; true and false only say whether something may be there.
fn describes(schema: &Json, keyword: &str) -> bool {
    schema.get(keyword).is_some_and(|value| !value.is_boolean())
}

/// The types that a schema lists.
fn types(schema: &Json) -> Vec<&str> {
    match schema.get("type") {
        Some(Json::String(name)) => vec![name],
        Some(Json::Array(names)) => names.iter().filter_map(Json::as_str).collect(),
        _ => Vec::new(),
    }
}
