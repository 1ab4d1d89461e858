//! CESQL expressions and the events they are evaluated for: an expression, a line with a NUL, a value of three attributes and data.

use super::{Target, ending, halves, pattern::asked, texts};
use pattern::cesql::{Expression, Value};
use pattern::{Data, Dialect, Document, Filter};

pub(super) const TARGET: Target = Target {
    name: "pattern_cesql",
    run,
    samples,
};

fn run(input: &[u8]) -> u64 {
    let (expression, data) = halves(input, "\n\0\n");
    let Ok(expression) = std::str::from_utf8(expression) else {
        return 0;
    };
    let text = std::str::from_utf8(data).unwrap_or("x");
    let document = Document::new()
        .text("/attr/type", "order.placed")
        .text("/attr/subject", text)
        .integer("/attr/hop", text)
        .boolean("/attr/flag", "true")
        .data(Data::Json(data));
    let answers = [Dialect::Standard, Dialect::Extended].map(|dialect| {
        let parsed = Expression::parse(expression, dialect).map_err(|error| {
            assert!(error.position <= expression.len());
            (error.code as u8, (error.message.len() / 16).min(8))
        })?;
        let evaluation = parsed.evaluate(&document);
        let passes = evaluation.passes();
        if let Ok(filter) = Filter::cesql(expression, dialect) {
            assert_eq!(asked(filter, &document, data).0, passes);
        }
        let kind = match evaluation.value {
            Value::String(_) => 0,
            Value::Integer(_) => 1,
            Value::Boolean(_) => 2,
        };
        let errors: Vec<&str> = evaluation
            .errors
            .iter()
            .take(4)
            .map(|error| error.kind.as_str())
            .collect();
        Ok::<_, (u8, usize)>((passes, kind, errors))
    });
    ending(&answers)
}

fn samples() -> Vec<Vec<u8>> {
    texts(&[
        "type = 'order.placed' AND (hop < 6 OR NOT EXISTS missing) XOR flag\n\0\n5",
        "subject LIKE '%a_\\%b%' OR type NOT LIKE 'o%.p_aced'\n\0\nxxacd%b\u{e9}",
        "hop IN (1, '5', LENGTH(subject), 2 * 3 - 4 / 2 % 5) AND type NOT IN ('x', \"y\\\"z\")\n\0\n-2147483648",
        "CONCAT_WS('-', LEFT(subject, 2), RIGHT(type, 3), SUBSTRING(subject, -3, 2), UPPER(TRIM(subject))) != ''\n\0\n \u{df}\u{1f600} ",
        "INT(subject) + ABS(-hop) >= BOOL(flag) AND STRING(hop) <> 'x' AND IS_INT(subject)\n\0\n007",
        "data.a.b = 'x' AND EXISTS data.c AND data.\"n\" > 5 OR data = 1\n\0\n{\"a\":{\"b\":\"x\"},\"c\":[true],\"n\":1e1}",
        "((((TRUE)))) AND nope(1 / 0) = missing OR 'it\\'s' IN (type)\n\0\n",
    ])
}
