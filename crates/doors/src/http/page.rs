//! Pages of lists: `{"items": […], "next": cursor}`. A cursor is the last item's key, opaque to clients.

use super::problem::Problem;
use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use serde::Serialize;

/// One page.
#[derive(Serialize)]
pub(super) struct Page<T> {
    pub(super) items: Vec<T>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) next: Option<String>,
}

/// Writes a cursor.
pub(super) fn cursor(key: &str) -> String {
    URL_SAFE_NO_PAD.encode(key)
}

/// Reads a cursor.
pub(super) fn read_cursor(cursor: Option<&str>) -> Result<Option<String>, Problem> {
    let Some(cursor) = cursor else { return Ok(None) };
    let key = URL_SAFE_NO_PAD
        .decode(cursor)
        .ok()
        .and_then(|bytes| String::from_utf8(bytes).ok());
    key.map(Some).ok_or_else(wrong_cursor)
}

/// The problem of a cursor that is none.
pub(super) fn wrong_cursor() -> Problem {
    Problem::new("cursor_invalid", "the cursor is not one that this list gave")
}
