//! Amazon SNS: events as messages of `PublishBatch`, up to ten in a request. The query protocol: a form goes, XML comes.

use super::{
    access::Call,
    answer::{Answer, Said},
    attributes::Attributes,
    fill::{Bounds, Content, Entry, Grouping, Unfit, fill},
    sqs::by_id,
    xml,
};
use bytes::Bytes;
use control::resources::{SnsConfig, SubscriptionSpec};
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
    group: Option<Grouping>,
    attributes: Attributes,
}

impl Writer {
    pub(super) fn new(config: &SnsConfig, subscription: &SubscriptionSpec) -> Result<Writer, String> {
        let target = &subscription.target;
        let is_fifo = config.topic.ends_with(".fifo");
        Ok(Writer {
            topic: config.topic.clone(),
            content: Content::of(target),
            group: is_fifo.then(|| Grouping::of(target)).transpose()?,
            attributes: Attributes::of(target),
        })
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
        if let Some(grouping) = &self.group {
            fields.append_pair(&name("MessageGroupId"), &grouping.text(member));
            fields.append_pair(&name("MessageDeduplicationId"), member.message_id);
        }
        let attributes = self.attributes.list(member.event);
        for (number, one) in attributes.iter().enumerate() {
            let part = |part: &str| name(&format!("MessageAttributes.entry.{}.{part}", number + 1));
            fields.append_pair(&part("Name"), &one.name);
            fields.append_pair(&part("Value.DataType"), one.kind);
            fields.append_pair(&part("Value.StringValue"), &one.value);
        }
        Ok(Entry {
            text: fields.finish().into_bytes(),
            size: message.len() + Attributes::size(&attributes),
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
