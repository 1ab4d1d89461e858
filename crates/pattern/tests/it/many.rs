//! Many filters in one matcher: answers, ids, and changes that leave the old set as it was.

use std::sync::Arc;

use pattern::{Data, Dialect, Document, Filter, Matcher, MatcherBuilder, Mounts, Scratch};

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

#[test]
fn what_is_nobodys_exception_calls_for_all_that_except_something_else() {
    let excepted = [
        r#""paid""#,
        r#"["paid","Open"]"#,
        "7",
        "[7,8.5]",
        r#"{"prefix":"pa"}"#,
        r#"{"prefix":["a very long beginning that is longer than a key of it","op"]}"#,
        r#"{"suffix":["id","en"]}"#,
        r#"{"equals-ignore-case":["PAID","straße"]}"#,
        r#"{"wildcard":"p*d"}"#,
        r#"{"wildcard":["*ai*","x*"]}"#,
        r#"{"wildcard":"*n"}"#,
    ];
    let values = [
        r#""paid""#,
        r#""PAID""#,
        r#""Open""#,
        r#""open""#,
        r#""STRASSE""#,
        r#""""#,
        r#""something else""#,
        r#""a very long beginning that is longer than a key of it, and more""#,
        "7",
        "7.0",
        "8",
        "null",
        "true",
        "123456789012345678901234567890",
        "[]",
        r#"["paid",7]"#,
        r#"["paid","new"]"#,
        r#"[{"b":"paid"},{"b":"new"}]"#,
    ];
    let pattern = |index: usize| {
        let other = [
            "",
            r#","kind":["x"]"#,
            r#","kind":[{"exists":false}]"#,
            r#","a":{"b":[{"anything-but":"paid"}]}"#,
        ];
        format!(
            r#"{{"state":[{{"anything-but":{}}}]{}}}"#,
            excepted[index % excepted.len()],
            other[index / excepted.len()]
        )
    };
    let mut matcher = Matcher::default();
    for round in 0..2u32 {
        for index in 0..44u32 {
            matcher = matcher.with(index, filter(&pattern(index as usize)));
            for value in values {
                for kind in ["", r#","kind":"x""#, r#","a":[{"b":"paid"},{"b":1}]"#] {
                    let event = format!(r#"{{"state":{value}{kind}}}"#);
                    let alone = |index: &u32| {
                        matcher
                            .get(*index)
                            .is_some_and(|filter| filter.matches(&Document::bare(event.as_bytes())))
                    };
                    let expected: Vec<u32> = (0..44).filter(alone).collect();
                    assert_eq!(ids(&matcher, &event), expected, "{event}");
                }
            }
        }
        matcher = (0..44)
            .filter(|index| index % 3 != round)
            .fold(matcher, |matcher, index| matcher.without(index));
    }
}

#[test]
fn an_exception_of_one_filter_is_nothing_to_the_one_that_is_left() {
    let but = |exceptions: &str| filter(&format!(r#"{{"a":[{{"anything-but":{exceptions}}}]}}"#));
    let exists = filter(r#"{"a":[{"exists":true}]}"#);
    let one = Matcher::build([(1, but(r#""x""#))]);
    for (event, expected) in [
        (r#"{"a":"x"}"#, &[][..]),
        (r#"{"a":"x\u0000"}"#, &[1]),
        (r#"{"a":"xx"}"#, &[1]),
        (r#"{"a":["x","x"]}"#, &[]),
        (r#"{"a":["x",null]}"#, &[1]),
        (r#"{"a":[{"b":1}]}"#, &[]),
        (r#"{"a":"x","a":"y"}"#, &[1]),
    ] {
        assert_eq!(ids(&one, event), expected, "{event}");
    }
    let both = one.with(2, Arc::clone(&exists));
    assert_eq!(ids(&both, r#"{"a":"x"}"#), [2]);
    let left = both.without(1);
    assert_eq!(ids(&left, r#"{"a":"x"}"#), [2]);
    assert_eq!(ids(&left.with(1, but(r#""y""#)), r#"{"a":"x"}"#), [1, 2]);
    assert_eq!(ids(&left.with(1, but(r#""y""#)).without(2), r#"{"a":"x"}"#), [1]);
    let number = one.with(1, but("7"));
    assert_eq!(ids(&number, r#"{"a":"7"}"#), [1]);
    assert_eq!(ids(&number, r#"{"a":7.0}"#), [0; 0]);
    let folded = one.with(1, but(r#"{"equals-ignore-case":["k","\u212a"]}"#));
    assert_eq!(ids(&folded, r#"{"a":"K"}"#), [0; 0]);
    let kelvin = one.with(1, but(r#"{"equals-ignore-case":"\u212a"}"#));
    assert_eq!(ids(&kelvin, r#"{"a":"K"}"#), [1]);
    assert_eq!(ids(&kelvin, r#"{"a":"k"}"#), [0; 0]);
}

/// Patterns of every operator, for an event that many of them match.
fn patterns(index: u32) -> String {
    let tests = [
        format!(r#""id":["{index}"]"#),
        format!(r#""id":[{{"prefix":"{index}"}}]"#),
        format!(r#""id":[{{"suffix":"{index}"}}]"#),
        format!(r#""id":[{{"wildcard":"*{index}*"}}],"kind":["x"]"#),
        format!(r#""id":[{{"equals-ignore-case":"A{index}"}}]"#),
        format!(r#""id":[{{"prefix":{{"equals-ignore-case":"a{index}"}}}}]"#),
        format!(r#""n":[{{"numeric":[">",{index},"<=",{}]}}]"#, index + 3),
        format!(r#""kind":[{{"anything-but":["y","{index}"]}}]"#),
        format!(r#""ip":[{{"cidr":"10.0.{}.0/{}"}}]"#, index % 256, 8 + index % 24),
        format!(r#""n":[{index}],"gone":[{{"exists":false}}]"#),
        format!(r#""items":{{"sku":["s{index}"],"count":[{{"numeric":["<",3]}}]}}"#),
        format!(r#""gone":[{{"exists":false}},"{index}"]"#),
    ];
    format!("{{{}}}", tests[index as usize % tests.len()])
}

const EVENTS: [&str; 5] = [
    r#"{"id":"123","kind":"x","n":17,"ip":"10.0.8.1","items":[{"sku":"s10","count":2},{"sku":"s22","count":7}]}"#,
    r#"{"id":"A40","kind":"y","n":[1,2,3.5],"ip":"::ffff:10.0.1.9","gone":"11"}"#,
    r#"{"id":"\u0041\u017f64","kind":["a",null],"n":9,"gone":{"x":1}}"#,
    r#"{"items":[{"gone":"47"},{"sku":"s34"}],"n":21}"#,
    "{}",
];

/// So large a set fetches ahead what it will look up, and looks up nothing that it then knows not to be there.
#[test]
fn a_large_set_answers_as_each_of_its_filters() {
    let filters: Vec<Arc<Filter>> = (0..5_000).map(|index| filter(&patterns(index))).collect();
    let matcher = Matcher::build((0..).zip(filters.iter().cloned()));
    let long = format!(r#"{{"id":"{}2115","kind":"x"}}"#, "-".repeat(200));
    let more = [
        r#"{"id":"2112","kind":"y","n":4999.5,"ip":"10.0.77.5","gone":"4715"}"#,
        r#"{"id":"4813-a","kind":["3151","x"],"n":[2997,"2997"],"ip":["10.0.1.9","none"]}"#,
        r#"{"id":"x3994","items":[{"sku":"s4990","count":2},{"sku":"s3010","count":7}]}"#,
        r#"{"id":["a4108","A2656","\u0041\u017f64"],"n":17}"#,
        long.as_str(),
    ];
    let mut matched = 0;
    for event in EVENTS.iter().chain(&more) {
        let document = Document::bare(event.as_bytes());
        let alone = (0..).zip(&filters).filter(|(_, filter)| filter.matches(&document));
        let alone: Vec<u32> = alone.map(|(id, _)| id).collect();
        assert_eq!(ids(&matcher, event), alone, "{event}");
        matched += alone.len();
    }
    assert!(matched > 1_000, "{matched}");
}

#[test]
fn a_set_that_filters_came_to_and_left_answers_as_each_of_its_filters() {
    let filters: Vec<Arc<Filter>> = (0..600).map(|index| filter(&patterns(index))).collect();
    let mut matcher = Matcher::<u32>::default();
    let mut here = std::collections::BTreeMap::new();
    let mut state = 7u32;
    for step in 0..1_500u32 {
        state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        let (id, index) = (state >> 8 & 0xFF, state >> 16 & 0x1FF);
        if state.is_multiple_of(3) {
            matcher = matcher.without(id);
            here.remove(&id);
        } else {
            matcher = matcher.with(id, Arc::clone(&filters[index as usize]));
            here.insert(id, index as usize);
        }
        assert_eq!(matcher.len(), here.len());
        if step % 50 == 0 {
            for event in EVENTS {
                let document = Document::bare(event.as_bytes());
                let alone = here.iter().filter(|(_, index)| filters[**index].matches(&document));
                assert_eq!(
                    ids(&matcher, event),
                    alone.map(|(id, _)| *id).collect::<Vec<_>>(),
                    "{event}"
                );
            }
        }
    }
    let grown = matcher.memory();
    let empty = here.keys().fold(matcher, |matcher, id| matcher.without(*id));
    assert!(empty.is_empty() && ids(&empty, EVENTS[0]).is_empty() && empty.memory() < grown / 4);
}

#[test]
fn a_warm_matcher_allocates_nothing() {
    let matcher = Matcher::build((0..600).map(|index| (index, filter(&patterns(index)))));
    let mut scratch = Scratch::new();
    let mut out = Vec::new();
    let mut pass = || {
        for event in EVENTS {
            out.clear();
            matcher.matches(&Document::bare(event.as_bytes()), &mut scratch, &mut out);
            out.clear();
            matcher.matches(&Document::bare_well_formed(event.as_bytes()), &mut scratch, &mut out);
        }
    };
    pass();
    let before = crate::counting::allocations();
    (0..10).for_each(|_| pass());
    assert_eq!(crate::counting::allocations() - before, 0);
}

#[test]
fn a_filter_of_any_language_takes_little_memory() {
    const FILTERS: u32 = 4_000;
    type Compile = fn(u32) -> Filter;
    let languages: [(&str, i64, Compile); 5] = [
        ("EventBridge", 500, |index| {
            bare(&format!(r#"{{"order": {{"id": ["order-{index:07}"]}}}}"#))
        }),
        ("CESQL", 1_300, |index| {
            let text = format!("type LIKE 'com.example.%' AND subject = 'order-{index:07}'");
            Filter::cesql(&text, Dialect::Standard).unwrap()
        }),
        ("CESQL over data", 900, |index| {
            Filter::cesql(&format!("data.order.id = 'order-{index:07}'"), Dialect::Extended).unwrap()
        }),
        ("Event Grid", 700, |index| {
            let filter = format!(r#"{{"operatorType": "StringIn", "key": "data.id", "values": ["order-{index:07}"]}}"#);
            Filter::eventgrid(
                format!(r#"{{"advancedFilters": [{filter}]}}"#).as_bytes(),
                &Mounts::bare(),
            )
            .unwrap()
        }),
        ("JSONPath", 1_000, |index| {
            Filter::jsonpath(&format!("$.order[?@.id == 'order-{index:07}']")).unwrap()
        }),
    ];
    let mut found = Vec::new();
    for (language, bytes_max, filter) in languages {
        let before = crate::counting::bytes();
        let matcher = Matcher::build((0..FILTERS).map(|index| (index, Arc::new(filter(index)))));
        let bytes = (crate::counting::bytes() - before) / i64::from(FILTERS);
        assert_eq!(matcher.len(), FILTERS as usize);
        if bytes > bytes_max {
            found.push((language, bytes));
        }
    }
    assert!(found.is_empty(), "{found:?}");
}
