//! What transforms make of events, through the crate's door.

mod hostile;
mod input;
mod templates;

use event::{Data, Event};
use transform::{Context, Transform};

/// An event as a shop publishes it through the EventBridge door.
fn order() -> Event {
    let data = r#"{"id": 7, "total": 12.50, "customer": {"name": "Ann \"A\" Lee", "vip": true}, "states": ["NEW", "PAID"], "note": null}"#;
    let builder = Event::builder("e-1", "com.example.shop", "order placed").time("2026-11-21T10:15:30.123Z");
    let builder = builder.extension("awsresources", r#"["arn:aws:s3:::one","two"]"#);
    builder.data(Data::json(data)).build().expect("it is valid")
}

fn context() -> Context<'static> {
    Context {
        accepted: 1_795_256_130_500,
        rule_name: "orders",
        rule_arn: "arn:aws:events:us-east-1:000000000000:rule/orders",
        ..Context::default()
    }
}

/// The output of a transform, or the class of its failure.
fn made(transform: &Transform, event: &Event) -> Result<String, &'static str> {
    let output = transform
        .apply(&event.view(), &context())
        .map_err(|failure| failure.code)?;
    Ok(String::from_utf8(output.bytes().to_vec()).expect("it is UTF-8"))
}
