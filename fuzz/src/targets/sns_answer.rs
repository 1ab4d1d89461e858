//! What SNS (or whoever stands in its place) answers: whatever it is, reading ends, and what is read comes back when it is
//! written.

use super::{Target, ending, texts};
use destinations::aws::{
    Said,
    xml::{Entries, error, publish_batch},
};

pub(super) const TARGET: Target = Target {
    name: "sns_answer",
    run,
    samples,
};

fn run(input: &[u8]) -> u64 {
    let entries = publish_batch(input);
    if let Some(entries) = &entries
        && written_as_it_is(entries)
    {
        assert_eq!(publish_batch(&written(entries)).as_ref(), Some(entries), "it comes back");
    }
    let counts = entries.map(|entries| (entries.taken.len().min(8), entries.failed.len().min(8)));
    ending(&(counts, error(input).map(|said| (said.code.is_empty(), said.is_senders_fault))))
}

/// Space around a text is lost to nobody but this comparison; an entry that says nothing is written as one that has no texts.
fn written_as_it_is(entries: &Entries) -> bool {
    let said = |said: &Said| [said.code.clone(), said.message.clone()];
    let failed = entries.failed.iter().flat_map(|(id, of_one)| {
        let [code, message] = said(of_one);
        [id.clone(), code, message]
    });
    let legal = |text: &str| !text.chars().any(|one| (one.is_control() && one != '\n') || one > '\u{fffd}');
    entries.taken.iter().cloned().chain(failed).all(|text| legal(&text))
}

fn written(entries: &Entries) -> Vec<u8> {
    let mut text = String::from("<PublishBatchResponse><PublishBatchResult><Successful>");
    for id in &entries.taken {
        text.push_str(&format!("<member><Id>{}</Id></member>", escaped(id)));
    }
    text.push_str("</Successful><Failed>");
    for (id, said) in &entries.failed {
        text.push_str(&format!(
            "<member><Id>{}</Id><Code>{}</Code><Message>{}</Message><SenderFault>{}</SenderFault></member>",
            escaped(id),
            escaped(&said.code),
            escaped(&said.message),
            said.is_senders_fault
        ));
    }
    text.push_str("</Failed></PublishBatchResult></PublishBatchResponse>");
    text.into_bytes()
}

fn escaped(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;")
}

fn samples() -> Vec<Vec<u8>> {
    texts(&[
        r#"<?xml version="1.0"?><PublishBatchResponse xmlns="http://sns.amazonaws.com/doc/2010-03-31/"><PublishBatchResult><Successful><member><MessageId>m-1</MessageId><Id>0</Id></member></Successful><Failed><member><Id>1</Id><Code>InvalidParameter</Code><Message>a &lt;b&gt; &amp;lt;</Message><SenderFault>true</SenderFault></member></Failed></PublishBatchResult><ResponseMetadata><RequestId>r</RequestId></ResponseMetadata></PublishBatchResponse>"#,
        "<ErrorResponse><Error><Type>Sender</Type><Code>NotFound</Code><Message>Topic does not exist</Message></Error></ErrorResponse>",
        "<ErrorResponse><Errors><Error><Code><![CDATA[InvalidClientTokenId]]></Code></Error></Errors></ErrorResponse>",
        "<PublishBatchResponse><PublishBatchResult><Failed><member/></Failed></PublishBatchResult></PublishBatchResponse>",
        "<a><b></a></b>",
    ])
}
