//! Names that an object of JSON has twice. Of two values one would be lost without a word, so that a resource on the command line or
//! in a file is refused that has them; YAML refuses them by itself. Filters and constants keep their text, and may have them.

use serde::de::{DeserializeSeed, Deserializer, Error, IgnoredAny, MapAccess, SeqAccess, Visitor};
use std::{collections::BTreeSet, fmt};

/// Members of a resource that keep their text.
const KEPT: &[&str] = &["filter", "transform"];

/// Refuses a name that is given twice, at any depth of a value.
pub fn check_value(json: &str) -> Result<(), serde_json::Error> {
    check(json, &[])
}

/// Refuses a name that is given twice, at any depth of a resource but in what keeps its text.
pub fn check_resource(json: &str) -> Result<(), serde_json::Error> {
    check(json, KEPT)
}

fn check(json: &str, kept: &'static [&'static str]) -> Result<(), serde_json::Error> {
    let mut reader = serde_json::Deserializer::from_str(json);
    Names { kept }.deserialize(&mut reader)
}

/// Reads a value for its names.
struct Names {
    /// Members of this object that are not looked into.
    kept: &'static [&'static str],
}

impl<'de> DeserializeSeed<'de> for Names {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Names {
    type Value = ();

    fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("JSON")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<(), A::Error> {
        let mut names = BTreeSet::new();
        while let Some(name) = map.next_key::<String>()? {
            match self.kept.contains(&name.as_str()) {
                true => map.next_value::<IgnoredAny>().map(drop)?,
                false => map.next_value_seed(Names { kept: &[] })?,
            }
            if names.contains(&name) {
                return Err(A::Error::custom(format!("{name:?} is given twice")));
            }
            names.insert(name);
        }
        Ok(())
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<(), A::Error> {
        while items.next_element_seed(Names { kept: &[] })?.is_some() {}
        Ok(())
    }

    fn visit_bool<E: Error>(self, _: bool) -> Result<(), E> {
        Ok(())
    }

    fn visit_i64<E: Error>(self, _: i64) -> Result<(), E> {
        Ok(())
    }

    fn visit_u64<E: Error>(self, _: u64) -> Result<(), E> {
        Ok(())
    }

    fn visit_f64<E: Error>(self, _: f64) -> Result<(), E> {
        Ok(())
    }

    fn visit_str<E: Error>(self, _: &str) -> Result<(), E> {
        Ok(())
    }

    fn visit_unit<E: Error>(self) -> Result<(), E> {
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::{check_resource, check_value};

    #[test]
    fn a_name_is_found_twice_at_any_depth_but_in_what_keeps_its_text() {
        for twice in [
            r#"{"a":1,"a":2}"#,
            r#"[null,{"b":{"a":1.5,"c":"","a":-2}}]"#,
            r#"{"a":1,"\u0061":true}"#,
        ] {
            let refused = check_value(twice).expect_err(twice).to_string();
            assert!(refused.starts_with("\"a\" is given twice at line 1"), "{refused}");
        }
        assert!(check_value(r#"{"a":{"a":[{"a":1},{"a":1}]}}"#).is_ok());
        assert!(check_resource(r#"{"name":"x","filter":{"a":1,"a":2},"transform":{"input":{"a":1,"a":2}}}"#).is_ok());
        assert!(check_resource(r#"{"name":"x","filter":{},"filter":{}}"#).is_err());
        assert!(check_resource(r#"{"config":{"filter":{"a":1,"a":2}}}"#).is_err());
    }
}
