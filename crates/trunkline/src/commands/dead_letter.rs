//! `trunkline dead-letter`: what could not be delivered, and what to do about it.

mod edit;
mod transfer;

use crate::{
    client::{Client, segment},
    exit::{Code, Failure},
    output::Output,
};
use control::counted;
use http::Method;
use serde_json::{Value, json};

/// Look at dead letters, send them again, discard them.
#[derive(Debug, clap::Subcommand)]
pub enum DeadLetter {
    /// Those of the bus.
    List {
        #[command(flatten)]
        selection: Selection,
        /// At most this many.
        #[arg(long, default_value_t = 100)]
        limit: usize,
    },
    /// One, with its event.
    Show {
        /// Its id, from the list.
        id: String,
    },
    /// Put another event in its place; it stays a dead letter until it is redriven.
    Edit(edit::Edit),
    /// Print them, a JSON object a line, for an import elsewhere.
    Export(transfer::Export),
    /// Take exported ones in: what is there already stays one.
    Import(transfer::Import),
    /// Send them again, with a new count of attempts.
    Redrive(Selection),
    /// Give them up for good.
    Discard(Selection),
}

/// Which dead letters.
#[derive(Clone, Debug, Default, clap::Args)]
pub struct Selection {
    /// Only these, by the id in the list.
    #[arg(value_name = "ID")]
    pub ids: Vec<String>,
    /// Of this subscription.
    #[arg(long, value_name = "NAME")]
    pub subscription: Option<String>,
    /// Of this reason, e.g. `http_400`; with `*` at its end, of all that begin so.
    #[arg(long, value_name = "REASON")]
    pub reason: Option<String>,
    /// Of events of this type.
    #[arg(long = "type", value_name = "TYPE")]
    pub event_type: Option<String>,
    /// That died then or later, e.g. `2026-11-17T00:00:00Z`.
    #[arg(long, value_name = "TIME")]
    pub from: Option<String>,
    /// That died before then.
    #[arg(long, value_name = "TIME")]
    pub to: Option<String>,
    /// All of the bus; needed when nothing else narrows what is redriven or discarded.
    #[arg(long, conflicts_with_all = ["ids", "subscription", "reason", "event_type", "from", "to"])]
    pub all: bool,
}

impl DeadLetter {
    /// Runs it.
    pub async fn run(self, client: &Client, output: Output) -> Result<(), Failure> {
        let collection = format!("/v1/buses/{}/dead-letters", segment(client.bus()));
        match self {
            DeadLetter::List { selection, limit } => list(client, output, &collection, &selection, limit).await,
            DeadLetter::Show { id } => {
                let found = client.get(&format!("{collection}/{}", segment(&id))).await?;
                output.line(&format!("{found:#}"));
                Ok(())
            }
            DeadLetter::Edit(edit) => edit.run(client, output, &collection).await,
            DeadLetter::Export(export) => export.run(client, output, &collection).await,
            DeadLetter::Import(import) => import.run(client, output, &collection).await,
            DeadLetter::Redrive(selection) => act(client, output, &collection, "redrive", &selection).await,
            DeadLetter::Discard(selection) => act(client, output, &collection, "discard", &selection).await,
        }
    }
}

impl Selection {
    /// What narrows it besides ids, as `/v1` calls it.
    fn narrowing(&self) -> [(&'static str, &Option<String>); 5] {
        [
            ("subscription", &self.subscription),
            ("reason", &self.reason),
            ("type", &self.event_type),
            ("from", &self.from),
            ("to", &self.to),
        ]
    }
}

async fn list(
    client: &Client,
    output: Output,
    collection: &str,
    selection: &Selection,
    limit: usize,
) -> Result<(), Failure> {
    if !selection.ids.is_empty() {
        let message =
            "a list is narrowed by --subscription, --reason, --type, --from and --to; `dead-letter show` shows one";
        return Err(Failure::new(Code::Usage, message));
    }
    let mut query = format!("{collection}?limit={limit}");
    for (name, value) in selection.narrowing() {
        if let Some(value) = value {
            query.push_str(&format!("&{name}={}", segment(value)));
        }
    }
    let page = client.get(&query).await?;
    let items = page["items"].as_array().cloned().unwrap_or_default();
    let text = |value: &Value| value.as_str().map_or_else(|| value.to_string(), str::to_string);
    let columns = [
        "id",
        "subscription",
        "event_type",
        "event_id",
        "reason",
        "attempts",
        "died",
    ];
    let rows = items
        .iter()
        .map(|item| columns.iter().map(|column| text(&item[*column])).collect());
    output.print(&page, &columns, rows.collect::<Vec<_>>());
    Ok(())
}

async fn act(
    client: &Client,
    output: Output,
    collection: &str,
    verb: &str,
    selection: &Selection,
) -> Result<(), Failure> {
    let narrowed = !selection.ids.is_empty() || selection.narrowing().iter().any(|(_, value)| value.is_some());
    if !narrowed && !selection.all {
        let message =
            format!("say which dead letters to {verb}: ids, --subscription, --reason, --type, --from, --to, or --all");
        return Err(Failure::new(Code::Usage, message));
    }
    let mut body = serde_json::Map::new();
    if !narrowed {
        body.insert("all".into(), json!(true));
    }
    if !selection.ids.is_empty() {
        body.insert("ids".into(), json!(selection.ids));
    }
    for (name, value) in selection.narrowing() {
        if let Some(value) = value {
            body.insert(name.into(), json!(value));
        }
    }
    let done = if verb == "redrive" { "redriven" } else { "discarded" };
    let body = Value::Object(body).to_string().into_bytes();
    let answer = client
        .send(
            Method::POST,
            &format!("{collection}:{verb}"),
            Some(("application/json", body)),
        )
        .await?;
    let done = format!(
        "{} {done}",
        counted(answer[done].as_u64().unwrap_or_default(), "dead letter")
    );
    output.did(&done);
    match output.is_json() {
        true => output.line(&answer.to_string()),
        false => output.line(&done),
    }
    Ok(())
}
