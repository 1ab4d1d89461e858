//! Transforms: a path or a template, a line feed, and the data of an event. JSON comes out of a JSON template, whatever the data is.

use super::{Target, ending, halves};
use event::{Data, DataForm, Event};
use serde::de::IgnoredAny;
use transform::{Context, Transform};

pub(super) const TARGET: Target = Target {
    name: "transform",
    run,
    samples,
};

fn run(input: &[u8]) -> u64 {
    let (text, data) = halves(input, "\n");
    let Ok(text) = std::str::from_utf8(text) else { return 0 };
    let paths = ["$.detail.a", "$.detail[0].*", "$.resources[*]", "$.detail"];
    let own: Vec<_> = (b'a'..).zip(paths).map(|(name, path)| (char::from(name).to_string(), path.to_owned())).collect();
    let compiled = [
        Transform::input(text),
        Transform::input_path(text),
        Transform::input_transformer(&own, text),
        Transform::input_transformer(&[("a".to_owned(), text.to_owned())], r#"{"a": <a>, "b": "<a>"}"#),
    ];
    let builder = Event::builder("1", "/s", "t").extension("awsresources", r#"["r"]"#);
    let Ok(event) = builder.data(Data::json(data.to_vec())).build() else {
        return compiled.iter().filter(|compiled| compiled.is_ok()).count() as u64;
    };
    let ends = compiled.map(|compiled| {
        let transform = compiled.map_err(|error| error.message.len() / 16)?;
        let output = transform.apply(&event.view(), &Context::default());
        Ok::<_, usize>(output.map(|output| {
            let is_json = serde_json::from_slice::<IgnoredAny>(output.bytes()).is_ok();
            assert_eq!(is_json, output.data_form() == DataForm::Json, "an output is what it says");
            output.bytes().len().min(64) / 8
        }).map_err(|failure| failure.code))
    });
    ending(&ends)
}

fn samples() -> Vec<Vec<u8>> {
    let samples = [
        "$.detail.a[0]['b c']\n{\"a\": [{\"b c\": 1}]}",
        "{\"x\": <a>, \"y\": \"<b> <c>\", \"z\": <aws.events.event.json>}\n{\"a\": \"\\\"\"}",
        "\"line <a>\"\n[{\"k\": null}]",
        "[<d>, \"<aws.events.rule-name>\"]\n{\"a\": {\"b\": [1.5e3, true]}}",
        "{<a>: 1}\n{\"a\": 5}",
    ];
    samples.iter().map(|sample| sample.as_bytes().to_vec()).collect()
}
