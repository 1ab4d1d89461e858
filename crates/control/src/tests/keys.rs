//! Tokens, who they stand for, and what that may do.

use super::*;
use crate::{
    Class, Principal, Token, authenticate, authorize, authorize_installation,
    keys::is_in_force,
    names::KeyId,
    resources::{KeySpec, Scope},
};

fn create(installation: &mut Installation, id: &str, body: Value) -> Result<Token, Refusal> {
    let token = Token::generate(KeyId::new(id).unwrap()).unwrap();
    let action = Action::CreateKey {
        body,
        secret_sha256: token.digest(),
    };
    installation
        .change(&change(ResourceKind::Key, id, action))
        .map(|_| token)
}

#[test]
fn a_token_is_good_for_its_key_alone_and_every_fault_is_one_refusal() {
    let mut installation = Installation::new();
    let admin = create(&mut installation, "admin", json!({"scopes": ["manage"]}))
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
    let token = create(&mut installation, "admin", json!({"scopes": ["manage"]})).unwrap();
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
    let spec = |not_after: &str| KeySpec {
        description: String::new(),
        buses: None,
        scopes: vec![Scope::Manage],
        not_after: Some(not_after.to_owned()),
    };
    let at = jiff::Timestamp::from_millisecond(NOW).unwrap().to_string();
    assert!(is_in_force(&spec(&at), NOW) && !is_in_force(&spec(&at), NOW + 1));
    assert!(!is_in_force(&spec("never"), NOW));
    let mut installation = Installation::new();
    create(&mut installation, "admin", json!({"scopes": ["manage"]})).unwrap();
    let token = create(
        &mut installation,
        "brief",
        json!({"scopes": ["publish"], "not_after": at}),
    )
    .unwrap()
    .expose();
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
    create(&mut installation, "admin", json!({"scopes": ["manage"]})).unwrap();
    create(
        &mut installation,
        "seller",
        json!({"scopes": ["publish"], "buses": ["shop"]}),
    )
    .unwrap();
    create(
        &mut installation,
        "shop-admin",
        json!({"scopes": ["manage", "publish"], "buses": ["shop"]}),
    )
    .unwrap();
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
    assert_eq!(
        may("seller", "default", Scope::Publish),
        Err(r#"key "seller" lacks scope publish for bus "default""#.into())
    );
    assert_eq!(
        may("seller", "nowhere", Scope::Publish),
        Err(r#"key "seller" lacks scope publish for bus "nowhere""#.into())
    );
    assert_eq!(
        may("seller", "sho", Scope::Publish),
        Err(r#"key "seller" lacks scope publish for bus "sho""#.into())
    );
    assert_eq!(may("admin", "shop", Scope::Manage), Ok(()));
    assert!(may("admin", "shop", Scope::Publish).is_err());
    assert_eq!(
        (may_all("admin"), may_all("shop-admin"), may_all("seller")),
        (true, false, false)
    );
    assert!(authorize(&Principal::Keyless, "shop", Scope::Manage).is_ok());
}

#[test]
fn some_key_can_always_manage_all_buses() {
    let mut installation = Installation::new();
    let nobody = "in_use : no key in force could manage all buses then: the first and the last key has scope manage, \
                  all buses, and has not expired";
    for first in [
        json!({"scopes": ["publish"]}),
        json!({"scopes": ["manage"], "buses": ["default"]}),
    ] {
        assert_eq!(
            told(create(&mut installation, "k", first).map(|_| Effect::Other)),
            nobody
        );
    }
    create(&mut installation, "admin", json!({"scopes": ["manage"]})).unwrap();
    create(&mut installation, "second", json!({"scopes": ["publish"]})).unwrap();
    let last = r#"in_use : key "admin" is the last that can manage all buses: make another one first"#;
    assert_eq!(told(installation.delete(ResourceKind::Key, "admin")), last);
    let expired = json!({"scopes": ["manage"], "not_after": "2001-01-01T00:00:00Z"});
    assert_eq!(told(installation.put(ResourceKind::Key, "admin", expired)), nobody);
    assert_eq!(
        told(installation.put(ResourceKind::Key, "admin", json!({"scopes": ["publish"]}))),
        nobody
    );
    assert_eq!(
        told(installation.put(ResourceKind::Key, "second", json!({"scopes": ["manage"]}))),
        "Other"
    );
    assert_eq!(told(installation.delete(ResourceKind::Key, "admin")), "Other");
}

#[test]
fn changing_a_key_keeps_its_secret_and_a_bus_that_a_key_names_stays() {
    let mut installation = Installation::new();
    installation.put(ResourceKind::Bus, "shop", json!({})).unwrap();
    let token = create(&mut installation, "admin", json!({"scopes": ["manage"]}))
        .unwrap()
        .expose();
    let again = create(&mut installation, "admin", json!({"scopes": ["manage"]})).unwrap_err();
    assert_eq!((again.code, again.class), ("already_exists", Class::Precondition));
    installation
        .put(ResourceKind::Key, "admin", json!({"scopes": ["manage", "publish"]}))
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
