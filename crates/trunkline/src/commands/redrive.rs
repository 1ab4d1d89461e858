//! `trunkline redrive`: many dead letters sent out again, at a rate; followed with a bar at a terminal, with plain lines
//! elsewhere.

use crate::{
    client::{Client, segment},
    exit::Failure,
    output::{Output, printable},
};
use http::Method;
use indicatif::{ProgressBar, ProgressStyle};
use serde_json::{Map, Value, json};
use std::{io::IsTerminal, time::Duration};

/// How often a redrive is looked at while it is followed.
const LOOK: Duration = Duration::from_millis(500);
/// Without a terminal a line is printed for each tenth of the way.
const LINES: u64 = 10;

/// Send out many dead letters again.
#[derive(Debug, clap::Subcommand)]
pub enum Redrive {
    /// Begin one, or see what it would do.
    Start(Start),
    /// Those that run, and those that are over.
    List,
    /// One, whole.
    Show {
        /// Its name.
        name: String,
    },
    /// Follow one to its end.
    Watch {
        /// Its name.
        name: String,
    },
    /// Hold one.
    Pause {
        /// Its name.
        name: String,
    },
    /// Let one go on.
    Resume {
        /// Its name.
        name: String,
    },
    /// End one: what has gone out stays out.
    Cancel {
        /// Its name.
        name: String,
    },
    /// Forget one that is over.
    Delete {
        /// Its name.
        name: String,
    },
}

/// Begin one, or see what it would do.
#[derive(Debug, clap::Args)]
pub struct Start {
    /// Its name; absent: one is made up.
    pub name: Option<String>,
    /// Dead letters of this subscription; absent: of all of the bus.
    #[arg(long, value_name = "NAME")]
    pub subscription: Option<String>,
    /// Of this reason, e.g. `timeout_first_byte`; with `*` at its end, of all that begin so.
    #[arg(long, value_name = "REASON", conflicts_with = "status")]
    pub reason: Option<String>,
    /// Of this status of the last answer.
    #[arg(long, value_name = "STATUS")]
    pub status: Option<u16>,
    /// Of events of this type.
    #[arg(long = "type", value_name = "TYPE")]
    pub event_type: Option<String>,
    /// Of events with this id.
    #[arg(long, value_name = "ID")]
    pub event: Option<String>,
    /// That died then or later, e.g. `2026-11-17T00:00:00Z`.
    #[arg(long, value_name = "TIME")]
    pub from: Option<String>,
    /// That died before then; absent: until now.
    #[arg(long, value_name = "TIME")]
    pub to: Option<String>,
    /// How many per time, such as `50/s`; `none`: as fast as may be.
    #[arg(long, value_name = "RATE")]
    pub rate: Option<String>,
    /// Only count and show samples.
    #[arg(long)]
    pub dry_run: bool,
    /// Follow it to its end.
    #[arg(long, conflicts_with = "dry_run")]
    pub wait: bool,
}

impl Redrive {
    /// Runs it.
    pub async fn run(self, client: &Client, output: Output) -> Result<(), Failure> {
        let collection = format!("/v1/buses/{}/redrives", segment(client.bus()));
        let path = |name: &str| format!("{collection}/{}", segment(name));
        match self {
            Redrive::Start(start) => start.run(client, output, &collection).await,
            Redrive::List => list(client, output, &collection).await,
            Redrive::Show { name } => {
                let found = client.get(&path(&name)).await?;
                output.line(&format!("{found:#}"));
                Ok(())
            }
            Redrive::Watch { name } => follow(client, output, &path(&name)).await,
            Redrive::Pause { name } => act(client, output, &path(&name), "pause").await,
            Redrive::Resume { name } => act(client, output, &path(&name), "resume").await,
            Redrive::Cancel { name } => act(client, output, &path(&name), "cancel").await,
            Redrive::Delete { name } => {
                client.send(Method::DELETE, &path(&name), None).await?;
                output.line(&printable(&format!("{name}: deleted")));
                Ok(())
            }
        }
    }
}

impl Start {
    async fn run(self, client: &Client, output: Output, collection: &str) -> Result<(), Failure> {
        let query = if self.dry_run { "?dry_run=true" } else { "" };
        let body = self.document().to_string().into_bytes();
        let path = format!("{collection}{query}");
        let answer = client
            .send(Method::POST, &path, Some(("application/json", body)))
            .await?;
        if self.dry_run {
            previewed(output, &answer);
            return Ok(());
        }
        let name = text(&answer["name"]);
        match (self.wait, output.is_json()) {
            (true, _) => follow(client, output, &format!("{collection}/{}", segment(&name))).await,
            (false, true) => {
                output.line(&format!("{answer:#}"));
                Ok(())
            }
            (false, false) => {
                let matched = &answer["status"]["matched"];
                output.line(&printable(&format!("{name}: started, {matched} dead letters")));
                output.line(&printable(&format!("follow it with: trunkline redrive watch {name}")));
                Ok(())
            }
        }
    }

    /// The request.
    fn document(&self) -> Value {
        let mut document = Map::new();
        let texts = [
            ("name", &self.name),
            ("subscription", &self.subscription),
            ("reason", &self.reason),
            ("type", &self.event_type),
            ("event", &self.event),
            ("from", &self.from),
            ("to", &self.to),
        ];
        for (name, value) in texts {
            if let Some(value) = value {
                document.insert(name.to_owned(), value.as_str().into());
            }
        }
        if let Some(status) = self.status {
            document.insert("status".to_owned(), status.into());
        }
        if let Some(rate) = &self.rate {
            let rate = if rate == "none" { Value::Null } else { json!(rate) };
            document.insert("rate".to_owned(), rate);
        }
        document.into()
    }
}

fn previewed(output: Output, answer: &Value) {
    if output.is_json() {
        return output.line(&format!("{answer:#}"));
    }
    output.line(&format!(
        "{} dead letters of {} bytes would be sent out again",
        answer["dead_letters"], answer["bytes"]
    ));
    let samples = answer["samples"].as_array().into_iter().flatten();
    let columns = ["id", "subscription", "event_type", "event_id", "reason", "died"];
    let rows: Vec<Vec<String>> = samples
        .map(|sample| columns.iter().map(|column| text(&sample[*column])).collect())
        .collect();
    if !rows.is_empty() {
        output.table(&columns, rows);
    }
}

async fn list(client: &Client, output: Output, collection: &str) -> Result<(), Failure> {
    let items = client.list(collection).await?;
    let rows = items.iter().map(|item| {
        let status = &item["status"];
        vec![
            text(&item["name"]),
            item["subscription"].as_str().unwrap_or("all").to_owned(),
            text(&status["state"]),
            format!("{}/{}", status["redriven"], status["matched"]),
            status["reason"].as_str().unwrap_or_default().to_owned(),
        ]
    });
    let header = ["name", "subscription", "state", "redriven", "reason"];
    output.print(&Value::from(items.clone()), &header, rows.collect::<Vec<_>>());
    Ok(())
}

async fn act(client: &Client, output: Output, path: &str, verb: &str) -> Result<(), Failure> {
    let redrive = client.send(Method::POST, &format!("{path}:{verb}"), None).await?;
    match output.is_json() {
        true => output.line(&format!("{redrive:#}")),
        false => output.line(&printable(&said(&redrive))),
    }
    Ok(())
}

/// Shows how a redrive goes on until it is over or held.
async fn follow(client: &Client, output: Output, path: &str) -> Result<(), Failure> {
    let bar = bar(output);
    let mut told = None;
    loop {
        let redrive = client.get(path).await?;
        let status = &redrive["status"];
        let count = |value: &Value| value.as_u64().unwrap_or_default();
        let (done, all) = (count(&status["redriven"]), count(&status["matched"]));
        bar.set_length(all);
        bar.set_position(done);
        bar.set_message(status["reason"].as_str().unwrap_or_default().to_owned());
        let tenth = done * LINES / all.max(1);
        if bar.is_hidden() && !output.is_json() && told.replace(tenth) != Some(tenth) {
            output.line(&format!("{done} of {all} dead letters"));
        }
        if status["state"] != "running" {
            bar.finish_and_clear();
            match output.is_json() {
                true => output.line(&format!("{redrive:#}")),
                false => output.line(&printable(&said(&redrive))),
            }
            return Ok(());
        }
        tokio::time::sleep(LOOK).await;
    }
}

fn said(redrive: &Value) -> String {
    let status = &redrive["status"];
    format!(
        "{}: {}; {} dead letters sent out again",
        text(&redrive["name"]),
        text(&status["state"]),
        status["redriven"]
    )
}

fn bar(output: Output) -> ProgressBar {
    if output.is_json() || !std::io::stderr().is_terminal() {
        return ProgressBar::hidden();
    }
    let style = ProgressStyle::with_template("{bar:40} {pos}/{len} dead letters {msg} {eta} left");
    ProgressBar::new(0).with_style(style.expect("the template is correct"))
}

fn text(value: &Value) -> String {
    value.as_str().map_or_else(|| value.to_string(), str::to_owned)
}
