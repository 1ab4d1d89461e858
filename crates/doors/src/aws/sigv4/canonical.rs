//! The canonical form of a request, which both sides hash. It is written into the hash as it is made.

use http::{HeaderMap, header};
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, percent_decode_str, percent_encode};
use ring::digest::{Context, SHA256};
use std::borrow::Cow;

/// What AWS's encoding leaves as it is: RFC 3986's unreserved characters.
const ENCODED: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'.').remove(b'_').remove(b'~');

/// Adds the path: dot segments resolved, empty segments left out, and each segment encoded once more than it already is, as every
/// service but S3 has it.
pub(super) fn put_path(path: &str, hash: &mut Context) {
    if path.is_empty() || path == "/" {
        return hash.update(b"/");
    }
    let mut segments = Vec::new();
    for segment in path.split('/').filter(|segment| !segment.is_empty() && *segment != ".") {
        match segment {
            ".." => drop(segments.pop()),
            _ => segments.push(segment),
        }
    }
    for segment in &segments {
        hash.update(b"/");
        for piece in percent_encode(segment.as_bytes(), ENCODED) {
            hash.update(piece.as_bytes());
        }
    }
    if segments.is_empty() || path.ends_with('/') || path.ends_with("/.") || path.ends_with("/..") {
        hash.update(b"/");
    }
}

/// Adds the query: every parameter encoded in AWS's way, sorted, without the one that is named.
pub(super) fn put_query(query: &str, without: &str, hash: &mut Context) {
    let mut pairs: Vec<(String, String)> = parameters(query)
        .filter(|(name, _)| name.as_ref() != without.as_bytes())
        .map(|(name, value)| (encoded(&name), encoded(&value)))
        .collect();
    pairs.sort_unstable();
    for (at, (name, value)) in pairs.iter().enumerate() {
        if at > 0 {
            hash.update(b"&");
        }
        hash.update(name.as_bytes());
        hash.update(b"=");
        hash.update(value.as_bytes());
    }
}

/// The parameters of a query, decoded. A `+` is a plus.
pub(super) fn parameters(query: &str) -> impl Iterator<Item = (Cow<'_, [u8]>, Cow<'_, [u8]>)> {
    query.split('&').filter(|pair| !pair.is_empty()).map(|pair| {
        let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
        (percent_decode_str(name).into(), percent_decode_str(value).into())
    })
}

fn encoded(bytes: &[u8]) -> String {
    percent_encode(bytes, ENCODED).to_string()
}

/// Adds one line a signed header: its name, and its values trimmed, with single spaces, joined by commas. False if the request has
/// no such header.
pub(super) fn put_header(name: &str, host: &str, headers: &HeaderMap, hash: &mut Context) -> bool {
    hash.update(name.as_bytes());
    hash.update(b":");
    let mut values = headers.get_all(name).iter();
    let mut is_there = false;
    if name == header::HOST {
        // It may stand in the address (HTTP/2) instead; the caller has held the two against each other.
        hash.update(host.as_bytes());
        is_there = true;
    } else {
        for value in &mut values {
            if is_there {
                hash.update(b",");
            }
            put_value(value.as_bytes(), hash);
            is_there = true;
        }
    }
    hash.update(b"\n");
    is_there
}

fn put_value(value: &[u8], hash: &mut Context) {
    let value = value.trim_ascii();
    if !value.windows(2).any(|pair| pair == b"  ") {
        return hash.update(value);
    }
    for (at, word) in value
        .split(|byte| *byte == b' ')
        .filter(|word| !word.is_empty())
        .enumerate()
    {
        if at > 0 {
            hash.update(b" ");
        }
        hash.update(word);
    }
}

/// A new hash.
pub(super) fn hash() -> Context {
    Context::new(&SHA256)
}

/// A hash in lower-case hex digits.
pub(super) fn hex(bytes: &[u8]) -> [u8; 64] {
    const DIGITS: &[u8; 16] = b"0123456789abcdef";
    let mut text = [b'0'; 64];
    for (pair, byte) in text.chunks_exact_mut(2).zip(bytes) {
        pair[0] = DIGITS[usize::from(byte >> 4)];
        pair[1] = DIGITS[usize::from(byte & 15)];
    }
    text
}
