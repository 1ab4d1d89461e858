//! Documentation that is made from the code stays as the code is. `TRUNKLINE_BLESS=1` writes it anew.

use doors::http::errors::ERRORS;
use std::path::PathBuf;

#[test]
fn every_error_code_is_in_the_documentation() {
    let mut page = String::from(
        "# Errors\n\nEvery error is problem+json with one of these codes. Codes are stable. The page is made from the code.\n\n\
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
