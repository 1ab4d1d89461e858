//! JSONPath queries and the texts they are asked about: a query, a line feed, a JSON text.

use super::{Target, ending, halves, pattern::asked, texts};
use pattern::{Data, Document, Filter};

pub(super) const TARGET: Target = Target {
    name: "pattern_jsonpath",
    run,
    samples,
};

fn run(input: &[u8]) -> u64 {
    let (query, data) = halves(input, "\n");
    let Ok(query) = std::str::from_utf8(query) else {
        return 0;
    };
    let document = Document::new().data(Data::Json(data));
    let answer = Filter::jsonpath(query)
        .map(|filter| asked(filter, &document, data))
        .map_err(|error| {
            assert!(error.position <= query.len() && query.is_char_boundary(error.position));
            (error.code as u8, (error.message.len() / 16).min(8))
        });
    ending(&answer)
}

fn samples() -> Vec<Vec<u8>> {
    texts(&[
        "$.a['b'][0, -1, 1:5:-2, *]..c\n{\"a\": {\"b\": [1, {\"c\": null}, [2]]}}",
        "$..[?@.a == 'x' && !(@.b < 1.5e2) || count(@.*) >= 2]\n[{\"a\": \"x\", \"b\": 200}, {\"c\": 1, \"d\": 2}]",
        "$[?match(@.t, 'a.c|[^x-z]+') || search(@.t, $[0].p)]\n[{\"p\": \"b+\"}, {\"t\": \"abc\"}]",
        "$[?length(@) == length(value($..x)) && @ != $[0]]['\\u00e9\\ud83d\\ude00', \"\\\"\"]\n[{\"x\": \"ab\"}, [1, 2]]",
        "$ [ ? $.a [ 'b' ] == @ ] .é\n{\"a\": {\"b\": {\"\\u00e9\": 1}}}",
    ])
}
