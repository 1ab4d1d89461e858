//! Patterns of the extended dialect, where a pattern of AWS's means the same: a pattern, a line feed, a JSON text.

use super::{Target, ending, halves, pattern::asked, texts};
use pattern::{Document, Filter, Mounts};

pub(super) const TARGET: Target = Target {
    name: "pattern_extended",
    run,
    samples,
};

fn run(input: &[u8]) -> u64 {
    let (json, data) = halves(input, "\n");
    let document = Document::bare(data);
    let strict = Filter::eventbridge(json, &Mounts::bare());
    let answer = match Filter::eventbridge_extended(json, &Mounts::bare()) {
        Ok(filter) => {
            let matched = filter.matches(&document);
            let is_plain = !json.windows(1).any(|byte| byte == b"$" || byte == b"\\");
            if let (Ok(strict), true) = (strict, is_plain) {
                assert_eq!(strict.matches(&document), matched);
            }
            Ok(asked(filter, &document, data))
        }
        Err(error) => {
            assert!(error.position <= json.len());
            Err((error.code as u8, (error.message.len() / 16).min(8)))
        }
    };
    ending(&answer)
}

fn samples() -> Vec<Vec<u8>> {
    texts(&[
        "{\"$and\":[{\"a\":[{\"prefix\":\"x\"}]},{\"a\":[{\"suffix\":\"y\"}]}],\"$not\":{\"b\":[1]}}\n{\"a\":\"xy\",\"b\":2}",
        "{\"$or\":[{\"$not\":{\"a\":[1],\"b\":[2]}},{\"c\":{\"$and\":[{\"d\":[3]}]}}]}\n{\"a\":1,\"b\":2,\"c\":{\"d\":3}}",
        "{\"a\":[{\"regex\":\"(?i)^a[b-d]*\\\\p{L}+$\"},{\"anything-but\":{\"regex\":[\"x\",\"y$\"]}}]}\n{\"a\":\"ABCz\"}",
        "{\"a\":[{\"wildcard\":{\"equals-ignore-case\":\"A*b*\\\\*c\"}}]}\n{\"a\":\"axxBx*C\"}",
    ])
}
