//! Documents and mounts: where a dialect's names lie, and what data of every kind looks like.

use pattern::{Data, Document, Filter, Mounts};

fn mounts() -> Mounts {
    Mounts::builder()
        .mount("detail", "/data")
        .mount("detail-type", "/attr/type")
        .mount("source", "/attr/source")
        .mount("resources", "/ext/awsresources")
        .build()
}

fn document<'a>(data: Data<'a>) -> Document<'a> {
    Document::new()
        .text("/attr/type", "order.placed")
        .text("/attr/source", "shop")
        .json_list("/ext/awsresources", r#"["arn:1","arn:2"]"#)
        .data(data)
}

fn check(pattern: &str, data: &str, expected: bool) {
    let filter = Filter::eventbridge(pattern.as_bytes(), &mounts()).expect("the pattern compiles");
    assert_eq!(
        filter.matches(&document(Data::Json(data.as_bytes()))),
        expected,
        "{pattern} {data}"
    );
}

#[test]
fn names_of_the_dialect_lie_where_they_are_mounted() {
    check(
        r#"{"detail-type":["order.placed"],"source":[{"prefix":"sh"}],"detail":{"status":["paid"]}}"#,
        r#"{"status":"paid"}"#,
        true,
    );
    check(r#"{"detail-type":["other"]}"#, "{}", false);
    check(r#"{"resources":["arn:2"]}"#, "{}", true);
    check(r#"{"detail.status":["paid"]}"#, r#"{"status":"paid"}"#, true);
    check(r#"{"source":{"x":[{"exists":false}]}}"#, "{}", true);
}

#[test]
fn a_top_name_that_is_mounted_nowhere_is_absent() {
    check(r#"{"status":["paid"]}"#, r#"{"status":"paid"}"#, false);
    check(r#"{"status":[{"exists":false}]}"#, r#"{"status":"paid"}"#, true);
    check(r#"{"status":[{"exists":false}],"source":["shop"]}"#, "{}", true);
}

#[test]
fn scalar_and_array_data_are_values_of_the_data_itself() {
    check(r#"{"detail":[5]}"#, "5", true);
    check(r#"{"detail":[5]}"#, "[4,5]", true);
    check(r#"{"detail":[5]}"#, r#"{"a":5}"#, false);
    check(
        r#"{"detail":{"a":[1],"b":[2]}}"#,
        r#"[{"a":1,"b":0},{"a":1,"b":2}]"#,
        true,
    );
    check(r#"{"detail":{"a":[1],"b":[2]}}"#, r#"[{"a":1},{"b":2}]"#, false);
    check(r#"{"detail":["x"]}"#, r#""x""#, true);
}

#[test]
fn data_that_is_not_json_is_absent_wherever_it_breaks() {
    let absent = r#"{"detail":{"a":[{"exists":false}]},"source":["shop"]}"#;
    for broken in [
        r#"{"a":1"#,
        r#"{"a":1,"b":[1,2,]}"#,
        r#"{"a":1} x"#,
        "{\"a\":1,\"b\":\"\u{1}\"}",
        r#"{"a":1,"b":{"c":tru}}"#,
        "",
    ] {
        check(absent, broken, true);
    }
    check(absent, r#"{"a":1}"#, false);
    let filter = Filter::eventbridge(absent.as_bytes(), &mounts()).unwrap();
    assert!(filter.matches(&document(Data::Absent)));
    assert!(filter.matches(&document(Data::Json(b"{\"a\":1,\"b\":\"\xff\"}"))));
    assert!(filter.matches(&document(Data::Object(b"[{\"a\":1}]"))));
}

#[test]
fn broken_data_leaves_other_values_of_the_same_place_alone() {
    let filter = Filter::eventbridge(br#"{"source":["shop"]}"#, &mounts()).unwrap();
    let twice = Document::new()
        .text("/attr/source", "shop")
        .json_list("/attr/source", r#"["a","b""#);
    assert!(filter.matches(&twice));
    let late = Document::new()
        .json_list("/attr/source", r#"["shop""#)
        .text("/attr/source", "other");
    assert!(!filter.matches(&late));
}

#[test]
fn data_nested_too_deeply_is_absent() {
    let deep = |depth: usize| format!("{{\"a\":1,\"b\":{}1{}}}", "[".repeat(depth), "]".repeat(depth));
    let exists = r#"{"detail":{"a":[1]}}"#;
    check(exists, &deep(pattern::limits::JSON_DEPTH_MAX - 1), true);
    check(exists, &deep(pattern::limits::JSON_DEPTH_MAX), false);
}

#[test]
fn types_are_matched_with_stars_anywhere() {
    let check = |types: &[&str], name: &str, expected: bool| {
        let document = Document::new().text("/attr/type", name);
        assert_eq!(
            Filter::types(types).unwrap().matches(&document),
            expected,
            "{types:?} {name}"
        );
    };
    check(&["com.example.order.placed"], "com.example.order.placed", true);
    check(&["com.example.order.*"], "com.example.order.placed", true);
    check(&["com.example.order.*"], "com.example.orders", false);
    check(&["a", "*.placed"], "order.placed", true);
    check(&["*order*"], "com.order.x", true);
    check(&["*"], "", true);
    check(&["1.2.3.4"], "1.2.3.4", true);
    check(&["a?c"], "abc", false);
    check(&["****a****"], "bab", true);
}

#[test]
fn filters_are_joined_by_and() {
    let types = Filter::types(&["order.*"]).unwrap();
    let paid = Filter::eventbridge(br#"{"detail":{"status":["paid"]}}"#, &mounts()).unwrap();
    let both = Filter::all_of(vec![types, Filter::everything(), paid]);
    assert!(both.matches(&document(Data::Json(br#"{"status":"paid"}"#))));
    assert!(!both.matches(&document(Data::Json(br#"{"status":"open"}"#))));
    assert!(!both.is_everything());
    assert!(Filter::all_of(vec![Filter::everything()]).is_everything());
    assert!(Filter::everything().matches(&Document::new()));
}
