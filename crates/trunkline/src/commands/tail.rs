//! `trunkline tail`: events as they come, a line each. A connection that breaks is made again where it stopped.

use crate::{
    answer::Answer,
    client::{Client, segment},
    exit::{Code, Failure},
    output::{Output, printable, say},
};
use control::counted;
use serde_json::Value;
use std::{path::Path, time::Duration};

/// The server says something at least every 15 s.
const SILENCE_MAX: Duration = Duration::from_secs(45);
/// Before a lost connection is made again.
const RETRY_WAIT: Duration = Duration::from_secs(2);
/// Bytes of one event with what is around it: far above the largest.
const EVENT_BYTES_MAX: usize = 16 << 20;
/// Characters of an event's data in a line for people.
const DATA_CHARS_MAX: usize = 200;

/// Print events as they come.
#[derive(Debug, clap::Args)]
pub struct Tail {
    /// Only these event types, with `*` as in a subscription; repeatable, or separated by commas.
    #[arg(long, value_delimiter = ',', value_name = "TYPE")]
    pub types: Vec<String>,
    /// Only these topics; repeatable, or separated by commas. Absent: the whole bus, each event once.
    #[arg(long, value_delimiter = ',', value_name = "TOPIC")]
    pub topics: Vec<String>,
    /// Only what this filter matches: a file, or the JSON itself, as in a subscription: '{"cesql": "…"}'.
    #[arg(long, value_name = "FILE|TEXT")]
    pub filter: Option<String>,
    /// Since when: now, earliest, a time such as 2026-01-31T12:00:00Z, or with one topic PARTITION:OFFSET,….
    #[arg(long, value_name = "START", default_value = "now")]
    pub from: String,
    /// End after so many events.
    #[arg(long, value_name = "N")]
    pub count: Option<u64>,
}

impl Tail {
    /// Prints until it is interrupted, nobody reads, or `--count` events have come.
    pub async fn run(self, client: &Client, output: Output) -> Result<(), Failure> {
        let mut following = Following {
            path: self.path(client.bus())?,
            last: None,
            left: self.count,
            output,
        };
        let mut has_begun = false;
        while following.goes_on() {
            match following.once(client, &mut has_begun).await {
                Ok(()) => {}
                Err(failure) if has_begun && matches!(failure.code, Code::Unreachable | Code::Busy) => {
                    say!("trunkline: {}; trying again", failure.message);
                }
                Err(failure) => return Err(failure),
            }
            if following.goes_on() {
                tokio::time::sleep(RETRY_WAIT).await;
            }
        }
        Ok(())
    }

    fn path(&self, bus: &str) -> Result<String, Failure> {
        let mut path = format!("/v1/buses/{}/events:tail?from={}", segment(bus), segment(&self.from));
        for (name, list) in [("types", &self.types), ("topics", &self.topics)] {
            if !list.is_empty() {
                path.push_str(&format!("&{name}={}", segment(&list.join(","))));
            }
        }
        if let Some(filter) = &self.filter {
            path.push_str(&format!("&filter={}", segment(&text(filter)?)));
        }
        Ok(path)
    }
}

/// A filter as it is given, or the file that holds it.
fn text(filter: &str) -> Result<String, Failure> {
    if filter.trim_start().starts_with('{') {
        return Ok(filter.to_owned());
    }
    std::fs::read_to_string(Path::new(filter)).map_err(|error| {
        Failure::new(Code::Usage, format!("cannot read the filter {filter:?}: {error}"))
            .hint("give a file, or JSON such as '{\"cesql\": \"type = \\\"t\\\"\"}'")
    })
}

/// A tail over several connections.
struct Following {
    path: String,
    last: Option<String>,
    left: Option<u64>,
    output: Output,
}

/// Lines of one server-sent event.
#[derive(Default)]
struct Sent {
    name: String,
    data: Vec<u8>,
}

impl Following {
    /// Whether more is to come, and somebody reads it.
    fn goes_on(&self) -> bool {
        self.left != Some(0) && self.output.is_open()
    }

    /// One connection, until it ends.
    async fn once(&mut self, client: &Client, has_begun: &mut bool) -> Result<(), Failure> {
        let mut head = client.open(&self.path, self.last.as_deref()).await?;
        *has_begun = true;
        let lost = |error| Failure::new(Code::Unreachable, format!("the connection was lost: {error}"));
        let (mut pending, mut sent) = (Vec::new(), Sent::default());
        while let Some(bytes) = head.next(SILENCE_MAX).await.map_err(lost)? {
            pending.extend_from_slice(&bytes);
            let Some(end) = pending.iter().rposition(|byte| *byte == b'\n') else {
                continue;
            };
            let rest = pending.split_off(end + 1);
            for line in std::mem::replace(&mut pending, rest).split(|byte| *byte == b'\n') {
                self.line(line, &mut sent)?;
                if !self.goes_on() {
                    return Ok(());
                }
            }
            if pending.len() + sent.data.len() > EVENT_BYTES_MAX {
                return Err(Failure::new(Code::Failed, "the server sent an event that is too large"));
            }
        }
        Err(Failure::new(Code::Unreachable, "the server ended the tail"))
    }

    fn line(&mut self, line: &[u8], sent: &mut Sent) -> Result<(), Failure> {
        if line.is_empty() {
            return self.dispatch(std::mem::take(sent));
        }
        let value = |name: &[u8]| line.strip_prefix(name);
        if let Some(id) = value(b"id: ") {
            self.last = Some(String::from_utf8_lossy(id).into_owned());
        } else if let Some(name) = value(b"event: ") {
            sent.name = String::from_utf8_lossy(name).into_owned();
        } else if let Some(data) = value(b"data: ") {
            sent.data.extend_from_slice(data);
            sent.data.push(b'\n');
        }
        Ok(())
    }

    fn dispatch(&mut self, sent: Sent) -> Result<(), Failure> {
        if sent.data.is_empty() || sent.name == "end" {
            return Ok(());
        }
        let unreadable = |reason| Failure::new(Code::Failed, format!("cannot read what the server sent: {reason}"));
        let shown = Answer::read(&sent.data).map_err(unreadable)?;
        if let Some(skipped) = shown["skipped"].as_u64().filter(|_| sent.name == "skipped") {
            say!(
                "trunkline: {} skipped: more came than was read, or is kept",
                counted(skipped, "event")
            );
            if self.output.is_json() {
                self.output.line(&shown.to_string());
            }
            return Ok(());
        }
        match self.output.is_json() {
            true => self.output.line(&shown.to_string()),
            false => self.output.line(&printable(&line(&shown))),
        }
        self.left = self.left.map(|left| left - 1);
        Ok(())
    }
}

/// An event for people: when, where, what, and the beginning of its data.
fn line(shown: &Value) -> String {
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    let event = &shown["event"];
    let data = match &event["data"] {
        Value::Null => text(&event["data_base64"]),
        data => text(data),
    };
    let mut cut: String = data.chars().take(DATA_CHARS_MAX).collect();
    if cut.len() < data.len() {
        cut.push('…');
    }
    format!(
        "{}  {}/{}:{}  {}  {}  {}  {cut}",
        text(&shown["received"]),
        text(&shown["topic"]),
        shown["partition"],
        shown["offset"],
        text(&event["type"]),
        text(&event["source"]),
        text(&event["id"]),
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn an_event_is_a_line_with_its_place_and_the_beginning_of_its_data() {
        let shown = json!({"topic": "orders", "partition": 3, "offset": 7, "received": "2026-01-02T03:04:05.678Z",
            "event": {"type": "t", "source": "/s", "id": "1", "data": {"n": 1, "text": "x".repeat(300)}}});
        let shown = shown.to_string().replace("\"n\":1", "\"n\":1e400");
        let line = line(&Answer::read(shown.as_bytes()).expect("it is read"));
        assert!(
            line.starts_with("2026-01-02T03:04:05.678Z  orders/3:7  t  /s  1  {\"n\":1e400,\"text\":\"xxx"),
            "{line}"
        );
        assert!(line.ends_with("x…"), "{line}");
    }

    #[test]
    fn what_is_asked_for_is_in_the_path() {
        let tail = Tail {
            types: vec!["a.*".into(), "b".into()],
            topics: vec![],
            filter: Some(r#"{"cesql": "TRUE"}"#.into()),
            from: "earliest".into(),
            count: None,
        };
        let path = tail.path("my bus").expect("the filter is text");
        assert_eq!(
            path,
            "/v1/buses/my%20bus/events:tail?from=earliest&types=a%2E%2A%2Cb&filter=%7B%22cesql%22%3A%20%22TRUE%22%7D"
        );
        assert!(text("no such file").is_err());
    }
}
