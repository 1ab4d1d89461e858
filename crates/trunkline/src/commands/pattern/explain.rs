//! `trunkline pattern explain`: why events match a filter or not, clause by clause.

use super::questions::{Question, shown_name, verdict};
use crate::{
    client::Client,
    exit::Failure,
    output::{Output, printable},
};
use serde_json::Value;

/// Say why events match a filter or not.
#[derive(Debug, clap::Args)]
pub struct Explain {
    #[command(flatten)]
    question: Question,
}

impl Explain {
    /// Prints the tree of clauses for each event; fails unless all match.
    pub async fn run(self, client: impl Fn() -> Result<Client, Failure>, output: Output) -> Result<(), Failure> {
        let results = self.question.results("explain", &client).await?;
        for result in &results {
            if output.is_json() {
                output.line(&result.to_string());
            } else {
                lines(result).iter().for_each(|line| output.line(&printable(line)));
            }
        }
        verdict(&results)
    }
}

/// One event's answer for a person.
fn lines(result: &Value) -> Vec<String> {
    let reason = result["reason"].as_str();
    let head = reason.map_or_else(|| "matches".to_owned(), |reason| format!("does not match: {reason}"));
    let mut lines = vec![format!("{}: {head}", shown_name(result))];
    clause(&result["explanation"]["root"], 1, &mut lines);
    lines
}

fn clause(value: &Value, depth: usize, lines: &mut Vec<String>) {
    let mark = if value["matched"] == true { "+" } else { "-" };
    let note = value["note"]
        .as_str()
        .map(|note| format!("  ({note})"))
        .unwrap_or_default();
    let errors: Vec<&str> = value["errors"]
        .as_array()
        .into_iter()
        .flatten()
        .filter_map(Value::as_str)
        .collect();
    let errors = if errors.is_empty() {
        String::new()
    } else {
        format!("  errors: {}", errors.join("; "))
    };
    lines.push(format!("{}{mark} {}{note}{errors}", "  ".repeat(depth), words(value)));
    for inside in value["clauses"].as_array().into_iter().flatten() {
        clause(inside, depth + 1, lines);
    }
}

fn words(value: &Value) -> String {
    let seen: Vec<&str> = value["seen"]
        .as_array()
        .into_iter()
        .flatten()
        .filter_map(Value::as_str)
        .collect();
    let more = value["unseen"]
        .as_u64()
        .map(|count| format!(" and {count} more"))
        .unwrap_or_default();
    match (value["path"].as_str(), value["kind"].as_str()) {
        (None, Some("all")) => "all of".to_owned(),
        (None, Some("any")) => "one of".to_owned(),
        (None, kind) => kind.unwrap_or_default().to_owned(),
        (Some(path), _) => {
            let is = if seen.is_empty() {
                "absent".to_owned()
            } else {
                seen.join(", ")
            };
            let wanted = value["wanted"]
                .as_str()
                .map(|wanted| format!("; wanted {wanted}"))
                .unwrap_or_default();
            format!("{path} is {is}{more}{wanted}")
        }
    }
}

#[cfg(test)]
mod tests {
    use super::lines;
    use serde_json::json;

    #[test]
    fn a_tree_of_clauses_is_indented_and_marked() {
        let field = |path: &str, seen: &str, matched: bool| json!({"kind": "field", "matched": matched, "path": path, "wanted": "[\"paid\"]", "seen": [seen], "unseen": 2});
        let root = json!({"kind": "all", "matched": false, "clauses": [field("a", "1", true), field("b", "2", false)]});
        let result =
            json!({"id": "1", "source": "/s", "matched": false, "reason": "b is 2", "explanation": {"root": root}});
        assert_eq!(
            lines(&result),
            [
                "1 (/s): does not match: b is 2",
                "  - all of",
                "    + a is 1 and 2 more; wanted [\"paid\"]",
                "    - b is 2 and 2 more; wanted [\"paid\"]",
            ]
        );
    }
}
