//! Lists of event types with `*`: lines of types, the last of them the type that is asked about.

use super::{Target, ending, texts};
use pattern::{Document, Filter};

pub(super) const TARGET: Target = Target {
    name: "pattern_types",
    run,
    samples,
};

/// The plain comparison below takes time in proportion to both lengths.
const LENGTH_MAX: usize = 4_096;

fn run(input: &[u8]) -> u64 {
    let text = String::from_utf8_lossy(&input[..input.len().min(LENGTH_MAX)]);
    let (types, asked) = text.rsplit_once('\n').unwrap_or((&text, ""));
    let types: Vec<&str> = types.split('\n').collect();
    let Ok(filter) = Filter::types(&types) else {
        return ending(&"refused");
    };
    let matched = filter.matches(&Document::new().text("/attr/type", asked));
    let fitting = types
        .iter()
        .filter(|name| fits(name.as_bytes(), asked.as_bytes()))
        .count();
    assert_eq!(matched, fitting > 0, "{types:?} {asked:?}");
    ending(&(fitting.min(4), text.matches('*').count().min(8), asked.len().min(16)))
}

/// Whether a name with `*` covers a text: the slow and obvious way, a row of a table per character.
fn fits(name: &[u8], text: &[u8]) -> bool {
    let mut row = vec![false; text.len() + 1];
    row[0] = true;
    for byte in name {
        let mut next = vec![false; text.len() + 1];
        for at in 0..=text.len() {
            next[at] = match byte {
                b'*' => row[at] || (at > 0 && next[at - 1]),
                _ => at > 0 && row[at - 1] && text[at - 1] == *byte,
            };
        }
        row = next;
    }
    row[text.len()]
}

fn samples() -> Vec<Vec<u8>> {
    texts(&[
        "com.example.*\norder.placed\ncom.example.order",
        "*a*b*\n\u{e9}*\nxaab",
        "*\na",
        "**a*a*a\naaaa",
    ])
}
