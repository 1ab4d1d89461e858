//! How requests are read: an object is an object. Serde would take a list of the members' values for one, which is no JSON that the
//! protocol knows; and what it says of a fault names types of this program.

use super::fault::Fault;
use control::read_json;
use serde::{
    Deserialize,
    de::{DeserializeOwned, Deserializer, MapAccess, Visitor, value::MapAccessDeserializer},
};
use serde_json::Value;
use std::{fmt, marker::PhantomData};

/// A request that cannot be read.
pub(super) fn unreadable(reason: impl fmt::Display) -> Fault {
    Fault::serialization(format!("The request cannot be read: {reason}"))
}

/// Reads an input. A member that is `null` is one that is left out.
pub(super) fn input<T: DeserializeOwned>(body: &[u8]) -> Result<T, Fault> {
    let mut value = serde_json::from_slice(body).map_err(unreadable)?;
    leave_out_nulls(&mut value);
    read_json(&value).map_err(|refusal| match refusal.pointer.filter(|pointer| !pointer.is_empty()) {
        Some(pointer) => unreadable(format!("{} at {pointer}", refusal.detail)),
        None => unreadable(refusal.detail),
    })
}

fn leave_out_nulls(value: &mut Value) {
    match value {
        Value::Object(members) => {
            members.retain(|_, member| !member.is_null());
            members.values_mut().for_each(leave_out_nulls);
        }
        Value::Array(items) => items.iter_mut().for_each(leave_out_nulls),
        _ => {}
    }
}

/// A `T` that stands there as an object, read where it stands: for the hot path, whose texts stay in the body.
pub(super) struct Object<T>(pub(super) T);

impl<'de, T: Deserialize<'de>> Deserialize<'de> for Object<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Reads<T>(PhantomData<T>);
        impl<'de, T: Deserialize<'de>> Visitor<'de> for Reads<T> {
            type Value = Object<T>;
            fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
                formatter.write_str("an object")
            }
            fn visit_map<A: MapAccess<'de>>(self, members: A) -> Result<Object<T>, A::Error> {
                T::deserialize(MapAccessDeserializer::new(members)).map(Object)
            }
        }
        deserializer.deserialize_map(Reads(PhantomData))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeMap;

    #[derive(Debug, PartialEq, Deserialize)]
    struct Inner {
        name: String,
        #[serde(default)]
        list: Vec<String>,
        #[serde(default)]
        map: BTreeMap<String, String>,
    }

    #[derive(Debug, PartialEq, Deserialize)]
    struct Outer {
        inner: Option<Inner>,
        #[serde(default)]
        is_one: bool,
    }

    #[test]
    fn what_is_null_is_left_out_at_any_depth() {
        let read: Outer =
            input(br#"{"inner": {"name": "n", "list": null, "map": {"a": null}}, "is_one": null}"#).expect("good");
        let inner = Inner {
            name: "n".to_owned(),
            list: Vec::new(),
            map: BTreeMap::new(),
        };
        assert_eq!((read.inner, read.is_one), (Some(inner), false));
        assert_eq!(input::<Outer>(br#"{"inner": null}"#).expect("good").inner, None);
    }

    #[test]
    fn faults_have_their_place_and_the_words_of_json() {
        for (body, says) in [
            ("[]", "expected an object, found a list"),
            ("null", "expected an object, found null"),
            (
                r#"{"inner": ["n", [], {}]}"#,
                "expected an object, found a list at /inner",
            ),
            (r#"{"inner": {"name": 5}}"#, "found an integer at /inner/name"),
            (r#"{"inner": {"name": null}}"#, "field \"name\" is missing at /inner"),
            ("{", "EOF"),
        ] {
            let fault = input::<Outer>(body.as_bytes()).expect_err(body);
            assert_eq!(fault.code(), "SerializationException");
            assert!(fault.message().contains(says), "{body}: {}", fault.message());
        }
    }

    #[test]
    fn an_object_is_read_where_it_stands_and_a_list_is_none() {
        let read = |text| serde_json::from_str::<Object<BTreeMap<&str, &str>>>(text);
        assert_eq!(read(r#"{"a": "b"}"#).expect("good").0, BTreeMap::from([("a", "b")]));
        let error = serde_json::from_str::<Object<Inner>>(r#"["n", [], {}]"#)
            .map(|_| ())
            .expect_err("a list");
        assert!(error.to_string().contains("expected an object"), "{error}");
    }
}
