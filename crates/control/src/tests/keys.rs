//! Tokens, who they stand for, and what that may do.

use super::*;
use crate::{
    Class, Denied, Principal, Token, authenticate, authorize, authorize_installation,
    keys::expiry::{administration_ends, administration_warning, expiring},
    names::KeyId,
    resources::Scope,
};
use std::time::Duration;

fn create(installation: &mut Installation, id: &str, body: Value) -> Result<Token, Refusal> {
    let token = Token::generate(KeyId::new(id).unwrap()).unwrap();
    let action = Action::CreateKey {
        body,
        token: token.clone(),
    };
    installation
        .change(&change(ResourceKind::Key, id, action))
        .map(|_| token)
}

#[test]
fn a_token_is_good_for_its_key_alone_and_every_fault_is_one_refusal() {
    let mut installation = Installation::new();
    let admin = create(&mut installation, "admin", json!({"scopes": ["administer"]}))
        .unwrap()
        .expose();
    let other = create(&mut installation, "other", json!({"scopes": ["publish"]}))
        .unwrap()
        .expose();
    let id = |token: &str| match authenticate(&installation.model, token, NOW) {
        Ok(Principal::Key(key)) => Ok(key.id.clone()),
        Ok(Principal::Keyless) => panic!("there are keys"),
        Err(refusal) => Err(refusal),
    };
    assert_eq!((id(&admin), id(&other)), (Ok("admin".into()), Ok("other".into())));
    let expected = id("").unwrap_err();
    assert_eq!((expected.code, expected.class), ("key_invalid", Class::Unauthenticated));
    let secret = admin.split_once('.').unwrap().1;
    let swapped = format!("tlk_other.{secret}");
    let cut = &admin[..admin.len() - 1];
    let zeroes = format!("tlk_nobody.{}", "A".repeat(43));
    let long = format!("tlk_{}.{secret}", "a".repeat(100_000));
    for wrong in [
        swapped.as_str(),
        cut,
        &zeroes,
        &long,
        "tlk_admin",
        "tlk_admin.",
        "Bearer x",
        &admin.to_uppercase(),
        "tlk_../x.y",
    ] {
        assert_eq!(id(wrong), Err(expected.clone()), "{wrong:.80}");
    }
}

#[test]
fn a_token_is_never_shown_nor_kept() {
    let mut installation = Installation::new();
    let token = create(&mut installation, "admin", json!({"scopes": ["administer"]})).unwrap();
    let secret = token.expose().split_once('.').unwrap().1.to_owned();
    let kept = installation
        .documents
        .values()
        .any(|document| String::from_utf8_lossy(&document.body).contains(&secret));
    assert!(!kept && !format!("{token:?}{:?}", installation.model).contains(&secret));
    assert!(
        !installation
            .export(ResourceKind::Key, "admin")
            .to_string()
            .contains(&secret)
    );
    assert_eq!(Token::parse(&token.expose()).unwrap().digest(), token.digest());
}

#[test]
fn a_key_ends_at_its_time() {
    let at = jiff::Timestamp::from_millisecond(NOW).unwrap().to_string();
    let mut installation = Installation::new();
    create(&mut installation, "admin", json!({"scopes": ["administer"]})).unwrap();
    let token = create(
        &mut installation,
        "brief",
        json!({"scopes": ["publish"], "not_after": at}),
    )
    .unwrap()
    .expose();
    assert_eq!(
        told(
            create(
                &mut installation,
                "late",
                json!({"scopes": ["publish"], "not_after": "2001-01-01T00:00:00Z"})
            )
            .map(|_| Effect::Other)
        ),
        "resource_invalid /not_after: the key would have expired already"
    );
    assert!(authenticate(&installation.model, &token, NOW).is_ok());
    assert_eq!(
        authenticate(&installation.model, &token, NOW + 1).unwrap_err().code,
        "key_expired"
    );
}

#[test]
fn a_key_may_do_what_its_scopes_and_buses_say() {
    let mut installation = Installation::new();
    installation.put(ResourceKind::Bus, "shop", json!({})).unwrap();
    let mut make = |id: &str, body| drop(create(&mut installation, id, body).unwrap());
    make("admin", json!({"scopes": ["administer"]}));
    make("seller", json!({"scopes": ["publish"], "buses": ["shop"]}));
    make("keeper", json!({"scopes": ["manage", "publish"], "buses": ["shop"]}));
    let may = |id: &str, bus: &str, scope| {
        let principal = Principal::Key(installation.model.keys[id].clone());
        authorize(&principal, bus, scope).map_err(|refusal| refusal.detail)
    };
    let may_all =
        |id: &str| authorize_installation(&Principal::Key(installation.model.keys[id].clone()), Scope::Manage).is_ok();
    assert_eq!(may("seller", "shop", Scope::Publish), Ok(()));
    assert_eq!(
        may("seller", "shop", Scope::Manage),
        Err(r#"key "seller" lacks scope manage for bus "shop""#.into())
    );
    for other in ["default", "nowhere", "sho", "shop ", "SHOP", "shop/../shop", ".*"] {
        assert_eq!(
            may("seller", other, Scope::Publish),
            Err(format!("key \"seller\" lacks scope publish for bus {other:?}"))
        );
    }
    assert_eq!(may("admin", "shop", Scope::Manage), Ok(()));
    assert!(may("admin", "shop", Scope::Publish).is_err());
    assert_eq!(
        (may_all("admin"), may_all("keeper"), may_all("seller")),
        (true, false, false)
    );
    assert!(authorize(&Principal::Keyless, "shop", Scope::Manage).is_ok());
}

#[test]
fn scopes_include_each_other_but_publishing_and_auditing_stand_alone() {
    let included = |held: Scope| -> Vec<&str> {
        let all = Scope::ALL.into_iter().filter(|asked| held.includes(*asked));
        all.map(Scope::word).collect()
    };
    assert_eq!(included(Scope::Publish), ["publish"]);
    assert_eq!(included(Scope::Read), ["read"]);
    assert_eq!(included(Scope::Subscribe), ["read", "subscribe"]);
    assert_eq!(included(Scope::Manage), ["read", "subscribe", "manage"]);
    assert_eq!(included(Scope::Audit), ["audit"]);
    assert_eq!(
        included(Scope::Administer),
        ["read", "subscribe", "manage", "administer"]
    );
}

#[test]
fn some_key_can_always_administer() {
    let mut installation = Installation::new();
    let nobody = "in_use : no key in force could administer then: the first and the last key is a bearer key with scope \
                  administer, and has not expired";
    for first in [
        json!({"scopes": ["publish"]}),
        json!({"scopes": ["manage"]}),
        json!({"scopes": ["administer"], "signing": "aws"}),
    ] {
        assert_eq!(
            told(create(&mut installation, "k", first).map(|_| Effect::Other)),
            nobody
        );
    }
    create(&mut installation, "admin", json!({"scopes": ["administer"]})).unwrap();
    create(&mut installation, "second", json!({"scopes": ["publish"]})).unwrap();
    let last = r#"in_use : key "admin" is the last that can administer: make another one first"#;
    assert_eq!(told(installation.delete(ResourceKind::Key, "admin")), last);
    let expired = json!({"scopes": ["administer"], "not_after": "2001-01-01T00:00:00Z"});
    assert_eq!(told(installation.put(ResourceKind::Key, "admin", expired)), nobody);
    assert_eq!(
        told(installation.put(ResourceKind::Key, "admin", json!({"scopes": ["publish"]}))),
        nobody
    );
    assert_eq!(
        told(installation.put(ResourceKind::Key, "second", json!({"scopes": ["administer"]}))),
        "Other"
    );
    assert_eq!(told(installation.delete(ResourceKind::Key, "admin")), "Other");
}

#[test]
fn the_last_administering_key_does_not_expire_unseen() {
    const DAY: i64 = 86_400_000;
    let mut installation = Installation::new();
    let at = |millis: i64| jiff::Timestamp::from_millisecond(millis).unwrap().to_string();
    let ends = json!({"scopes": ["administer"], "not_after": at(NOW + 40 * DAY)});
    create(&mut installation, "admin", ends).unwrap();
    create(
        &mut installation,
        "brief",
        json!({"scopes": ["publish"], "not_after": at(NOW + DAY)}),
    )
    .unwrap();
    let model = &installation.model;
    assert_eq!(administration_ends(model), Some(NOW + 40 * DAY));
    assert_eq!(administration_warning(model, NOW), None);
    let warned = administration_warning(model, NOW + 11 * DAY).unwrap();
    assert!(
        warned.starts_with("the last key that can administer ends at "),
        "{warned}"
    );
    let gone = administration_warning(model, NOW + 41 * DAY).unwrap();
    assert!(
        gone.starts_with("the last key that can administer has ended at "),
        "{gone}"
    );
    let soon = |days: u64| -> Vec<String> {
        let found = expiring(model, NOW, Duration::from_secs(days * 86_400));
        found.into_iter().map(|(_, key)| key.id.clone()).collect()
    };
    assert_eq!(soon(0), [""; 0]);
    assert_eq!(soon(2), ["brief"]);
    assert_eq!(soon(60), ["brief", "admin"]);
    create(&mut installation, "lasting", json!({"scopes": ["administer"]})).unwrap();
    assert_eq!(administration_warning(&installation.model, NOW + 41 * DAY), None);
}

#[test]
fn a_rotated_key_takes_both_secrets_until_the_overlap_ends() {
    let mut installation = Installation::new();
    let first = create(&mut installation, "admin", json!({"scopes": ["administer"]})).unwrap();
    let rotate = |installation: &mut Installation, overlap: u64| {
        let token = Token::generate(KeyId::new("admin").unwrap()).unwrap();
        let action = Action::RotateKey {
            token: token.clone(),
            overlap: Duration::from_secs(overlap),
        };
        installation
            .change(&change(ResourceKind::Key, "admin", action))
            .map(|_| token)
    };
    let good = |installation: &Installation, token: &Token, now| {
        authenticate(&installation.model, &token.expose(), now)
            .map(drop)
            .map_err(|refusal| refusal.code)
    };
    let second = rotate(&mut installation, 60).unwrap();
    assert_eq!(good(&installation, &second, NOW), Ok(()));
    assert_eq!(good(&installation, &first, NOW + 60_000), Ok(()));
    assert_eq!(good(&installation, &first, NOW + 60_001), Err("key_invalid"));
    assert_eq!(good(&installation, &second, NOW + 60_001), Ok(()));
    let refused = rotate(&mut installation, 60).unwrap_err();
    assert!(
        refused.detail.contains("is being rotated already"),
        "{}",
        refused.detail
    );
    let third = rotate(&mut installation, 0).unwrap();
    for ended in [&first, &second] {
        assert_eq!(good(&installation, ended, NOW), Err("key_invalid"));
    }
    assert_eq!(good(&installation, &third, NOW), Ok(()));
    let long = rotate(&mut installation, 91 * 86_400).unwrap_err();
    assert_eq!(long.pointer.as_deref(), Some("/overlap"));
}

#[test]
fn a_key_that_signs_keeps_its_secret_sealed_and_is_no_bearer_key() {
    let mut installation = Installation::new();
    create(&mut installation, "admin", json!({"scopes": ["administer"]})).unwrap();
    for kind in ["aws", "eventgrid"] {
        let body = json!({"scopes": ["publish"], "signing": kind});
        let token = create(&mut installation, kind, body).unwrap();
        let key = installation.model.keys[kind].clone();
        let secrets = key.signing_secrets(&installation.sealer, NOW).unwrap();
        let shown = token.expose_for(key.spec.signing);
        use base64::Engine as _;
        let shown = base64::engine::general_purpose::STANDARD.decode(shown).unwrap();
        assert_eq!(secrets, [shown]);
        let refused = authenticate(&installation.model, &token.expose(), NOW).unwrap_err();
        assert_eq!(refused.code, "key_invalid");
        let other = installation.put(ResourceKind::Key, kind, json!({"scopes": ["publish"]}));
        assert!(told(other).starts_with("resource_invalid /signing: "));
        let rotated = Token::generate(KeyId::new(kind).unwrap()).unwrap();
        let action = Action::RotateKey {
            token: rotated,
            overlap: Duration::from_secs(1),
        };
        installation.change(&change(ResourceKind::Key, kind, action)).unwrap();
        let key = &installation.model.keys[kind];
        assert_eq!(key.signing_secrets(&installation.sealer, NOW).unwrap().len(), 2);
        assert_eq!(key.signing_secrets(&installation.sealer, NOW + 1_001).unwrap().len(), 1);
    }
    let admin = &installation.model.keys["admin"];
    assert!(admin.signing_secrets(&installation.sealer, NOW).unwrap().is_empty());
}

/// Check 44: what a key may publish is narrowed by type and source.
#[test]
fn check_44_a_key_publishes_what_its_patterns_allow() {
    let mut installation = Installation::new();
    create(&mut installation, "admin", json!({"scopes": ["administer"]})).unwrap();
    let limits = json!({"types": ["com.example.*"], "sources": ["/shop", "/shop/*"]});
    let token = create(
        &mut installation,
        "shop",
        json!({"scopes": ["publish"], "publish": limits}),
    )
    .unwrap();
    let principal = authenticate(&installation.model, &token.expose(), NOW).unwrap();
    assert_eq!(principal.permits("com.example.order", "/shop/7"), Ok(()));
    assert_eq!(principal.permits("aws.s3", "/shop/7"), Err(Denied::Type));
    for spoofed in ["/bank", "/shopping", "/shop/../bank", "aws.s3", "/SHOP", " /shop"] {
        assert_eq!(
            principal.permits("com.example.order", spoofed),
            Err(Denied::Source),
            "{spoofed}"
        );
    }
    assert_eq!(Principal::Keyless.permits("any", "thing"), Ok(()));
}

#[test]
fn a_last_use_is_loaded_with_its_key_and_goes_with_it() {
    let mut installation = Installation::new();
    create(&mut installation, "admin", json!({"scopes": ["administer"]})).unwrap();
    create(&mut installation, "seller", json!({"scopes": ["publish"]})).unwrap();
    installation
        .apply(vec![crate::documents::last_use_operation("seller", NOW)])
        .unwrap();
    let used = |model: &Model| model.keys["seller"].used.at();
    assert_eq!(
        (used(&installation.model), used(&installation.loaded())),
        (None, Some(NOW))
    );
    installation.model = installation.loaded();
    installation.delete(ResourceKind::Key, "seller").unwrap();
    create(&mut installation, "seller", json!({"scopes": ["publish"]})).unwrap();
    assert_eq!(used(&installation.loaded()), None);
}

#[test]
fn changing_a_key_keeps_its_secret_and_a_bus_that_a_key_names_stays() {
    let mut installation = Installation::new();
    installation.put(ResourceKind::Bus, "shop", json!({})).unwrap();
    let token = create(&mut installation, "admin", json!({"scopes": ["administer"]}))
        .unwrap()
        .expose();
    let again = create(&mut installation, "admin", json!({"scopes": ["administer"]})).unwrap_err();
    assert_eq!((again.code, again.class), ("already_exists", Class::Precondition));
    installation
        .put(ResourceKind::Key, "admin", json!({"scopes": ["administer", "publish"]}))
        .unwrap();
    assert!(authenticate(&installation.model, &token, NOW).is_ok());
    create(
        &mut installation,
        "seller",
        json!({"scopes": ["publish"], "buses": ["shop"]}),
    )
    .unwrap();
    assert_eq!(
        told(installation.delete(ResourceKind::Bus, "shop")),
        r#"in_use : bus "shop" is used by keys "seller": delete or change these first"#
    );
}
