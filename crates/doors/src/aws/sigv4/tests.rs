//! The vectors of AWS's documentation, and what a signature must not be believed for.

use super::*;
use http::{HeaderMap, HeaderName, HeaderValue};
use ring::digest;

/// The example key of AWS's documentation.
const SECRET: &str = "wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY";
/// 2015-08-30T12:36:00Z, when the documentation's requests were signed.
const THEN: i64 = 1_440_938_160;
const IAM: &str = "AWS4-HMAC-SHA256 Credential=AKIDEXAMPLE/20150830/us-east-1/iam/aws4_request, \
                   SignedHeaders=content-type;host;x-amz-date, \
                   Signature=5d672d79c15b13162d9279b0855cfba6789a8edb4c82c400e06b5924a6f2b5d7";

fn headers(pairs: &[(&str, &str)]) -> HeaderMap {
    let pair = |(name, value): &(&str, &str)| {
        let name = HeaderName::try_from(*name).expect("a name");
        (name, HeaderValue::from_bytes(value.as_bytes()).expect("a value"))
    };
    let mut headers = HeaderMap::new();
    pairs.iter().map(pair).for_each(|(name, value)| {
        headers.append(name, value);
    });
    headers
}

fn sha256(body: &[u8]) -> [u8; 32] {
    digest::digest(&digest::SHA256, body)
        .as_ref()
        .try_into()
        .expect("32 bytes")
}

fn verify(message: &Message<'_>, body: &[u8], now: i64) -> Result<(), Refused> {
    let claim = Claim::of(message)?;
    claim.in_time(now)?;
    let key = SigningKey::derive(SECRET, claim.date(), &claim.region, &claim.service);
    claim.is_signed_with(&key, message, &sha256(body))
}

/// A request that is signed as its own claim says.
fn signed<'a>(authorization: &str, headers: &'a mut HeaderMap, host: &'a str, body: &[u8]) -> Message<'a> {
    let zeros = "0".repeat(64);
    let put = |headers: &mut HeaderMap, signature: &str| {
        let text = format!("{authorization}, Signature={signature}");
        headers.insert(http::header::AUTHORIZATION, text.parse().expect("a value"));
    };
    put(headers, &zeros);
    let signature = {
        let message = Message {
            method: "POST",
            path: "/",
            query: "",
            host,
            headers,
        };
        let claim = Claim::of(&message).expect("it is a claim");
        let key = SigningKey::derive(SECRET, claim.date(), &claim.region, &claim.service);
        claim
            .signature_of(&key, &message, &sha256(body))
            .expect("its headers are there")
    };
    put(headers, std::str::from_utf8(&signature).expect("hex digits"));
    Message {
        method: "POST",
        path: "/",
        query: "",
        host,
        headers,
    }
}

#[test]
fn the_request_of_the_documentation_verifies() {
    let headers = headers(&[
        ("authorization", IAM),
        ("content-type", "application/x-www-form-urlencoded; charset=utf-8"),
        ("x-amz-date", "20150830T123600Z"),
    ]);
    let query = "Action=ListUsers&Version=2010-05-08";
    let message = Message {
        method: "GET",
        path: "/",
        query,
        host: "iam.amazonaws.com",
        headers: &headers,
    };
    assert_eq!(verify(&message, b"", THEN), Ok(()));
    let refused = |message: &Message<'_>, body: &[u8]| verify(message, body, THEN).expect_err("it is another request");
    assert_eq!(refused(&message, b"x"), Refused::mismatch());
    assert_eq!(
        refused(
            &Message {
                host: "iam.example.com",
                ..message
            },
            b""
        ),
        Refused::mismatch()
    );
    assert_eq!(
        refused(
            &Message {
                method: "POST",
                ..message
            },
            b""
        ),
        Refused::mismatch()
    );
    assert_eq!(refused(&Message { path: "/x", ..message }, b""), Refused::mismatch());
    assert_eq!(
        refused(
            &Message {
                query: "Action=ListUsers",
                ..message
            },
            b""
        ),
        Refused::mismatch()
    );
}

/// Check 40: the scope is part of what is signed.
#[test]
fn check_40_another_region_service_or_day_is_another_signature() {
    let base = [("content-type", "text/plain"), ("x-amz-date", "20150830T123600Z")];
    let of =
        |scope: &str| format!("AWS4-HMAC-SHA256 Credential=AKID/{scope}, SignedHeaders=content-type;host;x-amz-date");
    let mut right = headers(&base);
    let scope = "20150830/us-east-1/events/aws4_request";
    assert_eq!(
        verify(&signed(&of(scope), &mut right, "localhost:8080", b"{}"), b"{}", THEN),
        Ok(())
    );
    for other in [
        "20150830/eu-west-1/events/aws4_request",
        "20150830/us-east-1/s3/aws4_request",
    ] {
        let mut altered = right.clone();
        let text = altered["authorization"].to_str().expect("text").replace(scope, other);
        altered.insert("authorization", text.parse().expect("a value"));
        let message = Message {
            method: "POST",
            path: "/",
            query: "",
            host: "localhost:8080",
            headers: &altered,
        };
        assert_eq!(verify(&message, b"{}", THEN), Err(Refused::mismatch()), "{other}");
    }
}

#[test]
fn check_40_a_signature_is_good_for_fifteen_minutes_before_and_after() {
    let headers = headers(&[
        ("authorization", IAM),
        ("content-type", "a/b"),
        ("x-amz-date", "20150830T123600Z"),
    ]);
    let message = Message {
        method: "GET",
        path: "/",
        query: "",
        host: "h",
        headers: &headers,
    };
    let claim = Claim::of(&message).expect("it is one");
    for (now, is_good) in [
        (THEN, true),
        (THEN + 900, true),
        (THEN + 901, false),
        (THEN - 900, true),
        (THEN - 901, false),
        (i64::MAX / 2, false),
        (0, false),
    ] {
        assert_eq!(claim.in_time(now).is_ok(), is_good, "{now}");
    }
}

#[test]
fn a_presigned_request_is_good_until_it_expires() {
    let scope = "Credential=AKID/20150830/us-east-1/events/aws4_request";
    let query = |more: &str| {
        let scope = scope
            .replace('=', "%3D")
            .replace("Credential%3D", "X-Amz-Credential=")
            .replace('/', "%2F");
        format!(
            "X-Amz-Algorithm=AWS4-HMAC-SHA256&{scope}&X-Amz-Date=20150830T123600Z&X-Amz-Expires=60&X-Amz-SignedHeaders=host&b=2&a=1{more}"
        )
    };
    let headers = HeaderMap::new();
    let message = |query: &'static str| Message {
        method: "POST",
        path: "/",
        query,
        host: "h",
        headers: &headers,
    };
    let leak = |text: String| -> &'static str { Box::leak(text.into_boxed_str()) };
    let unsigned = message(leak(query(&format!("&X-Amz-Signature={}", "0".repeat(64)))));
    let claim = Claim::of(&unsigned).expect("it is one");
    assert_eq!((&*claim.access_key_id, claim.date()), ("AKID", "20150830"));
    let key = SigningKey::derive(SECRET, claim.date(), &claim.region, &claim.service);
    let signature = claim
        .signature_of(&key, &unsigned, &sha256(b"{}"))
        .expect("its headers are there");
    let signature = std::str::from_utf8(&signature).expect("hex digits");
    let good = message(leak(query(&format!("&X-Amz-Signature={signature}"))));
    assert_eq!(verify(&good, b"{}", THEN + 60), Ok(()));
    assert!(verify(&good, b"{}", THEN + 61).is_err() && verify(&good, b"{ }", THEN).is_err());
    let added = message(leak(query(&format!("&c=3&X-Amz-Signature={signature}"))));
    assert_eq!(verify(&added, b"{}", THEN), Err(Refused::mismatch()));
    for (from, to) in [
        ("X-Amz-Expires=60", "X-Amz-Expires=604801"),
        ("X-Amz-Expires=60", "X-Amz-Expires=0"),
        ("X-Amz-Expires=60&", ""),
        ("HMAC-SHA256", "HMAC-SHA1"),
        ("&b=2", "&X-Amz-Date=20150830T123600Z"),
        ("&b=2", "&X-Amz-Other=1"),
        ("&b=2", "&X-Amz-Security-Token=t"),
        ("X-Amz-SignedHeaders=host", "X-Amz-SignedHeaders=date"),
    ] {
        let altered = message(leak(good.query.replace(from, to)));
        assert!(Claim::of(&altered).is_err(), "{to}");
    }
}

/// Check 40: what is not signed is not taken.
#[test]
fn check_40_headers_that_mean_something_must_be_signed() {
    let authorization =
        "AWS4-HMAC-SHA256 Credential=AKID/20150830/us-east-1/events/aws4_request,SignedHeaders=host;x-amz-date";
    let mut headers = headers(&[("x-amz-date", "20150830T123600Z"), ("content-type", "a/b")]);
    let right = signed(authorization, &mut headers, "h", b"{}").headers.clone();
    let with = |name: &'static str, value: &'static str| {
        let mut headers = right.clone();
        headers.append(name, HeaderValue::from_static(value));
        let message = Message {
            method: "POST",
            path: "/",
            query: "",
            host: "h",
            headers: &headers,
        };
        verify(&message, b"{}", THEN)
    };
    assert_eq!(with("x-other", "1"), Ok(()));
    assert!(matches!(
        with("x-amz-target", "AWSEvents.PutEvents"),
        Err(Refused::Invalid(_))
    ));
    assert!(matches!(
        with("x-amz-content-sha256", "UNSIGNED-PAYLOAD"),
        Err(Refused::Invalid(_))
    ));
    assert!(matches!(
        with("x-amz-date", "20150830T123600Z"),
        Err(Refused::Incomplete(_))
    ));
    assert_eq!(with("x-amz-security-token", "t"), Err(Refused::SessionToken));
    assert!(matches!(with("authorization", "Bearer x"), Err(Refused::Incomplete(_))));
}

#[test]
fn the_hash_of_the_body_must_be_that_of_the_body() {
    let authorization = "AWS4-HMAC-SHA256 Credential=AKID/20150830/us-east-1/events/aws4_request, \
                         SignedHeaders=host;x-amz-content-sha256;x-amz-date";
    let hash = "44136fa355b3678a1146ad16f7e8649e94fb4fc21fe77e8310c060f61caaff8a";
    for (declared, is_good) in [
        (hash, true),
        ("UNSIGNED-PAYLOAD", false),
        ("STREAMING-AWS4-HMAC-SHA256-PAYLOAD", false),
        ("0000", false),
    ] {
        let mut headers = headers(&[("x-amz-date", "20150830T123600Z"), ("x-amz-content-sha256", declared)]);
        if is_good {
            assert_eq!(
                verify(&signed(authorization, &mut headers, "h", b"{}"), b"{}", THEN),
                Ok(())
            );
            continue;
        }
        let text = format!("{authorization}, Signature={}", "0".repeat(64));
        headers.insert("authorization", text.parse().expect("a value"));
        let message = Message {
            method: "POST",
            path: "/",
            query: "",
            host: "h",
            headers: &headers,
        };
        let refused = verify(&message, b"{}", THEN).expect_err(declared);
        assert!(
            matches!(&refused, Refused::Invalid(why) if why.contains("body")),
            "{declared}: {refused:?}"
        );
    }
}

#[test]
fn what_cannot_be_read_is_incomplete() {
    let scope = "Credential=AKID/20150830/us-east-1/events/aws4_request";
    let signature = format!("Signature={}", "0".repeat(64));
    let long = format!("Signature={}", "0".repeat(65));
    for authorization in [
        String::new(),
        "Bearer tlk_a.b".to_owned(),
        "AWS4-ECDSA-P256-SHA256 x".to_owned(),
        "AWS4-HMAC-SHA256".to_owned(),
        format!("AWS4-HMAC-SHA256 {scope}, SignedHeaders=host"),
        format!("AWS4-HMAC-SHA256 {scope}, {signature}"),
        format!("AWS4-HMAC-SHA256 SignedHeaders=host, {signature}"),
        format!("AWS4-HMAC-SHA256 {scope}, {scope}, SignedHeaders=host;x-amz-date, {signature}"),
        format!("AWS4-HMAC-SHA256 {scope}, SignedHeaders=host;x-amz-date, {long}"),
        format!("AWS4-HMAC-SHA256 {scope}, SignedHeaders=x-amz-date;host, {signature}"),
        format!("AWS4-HMAC-SHA256 {scope}, SignedHeaders=Host;x-amz-date, {signature}"),
        format!("AWS4-HMAC-SHA256 {scope}, SignedHeaders=, {signature}"),
        format!("AWS4-HMAC-SHA256 {scope}, Other=1, SignedHeaders=host;x-amz-date, {signature}"),
        format!(
            "AWS4-HMAC-SHA256 Credential=AKID/20150830/events/aws4_request, SignedHeaders=host;x-amz-date, {signature}"
        ),
        format!(
            "AWS4-HMAC-SHA256 Credential=AKID/20150830/us-east-1/events, SignedHeaders=host;x-amz-date, {signature}"
        ),
        format!("AWS4-HMAC-SHA256 Credential=///aws4_request, SignedHeaders=host;x-amz-date, {signature}"),
    ] {
        let headers = headers(&[("authorization", &authorization), ("x-amz-date", "20150830T123600Z")]);
        let message = Message {
            method: "POST",
            path: "/",
            query: "",
            host: "h",
            headers: &headers,
        };
        assert!(
            matches!(Claim::of(&message), Err(Refused::Incomplete(_))),
            "{authorization}"
        );
    }
    let none = HeaderMap::new();
    let message = Message {
        method: "POST",
        path: "/",
        query: "a=b",
        host: "h",
        headers: &none,
    };
    assert_eq!(Claim::of(&message), Err(Refused::Missing));
    for time in [
        "",
        "20150830",
        "2015-08-30T12:36:00Z",
        "20151330T123600Z",
        "20150830T126000Z",
        "20150830T123600z",
    ] {
        let headers = headers(&[
            (
                "authorization",
                &format!("AWS4-HMAC-SHA256 {scope}, SignedHeaders=host;x-amz-date, {signature}"),
            ),
            ("x-amz-date", time),
        ]);
        let message = Message {
            method: "POST",
            path: "/",
            query: "",
            host: "h",
            headers: &headers,
        };
        assert!(Claim::of(&message).is_err(), "{time}");
    }
}

/// The forms of AWS's own test suite for signers.
#[test]
fn paths_queries_and_values_have_one_form() {
    let path = |path: &str| {
        let mut hash = super::canonical::hash();
        super::canonical::put_path(path, &mut hash);
        hash.finish().as_ref().to_vec()
    };
    let query = |query: &str| {
        let mut hash = super::canonical::hash();
        super::canonical::put_query(query, "", &mut hash);
        hash.finish().as_ref().to_vec()
    };
    let value = |value: &'static str| {
        let mut hash = super::canonical::hash();
        let headers = headers(&[("a", value)]);
        assert!(super::canonical::put_header("a", "h", &headers, &mut hash));
        hash.finish().as_ref().to_vec()
    };
    let plain = |text: &str| sha256(text.as_bytes()).to_vec();
    for (given, form) in [
        ("/", "/"),
        ("", "/"),
        ("//", "/"),
        ("/./", "/"),
        ("/a/..", "/"),
        ("/../a", "/a"),
        ("/a/./b//c/", "/a/b/c/"),
        ("/a%20b", "/a%2520b"),
        (
            "/service/AWSEventsV2/operation/PutEvents",
            "/service/AWSEventsV2/operation/PutEvents",
        ),
        ("/a:b", "/a%3Ab"),
    ] {
        assert_eq!(path(given), plain(form), "{given}");
    }
    for (given, form) in [
        ("", ""),
        ("a", "a="),
        ("b=1&a=2", "a=2&b=1"),
        ("a=b&a=a", "a=a&a=b"),
        ("a=%7E%2f%20", "a=~%2F%20"),
        ("a-b=1&a=2", "a=2&a-b=1"),
        ("a=b=c", "a=b%3Dc"),
        ("&&a=1&", "a=1"),
        ("%C3%A9=%e9", "%C3%A9=%E9"),
    ] {
        assert_eq!(query(given), plain(form), "{given}");
    }
    for (given, form) in [("  a   b  c ", "a:a b c\n"), ("\"a   b\"", "a:\"a b\"\n"), ("", "a:\n")] {
        assert_eq!(value(given), plain(form), "{given}");
    }
}

#[test]
fn a_signing_key_is_derived_once_for_each_secret_day_region_and_service() {
    let headers = headers(&[
        ("authorization", IAM),
        ("content-type", "a/b"),
        ("x-amz-date", "20150830T123600Z"),
    ]);
    let message = Message {
        method: "GET",
        path: "/",
        query: "",
        host: "h",
        headers: &headers,
    };
    let claim = Claim::of(&message).expect("it is one");
    let keys = SigningKeys::default();
    let mut derived = 0;
    let mut get = |secret: [u8; 32], claim: &Claim<'_>| {
        let key = keys.get::<()>(&secret, claim, || {
            derived += 1;
            Ok(SigningKey::derive(SECRET, claim.date(), &claim.region, &claim.service))
        });
        key.expect("it is derived");
        derived
    };
    assert_eq!((get([1; 32], &claim), get([1; 32], &claim)), (1, 1));
    assert_eq!(get([2; 32], &claim), 2);
    let mut elsewhere = claim.clone();
    elsewhere.region = "eu-west-1".into();
    assert_eq!((get([1; 32], &elsewhere), get([1; 32], &claim)), (3, 3));
}
