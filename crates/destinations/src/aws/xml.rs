//! As much XML as SNS and STS answer with: texts of elements, by their path. Pure; it reads what others wrote.

use super::answer::Said;
use std::borrow::Cow;
use xmlparser::{ElementEnd, Token, Tokenizer};

/// Elements in one another; what SNS sends has six.
const DEPTH_MAX: usize = 32;

/// The error of a whole request: `ErrorResponse/Error`, around which some services put `Errors`.
pub fn error(body: &[u8]) -> Option<Said> {
    let mut said = Said::default();
    let mut found = false;
    walk(body, |event| {
        if let Event::Text(path, text) = event {
            match path {
                ["ErrorResponse", .., "Error", "Code"] => (said.code, found) = (text, true),
                ["ErrorResponse", .., "Error", "Message"] => said.message = text,
                ["ErrorResponse", .., "Error", "Type"] => said.is_senders_fault = text == "Sender",
                _ => {}
            }
        }
    })?;
    found.then_some(said)
}

/// What `PublishBatch` says of its entries: the ids of those taken, and of each of the others what is wrong.
pub fn publish_batch(body: &[u8]) -> Option<Entries> {
    let mut entries = Entries::default();
    let (mut id, mut said) = (String::new(), Said::default());
    walk(body, |event| match event {
        Event::Text(["PublishBatchResponse", "PublishBatchResult", list, "member", field], text) => match *field {
            "Id" => id = text,
            "Code" if *list == "Failed" => said.code = text,
            "Message" if *list == "Failed" => said.message = text,
            "SenderFault" if *list == "Failed" => said.is_senders_fault = text == "true",
            _ => {}
        },
        Event::End(["PublishBatchResponse", "PublishBatchResult", list, "member"]) => {
            let (id, said) = (std::mem::take(&mut id), std::mem::take(&mut said));
            match *list {
                "Successful" => entries.taken.push(id),
                _ => entries.failed.push((id, said)),
            }
        }
        Event::Text(..) | Event::End(_) => {}
    })?;
    Some(entries)
}

/// What is said of entries, by their ids.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Entries {
    /// The ids of those that were taken.
    pub taken: Vec<String>,
    /// The others.
    pub failed: Vec<(String, Said)>,
}

enum Event<'a> {
    Text(&'a [&'a str], String),
    End(&'a [&'a str]),
}

/// Calls with each text and each end, with the names of the elements around them. `None`: it is no XML.
fn walk(body: &[u8], mut each: impl FnMut(Event<'_>)) -> Option<()> {
    let text = std::str::from_utf8(body).ok()?;
    let mut path: Vec<&str> = Vec::new();
    let mut seen = false;
    for token in Tokenizer::from(text) {
        match token.ok()? {
            Token::ElementStart { local, .. } => {
                if path.len() == DEPTH_MAX {
                    return None;
                }
                path.push(local.as_str());
                seen = true;
            }
            Token::ElementEnd {
                end: ElementEnd::Open, ..
            } => {}
            Token::ElementEnd { end, .. } => {
                if let ElementEnd::Close(_, name) = end
                    && path.last() != Some(&name.as_str())
                {
                    return None;
                }
                each(Event::End(&path));
                path.pop()?;
            }
            Token::Text { text } => each(Event::Text(&path, unescaped(text.as_str()).into_owned())),
            Token::Cdata { text, .. } => each(Event::Text(&path, text.as_str().to_owned())),
            _ => {}
        }
    }
    (seen && path.is_empty()).then_some(())
}

/// The five names that XML has by itself; anything else stays as it is.
fn unescaped(text: &str) -> Cow<'_, str> {
    match text.contains('&') {
        false => Cow::Borrowed(text),
        true => {
            let names = [
                ("&lt;", "<"),
                ("&gt;", ">"),
                ("&quot;", "\""),
                ("&apos;", "'"),
                ("&amp;", "&"),
            ];
            let text = names
                .iter()
                .fold(text.to_owned(), |text, (name, plain)| text.replace(name, plain));
            Cow::Owned(text)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_said_of_entries_is_read_by_their_ids() {
        let body = br#"<?xml version="1.0"?>
            <PublishBatchResponse xmlns="http://sns.amazonaws.com/doc/2010-03-31/"><PublishBatchResult>
              <Successful><member><MessageId>m-1</MessageId><Id>0</Id></member></Successful>
              <Failed><member><Id>1</Id><Code>InvalidParameter</Code><Message>a &lt;b&gt; &amp;lt;</Message><SenderFault>true</SenderFault></member>
              <member><Id>2</Id><Code>InternalError</Code><SenderFault>false</SenderFault></member></Failed>
            </PublishBatchResult><ResponseMetadata><RequestId>r</RequestId></ResponseMetadata></PublishBatchResponse>"#;
        let entries = publish_batch(body).expect("it is XML");
        assert_eq!(entries.taken, ["0"]);
        let [(one, invalid), (two, internal)] = &entries.failed[..] else {
            panic!("two failed: {entries:?}")
        };
        assert_eq!((one.as_str(), two.as_str()), ("1", "2"));
        assert_eq!(
            (invalid.message.as_str(), invalid.is_senders_fault),
            ("a <b> &lt;", true)
        );
        assert_eq!(
            (internal.code.as_str(), internal.is_senders_fault),
            ("InternalError", false)
        );
    }

    #[test]
    fn what_is_no_xml_says_nothing() {
        let deep = "<a>".repeat(40) + &"</a>".repeat(40);
        for body in ["", "{}", "<a>", "<a></b>", "</a>", "text", deep.as_str()] {
            assert!(
                publish_batch(body.as_bytes()).is_none() && error(body.as_bytes()).is_none(),
                "{body}"
            );
        }
        assert_eq!(publish_batch(b"<html></html>"), Some(Entries::default()));
    }
}
