//! Every operator, as the language documents it: what it accepts, what it does not, and the edges.

use crate::{check, check_values};

#[test]
fn exact_values_are_compared_with_their_type() {
    check_values(
        r#""x", 1, true, null"#,
        &[r#""x""#, "1", "true", "null"],
        &[r#""1""#, r#""true""#, r#""null""#, "false", "2"],
    );
    check_values("false", &["false", "[true,false]"], &["true", "null", "0", r#""""#]);
    check_values(r#""""#, &[r#""""#], &["null", "[]", "{}", r#"" ""#]);
    check_values(r#"{"exactly":"x"}"#, &[r#""x""#], &[r#""X""#]);
}

#[test]
fn numbers_are_equal_in_every_spelling_and_never_to_strings() {
    check_values(
        "300",
        &["300", "300.0", "3e2", "3.00E+2", "30000e-2"],
        &["301", r#""300""#, "300.1"],
    );
    check_values("-0", &["0", "-0.0", "0e10"], &["1", "null"]);
    check_values(
        "0.1",
        &["0.1", "1e-1", "0.10"],
        &["0.10000000000000002", "0.1000000001"],
    );
}

#[test]
fn numbers_beyond_double_precision_are_equal_by_spelling_only() {
    check_values(
        "12345678901234567890123",
        &["12345678901234567890123"],
        &["1.2345678901234567890123e22", "12345678901234567890124"],
    );
    check_values("1e400", &["1e400"], &["1E400", "10e399"]);
    check_values(
        "9007199254740993",
        &["9007199254740993"],
        &["9007199254740992", "9007199254740993.0"],
    );
}

#[test]
fn prefix_and_suffix_see_strings_only() {
    check_values(
        r#"{"prefix":"ab"}"#,
        &[r#""ab""#, r#""abc""#, r#"["x","abx"]"#],
        &[r#""Ab""#, r#""a""#, "null"],
    );
    check_values(r#"{"prefix":"1"}"#, &[r#""12""#], &["12"]);
    check_values(
        r#"{"prefix":""}"#,
        &[r#""""#, r#""x""#],
        &["1", "null", "true", "[]", "{}"],
    );
    check_values(
        r#"{"suffix":".png"}"#,
        &[r#""a.png""#, r#"".png""#],
        &[r#""a.PNG""#, r#""png""#],
    );
    check_values(r#"{"prefix":"é"}"#, &[r#""été""#], &[r#""e\u0301t""#]);
}

#[test]
fn case_can_be_ignored() {
    check_values(
        r#"{"equals-ignore-case":"aBcé"}"#,
        &[r#""AbCÉ""#, r#""abcé""#],
        &[r#""abce""#, r#""abc""#, r#""abcéx""#],
    );
    check_values(r#"{"equals-ignore-case":""}"#, &[r#""""#], &[r#""x""#, "null"]);
    check_values(
        r#"{"prefix":{"equals-ignore-case":"AB"}}"#,
        &[r#""abc""#, r#""Ab""#],
        &[r#""a""#, r#""cab""#],
    );
    check_values(
        r#"{"suffix":{"equals-ignore-case":"AB"}}"#,
        &[r#""cab""#, r#""Ab""#],
        &[r#""b""#, r#""abc""#],
    );
}

#[test]
fn a_wildcard_takes_strings_only() {
    check_values(
        r#"{"wildcard":"*"}"#,
        &[r#""""#, r#""x""#],
        &["1", "null", "true", "[]"],
    );
    check_values(r#"{"wildcard":""}"#, &[r#""""#], &[r#""x""#]);
    check_values(
        r#"{"wildcard":"a*b*c"}"#,
        &[r#""abc""#, r#""axbxc""#, r#""abbcc""#],
        &[r#""ab""#, r#""xabc""#],
    );
    check_values(r#"{"wildcard":"a\\*b"}"#, &[r#""a*b""#], &[r#""axb""#]);
    check_values(r#"{"wildcard":"a\\\\b?[x]"}"#, &[r#""a\\b?[x]""#], &[r#""a\\bcx""#]);
}

#[test]
fn anything_but_takes_every_other_value_of_every_type_but_not_absence() {
    check_values(
        r#"{"anything-but":"x"}"#,
        &[r#""y""#, "1", "null", "true", r#""""#],
        &[r#""x""#, "[]", "{}", r#"{"b":1}"#],
    );
    check(r#"{"a":[{"anything-but":"x"}]}"#, "{}", false);
    check_values(r#"{"anything-but":["x","y"]}"#, &[r#""z""#, "0"], &[r#""x""#, r#""y""#]);
    check_values(
        r#"{"anything-but":[1,2]}"#,
        &["3", r#""1""#, "null", "12345678901234567890123"],
        &["1", "1.0", "2e0"],
    );
    check_values(r#"{"anything-but":""}"#, &[r#""x""#], &[r#""""#]);
    check_values(
        r#"{"anything-but":{"prefix":"1"}}"#,
        &["1", r#""2""#, "null"],
        &[r#""1""#, r#""12""#],
    );
    check_values(
        r#"{"anything-but":{"suffix":["a","b"]}}"#,
        &[r#""c""#],
        &[r#""xa""#, r#""xb""#],
    );
    check_values(
        r#"{"anything-but":{"prefix":["a","b"]}}"#,
        &[r#""c""#],
        &[r#""ax""#, r#""b""#],
    );
    check_values(
        r#"{"anything-but":{"equals-ignore-case":["Ab","c"]}}"#,
        &[r#""d""#, "7"],
        &[r#""aB""#, r#""C""#],
    );
    check_values(
        r#"{"anything-but":{"wildcard":["*/dir/*","x"]}}"#,
        &[r#""dir/a""#, "123", "null"],
        &[r#""a/dir/b""#, r#""x""#],
    );
    check_values(r#"{"anything-but":{"wildcard":""}}"#, &[r#""x""#], &[r#""""#]);
}

#[test]
fn anything_but_on_an_array_means_that_some_element_is_different() {
    check_values(
        r#"{"anything-but":"ta"}"#,
        &[r#"["ta","student"]"#],
        &[r#"["ta"]"#, r#"["ta","ta"]"#],
    );
}

#[test]
fn exists_looks_at_leaves() {
    check_values(
        r#"{"exists":true}"#,
        &["1", "null", r#""""#, "[null]", "[[1]]"],
        &["[]", "{}", r#"{"b":1}"#, "[[]]", "[{}]"],
    );
    check_values(
        r#"{"exists":false}"#,
        &["[]", "{}", r#"{"b":1}"#, "[[]]", "[{}]"],
        &["1", "null", "[null]"],
    );
    check(r#"{"a":[{"exists":false}]}"#, "{}", true);
    check(r#"{"a":{"b":[{"exists":false}]}}"#, r#"{"a":"x"}"#, true);
    check(r#"{"a":[{"exists":false},"x"]}"#, r#"{"a":"x"}"#, true);
    check(r#"{"a":[{"exists":false},"x"]}"#, r#"{"a":"y"}"#, false);
}

#[test]
fn numeric_ranges_hold_numbers_by_value() {
    check_values(
        r#"{"numeric":["=",3.018e2]}"#,
        &["301.8", "3018e-1"],
        &["301.81", r#""301.8""#],
    );
    check_values(
        r#"{"numeric":[">",0,"<=",5]}"#,
        &["5", "0.0001"],
        &["0", "5.0001", "-1", r#""3""#, "null"],
    );
    check_values(
        r#"{"numeric":[">=",0]}"#,
        &["0", "-0.0", "1e300"],
        &["-1e-300", "1e400"],
    );
    check_values(r#"{"numeric":["<",-1.5]}"#, &["-2"], &["-1.5", "0"]);
    check_values(r#"{"numeric":["<=",1e-320]}"#, &["1e-320"], &["2e-320"]);
}

#[test]
fn addresses_are_compared_with_ranges_and_in_every_spelling() {
    check_values(
        r#"{"cidr":"10.0.0.5/24"}"#,
        &[r#""10.0.0.0""#, r#""10.0.0.255""#],
        &[r#""10.0.1.0""#, "10", r#""x""#, r#""::1""#],
    );
    check_values(
        r#"{"cidr":"2001:db8::/32"}"#,
        &[r#""2001:DB8:0:0::1""#],
        &[r#""2001:db9::1""#],
    );
    check_values(r#""::1""#, &[r#""::1""#, r#""0:0:0:0:0:0:0:1""#], &[r#""::2""#]);
    check_values(r#""2001:DB8::A""#, &[r#""2001:db8:0::a""#], &[]);
    check_values(r#"{"anything-but":"::1"}"#, &[r#""0:0:0:0:0:0:0:1""#], &[r#""::1""#]);
}

#[test]
fn texts_are_compared_by_code_point() {
    check_values(r#""\u00e9""#, &[r#""é""#, r#""\u00E9""#], &[r#""e\u0301""#]);
    check_values(r#""😀""#, &[r#""\uD83D\uDE00""#], &[r#""\uD83D""#]);
    check_values(r#""\/""#, &[r#""/""#], &[r#""\\/""#]);
    check_values(r#""\ud83d""#, &[r#""\uD83D""#], &[r#""?""#]);
    check(r#"{"\u0061":[1]}"#, r#"{"a":1}"#, true);
    check(r#"{"a":[1]}"#, r#"{"\u0061":1}"#, true);
}

#[test]
fn dotted_and_nested_keys_are_the_same() {
    for pattern in [
        r#"{"a.b":{"c":[1]}}"#,
        r#"{"a":{"b.c":[1]}}"#,
        r#"{"a.b.c":[1]}"#,
        r#"{"a":{"b":{"c":[1]}}}"#,
    ] {
        for event in [
            r#"{"a.b":{"c":1}}"#,
            r#"{"a":{"b.c":1}}"#,
            r#"{"a.b.c":1}"#,
            r#"{"a":{"b":{"c":1}}}"#,
            r#"{"a":{"b\u002ec":1}}"#,
        ] {
            check(pattern, event, true);
        }
    }
    check(r#"{"a.":[1]}"#, r#"{"a":{"":1}}"#, true);
    check(r#"{"a":[1]}"#, r#"{"a":{"":1}}"#, false);
}

#[test]
fn duplicate_keys_both_count_in_an_event_and_the_last_wins_in_a_pattern() {
    check(r#"{"a":[1]}"#, r#"{"a":1,"a":2}"#, true);
    check(r#"{"a":[2]}"#, r#"{"a":1,"a":2}"#, true);
    check(r#"{"a":[1],"a":[2]}"#, r#"{"a":1}"#, false);
    check(r#"{"a":[1],"a":[2]}"#, r#"{"a":2}"#, true);
    check(r#"{"a":{"b":[1]},"a.b":[2]}"#, r#"{"a":{"b":2}}"#, true);
    check(r#"{"a":{"b":[1]},"a":{"c":[2]}}"#, r#"{"a":{"b":1,"c":2}}"#, true);
    check(r#"{"a":{"b":[1]},"a":{"c":[2]}}"#, r#"{"a":{"c":2}}"#, false);
}

#[test]
fn or_makes_alternatives_at_any_depth() {
    let pattern = r#"{"s":["x"],"d":{"$or":[{"a":[1]},{"b":[2],"$or":[{"c":[3]},{"e":[4]}]}]}}"#;
    check(pattern, r#"{"s":"x","d":{"a":1}}"#, true);
    check(pattern, r#"{"s":"x","d":{"b":2,"c":3}}"#, true);
    check(pattern, r#"{"s":"x","d":{"b":2,"e":4}}"#, true);
    check(pattern, r#"{"s":"x","d":{"b":2}}"#, false);
    check(pattern, r#"{"s":"y","d":{"a":1}}"#, false);
}

#[test]
fn or_and_the_order_of_the_text_decide_which_test_of_a_path_counts() {
    let before = r#"{"a":[1],"$or":[{"a":[2]},{"b":[3]}]}"#;
    check(before, r#"{"a":2}"#, true);
    check(before, r#"{"a":1}"#, false);
    check(before, r#"{"a":1,"b":3}"#, true);
    let after = r#"{"$or":[{"a":[2]},{"b":[3]}],"a":[1]}"#;
    check(after, r#"{"a":2}"#, false);
    check(after, r#"{"a":1}"#, true);
}

#[test]
fn or_is_a_plain_name_when_it_cannot_be_an_operator() {
    check(r#"{"$or":["x"]}"#, r#"{"$or":"x"}"#, true);
    check(r#"{"$or":[{"prefix":"x"},{"suffix":"y"}]}"#, r#"{"$or":"xa"}"#, true);
    check(r#"{"a":{"prefix":[1]}}"#, r#"{"a":{"prefix":1}}"#, true);
}

#[test]
fn a_field_of_another_kind_is_absent() {
    check(r#"{"a":{"b":[1]}}"#, r#"{"a":1}"#, false);
    check(r#"{"a":[1]}"#, r#"{"a":{"b":1}}"#, false);
    check(r#"{"detail":[{"exists":true}]}"#, r#"{"detail":"{\"a\":1}"}"#, true);
}
