//! What asking a filter costs in memory, language by language: nothing once the memory is warm, but for what is named here.

use std::sync::Arc;

use pattern::{Data, Dialect, Document, Filter, Matcher, Mounts, Scratch};

use crate::counting::allocations;

const DATA: &str = r#"{"status": "paid", "note": "a\u0062c", "total": 12.50, "gone": null, "urgent": true,
    "tags": ["new", "Red"], "lines": [{"sku": "A-1", "price": 12.5}, {"sku": "B-2", "price": 3, "more": {"x": [1, 2]}}]}"#;

fn mounts() -> Mounts {
    let names = [
        ("detail", "/data"),
        ("data", "/data"),
        ("detail-type", "/attr/type"),
        ("subject", "/attr/subject"),
    ];
    let builder = names
        .iter()
        .fold(Mounts::builder(), |builder, (name, path)| builder.mount(name, path));
    builder.build()
}

/// How often the memory's owner was asked in ten rounds over two events, when the filter was asked before: alone, and in a matcher.
fn counted(filter: Filter) -> [u64; 2] {
    let filter = Arc::new(filter);
    let matcher = Matcher::build([(1u32, Arc::clone(&filter))]);
    let (mut scratch, mut out) = (Scratch::new(), Vec::new());
    let document = |data: Data<'static>| {
        let attributes = Document::new()
            .text("/attr/type", "order.placed")
            .text("/attr/id", "1")
            .text("/attr/source", "/s");
        let attributes = attributes.text("/attr/subject", "Order/17").text("tenant", "acme");
        attributes
            .integer("/attr/hops", "5")
            .boolean("/attr/urgent", "true")
            .data(data)
    };
    let mut counts = [0, 0];
    for round in 0..11 {
        for data in [
            Data::Json(DATA.as_bytes()),
            Data::WellFormed(DATA.as_bytes()),
            Data::Json(b"[{\"a\": \"\\n\"}]"),
        ] {
            let begin = allocations();
            filter.matches_with(&document(data), &mut scratch);
            let alone = allocations();
            out.clear();
            matcher.matches(&document(data), &mut scratch, &mut out);
            let together = allocations();
            if round > 0 {
                counts = [counts[0] + alone - begin, counts[1] + together - alone];
            }
        }
    }
    counts
}

#[track_caller]
fn allocates_nothing(filters: &[&str], compile: impl Fn(&str) -> Filter) {
    for filter in filters {
        assert_eq!(counted(compile(filter)), [0, 0], "{filter}");
    }
}

#[test]
fn patterns_allocate_nothing() {
    let patterns = [
        r#"{"detail": {"status": ["paid", {"prefix": {"equals-ignore-case": "PA"}}], "note": [{"wildcard": "a*c"}]}}"#,
        r#"{"detail": {"lines": {"sku": ["A-1"], "price": [{"numeric": [">", 10]}]}, "nothing": [{"exists": false}]}}"#,
        r#"{"$or": [{"detail-type": [{"anything-but": ["x"]}]}, {"detail": {"tags": [{"equals-ignore-case": "RED"}]}}]}"#,
        r#"{"detail": {"lines": {"sku": [{"exists": true}], "gone": [{"exists": false}], "price": [3]}}}"#,
    ];
    allocates_nothing(&patterns, |text| {
        Filter::eventbridge(text.as_bytes(), &mounts()).unwrap()
    });
    let extended = [
        r#"{"detail": {"status": [{"regex": "^p[a-z]+d$"}], "tags": [{"wildcard": {"equals-ignore-case": "r*D"}}]}}"#,
        r#"{"$not": {"detail": {"status": ["open"]}}, "$and": [{"detail": {"total": [12.5]}}, {"detail": {"note": ["abc"]}}]}"#,
    ];
    allocates_nothing(&extended, |text| {
        Filter::eventbridge_extended(text.as_bytes(), &mounts()).unwrap()
    });
}

#[test]
fn cesql_allocates_nothing_unless_a_function_writes_a_text() {
    let expressions = [
        "type LIKE 'order.%' AND EXISTS subject",
        "tenant IN ('a', 'acme') AND hops + 1 > 3 XOR urgent",
        "hops = '5' OR '5' = hops",
        "hops IN ('4', '5') AND tenant IN (type, 'acme')",
        "LENGTH(subject) = 8 AND SUBSTRING(subject, 1, 5) = 'Order' AND TRIM(tenant) = 'acme'",
        "LEFT(subject, 5) = 'Order' AND RIGHT(subject, 2) = '17' AND INT(RIGHT(subject, 2)) = 17",
        "missing = 'a' OR TRUE",
        "NOT (ABS(-hops) = 5) OR BOOL('true')",
        "tenant = LOWER(tenant) AND UPPER('ACME') = 'ACME'",
    ];
    allocates_nothing(&expressions, |text| Filter::cesql(text, Dialect::Standard).unwrap());
    // Three documents a round, ten rounds.
    for written in [
        "LOWER(subject) = 'order/17'",
        "CONCAT(subject, tenant) = 'x'",
        "LENGTH(hops) = 1",
    ] {
        let filter = Filter::cesql(written, Dialect::Standard).unwrap();
        assert_eq!(counted(filter), [30, 30], "{written}");
    }
    let extended = ["data.total > 10 AND data.status = 'paid'", "data.note LIKE 'a_c'"];
    allocates_nothing(&extended, |text| Filter::cesql(text, Dialect::Extended).unwrap());
}

#[test]
fn filters_of_cloudevents_allocate_nothing() {
    let filters = [
        r#"[{"exact": {"type": "order.placed", "tenant": "acme"}}, {"not": {"prefix": {"subject": "x"}}}]"#,
        r#"[{"any": [{"suffix": {"subject": "17"}}, {"all": [{"sql": "hops > 3"}]}]}]"#,
    ];
    allocates_nothing(&filters, |text| {
        Filter::cloudevents(text.as_bytes(), Dialect::Standard).unwrap()
    });
}

#[test]
fn filters_of_event_grid_allocate_nothing() {
    let filters = [
        r#"{"includedEventTypes": ["order.placed"], "subjectBeginsWith": "order", "subjectEndsWith": "17"}"#,
        r#"{"advancedFilters": [{"operatorType": "NumberInRange", "key": "data.total", "values": [[1, 20]]}]}"#,
        r#"{"advancedFilters": [{"operatorType": "StringContains", "key": "data.status", "values": ["AI"]},
            {"operatorType": "StringNotIn", "key": "data.note", "values": ["x"]}, {"operatorType": "IsNullOrUndefined", "key": "data.gone"}]}"#,
        r#"{"enableAdvancedFilteringOnArrays": true, "advancedFilters": [
            {"operatorType": "StringNotContains", "key": "data.tags", "values": ["old"]},
            {"operatorType": "BoolEquals", "key": "data.urgent", "value": true}]}"#,
    ];
    allocates_nothing(&filters, |text| Filter::eventgrid(text.as_bytes(), &mounts()).unwrap());
}

#[test]
fn queries_allocate_nothing() {
    let queries = [
        "$.lines[?@.price > 10]",
        "$..x[1]",
        "$.lines[?match(@.sku, '[AB]-.')].price",
        "$[?search(@, 'pai')]",
        "$.lines[?count(@.*) > 2 && length(@.sku) == 3]",
        "$.lines[0:2].sku",
        "$.tags[?@ == 'new' || @ == $.status]",
        "$.lines[?value(@.sku) == 'A-1' && !(@.more)]",
        "$.note[?@.a]",
        "$[?@.a]",
    ];
    allocates_nothing(&queries, |text| Filter::jsonpath(text).unwrap());
}
