//! Answers of OAuth token endpoints: what is granted fits into a header, and no sentence about it holds a token.

use super::{Target, ending, outline, texts};
use destinations::webhook::tokens::read;
use http::StatusCode;
use serde_json::Value;
use std::time::Duration;

pub(super) const TARGET: Target = Target {
    name: "token_answer",
    run,
    samples,
};

/// No longer than this is a token used, whatever the endpoint says.
const LIFE_MAX: Duration = Duration::from_secs(24 * 3_600);

/// All that is said about an answer that should grant something: none of it is the endpoint's.
const SENTENCES: [&str; 4] = [
    "it answered 200 OK, but not JSON with an access_token",
    "its token is of a type other than bearer",
    "its token does not fit into a header",
    "its expires_in is no number of seconds",
];

fn run(input: &[u8]) -> u64 {
    let granted = read(StatusCode::OK, input);
    match &granted {
        Ok(granted) => {
            assert!(granted.life <= LIFE_MAX, "{:?}", granted.life);
            assert!(granted.authorization.is_sensitive());
            let value = granted.authorization.to_str().expect("a token is of ASCII");
            let token = value.strip_prefix("Bearer ").expect("the one scheme");
            assert_eq!(Some(token), token_of(input).as_deref());
            assert!(!token.is_empty() && !token.contains([' ', '\r', '\n']));
        }
        Err(said) => assert!(SENTENCES.contains(&said.as_str()), "{said}"),
    }
    let refused = read(StatusCode::BAD_REQUEST, input).expect_err("a refusal grants nothing");
    assert!(refused.chars().count() < 400, "an endpoint's words are cut");
    ending(&(granted.map(drop).map_err(|said| outline(&said)), outline(&refused)))
}

/// The token, by name or, as the parser takes that too, as the first of a list.
fn token_of(input: &[u8]) -> Option<String> {
    let answer: Value = serde_json::from_slice(input).ok()?;
    let token = answer.get("access_token").or_else(|| answer.get(0))?;
    Some(token.as_str()?.to_owned())
}

fn samples() -> Vec<Vec<u8>> {
    texts(&[
        r#"{"access_token": "a.b-c_0123", "token_type": "Bearer", "expires_in": 3600}"#,
        r#"{"access_token": "a.b-c_0123", "token_type": "bearer", "expires_in": "60"}"#,
        r#"{"access_token": "a.b-c_0123", "expires_in": 1e300}"#,
        r#"{"access_token": "a.b-c_0123", "token_type": "mac", "expires_in": -1}"#,
        r#"{"access_token": "a\r\nx-evil: 1", "token_type": "bearer"}"#,
        r#"{"error": "invalid_client", "error_description": "Who are you?"}"#,
    ])
}
