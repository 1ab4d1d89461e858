//! `trunkline publish`: events from a file, standard input, or the command line itself.

use crate::{
    client::{Client, read_json, segment},
    exit::{Code, Failure},
    output::Output,
};
use control::counted;
use http::Method;
use indicatif::{ProgressBar, ProgressStyle};
use serde_json::{Map, Value, json};
use std::{
    io::{BufRead, BufReader, IsTerminal},
    path::{Path, PathBuf},
    time::{Duration, SystemTime},
};

/// Events sent in one request, well under the server's bound.
const BATCH_EVENTS: usize = 500;
/// Bytes sent in one request, well under the server's bound.
const BATCH_BYTES: usize = 4 << 20;
/// How often a request that the server was too busy for is sent again.
const BUSY_TRIES: u32 = 10;

/// Publish events.
#[derive(Debug, clap::Args)]
pub struct Publish {
    /// CloudEvents as JSON: one event, an array, or one event a line; `-` is standard input.
    #[arg(value_name = "FILE", conflicts_with_all = ["data"], required_unless_present = "event_type")]
    pub file: Option<PathBuf>,
    /// Make one event of this type; or give events that lack a type this one.
    #[arg(long = "type", value_name = "TYPE")]
    pub event_type: Option<String>,
    /// Its source.
    #[arg(long, default_value = "/trunkline/publish", value_name = "URI")]
    pub source: String,
    /// Its id; a fresh one when absent.
    #[arg(long, value_name = "ID")]
    pub id: Option<String>,
    /// Its subject.
    #[arg(long, value_name = "TEXT")]
    pub subject: Option<String>,
    /// Its data: JSON, or else text.
    #[arg(long, value_name = "DATA")]
    pub data: Option<String>,
}

impl Publish {
    /// Publishes, and prints where each event stands.
    pub async fn run(self, client: &Client, output: Output) -> Result<(), Failure> {
        let path = format!("/v1/buses/{}/events", segment(client.bus()));
        let Some(file) = &self.file else {
            let answer = send(client, &path, &[self.complete(Map::new(), 0)]).await?;
            print(output, &answer);
            return Ok(());
        };
        let progress = progress_bar();
        let mut sender = Sender {
            client,
            path: &path,
            output,
            progress: &progress,
            batch: Vec::new(),
            bytes: 0,
            sent: 0,
        };
        for (index, event) in events(file)?.enumerate() {
            sender.push(self.complete(event?, index)).await?;
        }
        sender.flush().await?;
        let sent = sender.sent;
        progress.finish_and_clear();
        if !output.is_json() {
            output.line(&format!("{} published", counted(sent, "event")));
        }
        Ok(())
    }

    /// Fills in what CloudEvents needs and the event lacks.
    fn complete(&self, mut event: Map<String, Value>, index: usize) -> Value {
        let mut fill = |name: &str, value: Option<Value>| {
            if let Some(value) = value
                && !event.contains_key(name)
            {
                event.insert(name.into(), value);
            }
        };
        fill("specversion", Some(json!("1.0")));
        fill("id", Some(json!(self.id.clone().unwrap_or_else(|| fresh_id(index)))));
        fill("source", Some(json!(self.source)));
        fill("type", self.event_type.as_ref().map(|text| json!(text)));
        fill("subject", self.subject.as_ref().map(|text| json!(text)));
        if let Some(text) = &self.data {
            match read_json(text.as_bytes()) {
                Ok(value) => fill("data", Some(value)),
                Err(_) => {
                    fill("datacontenttype", Some(json!("text/plain")));
                    fill("data", Some(json!(text)));
                }
            }
        }
        Value::Object(event)
    }
}

/// Collects events into requests.
struct Sender<'a> {
    client: &'a Client,
    path: &'a str,
    output: Output,
    progress: &'a ProgressBar,
    batch: Vec<Value>,
    bytes: usize,
    sent: u64,
}

impl Sender<'_> {
    async fn push(&mut self, event: Value) -> Result<(), Failure> {
        let bytes = event.to_string().len();
        if self.batch.len() == BATCH_EVENTS || self.bytes + bytes > BATCH_BYTES {
            self.flush().await?;
        }
        self.bytes += bytes;
        self.batch.push(event);
        Ok(())
    }

    async fn flush(&mut self) -> Result<(), Failure> {
        if self.batch.is_empty() {
            return Ok(());
        }
        let answer = send(self.client, self.path, &self.batch).await.map_err(|failure| {
            let message = format!("{} ({} published before)", failure.message, counted(self.sent, "event"));
            Failure { message, ..failure }
        })?;
        self.sent += self.batch.len() as u64;
        self.progress.inc(self.batch.len() as u64);
        if self.output.is_json() {
            print(self.output, &answer);
        }
        (self.batch, self.bytes) = (Vec::new(), 0);
        Ok(())
    }
}

/// Sends a batch; when the server is too busy, again after a while. An event keeps its id, so that one which was kept
/// although the answer was lost is recognised.
async fn send(client: &Client, path: &str, batch: &[Value]) -> Result<Value, Failure> {
    let body = serde_json::to_vec(batch).expect("values serialize");
    let mut tries = 0;
    loop {
        let sent = client
            .send(
                Method::POST,
                path,
                Some(("application/cloudevents-batch+json", body.clone())),
            )
            .await;
        match sent {
            Err(failure) if failure.code == Code::Busy && tries < BUSY_TRIES => {
                tries += 1;
                tokio::time::sleep(Duration::from_millis(200 * u64::from(tries))).await;
            }
            other => return other,
        }
    }
}

fn print(output: Output, answer: &Value) {
    let events = answer["events"].as_array().cloned().unwrap_or_default();
    if output.is_json() {
        return events.iter().for_each(|event| output.line(&event.to_string()));
    }
    let text = |value: &Value| match value {
        Value::Null => String::new(),
        Value::String(text) => text.clone(),
        other => other.to_string(),
    };
    let rows = events.iter().map(|event| {
        ["id", "topic", "partition", "offset", "duplicate"]
            .iter()
            .map(|column| text(&event[*column]))
            .collect()
    });
    output.table(&["id", "topic", "partition", "offset", "duplicate"], rows);
}

/// One event of a file, or why the file is wrong.
type Read = Result<Map<String, Value>, Failure>;

/// The events of a file: a JSON array, or JSON values one after the other, usually one a line.
fn events(file: &Path) -> Result<Box<dyn Iterator<Item = Read>>, Failure> {
    let shown = file.display().to_string();
    let mut reader: Box<dyn BufRead> = if file == Path::new("-") {
        Box::new(BufReader::new(std::io::stdin()))
    } else {
        let opened = std::fs::File::open(file);
        Box::new(BufReader::new(opened.map_err(|error| {
            Failure::new(Code::Usage, format!("cannot read {shown}: {error}"))
        })?))
    };
    let wrong = move |reason: String| Failure::new(Code::Usage, format!("{shown}: {reason}"));
    let first = first_byte(&mut reader).map_err(|error| wrong(error.to_string()))?;
    if first == Some(b'[') {
        let array: Vec<Map<_, _>> = serde_json::from_reader(reader).map_err(|error| wrong(error.to_string()))?;
        return Ok(Box::new(array.into_iter().map(Ok)));
    }
    let stream = serde_json::Deserializer::from_reader(reader).into_iter::<Map<String, Value>>();
    Ok(Box::new(
        stream.map(move |event| event.map_err(|error| wrong(error.to_string()))),
    ))
}

/// The first byte that is not white space, left in the reader.
pub fn first_byte(reader: &mut dyn BufRead) -> std::io::Result<Option<u8>> {
    loop {
        let buffer = reader.fill_buf()?;
        let Some(first) = buffer.first().copied() else {
            return Ok(None);
        };
        if !first.is_ascii_whitespace() {
            return Ok(Some(first));
        }
        reader.consume(1);
    }
}

/// An id that no other run makes.
pub fn fresh_id(index: usize) -> String {
    let elapsed = SystemTime::now()
        .duration_since(SystemTime::UNIX_EPOCH)
        .unwrap_or_default();
    format!("{:x}-{:x}-{index}", elapsed.as_nanos(), std::process::id())
}

fn progress_bar() -> ProgressBar {
    if !std::io::stderr().is_terminal() {
        return ProgressBar::hidden();
    }
    let style = ProgressStyle::with_template("{spinner} {pos} events  {per_sec}  {elapsed}");
    ProgressBar::new_spinner().with_style(style.expect("the template is a constant"))
}
