//! Amazon Kinesis Data Streams: events as records of `PutRecords`, up to five hundred in a request.

use super::{
    access::Call,
    answer::{Answer, Said},
    fill::{Bounds, Content, Entry, Grouping, Unfit, fill, group, quoted},
};
use base64::{Engine as _, engine::general_purpose::STANDARD};
use bytes::Bytes;
use control::resources::{KinesisConfig, MessageGroup, SubscriptionSpec};
use delivery::Member;
use serde::Deserialize;
use serde_json::{Value, json};

/// What Kinesis takes, of one record and of all in a request together, keys counted.
const RECORDS_BYTES_MAX: usize = 10 << 20;
const BOUNDS: Bounds = Bounds {
    entries: 500,
    bytes: RECORDS_BYTES_MAX,
    alone: RECORDS_BYTES_MAX,
};
const MEDIA_TYPE: &str = "application/x-amz-json-1.1";

/// Events as records, for one subscription.
pub(super) struct Writer {
    /// The name of the stream's field, and the stream.
    stream: (&'static str, String),
    content: Content,
    group: Grouping,
}

impl Writer {
    pub(super) fn new(config: &KinesisConfig, subscription: &SubscriptionSpec) -> Result<Writer, String> {
        Ok(Writer {
            stream: stream(config),
            content: Content::of(&subscription.target),
            group: Grouping::of(&subscription.target)?,
        })
    }

    pub(super) fn write(&self, members: &[Member<'_>]) -> Result<(Call, usize), Unfit> {
        let mut body = format!(r#"{{"{}":"#, self.stream.0).into_bytes();
        quoted(&self.stream.1, &mut body);
        body.extend_from_slice(br#","Records":["#);
        let sent = fill(BOUNDS, members, b",", &mut body, |_, member| Ok(self.entry(member)))?;
        body.extend_from_slice(b"]}");
        Ok((call("Kinesis_20131202.PutRecords", Bytes::from(body)), sent))
    }

    fn entry(&self, member: &Member<'_>) -> Entry {
        let data = self.content.bytes(member.event);
        let group = self.partition_key(member);
        let mut text = br#"{"Data":""#.to_vec();
        text.extend_from_slice(STANDARD.encode(&data).as_bytes());
        text.extend_from_slice(br#"","PartitionKey":"#);
        quoted(&group, &mut text);
        text.push(b'}');
        Entry {
            text,
            size: data.len() + group.len(),
        }
    }

    /// An event without a key goes anywhere, not where all of its source go.
    fn partition_key(&self, member: &Member<'_>) -> String {
        match (&self.group, member.key()) {
            (Grouping::By(MessageGroup::Key), None) => group(MessageGroup::Event, member),
            (grouping, _) => grouping.text(member),
        }
    }

    /// What is said of each record, in their order.
    pub(super) fn read(answer: &Answer, sent: usize) -> Result<Vec<Option<Said>>, &'static str> {
        #[derive(Deserialize)]
        #[serde(rename_all = "PascalCase")]
        struct Body {
            records: Vec<One>,
        }
        #[derive(Deserialize)]
        #[serde(rename_all = "PascalCase")]
        struct One {
            sequence_number: Option<String>,
            error_code: Option<String>,
            error_message: Option<String>,
        }
        let body: Body = serde_json::from_slice(&answer.body).map_err(|_| "it is not what PutRecords answers")?;
        if body.records.len() != sent {
            return Err("it does not speak of each record once");
        }
        let said = |one: One| match (one.error_code, one.sequence_number) {
            (None, Some(_)) => None,
            (code, _) => Some(Said {
                // The older name of the same thing, which the service still uses for records.
                code: match code.as_deref() {
                    Some("InternalFailure") => "InternalFailureException".to_owned(),
                    _ => code.unwrap_or_default(),
                },
                message: one.error_message.unwrap_or_default(),
                is_senders_fault: false,
            }),
        };
        Ok(body.records.into_iter().map(said).collect())
    }

    /// Looks for the stream.
    pub(super) fn probe(config: &KinesisConfig) -> Call {
        let (field, stream) = stream(config);
        let mut body = json!({});
        body[field] = Value::from(stream);
        call("Kinesis_20131202.DescribeStreamSummary", Bytes::from(body.to_string()))
    }
}

fn stream(config: &KinesisConfig) -> (&'static str, String) {
    let field = if config.stream.starts_with("arn:") {
        "StreamARN"
    } else {
        "StreamName"
    };
    (field, config.stream.clone())
}

fn call(target: &'static str, body: Bytes) -> Call {
    Call {
        target: Some(target),
        path: "/".to_owned(),
        media_type: MEDIA_TYPE,
        headers: Vec::new(),
        body,
    }
}
