//! `trunkline redrive`: many dead letters sent out again, at a rate; followed with a bar at a terminal, with plain lines
//! elsewhere.

use crate::{
    answer::Answer,
    client::{Client, segment},
    exit::Failure,
    output::{Output, printable},
    running::{self, Way, count, text},
};
use control::counted;
use serde_json::{Map, Value, json};

/// The bar of one that is followed.
const BAR: &str = "{bar:40} {pos}/{len} dead letters {msg} {eta} left";

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
            Redrive::Show { name } => running::show(client, output, &path(&name)).await,
            Redrive::Watch { name } => follow(client, output, &path(&name)).await,
            Redrive::Pause { name } => running::act(client, output, &path(&name), "pause", said).await,
            Redrive::Resume { name } => running::act(client, output, &path(&name), "resume", said).await,
            Redrive::Cancel { name } => running::act(client, output, &path(&name), "cancel", said).await,
            Redrive::Delete { name } => running::delete(client, output, &collection, &name).await,
        }
    }
}

impl Start {
    async fn run(self, client: &Client, output: Output, collection: &str) -> Result<(), Failure> {
        let answer = running::begin(client, collection, &self.document(), self.dry_run).await?;
        if self.dry_run {
            previewed(output, &answer);
            return Ok(());
        }
        let name = text(&answer["name"]);
        output.did(format!("{name} started"));
        match (self.wait, output.is_json()) {
            (true, _) => follow(client, output, &format!("{collection}/{}", segment(&name))).await,
            (false, true) => {
                output.line(&format!("{answer:#}"));
                Ok(())
            }
            (false, false) => {
                let matched = counted(count(&answer["status"]["matched"]), "dead letter");
                output.line(&printable(&format!("{name}: started, {matched}")));
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

fn previewed(output: Output, answer: &Answer) {
    if output.is_json() {
        return output.line(&format!("{answer:#}"));
    }
    output.line(&format!(
        "{} of {} would be sent out again",
        counted(count(&answer["dead_letters"]), "dead letter"),
        counted(count(&answer["bytes"]), "byte")
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

/// Shows how a redrive goes on until it is over or held.
async fn follow(client: &Client, output: Output, path: &str) -> Result<(), Failure> {
    let redrive = running::follow(client, output, path, BAR, |status| {
        let (done, all) = (count(&status["redriven"]), count(&status["matched"]));
        Way {
            done,
            all,
            message: status["reason"].as_str().unwrap_or_default().to_owned(),
            line: format!("{done} of {}", counted(all, "dead letter")),
        }
    });
    running::tell(output, &redrive.await?, said);
    Ok(())
}

fn said(redrive: &Value) -> String {
    let status = &redrive["status"];
    format!(
        "{}: {}; {} sent out again",
        text(&redrive["name"]),
        text(&status["state"]),
        counted(count(&status["redriven"]), "dead letter")
    )
}
