//! What expressions come to.

use super::{check, event, outcome};
use crate::cesql::Expression;
use crate::document::{Data, Document};
use crate::filter::{Dialect, Filter};

#[test]
fn literals_have_their_values() {
    check("TRUE", "TRUE");
    check("fAlSe", "FALSE");
    check("0", "0");
    check("+7", "7");
    check("-2147483648", "-2147483648");
    check("2147483647", "2147483647");
    check("007", "7");
    check("'it\\'s'", "'it\\'s'");
    check("\"say \\\"x\\\"\"", "'say \"x\"'");
    check(r"'a\b'", r"'a\b'");
    check(r#"'a\"b'"#, r#"'a\"b'"#);
    check("''", "''");
    check("'\n\u{a0}'", "'\n\u{a0}'");
}

#[test]
fn attributes_have_the_types_that_the_event_gives_them() {
    check("id", "'42'");
    check("hop", "5");
    check("flag", "TRUE");
    check("SEQUENCE", "'007'");
    let untyped = Document::new().integer("/attr/hop", "05").boolean("/attr/flag", "yes");
    assert_eq!(outcome("hop", &untyped), "'05'");
    assert_eq!(outcome("flag", &untyped), "'yes'");
}

#[test]
fn a_missing_attribute_makes_the_operation_zero_with_an_error() {
    check("missing", "FALSE missingAttribute");
    check("missing = 2", "FALSE missingAttribute");
    check("missing != 2", "FALSE missingAttribute");
    check("2 <> missing", "FALSE missingAttribute");
    check("missing + 1", "0 missingAttribute");
    check("1 / missing", "0 missingAttribute");
    check("-missing", "0 missingAttribute");
    check("NOT missing", "FALSE missingAttribute");
    check("missing LIKE '%'", "FALSE missingAttribute");
    check("missing NOT LIKE '%'", "FALSE missingAttribute");
    check("missing IN ('x')", "FALSE missingAttribute");
    check("missing NOT IN ('x')", "FALSE missingAttribute");
    check("'x' IN (missing, 'x')", "FALSE missingAttribute");
    check("LENGTH(missing)", "0 missingAttribute");
    check("UPPER(missing)", "'' missingAttribute");
    check("missing XOR gone", "FALSE missingAttribute missingAttribute");
}

#[test]
fn a_decided_operand_keeps_the_other_from_being_evaluated() {
    check("FALSE AND missing", "FALSE");
    check("TRUE OR 1 / 0 = 1", "TRUE");
    check("TRUE AND missing", "FALSE missingAttribute");
    check("FALSE OR 1 / 0 = 1", "FALSE math");
    check("missing AND 1 / 0 = 1", "FALSE missingAttribute");
    check("TRUE XOR missing", "FALSE missingAttribute");
    check("'x' IN ('x', missing)", "TRUE");
    check("EXISTS missing AND missing = 1", "FALSE");
}

#[test]
fn logic_binds_from_the_left_with_one_precedence() {
    check("TRUE OR FALSE AND FALSE", "FALSE");
    check("FALSE AND FALSE OR TRUE", "TRUE");
    check("FALSE AND missing OR TRUE", "TRUE");
    check("TRUE XOR TRUE OR TRUE", "TRUE");
    check("TRUE OR (FALSE AND FALSE)", "TRUE");
}

#[test]
fn operators_bind_as_the_specification_lists_them() {
    check("2 + 3 * 4", "14");
    check("2 * 3 + 4", "10");
    check("10 - 4 - 3", "3");
    check("100 / 10 / 5", "2");
    check("7 % 4 * 2", "6");
    check("1 + 1 = 2", "TRUE");
    check("1 < 2 = TRUE", "TRUE");
    check("1 = 1 AND 2 > 1", "TRUE");
    check("NOT FALSE = TRUE", "TRUE");
    check("NOT TRUE LIKE 'f%'", "TRUE");
    check("NOT 'false' IN ('true')", "TRUE");
    check("-5 LIKE '-_'", "TRUE");
    check("- hop LIKE '-5'", "TRUE");
    check("1 + 1 IN (1)", "2");
    check("hop = 5 LIKE 'x'", "FALSE");
    check("'x' LIKE 'x' IN (TRUE)", "TRUE");
    check("NOT EXISTS missing", "TRUE");
    check("NOT NOT TRUE", "TRUE");
    check("--5", "5");
    check("- -5", "5");
    check("4 - -1", "5");
    check("4-1", "3");
    check("4 -1", "3");
    check("4+ +1", "5");
    check("(1 + 2) * (3 + 4)", "21");
}

#[test]
fn arithmetic_is_of_32_bits_and_truncates() {
    check("7 / 2", "3");
    check("-7 / 2", "-3");
    check("-7 % 2", "-1");
    check("7 % -2", "1");
    check("5 / 0", "0 math");
    check("5 % 0", "0 math");
    check("2147483647 + 1", "0 math");
    check("-2147483648 - 1", "0 math");
    check("65536 * 65536", "0 math");
    check("-2147483648 / -1", "0 math");
    check("-2147483648 % -1", "0");
    check("- (-2147483648)", "0 math");
    check("'5' + TRUE", "6");
    check("'x' + 1", "1 cast");
    check("(1 / 0) + 1", "0 math");
}

#[test]
fn the_left_operand_is_cast_to_the_type_of_the_right_one() {
    check("sequence = 7", "TRUE");
    check("sequence = '7'", "FALSE");
    check("7 = sequence", "FALSE");
    check("hop = '5'", "TRUE");
    check("'+5' = hop", "TRUE");
    check("yes = TRUE", "TRUE");
    check("TRUE = yes", "FALSE");
    check("TRUE = 'true'", "TRUE");
    check("TRUE = 1", "TRUE");
    check("2 = TRUE", "TRUE");
    check("1 = flag", "TRUE");
    check("'x' = 1", "FALSE cast");
    check("'x' != 1", "TRUE cast");
    check("'yes' = TRUE", "FALSE cast");
    check("type = source", "FALSE");
    check("'a' = 'A'", "FALSE");
}

#[test]
fn order_is_of_integers() {
    check("hop < 6", "TRUE");
    check("hop <= '5'", "TRUE");
    check("sequence > hop", "TRUE");
    check("TRUE >= 1", "TRUE");
    check("'b' > 'a'", "FALSE cast cast");
}

#[test]
fn conditions_are_cast_to_booleans_except_by_not() {
    check("1 AND TRUE", "TRUE");
    check("0 OR 'False'", "FALSE");
    check("yes XOR 0", "TRUE");
    check("NOT 'FALSE'", "TRUE");
    check("NOT 10", "TRUE cast");
    check("NOT 0", "TRUE cast");
    check("NOT 'x'", "TRUE cast");
    check("'x' AND TRUE", "FALSE cast");
    check("'x' OR TRUE", "TRUE cast");
    check("TRUE AND 'x'", "FALSE cast");
}

#[test]
fn strings_cast_to_integers_as_whole_decimals_only() {
    check("INT('+5')", "5");
    check("INT('-0')", "0");
    for text in ["", " 5", "5 ", "5.0", "1e3", "0x5", "2147483648", "+", "--5", "٣"] {
        check(&format!("INT('{text}')"), "0 cast");
    }
    check("BOOL('tRuE')", "TRUE");
    check("BOOL('1')", "FALSE cast");
    check("BOOL(-1)", "TRUE");
    check("INT(FALSE)", "0");
    check("STRING(-5)", "'-5'");
    check("STRING(flag)", "'true'");
    check("IS_INT('5')", "TRUE");
    check("IS_INT('x')", "FALSE");
    check("IS_BOOL('False')", "TRUE");
    check("IS_BOOL('x')", "FALSE");
}

#[test]
fn like_matches_the_value_as_a_string() {
    check("type LIKE 'com.%.placed'", "TRUE");
    check("type LIKE 'COM.%'", "FALSE");
    check("type NOT LIKE 'org.%'", "TRUE");
    check("hop LIKE '_'", "TRUE");
    check("flag LIKE 't%e'", "TRUE");
    check("subject LIKE '_n_c_d_ _'", "TRUE");
    check(r"'100%' LIKE '100\%'", "TRUE");
    check(r"'1000' LIKE '100\%'", "FALSE");
    check(r#"'a"b' LIKE "a\"b""#, "TRUE");
}

#[test]
fn in_casts_the_elements_to_the_type_of_the_left_operand() {
    check("hop IN (1, 5)", "TRUE");
    check("hop IN ('1', '05')", "TRUE");
    check("hop IN (1, hop - 0)", "TRUE");
    check("id IN (41, 42)", "TRUE");
    check("flag IN (7)", "TRUE");
    check("'true' IN (TRUE)", "TRUE");
    check("'TRUE' IN (TRUE)", "FALSE");
    check("type NOT IN ('x', 'y')", "TRUE");
    check("hop IN ('x', 5)", "TRUE cast");
    check("hop IN (5, 'x')", "TRUE");
    check("hop NOT IN ('x')", "TRUE cast");
    check("'a' IN (LOWER('A'), missing)", "TRUE");
    check("1 IN (2, (1))", "TRUE");
    check("'x' IN ('a', CONCAT('x'))", "TRUE");
    check("(1 / 0) IN (0, 1 / 1)", "FALSE math");
    check("1 / 0 IN (0, 1 / 1)", "1");
}

#[test]
fn exists_is_about_presence_and_always_true_of_what_is_required() {
    check("EXISTS subject", "TRUE");
    check("exists HOP", "TRUE");
    check("EXISTS missing", "FALSE");
    let nothing = Document::new();
    for required in ["id", "source", "type", "specversion"] {
        assert_eq!(outcome(&format!("EXISTS {required}"), &nothing), "TRUE");
        let filter = Filter::cesql(&format!("EXISTS {required}"), Dialect::Standard).unwrap();
        assert!(filter.matches(&nothing));
    }
}

#[test]
fn functions_on_strings_count_characters() {
    check("LENGTH(subject)", "9");
    check("LENGTH('')", "0");
    check("LENGTH(-12)", "3");
    check("CONCAT()", "''");
    check("CONCAT('a', 1, TRUE)", "'a1true'");
    check("CONCAT_WS('-', 'a', 'b', 'c')", "'a-b-c'");
    check("CONCAT_WS('-')", "''");
    check("lower('ÀB')", "'àb'");
    check("UPPER('straße')", "'STRASSE'");
    check("TRIM('\u{2003} a \u{3000}\n')", "'a'");
    check("TRIM('\u{1}a')", "'\u{1}a'");
    check("LEFT(subject, 3)", "'Ünï'");
    check("LEFT('abc', 0)", "''");
    check("LEFT('abc', 9)", "'abc'");
    check("LEFT('abc', -1)", "'abc' functionEvaluation");
    check("RIGHT(subject, 1)", "'😀'");
    check("RIGHT('abc', 9)", "'abc'");
    check("RIGHT('abc', '2')", "'bc'");
    check("RIGHT('abc', -1)", "'abc' functionEvaluation");
    check("RIGHT(CONCAT('ab', 'cd'), 3)", "'bcd'");
}

#[test]
fn substrings_count_from_one_or_from_the_end() {
    check("SUBSTRING('abcdef', 3)", "'cdef'");
    check("SUBSTRING('abcdef', 6)", "'f'");
    check("SUBSTRING('abcdef', -2)", "'ef'");
    check("SUBSTRING('abcdef', -6)", "'abcdef'");
    check("SUBSTRING('abcdef', 0)", "''");
    check("SUBSTRING('', 0)", "''");
    check("SUBSTRING('abcdef', 7)", "'' functionEvaluation");
    check("SUBSTRING('abcdef', -7)", "'' functionEvaluation");
    check("SUBSTRING('', 1)", "'' functionEvaluation");
    check("SUBSTRING('abcdef', -2147483648)", "'' functionEvaluation");
    check("SUBSTRING('abcdef', 2, 3)", "'bcd'");
    check("SUBSTRING('abcdef', 5, 99)", "'ef'");
    check("SUBSTRING('abcdef', 2, 0)", "''");
    check("SUBSTRING('abcdef', 2, -1)", "'' functionEvaluation");
    check("SUBSTRING(subject, 9, 1)", "'😀'");
}

#[test]
fn abs_has_no_answer_for_the_least_integer() {
    check("ABS(-3)", "3");
    check("ABS('-3')", "3");
    check("ABS(-2147483648)", "2147483647 math");
    check("ABS('x')", "0 cast");
}

#[test]
fn an_unknown_function_is_an_error_of_the_evaluation_and_its_arguments_are_not_evaluated() {
    check("nope(1 / 0)", "FALSE missingFunction");
    check("LENGTH()", "FALSE missingFunction");
    check("LENGTH('a', 'b')", "FALSE missingFunction");
    check("CONCAT_WS()", "FALSE missingFunction");
    check("FALSE AND nope()", "FALSE");
    check("LENGTH(nope(LENGTH(1), missing)) = 0", "FALSE missingFunction");
}

#[test]
fn functions_may_be_called_in_any_case_and_with_spaces() {
    check("Length ( 'abc' )", "3");
    check("concat_ws\n(\t',' , 'a' , LEFT('bc', 1))", "'a,b'");
    check("left = 1", "FALSE missingAttribute");
}

#[test]
fn nested_functions_write_a_bounded_number_of_bytes() {
    let value = "x".repeat(64 * 1024);
    let event = Document::new().text("/attr/a", &value);
    let many = ["a"; 10].join(",");
    assert_eq!(
        outcome(&format!("LENGTH(CONCAT({many}))"), &event),
        "0 functionEvaluation"
    );
    assert_eq!(
        outcome(&format!("LENGTH(CONCAT_WS(a,{}))", ["''"; 100].join(",")), &event),
        "0 functionEvaluation"
    );
    assert_eq!(outcome("LENGTH(CONCAT(a, a))", &event), "131072");
}

#[test]
fn paths_into_data_are_an_extension() {
    let json = br#"{"order": {"total": 12, "items": [{"n": 1}, {"n": 2}], "a.b": "dotted", "one": ["x"]},
        "paid": true, "nothing": null, "float": 1.5, "large": 3000000000, "same": 3e2}"#;
    let event = event().data(Data::Json(json));
    let check = |expression: &str, expected: &str| {
        let parsed = Expression::parse(expression, Dialect::Extended).unwrap();
        let evaluation = parsed.evaluate(&event);
        let errors = evaluation
            .errors
            .iter()
            .map(|error| format!(" {}", error.kind.as_str()));
        assert_eq!(
            format!("{}{}", evaluation.value, errors.collect::<String>()),
            expected,
            "{expression}"
        );
        let filter = Filter::cesql(expression, Dialect::Extended).unwrap();
        assert_eq!(filter.matches(&event), expected == "TRUE", "{expression} as a filter");
    };
    check("data.order.total > 10 AND type LIKE 'com.%'", "TRUE");
    check("data.order.total", "12");
    check("DATA.paid", "TRUE");
    check("data.same", "300");
    check("data.float", "'1.5'");
    check("data.large", "'3000000000'");
    check("data.order.'a.b'", "'dotted'");
    check("data.order.one", "'x'");
    check("data.order.items.n", "FALSE missingAttribute");
    check("data.nothing", "FALSE missingAttribute");
    check("data.order", "FALSE missingAttribute");
    check("EXISTS data.order.total", "TRUE");
    check("EXISTS data.nothing", "FALSE");
    check("EXISTS data.Paid", "FALSE");
    check("data", "FALSE missingAttribute");
    let bare = event_of_scalar();
    assert_eq!(
        Expression::parse("data = 5", Dialect::Extended)
            .unwrap()
            .evaluate(&bare)
            .value
            .to_string(),
        "TRUE"
    );
}

fn event_of_scalar() -> Document<'static> {
    Document::new().data(Data::Json(b"5"))
}

#[test]
fn a_sub_expression_is_explained_with_its_value_and_errors() {
    let filter = Filter::cesql("type = 'x' OR hop > 9 OR missing = 1", Dialect::Standard).unwrap();
    let explanation = crate::explain(&filter, &event());
    let shown = serde_json::to_value(&explanation.root).unwrap();
    assert_eq!(shown["kind"], "any");
    assert_eq!(shown["clauses"].as_array().map(Vec::len), Some(3));
    assert_eq!(shown["clauses"][0]["path"], "type = 'x'");
    assert_eq!(shown["clauses"][0]["seen"][0], "FALSE");
    assert_eq!(
        shown["clauses"][0]["clauses"][0]["seen"][0],
        "'com.example.order.placed'"
    );
    assert_eq!(
        shown["clauses"][2]["clauses"][0]["errors"][0],
        "the event has no attribute missing (byte 25)"
    );
    let reason = explanation.first_reason();
    assert_eq!(reason.as_deref(), Some("the event has no attribute missing (byte 25)"));
    let reason = |expression: &str| {
        let filter = Filter::cesql(expression, Dialect::Standard).unwrap();
        crate::explain(&filter, &event()).first_reason().unwrap()
    };
    assert_eq!(reason("TRUE AND hop > 9"), "hop > 9 is FALSE, because hop is 5");
    assert_eq!(reason("NOT flag"), "NOT flag is FALSE, because flag is TRUE");
    assert_eq!(reason("hop + 1"), "hop + 1 is 6, because hop is 5");
    assert_eq!(reason("FALSE AND missing = 1"), "FALSE is FALSE");
    assert_eq!(reason("flag AND hop - 5"), "hop - 5 is 0, because hop is 5");
}
