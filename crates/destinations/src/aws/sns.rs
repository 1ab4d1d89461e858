//! Amazon SNS: events as messages of `PublishBatch`, up to ten in a request. The query protocol: a form goes, XML comes.

use super::{
    access::Call,
    answer::{Answer, Said},
    fill::{Bounds, Content, Entry, Unfit, fill, group},
    sqs::by_id,
    xml,
};
use bytes::Bytes;
use control::resources::{MessageGroup, SnsConfig, SubscriptionSpec, TargetMode};
use delivery::Member;
use url::form_urlencoded;

/// What a topic takes of one request unless it was raised; of one message alone, what it can be raised to.
const BOUNDS: Bounds = Bounds {
    entries: 10,
    bytes: 256 << 10,
    alone: 1 << 20,
};
const MEDIA_TYPE: &str = "application/x-www-form-urlencoded";
const VERSION: &str = "Version=2010-03-31";

/// Events as messages, for one subscription.
pub(super) struct Writer {
    topic: String,
    content: Content,
    /// In a FIFO topic.
    group: Option<MessageGroup>,
}

impl Writer {
    pub(super) fn new(config: &SnsConfig, subscription: &SubscriptionSpec) -> Writer {
        let target = &subscription.target;
        let by = target.group.unwrap_or(MessageGroup::Key);
        Writer {
            topic: config.topic.clone(),
            content: match target.mode {
                Some(TargetMode::Data) => Content::Data,
                _ => Content::Structured,
            },
            group: config.topic.ends_with(".fifo").then_some(by),
        }
    }

    pub(super) fn write(&self, members: &[Member<'_>]) -> Result<(Call, usize), Unfit> {
        let mut body = form("PublishBatch", &self.topic);
        body.push(b'&');
        let sent = fill(BOUNDS, members, b"&", &mut body, |index, member| {
            self.entry(index, member)
        })?;
        Ok((call(body), sent))
    }

    fn entry(&self, index: usize, member: &Member<'_>) -> Result<Entry, Unfit> {
        let message = self.content.text(member.event)?;
        let mut fields = form_urlencoded::Serializer::new(String::with_capacity(message.len() * 2));
        let name = |field: &str| format!("PublishBatchRequestEntries.member.{}.{field}", index + 1);
        fields.append_pair(&name("Id"), &index.to_string());
        fields.append_pair(&name("Message"), &message);
        if let Some(by) = self.group {
            fields.append_pair(&name("MessageGroupId"), &group(by, member));
            fields.append_pair(&name("MessageDeduplicationId"), member.message_id);
        }
        Ok(Entry {
            text: fields.finish().into_bytes(),
            size: message.len(),
        })
    }

    /// What is said of each entry, in their order.
    pub(super) fn read(answer: &Answer, sent: usize) -> Result<Vec<Option<Said>>, &'static str> {
        let entries = xml::publish_batch(&answer.body).ok_or("it is not what PublishBatch answers")?;
        by_id(sent, entries.taken.into_iter(), entries.failed.into_iter())
    }

    /// Looks for the topic.
    pub(super) fn probe(config: &SnsConfig) -> Call {
        call(form("GetTopicAttributes", &config.topic))
    }
}

fn form(action: &str, topic: &str) -> Vec<u8> {
    let mut fields = form_urlencoded::Serializer::new(format!("Action={action}&{VERSION}"));
    fields.append_pair("TopicArn", topic);
    fields.finish().into_bytes()
}

fn call(body: Vec<u8>) -> Call {
    Call {
        target: None,
        path: "/".to_owned(),
        media_type: MEDIA_TYPE,
        headers: Vec::new(),
        body: Bytes::from(body),
    }
}
