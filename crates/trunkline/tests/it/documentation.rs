//! Documentation that is made from the code stays as the code is. `TRUNKLINE_BLESS=1` writes it anew.

use doors::http::errors::ERRORS;
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
