//! `trunkline publish`: events from a file, standard input, or the command line itself.

use crate::{
    answer::{Answer, is_json},
    client::{Client, segment},
    event_files::{self, Item, Place},
    exit::{Code, Failure},
    output::Output,
};
use control::counted;
use event::limits::BATCH_BYTES_MAX;
use indicatif::{ProgressBar, ProgressStyle};
use serde::de::IgnoredAny;
use serde_json::{Value, json};
use std::{
    collections::BTreeMap,
    io::IsTerminal,
    path::PathBuf,
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
            let event = self.complete("{}", 0).expect("it is an object");
            let answer = send(client, &path, &[event], &|_| "the event".to_owned()).await?;
            output.did("1 event published");
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
            places: Vec::new(),
            bytes: 0,
            sent: 0,
        };
        for item in event_files::read(file)? {
            let Item { text, place } = item?;
            let event = self.complete(text.get(), place.number).map_err(|reason| {
                let message = format!("{}: {place}: {reason}", file.display());
                Failure::new(Code::Usage, message)
            })?;
            sender.push(event, place).await?;
        }
        sender.flush().await?;
        let sent = sender.sent;
        progress.finish_and_clear();
        if !output.is_json() {
            output.line(&format!("{} published", counted(sent, "event")));
        }
        Ok(())
    }

    /// Puts in front what CloudEvents needs and the event lacks. The rest is sent as it is written, also a name that is given
    /// twice, which is the server's to refuse.
    fn complete(&self, event: &str, number: usize) -> Result<String, String> {
        let rest = event.trim_ascii_start().strip_prefix('{');
        let rest = rest.ok_or_else(|| "an event is a JSON object".to_owned())?;
        let members: BTreeMap<String, IgnoredAny> = serde_json::from_str(event).map_err(|error| error.to_string())?;
        let text = |text: &str| Some(json!(text).to_string());
        let id = self.id.clone().unwrap_or_else(|| fresh_id(number));
        let (media_type, data) = match &self.data {
            None => (None, None),
            Some(data) if is_json(data) => (None, Some(data.clone())),
            Some(data) => (text("text/plain"), text(data)),
        };
        let lacking = [
            ("specversion", text("1.0")),
            ("id", text(&id)),
            ("source", text(&self.source)),
            ("type", self.event_type.as_deref().and_then(text)),
            ("subject", self.subject.as_deref().and_then(text)),
            ("datacontenttype", media_type),
            ("data", data),
        ];
        let added: Vec<String> = lacking
            .into_iter()
            .filter(|(name, _)| !members.contains_key(*name))
            .filter_map(|(name, value)| Some(format!("\"{name}\":{}", value?)))
            .collect();
        let comma = match members.is_empty() || added.is_empty() {
            true => "",
            false => ",",
        };
        Ok(format!("{{{}{comma}{rest}", added.join(",")))
    }
}

/// Collects events into requests.
struct Sender<'a> {
    client: &'a Client,
    path: &'a str,
    output: Output,
    progress: &'a ProgressBar,
    batch: Vec<String>,
    places: Vec<Place>,
    bytes: usize,
    sent: u64,
}

impl Sender<'_> {
    async fn push(&mut self, event: String, place: Place) -> Result<(), Failure> {
        if self.batch.len() == BATCH_EVENTS || self.bytes + event.len() > BATCH_BYTES {
            self.flush().await?;
        }
        self.bytes += event.len();
        self.batch.push(event);
        self.places.push(place);
        Ok(())
    }

    async fn flush(&mut self) -> Result<(), Failure> {
        if self.batch.is_empty() {
            return Ok(());
        }
        let named = |index: usize| self.places.get(index).map_or_else(String::new, Place::to_string);
        let answer = send(self.client, self.path, &self.batch, &named)
            .await
            .map_err(|failure| {
                let message = format!("{} ({} published before)", failure.message, counted(self.sent, "event"));
                Failure { message, ..failure }
            })?;
        self.sent += self.batch.len() as u64;
        self.progress.inc(self.batch.len() as u64);
        self.output.did(format!("{} published", counted(self.sent, "event")));
        if self.output.is_json() {
            print(self.output, &answer);
        }
        self.batch.clear();
        self.places.clear();
        self.bytes = 0;
        Ok(())
    }
}

/// Sends a batch, whose events a refusal calls by these names; when the server is too busy, again after a while. An event keeps
/// its id, so that one which was kept although the answer was lost is recognised.
async fn send(
    client: &Client,
    path: &str,
    batch: &[String],
    named: &dyn Fn(usize) -> String,
) -> Result<Answer, Failure> {
    let body = format!("[{}]", batch.join(",")).into_bytes();
    // A server refuses it as soon as it knows, and may close the connection before all of it is written: its answer is lost then.
    if body.len() > BATCH_BYTES_MAX {
        let message = format!(
            "{} takes {} bytes; a request takes {BATCH_BYTES_MAX} at most (body_too_large)",
            named(0),
            batch[0].len()
        );
        return Err(Failure::new(Code::Refused, message));
    }
    let mut tries = 0;
    loop {
        match client.send_events(path, body.clone(), named).await {
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

#[cfg(test)]
mod tests {
    use super::*;

    fn publish(data: Option<&str>) -> Publish {
        Publish {
            file: None,
            event_type: Some("t".to_owned()),
            source: "/s".to_owned(),
            id: Some("1".to_owned()),
            subject: None,
            data: data.map(str::to_owned),
        }
    }

    #[test]
    fn what_an_event_lacks_is_put_in_front_and_the_rest_stays_as_it_is() {
        let complete = |event: &str| publish(None).complete(event, 1);
        let all = r#""specversion":"1.0","id":"1","source":"/s","type":"t""#;
        assert_eq!(complete("{}"), Ok(format!("{{{all}}}")));
        let data = r#" "data" : {"big":123456789012345678901234567890,"f":1.10,"dup":1,"dup":2,"inf":1e400} }"#;
        assert_eq!(complete(&format!("{{{data}")), Ok(format!("{{{all},{data}")));
        // What is given twice is the server's to refuse.
        let whole = r#"{"specversion":"1.0","id":"a","id":"b","source":null,"\u0074ype":"t"}"#;
        assert_eq!(complete(whole).as_deref(), Ok(whole));
        for wrong in ["[]", "5", "\"a\""] {
            assert!(complete(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn data_is_json_as_it_is_written_or_else_text() {
        let complete = |data: &str| publish(Some(data)).complete("{}", 1).expect("it is an object");
        let deep = "[".repeat(event::limits::JSON_DEPTH_MAX) + &"]".repeat(event::limits::JSON_DEPTH_MAX);
        for json in ["{\"a\":1e400,\"a\":1.10}", "12345678901234567890123", &deep] {
            let event = complete(json);
            assert!(event.ends_with(&format!(",\"data\":{json}}}")), "{event}");
        }
        let event = complete("{a \"b\"");
        assert!(
            event.ends_with(r#","datacontenttype":"text/plain","data":"{a \"b\""}"#),
            "{event}"
        );
    }
}
