//! A filter and what it is asked about, as the command line gives them; answered here, or by the server where only it knows.

use super::{filter_files, test::nothing_asked};
use crate::{
    answer::Answer,
    client::{Client, segment},
    event_files::{self, Item},
    exit::{Code, Failure},
};
use bytes::Bytes;
use control::resources::FilterSpec;
use delivery::{Inquiry, Subject};
use http::Method;
use serde::Serialize;
use serde_json::{Value, json, value::RawValue};
use std::{path::PathBuf, time::SystemTime};

/// Events that are held at once: as samples of a lint.
pub const SUBJECTS_MAX: usize = 1_000;
/// Events in one question to the server, which takes so many.
const QUESTION_EVENTS: usize = 200;

/// Which filter, and about what.
#[derive(Debug, clap::Args)]
pub struct Question {
    /// The filter: an EventBridge pattern, a subscription's `filter`, or a subscription, in JSON or YAML; or an expression.
    #[arg(short, long, value_name = "FILE", conflicts_with = "subscription")]
    pub filter: Option<PathBuf>,
    /// The language of the filter's file, where the file does not say.
    #[arg(long, value_name = "LANGUAGE", requires = "filter")]
    pub language: Option<filter_files::Language>,
    /// The filter may use Trunkline's additions to its language.
    #[arg(long, requires = "filter")]
    pub extended: bool,
    /// The filter of this subscription, as the server has it.
    #[arg(long, value_name = "NAME")]
    pub subscription: Option<String>,
    /// Events as JSON, an array or one a line: CloudEvents, or documents that are none; `-` is standard input.
    #[arg(value_name = "EVENTS")]
    pub events: Option<PathBuf>,
    /// The server's last N events as well.
    #[arg(long, value_name = "N")]
    pub last: Option<usize>,
}

/// A question as the server takes it.
#[derive(Serialize)]
struct Asked<'a> {
    #[serde(skip_serializing_if = "Option::is_none")]
    subscription: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    types: Option<&'a [String]>,
    #[serde(skip_serializing_if = "Option::is_none")]
    filter: Option<&'a FilterSpec>,
    events: &'a [Box<RawValue>],
    #[serde(skip_serializing_if = "Option::is_none")]
    last: Option<usize>,
    #[serde(skip_serializing_if = "Option::is_none")]
    schema: Option<&'a Value>,
}

impl Question {
    /// Whether only the server can answer.
    pub fn is_for_the_server(&self) -> bool {
        self.subscription.is_some() || self.last.is_some()
    }

    /// The answers about the events, one for each.
    pub async fn results(
        &self,
        verb: &str,
        client: &impl Fn() -> Result<Client, Failure>,
    ) -> Result<Vec<Value>, Failure> {
        if self.filter.is_none() && self.subscription.is_none() {
            return Err(nothing_asked());
        }
        if self.is_for_the_server() {
            let answer = self.ask(verb, None, &client()?).await?;
            return Ok(answer["results"].as_array().cloned().unwrap_or_default());
        }
        let inquiry = self.inquiry()?;
        let results = self.subjects()?.enumerate();
        results
            .map(|(index, subject)| answer(verb, &inquiry, index, &subject?))
            .collect()
    }

    /// Asks the server.
    pub async fn ask(&self, verb: &str, schema: Option<&Value>, client: &Client) -> Result<Answer, Failure> {
        let given = self.filter_given()?;
        let events: Vec<Box<RawValue>> = match &self.events {
            Some(file) => event_files::read(file)?
                .map(|item| item.map(|item| item.text))
                .collect::<Result<_, _>>()?,
            None => Vec::new(),
        };
        if events.len() > QUESTION_EVENTS {
            let message = format!(
                "the server takes at most {QUESTION_EVENTS} events at once; without --last and --subscription there is no bound"
            );
            return Err(Failure::new(Code::Usage, message));
        }
        let asked = Asked {
            subscription: self.subscription.as_deref(),
            types: given.as_ref().and_then(|given| given.types.as_deref()),
            filter: given.as_ref().and_then(|given| given.filter.as_ref()),
            events: &events,
            last: self.last,
            schema,
        };
        let body = serde_json::to_vec(&asked).map_err(|error| Failure::new(Code::Usage, error.to_string()))?;
        let path = format!("/v1/buses/{}/patterns:{verb}", segment(client.bus()));
        client.send(Method::POST, &path, Some(("application/json", body))).await
    }

    /// The filter, compiled here.
    pub fn inquiry(&self) -> Result<Inquiry, Failure> {
        let given = self.filter_given()?.ok_or_else(nothing_asked)?;
        Inquiry::of(given.types.as_deref(), given.filter.as_ref()).map_err(|refusal| {
            let Some(place) = refusal.in_text else {
                return Failure::new(Code::Usage, refusal.detail);
            };
            let (line, column) = (place.position.line, place.position.column);
            let message = format!("{} (line {line}, column {column} of the filter)", refusal.detail);
            let failure = Failure::new(Code::Usage, message);
            match place.suggestion {
                Some(suggestion) => failure.hint(suggestion),
                None => failure,
            }
        })
    }

    fn filter_given(&self) -> Result<Option<filter_files::Given>, Failure> {
        let read = |file: &PathBuf| filter_files::read(file, self.language, self.extended);
        self.filter.as_ref().map(read).transpose()
    }

    /// The events of the file, one after the other.
    pub fn subjects(&self) -> Result<impl Iterator<Item = Result<Subject, Failure>> + use<>, Failure> {
        let usage = || Failure::new(Code::Usage, "give a file of events, or - for standard input");
        let file = self.events.clone().ok_or_else(usage)?;
        let (items, now) = (event_files::read(&file)?, now());
        Ok(items.map(move |item| {
            let Item { text, place } = item?;
            let wrong = |error| Failure::new(Code::Usage, format!("{}: {place}: {error}", file.display()));
            Subject::read(Bytes::from(text.get().to_owned()), now).map_err(wrong)
        }))
    }
}

/// What the filter says about one event, as the server would.
fn answer(verb: &str, inquiry: &Inquiry, index: usize, subject: &Subject) -> Result<Value, Failure> {
    let explanation = inquiry
        .explain(subject)
        .map_err(|reason| Failure::new(Code::Usage, format!("event {}: {reason}", index + 1)))?;
    let mut result = match subject {
        Subject::Event(event, _) => json!({"index": index, "id": event.id(), "source": event.source()}),
        Subject::Document(_) => json!({"index": index}),
    };
    result["matched"] = explanation.matched.into();
    if verb == "explain" {
        if let Some(reason) = explanation.first_reason() {
            result["reason"] = reason.into();
        }
        result["explanation"] = json!(explanation);
    }
    Ok(result)
}

/// What an answer is about, in words.
pub fn shown_name(result: &Value) -> String {
    match (result["id"].as_str(), result["source"].as_str()) {
        (Some(id), Some(source)) => format!("{id} ({source})"),
        _ => format!("document {}", result["index"].as_u64().unwrap_or_default() + 1),
    }
}

/// Fails unless all match.
pub fn verdict(results: &[Value]) -> Result<(), Failure> {
    let missed = results.iter().filter(|result| result["matched"] != true).count();
    match missed {
        0 => Ok(()),
        missed => Err(Failure::new(
            Code::Failed,
            format!("not matched: {missed} of {}", results.len()),
        )),
    }
}

/// Milliseconds since 1970.
fn now() -> i64 {
    let since = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH);
    since.map_or(0, |since| i64::try_from(since.as_millis()).unwrap_or(i64::MAX))
}
