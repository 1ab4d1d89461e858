//! Amazon SQS: events as messages of `SendMessageBatch`, up to ten in a request.

use super::{
    access::Call,
    answer::{Answer, Said},
    attributes::{Attribute, Attributes},
    fill::{Bounds, Content, Entry, Grouping, Unfit, fill, quoted},
};
use bytes::Bytes;
use control::resources::{SqsConfig, SubscriptionSpec};
use delivery::Member;
use serde::Deserialize;
use serde_json::json;

/// What SQS takes, of one message and of all in a request together.
const MESSAGES_BYTES_MAX: usize = 1 << 20;
const BOUNDS: Bounds = Bounds {
    entries: 10,
    bytes: MESSAGES_BYTES_MAX,
    alone: MESSAGES_BYTES_MAX,
};
const MEDIA_TYPE: &str = "application/x-amz-json-1.0";

/// Events as messages, for one subscription.
pub(super) struct Writer {
    queue: String,
    content: Content,
    /// In a FIFO queue.
    group: Option<Grouping>,
    attributes: Attributes,
}

impl Writer {
    pub(super) fn new(config: &SqsConfig, subscription: &SubscriptionSpec) -> Result<Writer, String> {
        let target = &subscription.target;
        let is_fifo = config.queue.ends_with(".fifo");
        Ok(Writer {
            queue: config.queue.clone(),
            content: Content::of(target),
            group: is_fifo.then(|| Grouping::of(target)).transpose()?,
            attributes: Attributes::of(target),
        })
    }

    pub(super) fn write(&self, members: &[Member<'_>]) -> Result<(Call, usize), Unfit> {
        let mut body = br#"{"QueueUrl":"#.to_vec();
        quoted(&self.queue, &mut body);
        body.extend_from_slice(br#","Entries":["#);
        let sent = fill(BOUNDS, members, b",", &mut body, |index, member| {
            self.entry(index, member)
        })?;
        body.extend_from_slice(b"]}");
        Ok((call("AmazonSQS.SendMessageBatch", Bytes::from(body)), sent))
    }

    fn entry(&self, index: usize, member: &Member<'_>) -> Result<Entry, Unfit> {
        let message = self.content.text(member.event)?;
        let mut text = format!(r#"{{"Id":"{index}","MessageBody":"#).into_bytes();
        quoted(&message, &mut text);
        if let Some(grouping) = &self.group {
            text.extend_from_slice(br#","MessageGroupId":"#);
            quoted(&grouping.text(member), &mut text);
            text.extend_from_slice(br#","MessageDeduplicationId":"#);
            quoted(member.message_id, &mut text);
        }
        let attributes = self.attributes.list(member.event);
        if !attributes.is_empty() {
            text.extend_from_slice(br#","MessageAttributes":"#);
            quoted_attributes(&attributes, &mut text);
        }
        text.push(b'}');
        Ok(Entry {
            text,
            size: message.len() + Attributes::size(&attributes),
        })
    }

    /// What is said of each entry, in their order.
    pub(super) fn read(answer: &Answer, sent: usize) -> Result<Vec<Option<Said>>, &'static str> {
        #[derive(Deserialize)]
        #[serde(rename_all = "PascalCase")]
        struct Body {
            #[serde(default)]
            successful: Vec<Taken>,
            #[serde(default)]
            failed: Vec<Failed>,
        }
        #[derive(Deserialize)]
        #[serde(rename_all = "PascalCase")]
        struct Taken {
            id: String,
        }
        #[derive(Deserialize)]
        #[serde(rename_all = "PascalCase")]
        struct Failed {
            id: String,
            #[serde(default)]
            sender_fault: bool,
            code: String,
            message: Option<String>,
        }
        let body: Body = serde_json::from_slice(&answer.body).map_err(|_| "it is not what SendMessageBatch answers")?;
        let taken = body.successful.into_iter().map(|taken| taken.id);
        let failed = body.failed.into_iter().map(|failed| {
            let said = Said {
                code: failed.code,
                message: failed.message.unwrap_or_default(),
                is_senders_fault: failed.sender_fault,
            };
            (failed.id, said)
        });
        by_id(sent, taken, failed)
    }

    /// Looks for the queue.
    pub(super) fn probe(config: &SqsConfig) -> Call {
        let body = json!({"QueueUrl": config.queue, "AttributeNames": ["QueueArn"]}).to_string();
        call("AmazonSQS.GetQueueAttributes", Bytes::from(body))
    }
}

fn quoted_attributes(attributes: &[Attribute], out: &mut Vec<u8>) {
    let each = attributes.iter().map(|one| {
        let value = json!({"DataType": one.kind, "StringValue": one.value});
        (one.name.clone(), value)
    });
    let object: serde_json::Map<_, _> = each.collect();
    serde_json::to_writer(out, &object).expect("texts are written to memory");
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

/// What is said of each entry, which goes by its place as its id.
pub(super) fn by_id(
    sent: usize,
    taken: impl Iterator<Item = String>,
    failed: impl Iterator<Item = (String, Said)>,
) -> Result<Vec<Option<Said>>, &'static str> {
    const EACH: &str = "it does not speak of each entry once";
    let mut said: Vec<Option<Option<Said>>> = vec![None; sent];
    let all = taken
        .map(|id| (id, None))
        .chain(failed.map(|(id, said)| (id, Some(said))));
    for (id, of_one) in all {
        let place = id.parse::<usize>().ok().and_then(|index| said.get_mut(index));
        if place.ok_or(EACH)?.replace(of_one).is_some() {
            return Err(EACH);
        }
    }
    said.into_iter().collect::<Option<Vec<_>>>().ok_or(EACH)
}
