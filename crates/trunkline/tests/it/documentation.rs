//! Documentation that is made from the code stays as the code is. `TRUNKLINE_BLESS=1` writes it anew.

use doors::http::{errors::ERRORS, metrics};
use std::path::PathBuf;

#[test]
fn every_error_code_is_in_the_documentation() {
    let mut page = String::from(
        "# Errors\n\nEvery error is problem+json with one of these codes. Codes are stable. The page is made from the code.\n\n\
         One thing comes without a body: the refusal of what cannot be read as a request at all. Over HTTP/1.1 that is 400 \
         (it is no HTTP/1.1), 414 (a target of more than 64 KiB) and 431 (more than 100 headers, or a head of more than \
         128 KiB), each with `Connection: close`; over HTTP/2 it is 431 for more than 100 headers, or an error of the \
         protocol's own.\n\n\
         | code | status | what it means | what to do |\n|---|---|---|---|\n",
    );
    for error in ERRORS {
        page.push_str(&format!(
            "| `{}` | {} | {} | {} |\n",
            error.code, error.status, error.title, error.help
        ));
    }
    let path = PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/../../docs/errors.md"));
    if std::env::var_os("TRUNKLINE_BLESS").is_some() {
        std::fs::write(&path, &page).expect("written");
    }
    let found = std::fs::read_to_string(&path).expect("docs/errors.md");
    assert!(
        found == page,
        "docs/errors.md is not what the code says; TRUNKLINE_BLESS=1 writes it anew"
    );
}

#[test]
fn every_metric_is_in_the_documentation() {
    let (begins, ends) = ("<!-- metrics: made from the code -->\n", "<!-- end of metrics -->");
    let mut table = String::from("| metric | kind | labels | what it is |\n|---|---|---|---|\n");
    for metric in metrics::reference() {
        let labels: Vec<String> = metric.labels.iter().map(|label| format!("`{label}`")).collect();
        let labels = if labels.is_empty() {
            "-".to_owned()
        } else {
            labels.join(", ")
        };
        table.push_str(&format!(
            "| `{}` | {} | {labels} | {} |\n",
            metric.name, metric.kind, metric.help
        ));
    }
    let path = PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/../../docs/observability.md"));
    let page = std::fs::read_to_string(&path).expect("docs/observability.md");
    let (before, rest) = page.split_once(begins).expect("where the table begins");
    let (found, after) = rest.split_once(ends).expect("where it ends");
    if std::env::var_os("TRUNKLINE_BLESS").is_some() {
        std::fs::write(&path, format!("{before}{begins}{table}{ends}{after}")).expect("written");
        return;
    }
    assert!(
        found == table,
        "the metrics in docs/observability.md are not what the code says; TRUNKLINE_BLESS=1 writes them anew"
    );
}
