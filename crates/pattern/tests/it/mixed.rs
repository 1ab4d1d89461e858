//! Filters of several dialects: Event Grid's against a slow, obvious evaluation, and all of them in one matcher.

use std::sync::Arc;

use pattern::{Data, Document, Filter, Mounts, explain};
use proptest::collection::vec;
use proptest::prelude::*;
use proptest::sample::select;
use serde_json::{Value, json};

use crate::agreement::{cases, check_together, event, pattern};
use crate::reference::write_pattern;

/// An operator's name, its values, and whether arrays are looked into.
type Condition = (&'static str, Vec<Value>, bool);

fn condition() -> impl Strategy<Value = Condition> {
    let texts = || {
        vec(
            select(vec![json!("a"), json!("B"), json!("ab"), json!("é"), json!("")]),
            1..3,
        )
    };
    let numbers = || vec(select(vec![json!(0), json!(1), json!(1.5), json!(-2)]), 1..3);
    let ranges = vec(select(vec![json!([0, 1]), json!([-2, -1]), json!([1.5, 1.5])]), 1..3);
    let text = select(vec![
        "StringIn",
        "StringNotIn",
        "StringContains",
        "StringNotContains",
        "StringBeginsWith",
        "StringNotBeginsWith",
        "StringEndsWith",
        "StringNotEndsWith",
    ]);
    let number = select(vec!["NumberIn", "NumberNotIn"]);
    let bound = select(vec![
        "NumberLessThan",
        "NumberLessThanOrEquals",
        "NumberGreaterThan",
        "NumberGreaterThanOrEquals",
    ]);
    let range = select(vec!["NumberInRange", "NumberNotInRange"]);
    let values = prop_oneof![
        4 => (text, texts()),
        2 => (number, numbers()),
        2 => (bound, vec(select(vec![json!(0), json!(1), json!(1.5)]), 1)),
        2 => (range, ranges),
        1 => (Just("BoolEquals"), vec(any::<bool>().prop_map(Value::from), 1)),
        1 => (select(vec!["IsNullOrUndefined", "IsNotNull"]), Just(Vec::new())),
    ];
    (values, any::<bool>()).prop_map(|((name, values), on_arrays)| (name, values, on_arrays))
}

fn data() -> impl Strategy<Value = Value> {
    let scalar = select(vec![
        json!(null),
        json!(true),
        json!(false),
        json!(0),
        json!(1),
        json!(1.5),
        json!(-2),
        json!(""),
        json!("A"),
        json!("b"),
        json!("xAby"),
        json!("É"),
        json!("1"),
    ]);
    let value = scalar.prop_recursive(2, 8, 4, |inner| {
        prop_oneof![
            3 => vec(inner.clone(), 0..4).prop_map(Value::from),
            1 => inner.prop_map(|inner| json!({ "k": inner })),
        ]
    });
    prop_oneof![
        6 => value.clone().prop_map(|value| json!({"a": {"k": value}, "k": 1})),
        1 => value.prop_map(|value| json!({ "a": value })),
        1 => Just(json!({})),
    ]
}

fn write(condition: &Condition) -> String {
    let (name, values, on_arrays) = condition;
    let filter = json!({"operatorType": name, "key": "data.a.k", "values": values});
    json!({"enableAdvancedFilteringOnArrays": on_arrays, "advancedFilters": [filter]}).to_string()
}

fn holds(condition: &Condition, data: &Value) -> bool {
    let (name, values, on_arrays) = condition;
    let found = data.get("a").filter(|a| a.is_object()).and_then(|a| a.get("k"));
    let negated = name.contains("Not");
    let Some(value) = found else {
        return ["NumberNotIn", "StringNotIn", "IsNullOrUndefined"].contains(name);
    };
    if name.starts_with("Is") {
        return value.is_null() == (*name == "IsNullOrUndefined");
    }
    match value {
        Value::Array(_) if !on_arrays => false,
        Value::Array(items) => {
            items
                .iter()
                .any(|item| values.iter().any(|wanted| passes(name, wanted, item)))
                != negated
        }
        value => values.iter().any(|wanted| passes(name, wanted, value)) != negated,
    }
}

fn passes(name: &str, wanted: &Value, value: &Value) -> bool {
    if let (Some(wanted), Some(value)) = (wanted.as_str(), value.as_str()) {
        let (wanted, value) = (wanted.to_lowercase(), value.to_lowercase());
        return match name.replace("Not", "").as_str() {
            "StringIn" => value == wanted,
            "StringContains" => value.contains(&wanted),
            "StringBeginsWith" => value.starts_with(&wanted),
            _ => value.ends_with(&wanted),
        };
    }
    let Some(number) = value.as_f64() else {
        return name == "BoolEquals" && value == wanted;
    };
    let bound = wanted.as_f64().unwrap_or(f64::NAN);
    match name {
        "NumberIn" | "NumberNotIn" => number == bound,
        "NumberLessThan" => number < bound,
        "NumberLessThanOrEquals" => number <= bound,
        "NumberGreaterThan" => number > bound,
        "NumberGreaterThanOrEquals" => number >= bound,
        "NumberInRange" | "NumberNotInRange" => {
            let end = |index: usize| wanted[index].as_f64().expect("ranges are of numbers");
            end(0) <= number && number <= end(1)
        }
        _ => false,
    }
}

proptest! {
    #![proptest_config(cases(600))]

    #[test]
    fn event_grid_filters_agree_with_the_obvious_evaluation(condition in condition(), data in vec(data(), 1..6)) {
        let text = write(&condition);
        let mounts = Mounts::builder().mount("data", "/data").build();
        let filter = Filter::eventgrid(text.as_bytes(), &mounts).map_err(|error| TestCaseError::fail(format!("{text}: {error}")))?;
        for data in &data {
            let written = data.to_string();
            let document = Document::new().data(Data::Json(written.as_bytes()));
            let expected = holds(&condition, data);
            prop_assert_eq!(filter.matches(&document), expected, "{} {}", text, written);
            prop_assert_eq!(explain(&filter, &document).matched, expected);
        }
    }
}

/// A filter over bare documents, of any dialect that sees data.
fn any_filter() -> impl Strategy<Value = Filter> {
    let patterns = (pattern(), pattern(), 0..3).prop_map(|(one, two, kind)| {
        let (one, two) = (write_pattern(&one), write_pattern(&two));
        let text = match kind {
            0 => one,
            1 => format!("{{\"$and\":[{one},{two}]}}"),
            _ => format!("{{\"$or\":[{{\"$not\":{one}}},{two}]}}"),
        };
        Filter::eventbridge_extended(text.as_bytes(), &Mounts::bare()).expect("the filter is well formed")
    });
    let queries = select(vec![
        "$.a",
        "$..b",
        "$.a[?@.b == 1]",
        "$[?@ == 'a' || @.a]",
        "$['a.b']",
        "$[?count(@.*) > 1]",
        "$..[?@ == null]",
    ]);
    let conditions = (condition(), select(vec!["a", "b", "a.b", "b.a"])).prop_map(|(condition, key)| {
        let text = write(&condition).replace("data.a.k", key);
        Filter::eventgrid(text.as_bytes(), &Mounts::bare()).expect("the filter is well formed")
    });
    prop_oneof![
        patterns,
        queries.prop_map(|query| Filter::jsonpath(query).expect("the query is well formed")),
        conditions,
    ]
}

proptest! {
    #![proptest_config(cases(80))]

    #[test]
    fn a_set_of_mixed_filters_agrees_with_each_of_them(filters in vec(any_filter(), 1..16), events in vec(event(), 1..4)) {
        check_together(filters.into_iter().map(Arc::new).collect(), &events)?;
    }
}
