//! What is refused, in the words of AWS, with the place and the corrected form.

use pattern::{CompileCode, CompileError, Filter, Mounts, limits};

fn refusal(pattern: &str) -> CompileError {
    match Filter::eventbridge(pattern.as_bytes(), &Mounts::bare()) {
        Ok(_) => panic!("accepted: {pattern}"),
        Err(error) => error,
    }
}

/// Checks the reason why the list of a field is refused.
fn check(tests: &str, message: &str) {
    assert_eq!(refusal(&format!("{{\"a\":[{tests}]}}")).message, message, "{tests}");
}

#[test]
fn a_pattern_is_an_object_of_lists_and_objects() {
    let check = |pattern: &str, message: &str| assert_eq!(refusal(pattern).message, message, "{pattern}");
    check(r#"["a"]"#, "Filter is not an object");
    check(r#""a""#, "Filter is not an object");
    check("{}", "Empty objects are not allowed");
    check(r#"{"a":{}}"#, "Empty objects are not allowed");
    check(r#"{"a":[]}"#, "Empty arrays are not allowed");
    check(r#"{"int":42}"#, "\"int\" must be an object or an array");
    check(r#"{"a":{"b":null}}"#, "\"b\" must be an object or an array");
    check(
        r#"{"a":[[1]]}"#,
        "Match value must be String, number, true, false, or null",
    );
    check(r#"{"a":[{}]}"#, "Match expression name not found");
}

#[test]
fn what_is_not_json_is_refused_as_a_json_parser_does() {
    let check = |pattern: &str, message: &str| {
        let refused = refusal(pattern);
        assert_eq!(
            (refused.code, refused.message.as_str()),
            (CompileCode::NotJson, message),
            "{pattern}"
        );
    };
    check("", "Unexpected end-of-input");
    check(
        "{'a': [1]}",
        "Unexpected character (''' (code 39)): was expecting double-quote to start field name",
    );
    check(
        "this",
        "Unrecognized token 'this': was expecting (JSON String, Number, Array, Object or token 'null', 'true' or 'false')",
    );
    check(
        r#"{"a":[1, 2 3]}"#,
        "Unexpected character ('3' (code 51)): was expecting comma to separate Array entries",
    );
    check(r#"{"a":[1}"#, "Unexpected close marker '}': expected ']'");
    check(
        r#"{"a":[1],}"#,
        "Unexpected character ('}' (code 125)): was expecting double-quote to start field name",
    );
    check(r#"{"a":["\d"]}"#, "Unrecognized character escape 'd' (code 100)");
    check(r#"{"a":[1]"#, "Unexpected end-of-input");
    check(
        r#"{"a" [1]}"#,
        "Unexpected character ('[' (code 91)): was expecting a colon to separate field name and value",
    );
}

#[test]
fn operators_take_one_string() {
    check(r#"{"exactly":33}"#, "exact match pattern must be a string");
    for operator in ["prefix", "suffix", "equals-ignore-case", "wildcard"] {
        let message = format!("{operator} match pattern must be a string");
        check(&format!("{{\"{operator}\":1}}"), &message);
        check(&format!("{{\"{operator}\":[\"x\"]}}"), &message);
        check(
            &format!("{{\"{operator}\":\"x\",\"exists\":true}}"),
            "Only one key allowed in match expression",
        );
    }
    check(r#"{"prefix":{}}"#, "Prefix expression name not found");
    check(r#"{"suffix":{}}"#, "Suffix expression name not found");
    check(r#"{"prefix":{"foo":"x"}}"#, "Unsupported prefix pattern: foo");
    check(
        r#"{"suffix":{"equals-ignore-case":5}}"#,
        "equals-ignore-case match pattern must be a string",
    );
    check(
        r#"{"prefix":{"equals-ignore-case":"x","y":1}}"#,
        "Only one key allowed in match expression",
    );
    check(r#"{"foo":"x"}"#, "Unrecognized match type foo");
    check(
        r#"{"exists":"true"}"#,
        "exists match pattern must be either true or false.",
    );
    check(r#"{"cidr":["x"]}"#, "prefix match pattern must be a string");
    check(r#"{"cidr":"10.0.0.0"}"#, "Malformed CIDR, one '/' required");
    check(r#"{"wildcard":"a**b"}"#, "Consecutive wildcard characters at pos 2");
    check(r#"{"wildcard":"a\\b"}"#, "Invalid escape character at pos 2");
}

#[test]
fn numeric_takes_one_comparison_or_a_range_from_below() {
    check(r#"{"numeric":10}"#, "Value of numeric must be an array.");
    check(r#"{"numeric":[]}"#, "Invalid member in numeric match: ]");
    check(r#"{"numeric":[1]}"#, "Invalid member in numeric match: 1");
    check(r#"{"numeric":["="]}"#, "Value of equals must be numeric");
    check(r#"{"numeric":["=","5"]}"#, "Value of equals must be numeric");
    check(
        r#"{"numeric":["=",1,"<",2]}"#,
        "Too many elements in numeric expression",
    );
    check(
        r#"{"numeric":["<",1,">",0]}"#,
        "Too many elements in numeric expression",
    );
    check(r#"{"numeric":["<>",1]}"#, "Unrecognized numeric range operator: <>");
    check(r#"{"numeric":[">",0,">",1]}"#, "Bad numeric range operator: >");
    check(r#"{"numeric":[">",0,1]}"#, "Bad value in numeric range: 1");
    check(r#"{"numeric":[">",0,"<"]}"#, "Value of < must be numeric");
    check(
        r#"{"numeric":[">",0,"<",1,2]}"#,
        "Too many terms in numeric range expression",
    );
    check(r#"{"numeric":[">=",1,"<=",1]}"#, "Bottom must be less than top");
    check(r#"{"numeric":["=",1E309]}"#, "Cannot compare number : 1E309");
    check(
        r#"{"numeric":["=",1],"x":1}"#,
        "Too many elements in numeric expression",
    );
}

#[test]
fn anything_but_takes_strings_or_numbers_or_one_operator() {
    let value = "Value of anything-but must be an array or single string/number value.";
    check(r#"{"anything-but":null}"#, value);
    check(r#"{"anything-but":true}"#, value);
    check(r#"{"anything-but":{"prefix":{"equals-ignore-case":"x"}}}"#, value);
    check(
        r#"{"anything-but":["a",null]}"#,
        "Inside anything but list, start|null|boolean is not supported.",
    );
    let mixed = "Inside anything but list, either all values are number or string, mixed type is not supported";
    check(r#"{"anything-but":["a",1]}"#, mixed);
    check(r#"{"anything-but":[]}"#, mixed);
    check(r#"{"anything-but":1e400}"#, "Cannot compare number : 1e400");
    check(r#"{"anything-but":{"prefix":""}}"#, "Null prefix/suffix not allowed");
    check(
        r#"{"anything-but":{"suffix":["a",""]}}"#,
        "Null prefix/suffix not allowed",
    );
    check(
        r#"{"anything-but":{"prefix":[1]}}"#,
        "prefix/suffix match pattern must be a string",
    );
    // What is wrong first.
    check(
        r#"{"anything-but":{"prefix":["",1]}}"#,
        "Null prefix/suffix not allowed",
    );
    check(
        r#"{"anything-but":{"suffix":[1,""]}}"#,
        "prefix/suffix match pattern must be a string",
    );
    check(
        r#"{"anything-but":{"wildcard":1}}"#,
        "wildcard match pattern must be a string",
    );
    check(
        r#"{"anything-but":{"equals-ignore-case":[1]}}"#,
        "Inside anything-but/equals-ignore-case list, number|start|null|boolean is not supported.",
    );
    check(
        r#"{"anything-but":{"foo":"x"}}"#,
        "Unsupported anything-but pattern: foo",
    );
    check(
        r#"{"anything-but":{"prefix":"x","y":1}}"#,
        "Only one key allowed in match expression",
    );
    check(
        r#"{"anything-but":{"prefix":"x"},"y":1}"#,
        "Only one key allowed in match expression",
    );
}

#[test]
fn a_refused_or_is_explained_as_aws_does_and_as_what_was_meant() {
    let refused = refusal(r#"{"$or":[{"a":[1]}]}"#);
    assert_eq!(refused.message, "Unrecognized match type a");
    let meant = refused.suggestion.unwrap();
    assert_eq!(
        meant,
        "with $or as an operator: There must have at least 2 Objects in $or relationship."
    );
    let reserved = refusal(r#"{"$or":[{"regex":[1]},{"b":[1]}]}"#).suggestion.unwrap();
    assert!(reserved.ends_with("regex is Ruler reserved fieldName which cannot be used inside $or."));
}

#[test]
fn a_refusal_says_where_and_what_would_be_right() {
    let refused = refusal(r#"{"detail":{"state":[{"EXISTS":true}]}}"#);
    assert_eq!(refused.path, "detail.state");
    assert_eq!(refused.position, 21);
    assert_eq!(refused.suggestion.as_deref(), Some("did you mean \"exists\"?"));
    assert_eq!(refused.code.as_str(), "filter_invalid");
    let refused = refusal(r#"{"state":"open"}"#);
    assert_eq!(
        refused.suggestion.as_deref(),
        Some("write it as a list: \"state\": [\"open\"]")
    );
    assert_eq!(
        refused.to_string(),
        "\"state\" must be an object or an array (field \"state\", byte 9); write it as a list: \"state\": [\"open\"]"
    );
}

#[test]
fn bounds_refuse_what_would_cost_without_end() {
    let deep = |depth: usize| format!("{}[1]{}", "{\"a\":".repeat(depth), "}".repeat(depth));
    assert!(Filter::eventbridge(deep(limits::JSON_DEPTH_MAX - 1).as_bytes(), &Mounts::bare()).is_ok());
    assert_eq!(refusal(&deep(limits::JSON_DEPTH_MAX)).code, CompileCode::TooComplex);
    let long = format!("{{\"a\":[\"{}\"]}}", "x".repeat(limits::PATTERN_BYTES_MAX));
    assert_eq!(refusal(&long).code, CompileCode::TooComplex);
    let two = r#"{"$or":[{"a":[1]},{"b":[1]}]}"#;
    let or = |count: usize| {
        let fields: Vec<String> = (0..count).map(|index| format!("\"f{index}\":{two}")).collect();
        format!("{{{}}}", fields.join(","))
    };
    assert!(Filter::eventbridge(or(9).as_bytes(), &Mounts::bare()).is_ok());
    assert_eq!(refusal(&or(10)).code, CompileCode::TooComplex);
}

#[test]
fn a_list_of_types_has_entries() {
    assert_eq!(Filter::types(&[]).unwrap_err().code, CompileCode::BadTypes);
    assert_eq!(Filter::types(&["a", ""]).unwrap_err().position, 1);
}
