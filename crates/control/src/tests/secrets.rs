//! Checks 62 to 64 as far as resources go: secrets are write-only, sealed at rest, and come out as fingerprints.

use super::*;
use crate::{
    resources::{Auth, ConnectionSpec, Secret, Signing},
    seal::{Error, Place},
};
use ResourceKind::Connection;

const URL: &str = "https://crm.example/hook";

fn signed(url: &str, secrets: &[Value]) -> Value {
    json!({"provider": "webhook", "config": {"url": url, "signing": {"style": "standard-webhooks", "secrets": secrets}}})
}

fn installation() -> (Installation, String) {
    let mut installation = Installation::new();
    installation
        .put(Connection, "crm", signed(URL, &[json!(SECRET)]))
        .unwrap();
    let exported = installation.export(Connection, "crm");
    let fingerprint = exported["config"]["signing"]["secrets"][0]["fingerprint"]
        .as_str()
        .unwrap()
        .to_owned();
    (installation, fingerprint)
}

fn opened(installation: &Installation, name: &str) -> Vec<String> {
    let connection = &installation.model.buses[BUS].connections[name];
    let ConnectionSpec::Webhook(config) = installation.sealer.open_connection(connection).unwrap() else {
        panic!("it is a webhook");
    };
    let Some(Signing::StandardWebhooks { secrets, .. }) = config.signing else {
        panic!("signed")
    };
    secrets
        .iter()
        .map(|secret| secret.plain().unwrap().to_owned())
        .collect()
}

#[test]
fn checks_62_and_63_a_secret_is_in_no_document_no_export_no_debug_text_and_no_difference() {
    let mut installation = Installation::new();
    let canaries = ["canary-password", "canary-token", "canary-value", &SECRET[6..]];
    let auths = [
        json!({"type": "basic", "username": "u", "password": canaries[0]}),
        json!({"type": "bearer", "token": canaries[1]}),
        json!({"type": "api-key", "header": "x-key", "value": canaries[2]}),
    ];
    let mut shown = String::new();
    for auth in auths {
        let mut body = signed(URL, &[json!(SECRET)]);
        body["config"]["auth"] = auth;
        let put = change(Connection, "crm", Action::Put(body));
        let preview = crate::preview(
            &installation.model,
            &installation.rules,
            &installation.sealer,
            &put,
            NOW,
        )
        .unwrap();
        installation.change(&put).unwrap();
        shown += &format!(
            "{preview:?}{:?}{}",
            installation.model,
            installation.export(Connection, "crm")
        );
        shown += &installation
            .documents
            .values()
            .map(|one| String::from_utf8_lossy(&one.body).into_owned())
            .collect::<String>();
        let opened = installation
            .sealer
            .open_connection(&installation.model.buses[BUS].connections["crm"])
            .unwrap();
        shown += &format!("{opened:?}");
        assert!(
            serde_json::to_string(&opened).is_err(),
            "a plain secret cannot be serialized"
        );
    }
    canaries
        .iter()
        .for_each(|canary| assert!(!shown.contains(canary), "{canary}"));
}

#[test]
fn a_fingerprint_stands_for_the_stored_secret_at_whatever_place() {
    let (mut installation, print) = installation();
    let stored = json!({"fingerprint": print});
    let rotated = signed(URL, &[json!(OTHER_SECRET), stored.clone()]);
    assert_eq!(told(installation.put(Connection, "crm", rotated)), "ConnectionPut");
    assert_eq!(opened(&installation, "crm"), [OTHER_SECRET, SECRET]);
    let exported = installation.export(Connection, "crm");
    assert_eq!(exported["config"]["signing"]["secrets"][1], stored);
    assert_eq!(told(installation.put(Connection, "crm", exported)), "Unchanged");
    assert_eq!(
        told(installation.put(Connection, "crm", signed(URL, &[json!(OTHER_SECRET), json!(SECRET)]))),
        "Unchanged"
    );
    assert_eq!(
        told(installation.put(Connection, "crm", signed(URL, &[stored, json!(OTHER_SECRET)]))),
        "ConnectionPut"
    );
    assert_eq!(opened(&installation, "crm"), [SECRET, OTHER_SECRET]);
}

#[test]
fn an_unknown_fingerprint_is_refused_another_connections_included() {
    let (mut installation, print) = installation();
    let told_of = |name: &str, print: &str, installation: &mut Installation| {
        told(installation.put(
            Connection,
            name,
            signed(URL, &[json!(OTHER_SECRET), json!({"fingerprint": print})]),
        ))
    };
    let expected = "fingerprint_unknown /config/signing/secrets/1: no stored secret of this connection has this fingerprint: \
                    give the secret itself";
    assert_eq!(told_of("crm", "AAAA", &mut installation), expected);
    assert_eq!(told_of("new", &print, &mut installation), expected);
    installation
        .put(Connection, "other", signed(URL, &[json!(SECRET)]))
        .unwrap();
    assert_eq!(
        told_of("other", &print, &mut installation),
        expected,
        "one secret has another fingerprint in each connection"
    );
}

#[test]
fn a_fingerprint_does_not_go_along_to_another_url() {
    let (mut installation, print) = installation();
    let secrets = [json!({"fingerprint": print})];
    for url in [
        "https://evil.example/hook",
        "https://crm.example/other",
        "http://crm.example/hook",
        "https://crm.example:8443/hook",
    ] {
        assert_eq!(
            told(installation.put(Connection, "crm", signed(url, &secrets))),
            "fingerprint_unknown /config/signing/secrets/0: the URL changes, so the stored secret is not taken along: \
             give the secret itself"
        );
    }
    assert_eq!(
        told(installation.put(Connection, "crm", signed("https://crm.example/other", &[json!(SECRET)]))),
        "ConnectionPut"
    );
}

#[test]
fn secrets_in_other_forms_are_refused_with_what_to_do() {
    let (mut installation, _) = installation();
    let mut told = |secret: Value| told(installation.put(Connection, "crm", signed(URL, &[secret])));
    let elsewhere =
        "the command line resolves {env: …} and {file: …} before it sends; the server reads neither for a request";
    assert_eq!(
        told(json!({"env": "NAME"})),
        format!("resource_invalid /config/signing/secrets/0/env: {elsewhere}")
    );
    assert_eq!(
        told(json!({"file": "/etc/passwd"})),
        format!("resource_invalid /config/signing/secrets/0/file: {elsewhere}")
    );
    assert_eq!(
        told(json!({"sealed": "AAAA"})),
        "resource_invalid /config/signing/secrets/0: a secret is given plain or by its fingerprint"
    );
    assert_eq!(
        told(json!({"fingreprint": "AAAA"})),
        r#"field_unknown /config/signing/secrets/0/fingreprint: unknown field "fingreprint"; did you mean "fingerprint"?"#
    );
    assert_eq!(
        told(json!(5)),
        "resource_invalid /config/signing/secrets/0: expected a secret: a string, or {fingerprint: …} for the stored one, found an integer"
    );
}

#[test]
fn signing_secrets_have_the_form_of_standard_webhooks() {
    let (mut installation, _) = installation();
    let rule = "resource_invalid /config/signing/secrets/0: a signing secret is whsec_ and base64 of 24 to 64 bytes, or \
                whsk_ and base64 of an ed25519 key: its seed of 32 bytes, or seed and public key";
    let short = "whsec_MDEyMzQ1Njc4OTAxMjM0NTY3ODkwMTI=";
    let long = format!("whsec_{}", "AAAA".repeat(22));
    for wrong in ["", "whsec_", "hush", &SECRET[6..], short, &long, "whsec_!!!!"] {
        assert_eq!(
            told(installation.put(Connection, "crm", signed(URL, &[json!(wrong)]))),
            rule,
            "{wrong}"
        );
    }
    assert_eq!(
        told(installation.put(Connection, "crm", signed(URL, &[json!(SECRET), json!(SECRET)]))),
        "resource_invalid /config/signing/secrets/1: this secret stands in the list twice"
    );
    assert_eq!(
        told(installation.put(Connection, "crm", signed(URL, &vec![json!(SECRET); 11]))),
        "resource_invalid /config/signing/secrets: there are 11 secrets; at most 10 may be"
    );
    assert_eq!(
        told(installation.put(Connection, "crm", signed(URL, &[]))),
        "resource_invalid /config/signing/secrets: secrets must not be empty"
    );
}

#[test]
fn check_64_an_envelope_opens_only_in_its_place_whole_and_under_its_key() {
    let sealer = Sealer::from_key(MasterKey::from_bytes(&[1; 32]));
    let place = Place {
        bus: "b",
        kind: "connection",
        name: "n",
    };
    let envelope = sealer.seal(place, b"hush").unwrap();
    assert_eq!(sealer.open(place, &envelope).unwrap(), b"hush");
    assert_ne!(
        sealer.seal(place, b"hush").unwrap(),
        envelope,
        "each sealing has a nonce of its own"
    );
    for moved in [
        Place { bus: "bc", ..place },
        Place { name: "m", ..place },
        Place { kind: "key", ..place },
    ] {
        assert!(matches!(sealer.open(moved, &envelope), Err(Error::Damaged(_))));
    }
    use base64::{Engine as _, engine::general_purpose::STANDARD};
    let bytes = STANDARD.decode(&envelope).unwrap();
    for index in 0..bytes.len() {
        let mut altered = bytes.clone();
        altered[index] ^= 1;
        assert!(sealer.open(place, &STANDARD.encode(altered)).is_err(), "byte {index}");
        assert!(
            sealer.open(place, &STANDARD.encode(&bytes[..index])).is_err(),
            "cut at {index}"
        );
    }
    let new = Sealer::from_key(MasterKey::from_bytes(&[2; 32]));
    assert!(matches!(new.open(place, &envelope), Err(Error::UnknownMasterKey(_))));
    let texts = [[2; 32], [1; 32]].map(|bytes| STANDARD.encode(bytes));
    let both = Sealer::from_text(&texts.join(",")).unwrap();
    assert_eq!(
        both.open(place, &envelope).unwrap(),
        b"hush",
        "an earlier key still opens"
    );
    assert!(
        new.open(place, &both.seal(place, b"hush").unwrap()).is_ok(),
        "the new key seals"
    );
}

#[test]
fn check_64_the_master_key_file_is_made_once_and_is_its_owners_alone() {
    use std::os::unix::fs::PermissionsExt as _;
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("master.key");
    let place = Place {
        bus: "b",
        kind: "connection",
        name: "n",
    };
    let envelope = Sealer::open_or_create(&path).unwrap().seal(place, b"hush").unwrap();
    assert_eq!(std::fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
    assert_eq!(std::fs::read_dir(directory.path()).unwrap().count(), 1);
    assert_eq!(
        Sealer::open_or_create(&path).unwrap().open(place, &envelope).unwrap(),
        b"hush"
    );
    let text = std::fs::read_to_string(&path).unwrap();
    assert_eq!(
        Sealer::from_text(&text).unwrap().open(place, &envelope).unwrap(),
        b"hush"
    );
    let with_mode = |mode| {
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(mode)).unwrap();
        Sealer::open_or_create(&path)
    };
    for mode in [0o640, 0o660, 0o604, 0o444, 0o460, 0o450] {
        assert!(matches!(with_mode(mode), Err(Error::MasterKeyExposed(_))), "{mode:o}");
    }
    // As a platform mounts it for the group of somebody who does not own it.
    assert!(with_mode(0o440).is_ok());
    std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o600)).unwrap();
    for wrong in [&b"short"[..], b"\xff\xfe", b""] {
        std::fs::write(&path, wrong).unwrap();
        for refused in [Sealer::open_or_create(&path).err(), Sealer::check_file(&path).err()] {
            assert!(
                matches!(refused, Some(Error::MasterKeyFileForm(file)) if file == path),
                "{wrong:?}"
            );
        }
    }
    assert!(!format!("{:?}", Sealer::from_text(&text).unwrap()).contains(text.trim()));
}

#[test]
fn another_master_key_is_told_and_leaves_the_model_alone() {
    let (mut installation, _) = installation();
    installation.sealer = Sealer::from_key(MasterKey::from_bytes(&[9; 32]));
    assert!(matches!(
        installation.sealer.fingerprints(&installation.model),
        Err(Error::UnknownMasterKey(_))
    ));
    let refusal = installation
        .put(Connection, "crm", signed(URL, &[json!(SECRET)]))
        .unwrap_err();
    assert_eq!(
        (refusal.code, refusal.class),
        ("secrets_unreadable", crate::Class::Internal)
    );
}

#[test]
fn debug_says_the_form_of_a_secret_and_nothing_else() {
    let auth = Auth::Bearer {
        token: Secret::Plain("hush".into()),
    };
    assert_eq!(format!("{auth:?}"), "Bearer { token: Secret(plain) }");
}
