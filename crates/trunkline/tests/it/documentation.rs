//! Documentation that is made from the code stays as the code is. `TRUNKLINE_BLESS=1` writes it anew.

use doors::http::{
    errors::ERRORS,
    eventbridge::{OPERATIONS, Standing},
    metrics,
};
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
fn every_operation_of_eventbridge_is_in_the_page_of_its_compatibility() {
    let mut page = String::from(
        "# Amazon EventBridge: what is built\n\n\
         Every operation of the service `events` (EventBridge Classic, API version 2015-10-07), as the door has it; made from its own \
         table. How to point an SDK at it: [EventBridge](../eventbridge.md). The v2 service (`eventbridgev2`), EventBridge \
         Scheduler and Schema Registry are other services, and are refused.\n\n\
         Tried with boto3, the AWS CLI, the AWS SDK for JavaScript v3 and that for Rust, each as its registry has it, in the tests \
         of every change. The SDKs for PHP, Java, Go and .NET are not tried there; the call of the PHP SDK, as the \
         Magento module makes it, is, signed by botocore.\n\n\
         | operation | | what differs from AWS |\n|---|---|---|\n",
    );
    for operation in OPERATIONS {
        let (standing, about) = match operation.standing {
            Standing::Refused(why) => ("refused", sentence(why)),
            _ => ("built", operation.differences.to_owned()),
        };
        let about = if about.is_empty() { "-".to_owned() } else { about };
        page.push_str(&format!("| `{}` | {standing} | {about} |\n", operation.name));
    }
    page.push_str(
        "\n## Everywhere\n\n\
         - Signatures that are wrong, missing or out of time are answered 403 with AWS's codes; a body of more than 4 MiB is 413 (`RequestEntityTooLargeException`); every other refusal of a client is 400.\n\
         - A session token is refused: keys of this server have none.\n\
         - An ARN may name any region and any account; answers have account `000000000000` and the region that the client signed for.\n\
         - An operation that is refused answers `UnknownOperationException` with its reason.\n",
    );
    made("compatibility/eventbridge.md", &page);
}

/// A fragment as a sentence.
fn sentence(fragment: &str) -> String {
    let mut letters = fragment.chars();
    let first = letters
        .next()
        .map(|first| first.to_uppercase().to_string())
        .unwrap_or_default();
    format!("{first}{}.", letters.as_str())
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

#[cfg(feature = "aws")]
#[test]
fn what_amazons_errors_mean_is_in_the_documentation() {
    use destinations::aws::errors::{COMMON, Row, Service};
    let (begins, ends) = ("<!-- errors: made from the code -->\n", "<!-- end of errors -->");
    let mut tables = String::new();
    let mut table = |name: &str, rows: &[Row]| {
        tables.push_str(&format!(
            "\n### {name}\n\n| error | what is wrong | what happens |\n|---|---|---|\n"
        ));
        for row in rows {
            tables.push_str(&format!("| `{}` | {} | {} |\n", row.code, row.words, row.means.words()));
        }
    };
    table("Every service", COMMON);
    for service in Service::ALL {
        table(service.name(), service.errors());
    }
    tables.push('\n');
    let path = PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/../../docs/destinations-aws.md"));
    let page = std::fs::read_to_string(&path).expect("docs/destinations-aws.md");
    let (before, rest) = page.split_once(begins).expect("where the tables begin");
    let (found, after) = rest.split_once(ends).expect("where they end");
    if std::env::var_os("TRUNKLINE_BLESS").is_some() {
        std::fs::write(&path, format!("{before}{begins}{tables}{ends}{after}")).expect("written");
        return;
    }
    assert!(
        found == tables,
        "the errors in docs/destinations-aws.md are not what the code says; TRUNKLINE_BLESS=1 writes them anew"
    );
}
