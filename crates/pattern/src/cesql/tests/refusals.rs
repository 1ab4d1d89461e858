//! What is no expression, and what is too much of one.

use crate::cesql::Expression;
use crate::document::Document;
use crate::error::{CompileCode, CompileError};
use crate::filter::{Dialect, Filter};
use crate::limits::{CESQL_BYTES_MAX, CESQL_REFERENCES_MAX};

fn refusal(expression: &str) -> CompileError {
    match Expression::parse(expression, Dialect::Standard) {
        Ok(_) => panic!("accepted: {expression}"),
        Err(error) => error,
    }
}

/// Checks the reason, its place, and what is suggested instead.
fn check(expression: &str, message: &str, position: usize, suggestion: Option<&str>) {
    let error = refusal(expression);
    assert_eq!(error.message, message, "{expression}");
    assert_eq!(
        (error.position, error.suggestion.as_deref()),
        (position, suggestion),
        "{expression}"
    );
}

#[test]
fn what_is_missing_is_named() {
    check("", "a value is missing at the end", 0, None);
    check("type =", "a value is missing at the end", 6, None);
    check("type 'x'", "an operator is missing before a string", 5, None);
    check("type source", "an operator is missing before source", 5, None);
    check("1 2", "an operator is missing before 2", 2, None);
    check("= 1", "a value is missing before =", 0, None);
    check("EXISTS", "the name of an attribute is missing at the end", 6, None);
    check(
        "EXISTS 'x'",
        "the name of an attribute is missing before a string",
        7,
        None,
    );
    check("EXISTS (x)", "the name of an attribute is missing before (", 7, None);
    check("type IN 'x'", "( after IN is missing before a string", 8, None);
    check("type IN ()", "the list of IN has at least one element", 9, None);
    check("type IN ('x',)", "the list of IN has at least one element", 13, None);
    check(
        "type NOT 'x'",
        "LIKE or IN after NOT is missing before a string",
        9,
        None,
    );
    check(
        "x LIKE 123",
        "the pattern of LIKE, a string, is missing before 123",
        7,
        None,
    );
    check(
        "x LIKE y",
        "the pattern of LIKE, a string, is missing before y",
        7,
        None,
    );
    check("AND x", "AND needs a value on its left", 0, None);
    check("CONCAT('a',)", "a value is missing before )", 11, None);
    check("()", "a value is missing before )", 1, None);
}

#[test]
fn parentheses_and_strings_are_closed() {
    check("(type = 'x'", "a parenthesis is not closed", 0, Some("add )"));
    check("type IN ('x'", "a parenthesis is not closed", 8, Some("add )"));
    check("ABC(", "a value is missing at the end", 4, None);
    check("ABC(1", "a parenthesis is not closed", 0, Some("add )"));
    check("TRUE)", "a closing parenthesis without its opening one", 4, None);
    check("1, 2", "a comma outside of arguments and lists", 1, None);
    check("(1, 2)", "a comma outside of arguments and lists", 2, None);
    check("'abc", "a string without its closing '", 0, Some("add '"));
    check(r"'abc\'", "a string without its closing '", 0, Some("add '"));
    check(
        "'it''s'",
        r"two strings one after the other; ' inside a string is written \'",
        4,
        Some(r"write \'"),
    );
}

#[test]
fn what_other_languages_write_is_corrected() {
    check("type == 'x'", "there is no operator ==", 5, Some("write ="));
    check("a = 1 && b = 2", "there is no operator &&", 6, Some("write AND"));
    check(
        "a || b",
        "there is no operator ||",
        2,
        Some("write OR, or CONCAT(x, y) for strings"),
    );
    check(
        "a ADN b",
        "an operator is missing before ADN",
        2,
        Some("did you mean AND?"),
    );
    check("a ; b", "';' has no meaning here", 2, None);
    check("a\u{a0}= 1", "'\\u{a0}' has no meaning here", 1, None);
    check("1.5", "an operator is missing before a dot", 1, None);
    check(
        "my_ext = 1",
        "the names of attributes have only letters and digits",
        2,
        None,
    );
    check(
        "f1(x)",
        "the names of functions have only letters and underscores",
        1,
        None,
    );
    check(
        "+type",
        "+ needs a value on its left, or digits right after it",
        0,
        None,
    );
    check(
        "2147483648",
        "integers are between -2147483648 and 2147483647",
        0,
        Some("write '2147483648' for a string"),
    );
}

#[test]
fn data_is_refused_without_the_extension() {
    check(
        "data.order.total > 5",
        "CESQL sees the attributes of an event and not its data; paths into JSON data are an extension",
        0,
        Some("say dialect: extended"),
    );
    check("type.x = 1", "attributes have no parts", 4, None);
}

#[test]
fn a_filter_with_an_unknown_function_is_refused() {
    let check = |expression: &str, message: &str, position: usize, suggestion: Option<&str>| {
        let error = Filter::cesql(expression, Dialect::Standard).expect_err(expression);
        assert_eq!(
            (error.message.as_str(), error.position),
            (message, position),
            "{expression}"
        );
        assert_eq!(error.suggestion.as_deref(), suggestion, "{expression}");
    };
    check(
        "type = 'x' AND LENGHT(id) > 1",
        "there is no function LENGHT",
        15,
        Some("did you mean LENGTH?"),
    );
    check(
        "SUBSTRING(id) = 'x'",
        "SUBSTRING does not take so many arguments",
        0,
        None,
    );
    check("frobnicate()", "there is no function FROBNICATE", 0, None);
}

#[test]
fn size_is_bounded_and_depth_is_free() {
    let refused = |expression: &str| assert_eq!(refusal(expression).code, CompileCode::TooComplex);
    refused(&" ".repeat(CESQL_BYTES_MAX + 1));
    let names: Vec<String> = (0..=CESQL_REFERENCES_MAX).map(|index| format!("a{index}")).collect();
    refused(&names.join("+"));
    refused(&format!("id LIKE '%_{}%'", "x".repeat(2_000)));
    refused(&vec!["1"; 20_000].join("+"));
}

/// Compiles, evaluates and explains; whether it passes.
fn run(expression: &str) -> bool {
    let document = Document::new().text("/attr/id", "x");
    let filter = Filter::cesql(expression, Dialect::Standard).unwrap();
    let explanation = crate::explain(&filter, &document);
    assert_eq!(explanation.matched, filter.matches(&document));
    // What is shown is not deeper than what a reader of JSON takes.
    assert!(serde_json::from_str::<serde_json::Value>(&serde_json::to_string(&explanation).unwrap()).is_ok());
    explanation.matched
}

#[test]
fn deep_and_long_expressions_are_answered_without_a_stack_to_overflow() {
    assert!(run(&format!("{}id = 'x'{}", "(".repeat(10_000), ")".repeat(10_000))));
    assert!(run(&format!("{}TRUE", "NOT ".repeat(10_000))));
    assert!(!run(&format!("{}5", "- ".repeat(20_000))));
    assert!(run(&vec!["id = 'y'"; 4_000].join(" OR ").replacen("'y'", "'x'", 1)));
    assert!(run(&vec!["id = 'x'"; 4_000].join(" AND ")));
    assert!(run(&format!(
        "{}id = 'x'{}",
        "(TRUE AND ".repeat(2_000),
        ")".repeat(2_000)
    )));
    assert!(run(&format!("id IN ('x', {})", vec!["'yy'"; 10_000].join(","))));
    assert!(run(&format!(
        "{}id{} = 'x'",
        "LEFT(".repeat(5_000),
        ",1)".repeat(5_000)
    )));
    assert!(run(&format!("{}TRUE{}", "TRUE IN (".repeat(5_000), ")".repeat(5_000))));
}
