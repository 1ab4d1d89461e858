//! What stands around a specification in a request: `kind`, `bus` and `name`, which may be left out but must agree.

use super::Change;
use crate::{
    limits,
    parse::echo,
    refusal::{Class, Refusal},
};
use serde_json::{Map, Value};

/// The names that may stand beside a specification.
pub(super) const FIELDS: &[&str] = &["kind", "bus", "name"];

/// The specification alone.
pub(super) fn open(change: &Change, body: &Value) -> Result<Map<String, Value>, Refusal> {
    let Value::Object(body) = body else {
        return Err(Refusal {
            pointer: Some(String::new()),
            ..Refusal::new("resource_invalid", Class::Malformed, "a resource is a JSON object")
        });
    };
    if size(body) > limits::RESOURCE_BYTES_MAX {
        return Err(Refusal::limit(format!(
            "a resource has at most {} bytes",
            limits::RESOURCE_BYTES_MAX
        )));
    }
    let mut body = body.clone();
    agrees(&mut body, "kind", change.kind.word())?;
    agrees(&mut body, "name", &change.name)?;
    if change.kind.is_of_a_bus() {
        agrees(&mut body, "bus", &change.bus)?;
    }
    Ok(body)
}

fn size(body: &Map<String, Value>) -> usize {
    body.iter()
        .map(|(name, value)| name.len() + value.to_string().len())
        .sum()
}

fn agrees(body: &mut Map<String, Value>, field: &str, expected: &str) -> Result<(), Refusal> {
    match body.remove(field) {
        None => Ok(()),
        Some(Value::String(found)) if found == expected => Ok(()),
        Some(Value::String(found)) => {
            let detail = format!(
                "{field} is {} here, but the request is about {}",
                echo(&found),
                echo(expected)
            );
            Err(Refusal::invalid(format!("/{field}"), detail))
        }
        Some(_) => Err(Refusal::invalid(format!("/{field}"), format!("{field} is a string"))),
    }
}
