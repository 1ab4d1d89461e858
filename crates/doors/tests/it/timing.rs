//! Check 42: how long a door takes to refuse a key, a token or a signature tells nothing of how much of it was right. Judged by
//! `cargo xtask prove timing`: Welch's t-test over a million refusals each, half of them right but for the end, half wrong from
//! the start, in random turns.

use control::{
    Action, Change, EventGridKeys, Model, Precondition, Rules, Token,
    audit::Actor,
    authenticate,
    names::KeyId,
    resources::{KeySigning, ResourceKind},
    seal::{MasterKey, Sealer},
};
use doors::aws::sigv4::{Claim, Message, SigningKey};
use http::{HeaderMap, header::AUTHORIZATION};
use ring::{digest, hmac};
use serde_json::json;
use std::{hint::black_box, time::Instant};
use store::Store;

/// Refusals of each subject.
const SAMPLES: usize = 1_000_000;
/// Beyond it the two kinds differ: the bound of check 42.
const T_MAX: f64 = 10.0;
/// Of the samples, the slowest are interruptions, which tell nothing and hide much.
const KEPT: f64 = 0.9;
const NOW: i64 = 1_800_000_000_000;
const SECRET: [u8; 32] = [7; 32];

/// The secret, wrong in its first or in its last byte.
fn wrong(at: usize) -> [u8; 32] {
    let mut secret = SECRET;
    secret[at] ^= 1;
    secret
}

/// Welch's t of the time that `act` takes with the one input and with the other.
fn t_of<T>(inputs: &[T; 2], mut act: impl FnMut(&T)) -> f64 {
    let mut random = 0x9e37_79b9_7f4a_7c15_u64;
    let mut samples = Vec::with_capacity(SAMPLES);
    for _ in 0..SAMPLES {
        random ^= random << 13;
        random ^= random >> 7;
        random ^= random << 17;
        let class = usize::from(random & 1 == 1);
        let begin = Instant::now();
        act(black_box(&inputs[class]));
        samples.push((begin.elapsed().as_nanos() as f64, class));
    }
    samples.sort_by(|one, other| one.0.total_cmp(&other.0));
    samples.truncate((SAMPLES as f64 * KEPT) as usize);
    let [(mean, spread), (other_mean, other_spread)] = [0, 1].map(|class| {
        let times: Vec<f64> = samples
            .iter()
            .filter(|sample| sample.1 == class)
            .map(|sample| sample.0)
            .collect();
        let count = times.len() as f64;
        let mean = times.iter().sum::<f64>() / count;
        let variance = times.iter().map(|time| (time - mean).powi(2)).sum::<f64>() / (count - 1.0);
        (mean, variance / count)
    });
    (mean - other_mean) / (spread + other_spread).sqrt()
}

/// A model with a key of each kind, all with the same secret.
async fn model(sealer: &Sealer) -> Model {
    let store = store::Memory::new();
    let operations = control::bootstrap(&Model::default(), sealer).expect("it can be sealed");
    store
        .apply(0, operations.expect("a new model"))
        .await
        .expect("memory takes it");
    let mut model = Model::load(&store.documents().await.expect("memory gives it")).expect("it was just written");
    for (signing, scope) in [("bearer", "administer"), ("eventgrid", "publish")] {
        let change = Change {
            bus: String::new(),
            kind: ResourceKind::Key,
            name: signing.to_owned(),
            action: Action::CreateKey {
                body: json!({"scopes": [scope], "signing": signing}),
                token: Token::from_secret(KeyId::new(signing).expect("an id"), SECRET),
            },
            precondition: Precondition::Any,
            by: Actor::System("a test"),
        };
        let plan = control::plan(&model, &Rules::default(), sealer, &change, NOW).expect("it can be made");
        let revision = store.apply(0, plan.operations).await.expect("memory takes it");
        model = plan.finish.at(revision);
    }
    model
}

fn token(secret: [u8; 32], signing: KeySigning) -> String {
    Token::from_secret(KeyId::new("bearer").expect("an id"), secret).expose_for(signing)
}

fn judge(subject: &str, t: f64) {
    println!("{subject}: t = {t:.2} of {SAMPLES} refusals");
    assert!(
        t.abs() < T_MAX,
        "{subject}: its time depends on how much was right, t = {t:.2}"
    );
}

/// What the test is for: it must see a comparison that ends early.
fn the_measure_sees_an_early_end() {
    let right = [5_u8; 64];
    let (mut early, mut late) = (right, right);
    (early[0], late[63]) = (0, 0);
    let t = t_of(&[late, early], |shown| {
        let _ = black_box(
            right
                .iter()
                .zip(shown)
                .all(|(one, other)| black_box(one) == black_box(other)),
        );
    });
    println!("a comparison that ends early: t = {t:.2}");
    assert!(t.abs() > T_MAX, "an early end was not seen, t = {t:.2}");
}

#[tokio::test]
#[ignore = "judges times: cargo xtask prove timing"]
async fn check_42_the_time_of_a_refusal_tells_nothing_of_the_secret() {
    the_measure_sees_an_early_end();
    let sealer = Sealer::from_key(MasterKey::from_bytes(&[7; 32]));
    let model = model(&sealer).await;
    let both = [wrong(31), wrong(0)];

    let good = token(SECRET, KeySigning::Bearer);
    assert!(authenticate(&model, &good, NOW).is_ok(), "the key is there");
    let tokens = both.map(|secret| token(secret, KeySigning::Bearer));
    judge(
        "a bearer token",
        t_of(&tokens, |token| {
            black_box(authenticate(&model, token, NOW).expect_err("it is wrong"));
        }),
    );

    let keys = EventGridKeys::of(&model);
    let good = token(SECRET, KeySigning::EventGrid);
    assert!(keys.authenticate("default", &good, NOW).is_ok(), "the key is there");
    let shown = both.map(|secret| token(secret, KeySigning::EventGrid));
    judge(
        "an Event Grid key",
        t_of(&shown, |key| {
            black_box(keys.authenticate("default", key, NOW).expect_err("it is wrong"));
        }),
    );

    let signed = "r=https%3a%2f%2fexample.com%2fdefault%2fapi%2fevents&e=1%2f1%2f2030";
    let right = hmac::sign(&hmac::Key::new(hmac::HMAC_SHA256, &SECRET), signed.as_bytes());
    let signatures = [31, 0].map(|at| {
        let mut signature = right.as_ref().to_vec();
        signature[at] ^= 1;
        signature
    });
    let verify = |signature: &[u8]| keys.verify("default", signed, signature, &sealer, NOW);
    assert!(verify(right.as_ref()).is_ok(), "the key is there");
    judge(
        "a shared access signature",
        t_of(&signatures, |signature| {
            black_box(verify(signature).expect_err("it is wrong"));
        }),
    );

    judge("a signature of version 4", signature_version_4());
}

/// The example of AWS's documentation, whose signature is known.
fn signature_version_4() -> f64 {
    const SIGNATURE: &str = "5d672d79c15b13162d9279b0855cfba6789a8edb4c82c400e06b5924a6f2b5d7";
    let headers = |signature: &str| {
        let scope = "AKIDEXAMPLE/20150830/us-east-1/iam/aws4_request";
        let authorization = format!(
            "AWS4-HMAC-SHA256 Credential={scope}, SignedHeaders=content-type;host;x-amz-date, Signature={signature}"
        );
        let mut headers = HeaderMap::new();
        headers.insert(AUTHORIZATION, authorization.parse().expect("a value"));
        let media_type = "application/x-www-form-urlencoded; charset=utf-8";
        headers.insert("content-type", media_type.parse().expect("a value"));
        headers.insert("x-amz-date", "20150830T123600Z".parse().expect("a value"));
        headers
    };
    let secret = "wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY";
    let key = SigningKey::derive(secret, "20150830", "us-east-1", "iam");
    let body = digest::digest(&digest::SHA256, b"");
    let body: [u8; 32] = body.as_ref().try_into().expect("32 bytes");
    let is_believed = |headers: &HeaderMap| {
        let message = Message {
            method: "GET",
            path: "/",
            query: "Action=ListUsers&Version=2010-05-08",
            host: "iam.amazonaws.com",
            headers,
        };
        let claim = Claim::of(&message).expect("it is a claim");
        claim.is_signed_with(&key, &message, &body).is_ok()
    };
    assert!(
        is_believed(&headers(SIGNATURE)),
        "the documentation's signature is right"
    );
    let last = format!("{}0", &SIGNATURE[..63]);
    let first = format!("0{}", &SIGNATURE[1..]);
    t_of(&[headers(&last), headers(&first)], |headers| {
        assert!(!is_believed(headers), "it is wrong");
    })
}
