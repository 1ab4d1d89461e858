//! Documentation that is made from the code stays as the code is. `TRUNKLINE_BLESS=1` writes it anew.

use doors::http::{errors::ERRORS, metrics};
use std::path::PathBuf;

/// A file of the documentation that is made from the code.
fn made(path: &str, text: &str) {
    let path = PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/../../docs")).join(path);
    if std::env::var_os("TRUNKLINE_BLESS").is_some() {
        std::fs::create_dir_all(path.parent().expect("it is in docs")).expect("made");
        std::fs::write(&path, text).expect("written");
    }
    let found = std::fs::read_to_string(&path).unwrap_or_default();
    let path = path.display();
    assert!(
        found == text,
        "{path} is not what the code says; TRUNKLINE_BLESS=1 writes it anew"
    );
}

#[test]
fn every_error_code_has_its_page() {
    let mut index = String::from(
        "# Errors\n\nEvery error is problem+json with one of these codes; `type` leads to the page of its code, which every server has at \
         `/docs/errors/{code}` as well. Codes are stable. The pages are made from the code.\n\n\
         One thing comes without a body: the refusal of what cannot be read as a request at all. Over HTTP/1.1 that is 400 \
         (it is no HTTP/1.1), 414 (a target of more than 64 KiB) and 431 (more than 100 headers, or a head of more than \
         128 KiB), each with `Connection: close`; over HTTP/2 it is 431 for more than 100 headers, or an error of the \
         protocol's own.\n\n\
         | code | status | what it means |\n|---|---|---|\n",
    );
    for error in ERRORS {
        let (code, status, title) = (error.code, error.status, error.title);
        index.push_str(&format!("| [`{code}`]({code}.md) | {status} | {title} |\n"));
        made(&format!("errors/{code}.md"), &error.page());
    }
    made("errors/README.md", &index);
    let folder = PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/../../docs/errors"));
    for file in std::fs::read_dir(folder).expect("docs/errors") {
        let name = file
            .expect("an entry")
            .file_name()
            .into_string()
            .expect("a name of ours");
        let code = name.trim_end_matches(".md");
        let is_known = code == "README" || ERRORS.iter().any(|error| error.code == code);
        assert!(is_known, "docs/errors/{name} is the page of no code: delete it");
    }
}

#[test]
fn the_openapi_document_is_in_the_documentation() {
    made("openapi.json", &format!("{:#}\n", doors::http::openapi::document()));
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
