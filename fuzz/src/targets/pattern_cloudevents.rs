//! Filters of the CloudEvents Subscriptions API and the events they are asked about: filters, a line feed, the subject.

use super::{Target, ending, halves, pattern::asked, texts};
use pattern::{Dialect, Document, Filter};

pub(super) const TARGET: Target = Target {
    name: "pattern_cloudevents",
    run,
    samples,
};

fn run(input: &[u8]) -> u64 {
    let (filters, subject) = halves(input, "\n");
    let document = Document::new()
        .text("/attr/type", "order.placed")
        .text("/attr/source", "/shop")
        .text("/attr/subject", std::str::from_utf8(subject).unwrap_or("x"));
    let answer = match Filter::cloudevents(filters, Dialect::Standard) {
        Ok(filter) => Ok(asked(filter, &document, b"")),
        Err(error) => {
            assert!(error.position <= filters.len());
            Err((error.code as u8, (error.message.len() / 16).min(8)))
        }
    };
    ending(&answer)
}

fn samples() -> Vec<Vec<u8>> {
    texts(&[
        "[{\"exact\":{\"type\":\"order.placed\",\"source\":\"/shop\"}},{\"prefix\":{\"subject\":\"a\"}}]\nab",
        "[{\"all\":[{\"suffix\":{\"subject\":\"b\"}},{\"not\":{\"exact\":{\"ext\":\"x\"}}}]}]\nab",
        "[{\"any\":[{\"sql\":\"subject LIKE 'a%' AND ext = 1\"},{\"all\":[{\"exact\":{\"type\":\"x\"}},{\"any\":[{\"prefix\":{\"type\":\"o\"}}]}]}]}]\nab",
        "[{\"not\":{\"not\":{\"any\":[{\"exact\":{\"subject\":\"ab\"}},{\"exact\":{\"subject\":\"\\u00e9\"}}]}}}]\n\u{e9}",
        "[]\n",
    ])
}
