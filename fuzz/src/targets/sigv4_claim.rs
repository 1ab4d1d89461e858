//! What requests claim of their signatures: the query, then the headers, each on a line. Whatever is claimed, it is refused or
//! covers what it must, and only the key's own signature is believed.

use super::{Target, ending, outline, texts};
use doors::aws::sigv4::{Claim, Message, Refused, SigningKey};
use http::{HeaderMap, HeaderName, HeaderValue};

pub(super) const TARGET: Target = Target {
    name: "sigv4_claim",
    run,
    samples,
};

fn run(input: &[u8]) -> u64 {
    let Ok(text) = std::str::from_utf8(input) else { return 0 };
    let (query, lines) = text.split_once('\n').unwrap_or((text, ""));
    let mut headers = HeaderMap::new();
    for (name, value) in lines.split('\n').filter_map(|line| line.split_once(':')) {
        if let (Ok(name), Ok(value)) = (HeaderName::try_from(name), HeaderValue::try_from(value)) {
            headers.append(name, value);
        }
    }
    let message = Message {
        method: "POST",
        path: "/",
        query,
        host: "localhost:8080",
        headers: &headers,
    };
    let told = |refused: Refused| (refused.code(), outline(refused.message()));
    ending(&Claim::of(&message).map_err(told).map(|claim| {
        assert!(!claim.region.contains('/') && !claim.service.contains('/'), "{claim:?}");
        assert_eq!(claim.date().len(), 8, "{claim:?}");
        let key = SigningKey::derive("secret", claim.date(), &claim.region, &claim.service);
        let believed = claim.is_signed_with(&key, &message, &[7; 32]);
        let refused = believed.expect_err("nobody who feeds this has the secret");
        let in_time = claim.in_time(1_440_938_160).is_ok();
        (told(refused), in_time, claim.access_key_id.contains('/'))
    }))
}

fn samples() -> Vec<Vec<u8>> {
    texts(&[
        "\nauthorization:AWS4-HMAC-SHA256 Credential=AKID/20150830/us-east-1/events/aws4_request, SignedHeaders=content-type;host;x-amz-date, Signature=5d672d79c15b13162d9279b0855cfba6789a8edb4c82c400e06b5924a6f2b5d7\ncontent-type:text/plain\nx-amz-date:20150830T123600Z",
        "a=b&X-Amz-Algorithm=AWS4-HMAC-SHA256&X-Amz-Credential=AKID%2F20150830%2Fus-east-1%2Fevents%2Faws4_request&X-Amz-Date=20150830T123600Z&X-Amz-Expires=300&X-Amz-SignedHeaders=host&X-Amz-Signature=5d672d79c15b13162d9279b0855cfba6789a8edb4c82c400e06b5924a6f2b5d7",
        "\nauthorization:AWS4-HMAC-SHA256 Credential=a/b/20150830/r/s/aws4_request,SignedHeaders=host;x-amz-content-sha256;x-amz-date,Signature=0000000000000000000000000000000000000000000000000000000000000000\nx-amz-date:20150830T123600Z\nx-amz-content-sha256:UNSIGNED-PAYLOAD",
        "X-Amz-Security-Token=t\nx-amz-security-token:t\nx-repeated:1\nx-repeated:  2   3",
    ])
}
