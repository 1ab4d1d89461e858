//! The rules of CloudEvents 1.0 on single values, each as a function from a value to the rule it breaks. They allocate
//! nothing and know no event.

use crate::media_type::{self, MediaType};

/// A rule: `Err` says in words what is wrong with the value.
pub(crate) type Rule = fn(&str) -> Result<(), &'static str>;

/// The CloudEvents type String: no control characters, no Unicode noncharacters. (A lone surrogate cannot be in a `str`.)
pub(crate) fn string(value: &str) -> Result<(), &'static str> {
    if value.bytes().all(|byte| (0x20..0x7f).contains(&byte)) {
        return Ok(());
    }
    for c in value.chars() {
        if c.is_control() {
            return Err("must not contain control characters");
        }
        if is_noncharacter(c) {
            return Err("must not contain Unicode noncharacters");
        }
    }
    Ok(())
}

fn is_noncharacter(c: char) -> bool {
    let code = u32::from(c);
    (0xfdd0..=0xfdef).contains(&code) || code & 0xfffe == 0xfffe
}

/// An attribute name: lower-case letters and digits. (That it be at most 20 long is advice, so it is not asked.)
pub(crate) fn extension_name(name: &str) -> Result<(), &'static str> {
    if name.is_empty()
        || !name
            .bytes()
            .all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit())
    {
        return Err("an attribute name is made of lower-case letters a-z and digits only");
    }
    match name {
        "data" => Err("no attribute may be named data"),
        "specversion" | "id" | "source" | "type" | "subject" | "time" | "datacontenttype" | "dataschema" => {
            Err("is not an extension")
        }
        _ => Ok(()),
    }
}

/// RFC 3339 `date-time`.
pub(crate) fn timestamp(value: &str) -> Result<(), &'static str> {
    if is_timestamp(value.as_bytes()).unwrap_or(false) {
        Ok(())
    } else {
        Err("must be an RFC 3339 timestamp, such as 2026-01-31T12:00:00Z")
    }
}

fn is_timestamp(value: &[u8]) -> Option<bool> {
    let shape = b"dddd-dd-ddTdd:dd:dd";
    let (head, rest) = value.split_at_checked(shape.len())?;
    let fits = |(&byte, &wanted): (&u8, &u8)| match wanted {
        b'd' => byte.is_ascii_digit(),
        b'T' => byte.eq_ignore_ascii_case(&b'T'),
        _ => byte == wanted,
    };
    if !head.iter().zip(shape).all(fits) {
        return Some(false);
    }
    let two = |at: usize| u32::from(head[at] - b'0') * 10 + u32::from(head[at + 1] - b'0');
    let (year, month, day) = (two(0) * 100 + two(2), two(5), two(8));
    // The 60th second is a leap second.
    let clock = two(11) <= 23 && two(14) <= 59 && two(17) <= 60;
    let calendar = (1..=12).contains(&month) && (1..=days_in(year, month)).contains(&day);
    Some(calendar && clock && is_offset(skip_fraction(rest)?))
}

fn skip_fraction(rest: &[u8]) -> Option<&[u8]> {
    let Some(fraction) = rest.strip_prefix(b".") else {
        return Some(rest);
    };
    let digits = fraction.iter().take_while(|byte| byte.is_ascii_digit()).count();
    (digits > 0).then_some(&fraction[digits..])
}

fn is_offset(rest: &[u8]) -> bool {
    match rest {
        [b'Z' | b'z'] => true,
        [b'+' | b'-', h1, h2, b':', m1, m2] if [h1, h2, m1, m2].iter().all(|byte| byte.is_ascii_digit()) => {
            (h1 - b'0') * 10 + (h2 - b'0') <= 23 && *m1 <= b'5'
        }
        _ => false,
    }
}

fn days_in(year: u32, month: u32) -> u32 {
    match month {
        2 if year.is_multiple_of(4) && (!year.is_multiple_of(100) || year.is_multiple_of(400)) => 29,
        2 => 28,
        4 | 6 | 9 | 11 => 30,
        _ => 31,
    }
}

/// RFC 2046 media type, without space around it (HTTP would take it away) and without tabs (no attribute holds them). It is
/// none of a CloudEvents format: in binary mode, also that of a stored record, the data would be taken for the event.
pub(crate) fn media_type(value: &str) -> Result<(), &'static str> {
    if value == media_type::JSON {
        return Ok(());
    }
    string(value)?;
    match MediaType::parse(value) {
        Some(_) if value.starts_with(' ') || value.ends_with(' ') => {
            Err("must be a media type (RFC 2046) without space around it")
        }
        Some(media_type) if media_type.is_cloudevents() => {
            Err("must not be that of a CloudEvents format, because binary mode would take the data for the event")
        }
        Some(_) => Ok(()),
        None => Err("must be a media type (RFC 2046), such as application/json"),
    }
}

/// RFC 3986 URI: with a scheme. A fragment is accepted, because schemas are named with one.
pub(crate) fn uri(value: &str) -> Result<(), &'static str> {
    const RULE: &str = "must be an absolute URI (RFC 3986)";
    uri_reference(value).map_err(|_| RULE)?;
    match scheme_length(value) {
        Some(length) if length + 1 < value.len() => Ok(()),
        _ => Err(RULE),
    }
}

/// RFC 3986 URI-reference, not empty.
pub(crate) fn uri_reference(value: &str) -> Result<(), &'static str> {
    if value.is_empty() || !has_uri_characters(value.as_bytes()) {
        return Err("must be a URI-reference (RFC 3986): no spaces, and characters beyond ASCII percent-encoded");
    }
    let first = value
        .find([':', '/', '?', '#'])
        .filter(|&at| value.as_bytes()[at] == b':');
    if first.is_some() && scheme_length(value).is_none() {
        return Err("must be a URI-reference (RFC 3986): what precedes the first colon is not a scheme");
    }
    let rest = &value[scheme_length(value).map_or(0, |length| length + 1)..];
    let (hierarchy, fragment) = rest.split_once('#').unwrap_or((rest, ""));
    if fragment.contains('#') {
        return Err("must be a URI-reference (RFC 3986): it has two fragments");
    }
    let (authority, path) = match hierarchy.strip_prefix("//") {
        Some(after) => after.split_at(after.find(['/', '?']).unwrap_or(after.len())),
        None => ("", hierarchy),
    };
    if [path, fragment].iter().any(|part| part.contains(['[', ']'])) || !is_authority(authority) {
        return Err("must be a URI-reference (RFC 3986): brackets belong around an IPv6 host, a port is a number");
    }
    Ok(())
}

fn has_uri_characters(value: &[u8]) -> bool {
    let hex = |at: usize| value.get(at).is_some_and(u8::is_ascii_hexdigit);
    value.iter().enumerate().all(|(at, byte)| match byte {
        b'%' => hex(at + 1) && hex(at + 2),
        b'"' | b'<' | b'>' | b'\\' | b'^' | b'`' | b'{' | b'|' | b'}' => false,
        _ => byte.is_ascii_graphic(),
    })
}

/// The length of a valid scheme, without its colon.
fn scheme_length(value: &str) -> Option<usize> {
    let colon = value.find(':')?;
    let mut scheme = value[..colon].bytes();
    let fits = scheme.next()?.is_ascii_alphabetic()
        && scheme.all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'+' | b'-' | b'.'));
    fits.then_some(colon)
}

fn is_authority(authority: &str) -> bool {
    let host_and_port = authority.rsplit_once('@').map_or(authority, |(_, after)| after);
    let user = &authority[..authority.len() - host_and_port.len()];
    let (host_is_fine, port) = match host_and_port.strip_prefix('[') {
        Some(literal) => match literal.split_once(']') {
            Some((address, port)) => (is_ip_literal(address), port),
            None => (false, ""),
        },
        None => {
            let (host, port) = host_and_port.split_at(host_and_port.find(':').unwrap_or(host_and_port.len()));
            (!host.contains(['[', ']']), port)
        }
    };
    let port_is_fine = port.is_empty()
        || port
            .strip_prefix(':')
            .is_some_and(|digits| digits.bytes().all(|b| b.is_ascii_digit()));
    host_is_fine && port_is_fine && !user.contains(['[', ']'])
}

fn is_ip_literal(address: &str) -> bool {
    let future = address.starts_with(['v', 'V']) && address.len() > 1 && !address.contains(['[', ']', '@']);
    future || address.parse::<std::net::Ipv6Addr>().is_ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn accepts(rule: Rule, values: &[&str]) {
        for value in values {
            assert_eq!(rule(value), Ok(()), "{value:?}");
        }
    }

    fn refuses(rule: Rule, values: &[&str]) {
        for value in values {
            assert!(rule(value).is_err(), "{value:?}");
        }
    }

    #[test]
    fn a_string_has_no_control_character_and_no_noncharacter() {
        accepts(
            string,
            &["", "plain", "caf\u{e9} \u{1f980}", "a\u{fffd}b", "\u{10fffd}"],
        );
        refuses(
            string,
            &[
                "a\0",
                "a\r\nx: y",
                "\t",
                "\u{7f}",
                "\u{85}",
                "\u{9f}",
                "\u{fdd0}",
                "\u{ffff}",
                "\u{1fffe}",
            ],
        );
    }

    #[test]
    fn an_extension_name_is_lower_case_letters_and_digits() {
        accepts(
            extension_name,
            &["a", "traceparent", "0", "anameofmorethantwentycharacters1"],
        );
        refuses(
            extension_name,
            &[
                "",
                "A",
                "my-ext",
                "my_ext",
                "caf\u{e9}",
                "a b",
                "data",
                "id",
                "specversion",
                "a\n",
            ],
        );
    }

    #[test]
    fn the_type_of_the_data_is_a_media_type_and_no_events() {
        accepts(
            media_type,
            &[
                "a/b",
                "text/plain; charset=utf-8",
                "text/cloudevents+json",
                "application/x",
            ],
        );
        refuses(media_type, &["", "json", " a/b", "a/b\t", "a/b; ", "a/b\t; c=d"]);
        refuses(
            media_type,
            &[
                "application/cloudevents+json",
                "Application/CloudEvents-batch+json; a=b",
                "application/cloudevents ;a=b",
            ],
        );
    }

    #[test]
    fn a_time_is_rfc_3339() {
        let fine = [
            "2018-04-05T17:31:00Z",
            "2020-02-29t00:00:00.123456789z",
            "1990-12-31T23:59:60Z",
        ];
        accepts(timestamp, &fine);
        accepts(
            timestamp,
            &[
                "2018-04-05T17:31:00+23:59",
                "2018-04-05T17:31:00.5-00:00",
                "0000-01-01T00:00:00Z",
            ],
        );
        refuses(
            timestamp,
            &[
                "",
                "2018-04-05",
                "2018-04-05T17:31:00",
                "2018-04-05 17:31:00Z",
                "2018-04-05T17:31Z",
            ],
        );
        refuses(
            timestamp,
            &["2019-02-29T00:00:00Z", "2018-13-01T00:00:00Z", "2018-00-01T00:00:00Z"],
        );
        refuses(
            timestamp,
            &["2018-04-31T00:00:00Z", "2018-04-05T24:00:00Z", "2018-04-05T00:60:00Z"],
        );
        refuses(
            timestamp,
            &[
                "2018-04-05T00:00:61Z",
                "2018-04-05T00:00:00.Z",
                "2018-04-05T00:00:00+0100",
            ],
        );
        refuses(
            timestamp,
            &[
                "2018-04-05T00:00:00+24:00",
                "2018-04-05T00:00:00Zx",
                "+018-04-05T00:00:00Z",
                "\u{e9}",
            ],
        );
    }

    #[test]
    fn a_source_is_a_uri_reference() {
        accepts(
            uri_reference,
            &[
                "/",
                "shop",
                "my.app",
                "/a/b?c=d#e",
                "//host/path",
                "mailto:a@example.com",
                "0",
            ],
        );
        accepts(
            uri_reference,
            &[
                "https://example.com:8080/a%20b",
                "urn:uuid:6e8bc430-9c3a",
                "a/b:c",
                "?q",
                "#f",
            ],
        );
        accepts(
            uri_reference,
            &[
                "http://[::1]:80/",
                "http://[v1.x]/",
                "http://user:pw@host:/",
                "file:///etc",
            ],
        );
        refuses(
            uri_reference,
            &[
                "",
                "a b",
                "caf\u{e9}",
                "%",
                "%2",
                "%zz",
                "1:x",
                ":x",
                "a_b:c",
                "a#b#c",
                "\"x\"",
            ],
        );
        refuses(
            uri_reference,
            &[
                "http://[::1",
                "http://::1]/",
                "/a[0]",
                "http://host:port/",
                "http://[zz]/",
                "a\\b",
            ],
        );
    }

    #[test]
    fn a_schema_is_an_absolute_uri() {
        accepts(
            uri,
            &[
                "https://example.com/schema.json",
                "urn:x",
                "https://example.com/s#/definitions/a",
            ],
        );
        refuses(uri, &["", "/schema", "schema.json", "//host/x", "x:", "http://a b"]);
    }
}
