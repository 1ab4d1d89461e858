//! `trunkline export`: resources as a file that `apply` takes. Secrets come as fingerprints, which mean the stored secret.

use crate::{
    client::{Client, segment},
    exit::{Code, Failure},
    output::Output,
    resource_files::print,
};
use serde_json::Value;

/// Print resources as a resource file.
#[derive(Debug, clap::Args)]
pub struct Export {
    /// Only these kinds: bus, topic, event-type, connection, subscription.
    #[arg(long = "kind", value_name = "KIND")]
    pub kinds: Vec<String>,
    /// Only this resource.
    #[arg(long, value_name = "NAME")]
    pub name: Option<String>,
}

/// Kinds and their collections, in the order in which they can be applied.
const COLLECTIONS: &[(&str, &str)] = &[
    ("topic", "topics"),
    ("event-type", "event-types"),
    ("connection", "connections"),
    ("subscription", "subscriptions"),
];

impl Export {
    /// Prints the bus and what it owns.
    pub async fn run(self, client: &Client, output: Output) -> Result<(), Failure> {
        let bus = format!("/v1/buses/{}", segment(client.bus()));
        let mut documents = Vec::new();
        if self.wants("bus") {
            documents.push(client.get(&bus).await?.into_value());
        }
        for (kind, collection) in COLLECTIONS.iter().filter(|(kind, _)| self.wants(kind)) {
            let items = client.list(&format!("{bus}/{collection}")).await?;
            documents.extend(items.into_iter().map(|item| with_kind(item, kind)));
        }
        documents.retain(|document| self.name.is_none() || document["name"].as_str() == self.name.as_deref());
        if documents.is_empty() {
            return Err(Failure::new(Code::NotFound, "there is no such resource"));
        }
        documents.iter_mut().for_each(strip);
        print(output, &documents)
    }

    fn wants(&self, kind: &str) -> bool {
        self.kinds.is_empty() || self.kinds.iter().any(|wanted| wanted == kind)
    }
}

fn with_kind(mut item: Value, kind: &str) -> Value {
    item["kind"] = Value::from(kind);
    item
}

/// What the server tells beside the resource is not part of it.
fn strip(document: &mut Value) {
    if let Some(object) = document.as_object_mut() {
        for told in ["version", "status"] {
            object.shift_remove(told);
        }
    }
}
