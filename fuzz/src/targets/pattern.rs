//! EventBridge patterns and the documents they are asked about: a pattern, a line feed, a JSON text.

use super::{Target, ending, halves, texts};
use pattern::{
    Data, DataState, Document, Explanation, Filter, FindingCode, Matcher, Mounts, Scratch, Surroundings, explain, lint,
    lint_text,
};
use serde::de::IgnoredAny;
use std::sync::Arc;

pub(super) const TARGET: Target = Target {
    name: "pattern",
    run,
    samples,
};

fn run(input: &[u8]) -> u64 {
    let (json, data) = halves(input, "\n");
    let mounts = Mounts::builder()
        .mount("detail", "/data")
        .mount("detail-type", "/attr/type")
        .mount("resources", "/ext/resources")
        .build();
    let text = std::str::from_utf8(data).unwrap_or("[\"x\"]");
    let mounted = Document::new()
        .text("/attr/type", "order.placed")
        .json_list("/ext/resources", text)
        .data(Data::Json(data));
    lint_text(json);
    check_well_formed(json, data);
    let answers = [(Mounts::bare(), Document::bare(data)), (mounts, mounted)].map(|(mounts, document)| {
        let filter = Filter::eventbridge(json, &mounts).map_err(|error| {
            assert!(error.position <= json.len());
            (error.code as u8, (error.message.len() / 16).min(8))
        })?;
        Ok::<_, (u8, usize)>(asked(filter, &document, data))
    });
    ending(&answers)
}

/// A text that is taken at its word harms nobody, and is read as what it is if the word is true.
fn check_well_formed(json: &[u8], data: &[u8]) {
    let Ok(filter) = Filter::eventbridge(json, &Mounts::bare()) else {
        return;
    };
    let matched = filter.matches(&Document::bare_well_formed(data));
    // Of a long text the rest is searched, not read, once every value has come.
    let long = [data, &[b' '; 128]].concat();
    let matched_long = filter.matches(&Document::bare_well_formed(&long));
    let explanation = explain(&filter, &Document::bare(data));
    let (matcher, mut ids) = (Matcher::build([(1, Arc::new(filter))]), Vec::new());
    matcher.matches(&Document::bare_well_formed(&long), &mut Scratch::new(), &mut ids);
    if matches!(explanation.data, DataState::Json) {
        assert_eq!(
            [matched, matched_long, !ids.is_empty()],
            [explanation.matched; 3],
            "a well-formed text is read like any other"
        );
    }
}

/// The answer, which is the same alone, among others and explained.
pub(super) fn asked(filter: Filter, document: &Document<'_>, data: &[u8]) -> (bool, usize, bool) {
    let explanation = explain(&filter, document);
    assert_eq!(explanation.matched, filter.matches(document));
    assert_eq!(explanation.first_reason().is_none(), explanation.matched);
    check_state(&explanation, data);
    check_findings(&filter, explanation.matched);
    let filter = Arc::new(filter);
    let everything = Arc::new(Filter::everything());
    let both = Arc::new(Filter::all_of(vec![(*filter).clone(), (*filter).clone()]));
    let only = Matcher::build([(1, Arc::clone(&filter))]);
    let matcher = Matcher::build([(1, filter), (2, everything), (3, both)]);
    let mut ids = Vec::new();
    matcher.matches(document, &mut Scratch::new(), &mut ids);
    assert_eq!(ids, if explanation.matched { vec![1, 2, 3] } else { vec![2] });
    ids.clear();
    only.matches(document, &mut Scratch::new(), &mut ids);
    assert_eq!(ids, if explanation.matched { vec![1] } else { vec![] });
    let clauses = explanation.root.clauses.len().min(8);
    (
        explanation.matched,
        clauses,
        matches!(explanation.data, DataState::Json),
    )
}

/// What a lint calls certain holds.
fn check_findings(filter: &Filter, matched: bool) {
    let findings = lint(filter, &Surroundings::default());
    let says = |code| findings.iter().any(|finding| finding.code == code);
    assert!(!(matched && says(FindingCode::NeverMatches)), "{findings:?}");
    assert!(matched || !says(FindingCode::AlwaysMatches), "{findings:?}");
}

/// What filters see as JSON is JSON.
fn check_state(explanation: &Explanation, data: &[u8]) {
    match &explanation.data {
        DataState::Json => {
            let text = std::str::from_utf8(data).expect("JSON is UTF-8");
            let whole = serde_json::from_str::<IgnoredAny>(text);
            assert!(whole.is_ok(), "{whole:?}");
        }
        DataState::NotJson { position, .. } => assert!(*position <= data.len()),
        DataState::Absent => {}
    }
}

fn samples() -> Vec<Vec<u8>> {
    texts(&[
        "{\"detail\":{\"status\":[\"paid\",null,true,1.5e2,{\"prefix\":\"pa\"}]},\"detail-type\":[\"order.placed\"]}\n{\"status\":\"paid\"}",
        "{\"a\":[{\"numeric\":[\">\",0,\"<=\",5]}],\"b\":[{\"exists\":false}]}\n{\"a\":[1,{\"b\":2}],\"c\":\"\\ud83d\\ude00\\n\"}",
        "{\"$or\":[{\"a\":[1]},{\"b\":{\"c\":[{\"anything-but\":[\"x\",\"y\"]}]}}],\"d\":[{\"suffix\":\".png\"}]}\n{\"b\":{\"c\":\"z\"},\"d\":\"a.png\"}",
        "{\"a\":[{\"wildcard\":\"*b*\\\\*c\"},{\"equals-ignore-case\":\"\u{130}x\"},{\"anything-but\":{\"wildcard\":[\"a*\"]}}]}\n{\"a\":\"xbx*c\"}",
        "{\"ip\":[{\"cidr\":\"10.0.0.0/8\"},{\"cidr\":\"fd00::/8\"}],\"e\":{\"x\":[1],\"y\":[2]}}\n{\"ip\":\"10.1.2.3\",\"e\":[{\"x\":1},{\"x\":1,\"y\":2}]}",
        "{\"a.b\":[{\"prefix\":{\"equals-ignore-case\":\"Ab\"}},{\"anything-but\":{\"suffix\":\"x\"}},{\"anything-but\":5}]}\n{\"a\":{\"b\":\"aBc\"}}",
        "{\"resources\":[\"x\"],\"detail\":[5]}\n[4, 5, \"x\", -0.0, 12345678901234567890123, 1E400]",
    ])
}
