//! Many filters in one matcher: answers, ids, and changes that leave the old set as it was.

use std::sync::Arc;

use pattern::{Data, Document, Filter, Matcher, MatcherBuilder, Mounts, Scratch};

use crate::bare;

fn ids(matcher: &Matcher<u32>, event: &str) -> Vec<u32> {
    let mut out = Vec::new();
    matcher.matches(&Document::bare(event.as_bytes()), &mut Scratch::new(), &mut out);
    out
}

fn filter(pattern: &str) -> Arc<Filter> {
    Arc::new(bare(pattern))
}

#[test]
fn filters_do_not_disturb_each_other() {
    let matcher = Matcher::build([
        (7, filter(r#"{"a":[{"wildcard":"*d"}]}"#)),
        (3, filter(r#"{"a":[{"prefix":{"equals-ignore-case":"Ala"}}]}"#)),
        (5, filter(r#"{"a":[true,1,{"numeric":[">",0]}]}"#)),
        (1, filter(r#"{"a":[{"exists":false}]}"#)),
        (9, filter(r#"{"a":[{"anything-but":"claim.decided"}]}"#)),
        (4, Arc::new(Filter::everything())),
    ]);
    assert_eq!(ids(&matcher, r#"{"a":"claim.decided"}"#), [4, 7]);
    assert_eq!(ids(&matcher, r#"{"a":true}"#), [4, 5, 9]);
    assert_eq!(ids(&matcher, r#"{"a":"aLAd"}"#), [3, 4, 7, 9]);
    assert_eq!(ids(&matcher, "{}"), [1, 4]);
    assert_eq!(matcher.len(), 6);
}

#[test]
fn a_change_makes_a_new_set_and_leaves_the_old_one() {
    let one = MatcherBuilder::new()
        .with(1, filter(r#"{"a":[1]}"#))
        .with(1, filter(r#"{"a":[2]}"#))
        .build();
    assert_eq!(ids(&one, r#"{"a":2}"#), [1]);
    assert_eq!(ids(&one, r#"{"a":1}"#), [0; 0]);
    let two = one.with(2, filter(r#"{"a":[2],"b":[1]}"#));
    assert_eq!(ids(&two, r#"{"a":2,"b":1}"#), [1, 2]);
    assert_eq!(ids(&two.with(1, filter(r#"{"b":[9]}"#)), r#"{"a":2,"b":1}"#), [2]);
    assert_eq!(ids(&two.without(1), r#"{"a":2,"b":1}"#), [2]);
    assert_eq!(ids(&one, r#"{"a":2,"b":1}"#), [1]);
    assert!(one.get(2).is_none() && two.get(2).is_some());
    assert!(Matcher::<u32>::default().is_empty());
}

#[test]
fn filters_of_all_kinds_share_one_scan() {
    let mounts = Mounts::builder()
        .mount("detail", "/data")
        .mount("detail-type", "/attr/type")
        .build();
    let by_type = Filter::types(&["order.*"]).unwrap();
    let by_data = Filter::eventbridge(br#"{"detail":{"total":[{"numeric":[">",10]}]}}"#, &mounts).unwrap();
    let both = Filter::all_of(vec![by_type.clone(), by_data.clone()]);
    let matcher = Matcher::build([(1, Arc::new(by_type)), (2, Arc::new(by_data)), (3, Arc::new(both))]);
    let mut scratch = Scratch::new();
    let mut check = |name: &str, data: &str, expected: &[u32]| {
        let mut out = Vec::new();
        let document = Document::new()
            .text("/attr/type", name)
            .data(Data::Json(data.as_bytes()));
        matcher.matches(&document, &mut scratch, &mut out);
        assert_eq!(out, expected, "{name} {data}");
    };
    check("order.placed", r#"{"total":11}"#, &[1, 2, 3]);
    check("order.placed", r#"{"total":10}"#, &[1]);
    check("other", r#"{"total":11.5}"#, &[2]);
    check("other", r#"{"total":11.5"#, &[]);
}

#[test]
fn thousands_of_filters_answer_by_their_values() {
    let filters = (0..3_000u32).map(|index| {
        (
            index,
            filter(&format!(r#"{{"id":["{index}"],"n":[{{"numeric":["<",{index}]}}]}}"#)),
        )
    });
    let matcher = Matcher::build(filters);
    assert_eq!(ids(&matcher, r#"{"id":"2718","n":3}"#), [2718]);
    assert_eq!(ids(&matcher, r#"{"id":["1","2","3"],"n":[1.5]}"#), [2, 3]);
}
