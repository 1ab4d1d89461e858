//! What nobody should be able to do with a transform: make a broken message, or a huge one.

use crate::context;
use event::{Data, Event};
use proptest::prelude::*;
use transform::{Transform, limits::OUTPUT_BYTES_MAX};

#[test]
fn an_output_beyond_its_bound_fails() {
    let template = "[".to_owned() + &"<aws.events.event.json>,".repeat(300) + "0]";
    let transform = Transform::input_transformer(&[], &template).expect("a template");
    let data = Data::json(format!("\"{}\"", "x".repeat(OUTPUT_BYTES_MAX / 200)));
    let event = Event::builder("1", "/s", "t").data(data).build().expect("it is valid");
    let failure = transform.apply(&event.view(), &context()).expect_err("it is too large");
    assert_eq!(failure.code, "transform_too_large");
}

/// JSON as others write it, with everything that needs care in strings.
fn json() -> impl Strategy<Value = serde_json::Value> {
    let leaf = prop_oneof![
        Just(serde_json::Value::Null),
        any::<bool>().prop_map(Into::into),
        any::<i64>().prop_map(Into::into),
        "[a\"\\\\\r\n\u{0}<>{}é ]{0,6}".prop_map(Into::into),
    ];
    leaf.prop_recursive(3, 24, 4, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..4).prop_map(Into::into),
            prop::collection::btree_map("[ab\"\\\\]{1,2}", inner, 0..4)
                .prop_map(|map| serde_json::Value::Object(map.into_iter().collect())),
        ]
    })
}

proptest! {
    /// Whatever an event holds, what comes out is JSON with the members of the template and no others.
    #[test]
    fn a_json_template_makes_json_of_every_event(value in json(), kind in "[a\"\\\\<é/]{1,8}") {
        let paths = [("v".to_owned(), "$.detail.v".to_owned()), ("s".to_owned(), "$.detail-type".to_owned())];
        let template = r#"{"in": "a <v> <s>", "bare": <v>, "all": <aws.events.event.json>, "text": "<aws.events.event>"}"#;
        let transform = Transform::input_transformer(&paths, template).expect("a template");
        let data = Data::json(serde_json::to_vec_pretty(&serde_json::json!({"v": value})).expect("JSON"));
        let event = Event::builder("1", "/s", kind).data(data).build().expect("it is valid");
        let output = transform.apply(&event.view(), &context()).expect("an output");
        let read: serde_json::Value = serde_json::from_slice(output.bytes()).expect("it is JSON");
        let names: Vec<_> = read.as_object().expect("an object").keys().cloned().collect();
        prop_assert_eq!(names, ["in", "bare", "all", "text"]);
        prop_assert_eq!(&read["bare"], &value);
        prop_assert_eq!(&read["all"]["detail"]["v"], &value);
    }

    /// Any text is a template or is refused; it never panics, and what it makes is JSON or text.
    #[test]
    fn any_template_is_taken_or_refused(template in "[{}\\[\\]\":,<>v\\\\ 0a.-]{0,24}") {
        let paths = [("v".to_owned(), "$.detail".to_owned())];
        if let Ok(transform) = Transform::input_transformer(&paths, &template) {
            let event = Event::builder("1", "/s", "t").data(Data::json(r#"{"a": ["\""]}"#)).build().expect("it is valid");
            if let Ok(output) = transform.apply(&event.view(), &context()) {
                let is_json = serde_json::from_slice::<serde_json::Value>(output.bytes()).is_ok();
                prop_assert_eq!(is_json, output.data_form() == event::DataForm::Json);
            }
        }
    }

    /// Any text is a path or is refused.
    #[test]
    fn any_path_is_taken_or_refused(path in "\\$?[.\\[\\]'\"*a0\\\\?@:-]{0,16}") {
        let _ = transform::InputPath::new(&path);
    }
}
