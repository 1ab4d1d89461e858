//! `trunkline audit`: who did what, as the server's audit trail has it; whether the trail is whole; all of it as JSON lines.

use crate::{
    client::{Client, segment},
    exit::{Code, Failure},
    output::{Output, say},
};
use control::counted;
use http::Method;
use serde_json::{Value, json};

/// See who did what, verify the trail, export it.
#[derive(Debug, clap::Subcommand)]
pub enum Audit {
    /// The latest entries.
    List {
        #[command(flatten)]
        wanted: Wanted,
        /// How many at most.
        #[arg(long, default_value_t = 50, value_name = "NUMBER")]
        limit: usize,
    },
    /// Walks the whole chain; fails when an entry was altered or removed.
    Verify {
        /// The end of an earlier verification, which must still be in the trail: SEQ:HASH.
        #[arg(long, value_name = "SEQ:HASH")]
        noted: Option<String>,
    },
    /// Every entry as a line of JSON, the oldest first.
    Export {
        #[command(flatten)]
        wanted: Wanted,
    },
}

/// Which entries.
#[derive(Debug, clap::Args)]
pub struct Wanted {
    /// Done with this key.
    #[arg(long = "by-key", value_name = "ID")]
    pub by_key: Option<String>,
    /// Of this action, such as created, changed, deleted, rotated, looked, redriven; one that there is not is refused.
    #[arg(long)]
    pub action: Option<String>,
    /// Done to this kind of thing.
    #[arg(long)]
    pub kind: Option<String>,
    /// Done to the thing of this name.
    #[arg(long)]
    pub name: Option<String>,
    /// About this bus.
    #[arg(long = "about-bus", value_name = "NAME")]
    pub about_bus: Option<String>,
    /// Not before this time (RFC 3339).
    #[arg(long, value_name = "TIME")]
    pub from: Option<String>,
    /// Before this time (RFC 3339).
    #[arg(long, value_name = "TIME")]
    pub to: Option<String>,
}

impl Audit {
    /// Runs it.
    pub async fn run(self, client: &Client, output: Output) -> Result<(), Failure> {
        match self {
            Audit::List { wanted, limit } => list(client, output, &wanted, limit).await,
            Audit::Verify { noted } => verify(client, output, noted.as_deref()).await,
            Audit::Export { wanted } => export(client, output, &wanted).await,
        }
    }
}

impl Wanted {
    fn query(&self, more: &str) -> String {
        let texts = [
            ("key", &self.by_key),
            ("action", &self.action),
            ("kind", &self.kind),
            ("name", &self.name),
            ("bus", &self.about_bus),
            ("from", &self.from),
            ("to", &self.to),
        ];
        let given = texts.iter().filter_map(|(name, text)| Some((name, text.as_ref()?)));
        given.fold(format!("/v1/audit?{more}"), |query, (name, text)| {
            format!("{query}&{name}={}", segment(text))
        })
    }
}

async fn list(client: &Client, output: Output, wanted: &Wanted, limit: usize) -> Result<(), Failure> {
    let page = client
        .get(&wanted.query(&format!("limit={}", limit.clamp(1, 1_000))))
        .await?;
    let items = page["items"].as_array().cloned().unwrap_or_default();
    let rows: Vec<Vec<String>> = items.iter().map(row).collect();
    let header = ["seq", "at", "by", "action", "kind", "bus", "name", "what"];
    output.print(&Value::from(items), &header, rows);
    Ok(())
}

fn row(entry: &Value) -> Vec<String> {
    let text = |name: &str| entry[name].as_str().unwrap_or_default().to_owned();
    let by = &entry["by"];
    let who = [&by["key"], &by["system"]].into_iter().find_map(Value::as_str);
    let changed = entry["changes"].as_array().into_iter().flatten();
    let pointers: Vec<_> = changed.filter_map(|change| change["pointer"].as_str()).collect();
    vec![
        entry["seq"].to_string(),
        text("at"),
        who.unwrap_or("keyless").to_owned(),
        text("action"),
        text("kind"),
        text("bus"),
        text("name"),
        pointers.join(" "),
    ]
}

async fn verify(client: &Client, output: Output, noted: Option<&str>) -> Result<(), Failure> {
    let body = match noted {
        None => json!({}),
        Some(text) => {
            let parts = text
                .split_once(':')
                .and_then(|(seq, hash)| Some((seq.parse::<u64>().ok()?, hash)));
            let wrong = || {
                Failure::new(
                    Code::Usage,
                    "--noted takes SEQ:HASH as an earlier verification printed it",
                )
            };
            let (seq, hash) = parts.ok_or_else(wrong)?;
            json!({"seq": seq, "hash": hash})
        }
    };
    let body = ("application/json", body.to_string().into_bytes());
    let verified = client.send(Method::POST, "/v1/audit:verify", Some(body)).await?;
    if output.is_json() {
        output.line(&verified.to_string());
        return Ok(());
    }
    let head = &verified["head"];
    output.line(&format!(
        "{}, each as it was written; the last is {}:{}",
        counted(verified["entries"].as_u64().unwrap_or_default(), "entry"),
        head["seq"],
        head["hash"].as_str().unwrap_or_default()
    ));
    say!("note the last one elsewhere: --noted shows later that it is still in the trail");
    Ok(())
}

async fn export(client: &Client, output: Output, wanted: &Wanted) -> Result<(), Failure> {
    let mut cursor = String::new();
    loop {
        let page = client
            .get(&wanted.query(&format!("order=oldest&limit=1000{cursor}")))
            .await?;
        for entry in page["items"].as_array().into_iter().flatten() {
            output.line(&entry.to_string());
        }
        match page["next"].as_str().filter(|_| output.is_open()) {
            Some(next) => cursor = format!("&cursor={}", segment(next)),
            None => return Ok(()),
        }
    }
}
