//! Check 64: another master key becomes current, and everything is sealed again under it, a batch at a time.

use super::*;
use crate::{
    resources::KeySigning,
    seal::{Error, KeptIn, MASTER_KEYS_MAX},
};
use ResourceKind::{Connection, Key};
use base64::{Engine as _, engine::general_purpose::STANDARD};
use std::path::Path;

fn text(byte: u8) -> String {
    STANDARD.encode([byte; 32])
}

/// Connections, a key that signs, and the fingerprints' key: twelve secrets in eleven documents.
fn sealed_under(sealer: Sealer) -> Installation {
    let mut installation = Installation::with_sealer(sealer);
    for number in 0..8 {
        installation
            .put(Connection, &format!("c{number}"), webhook("https://crm.example/hook"))
            .unwrap();
    }
    let mut both = webhook("https://crm.example/hook");
    both["config"]["auth"] = json!({"type": "bearer", "token": "hush"});
    installation.put(Connection, "both", both).unwrap();
    for (id, signing) in [("admin", "bearer"), ("aws", "aws")] {
        let create = Action::CreateKey {
            body: json!({"scopes": ["administer"], "signing": signing}),
            token: token(id),
        };
        installation.change(&change(Key, id, create)).unwrap();
    }
    installation
}

/// One batch; the secrets in it.
fn batch(installation: &mut Installation, documents_max: usize) -> usize {
    let resealed = installation.sealer.reseal(&installation.model, documents_max).unwrap();
    let Some(resealed) = resealed else { return 0 };
    assert!(resealed.plan.operations.len() <= documents_max + 1, "and the counters");
    let revision = installation.apply(resealed.plan.operations).unwrap();
    installation.model = resealed.plan.finish.at(revision);
    assert_eq!(
        format!("{:?}", installation.model),
        format!("{:?}", installation.loaded())
    );
    let left = installation.sealer.sealed(&installation.model).left;
    assert_eq!(resealed.is_last, left == 0);
    resealed.secrets
}

fn signing_secret(installation: &Installation) -> Vec<Vec<u8>> {
    let key = &installation.model.keys["aws"];
    assert_eq!(key.spec.signing, KeySigning::Aws);
    key.signing_secrets(&installation.sealer, NOW).unwrap()
}

#[test]
fn check_64_everything_is_sealed_again_in_bounded_batches_and_means_what_it_meant() {
    let mut installation = sealed_under(Sealer::from_text(&text(1)).unwrap());
    let (before, secret) = (installation.export(Connection, "both"), signing_secret(&installation));
    let old = installation.sealer.key_id();
    assert_eq!(installation.sealer.sealed(&installation.model).total(), 12);
    let next = installation.sealer.next_key(Some(&text(2))).unwrap();
    assert_ne!(next.id(), old);
    installation.sealer.adopt(&next).unwrap();
    assert_eq!(installation.sealer.sealed(&installation.model).left, 12);
    let mut batches = Vec::new();
    while installation.sealer.sealed(&installation.model).left > 0 {
        batches.push(batch(&mut installation, 4));
        assert_eq!(installation.export(Connection, "both"), before, "fingerprints stay");
        assert_eq!(signing_secret(&installation), secret);
        // Whatever changes meanwhile is sealed under the new key at once.
        installation
            .put(
                Connection,
                "meanwhile",
                webhook(&format!("https://crm.example/{}", batches.len())),
            )
            .unwrap();
    }
    assert_eq!(batches.iter().sum::<usize>(), 12);
    assert_eq!(batches.len(), 3);
    assert_eq!(batch(&mut installation, 4), 0, "nothing is left");
    let sealed = installation.sealer.sealed(&installation.model);
    assert_eq!(sealed.by_key.into_iter().collect::<Vec<_>>(), [(next.id(), 13)]);
    installation.sealer.forget(&old).unwrap();
    installation.sealer.check(&installation.model).unwrap();
    let alone = Sealer::from_text(&text(2)).unwrap();
    alone.check(&installation.loaded()).unwrap();
    assert!(matches!(
        Sealer::from_text(&text(1)).unwrap().check(&installation.loaded()),
        Err(Error::UnknownMasterKey(id)) if id == next.id()
    ));
}

#[test]
fn check_64_an_interrupted_rotation_goes_on_with_both_keys_and_needs_both() {
    let mut installation = sealed_under(Sealer::from_text(&text(1)).unwrap());
    let next = installation.sealer.next_key(Some(&text(2))).unwrap();
    installation.sealer.adopt(&next).unwrap();
    batch(&mut installation, 4);
    // The process ends here; one with only one of the keys is told which is missing.
    for (byte, missing) in [(1, 2), (2, 1)] {
        let missing = Sealer::from_text(&text(missing)).unwrap().key_id();
        let checked = Sealer::from_text(&text(byte)).unwrap().check(&installation.loaded());
        assert!(matches!(checked, Err(Error::UnknownMasterKey(id)) if id == missing));
    }
    installation.sealer = Sealer::from_text(&format!("{}\n{}", text(2), text(1))).unwrap();
    installation.model = installation.loaded();
    installation.sealer.check(&installation.model).unwrap();
    while batch(&mut installation, 4) > 0 {}
    installation.sealer = Sealer::from_text(&text(2)).unwrap();
    installation.sealer.check(&installation.model).unwrap();
    signing_secret(&installation);
}

#[test]
fn a_secret_that_opens_under_no_key_holds_no_rotation_up() {
    let mut installation = sealed_under(Sealer::from_text(&text(1)).unwrap());
    // What stood in one connection stands in another one: it opens nowhere.
    let stolen = installation.documents[&(1, Kind::Connection, "c1".to_owned())]
        .body
        .clone();
    let moved = installation.documents.get_mut(&(1, Kind::Connection, "c2".to_owned()));
    moved.unwrap().body = stolen;
    installation.model = installation.loaded();
    let next = installation.sealer.next_key(Some(&text(2))).unwrap();
    installation.sealer.adopt(&next).unwrap();
    while batch(&mut installation, 4) > 0 {}
    let sealed = installation.sealer.sealed(&installation.model);
    assert_eq!((sealed.left, sealed.by_key[&next.id()]), (0, 11));
    assert_eq!(sealed.unreadable, [r#"connection "c2" of bus "default""#]);
}

#[test]
fn check_64_the_file_holds_both_keys_from_before_the_first_secret_until_the_old_one_is_forgotten() {
    use std::os::unix::fs::PermissionsExt as _;
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("master.key");
    let sealer = Sealer::open_or_create(&path).unwrap();
    assert_eq!(sealer.kept_in(), KeptIn::File);
    let clone = sealer.clone();
    let (old, lines) = (sealer.key_id(), || {
        std::fs::read_to_string(&path).unwrap().lines().count()
    });
    let next = sealer.next_key(None).unwrap();
    assert_eq!((lines(), sealer.key_id()), (1, old.clone()), "nothing is done yet");
    sealer.adopt(&next).unwrap();
    assert_eq!(lines(), 2);
    assert_eq!(std::fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
    assert_eq!(
        std::fs::read_dir(directory.path()).unwrap().count(),
        1,
        "nothing lies beside"
    );
    assert_eq!(
        (clone.key_id(), clone.earlier_key_ids()),
        (next.id(), vec![old.clone()])
    );
    let again = Sealer::open_or_create(&path).unwrap();
    assert_eq!(
        (again.key_id(), again.earlier_key_ids()),
        (next.id(), vec![old.clone()])
    );
    assert!(
        matches!(sealer.forget(&next.id()), Err(Error::UnknownMasterKey(_))),
        "it seals"
    );
    sealer.forget(&old).unwrap();
    assert_eq!((lines(), sealer.earlier_key_ids().len()), (1, 0));
    assert_eq!(Sealer::open_or_create(&path).unwrap().key_id(), next.id());
}

#[test]
fn a_file_that_cannot_be_written_is_known_before_a_rotation_or_a_forgetting_is_begun() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("master.key");
    let sealer = Sealer::open_or_create(&path).unwrap();
    sealer.adopt(&sealer.next_key(None).unwrap()).unwrap();
    // In the way of the file that becomes the next one.
    std::fs::create_dir(directory.path().join("master.new")).unwrap();
    assert!(matches!(sealer.next_key(None), Err(Error::MasterKeyFile { .. })));
    assert!(matches!(sealer.can_forget(), Err(Error::MasterKeyFile { .. })));
    std::fs::remove_dir(directory.path().join("master.new")).unwrap();
    sealer.can_forget().unwrap();
    assert_eq!(std::fs::read_dir(directory.path()).unwrap().count(), 1);
}

#[test]
fn a_key_that_an_operator_put_first_in_the_file_is_taken_if_the_others_are_still_there() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("master.key");
    let sealer = Sealer::open_or_create(&path).unwrap();
    let old = std::fs::read_to_string(&path).unwrap();
    std::fs::write(&path, text(5)).unwrap();
    assert!(matches!(sealer.next_key(None), Err(Error::MasterKeyMissing { id, .. }) if id == sealer.key_id()));
    let placed = format!("{}\n{old}", text(5));
    std::fs::write(&path, &placed).unwrap();
    sealer.adopt(&sealer.next_key(None).unwrap()).unwrap();
    assert_eq!(sealer.key_id(), Sealer::from_text(&text(5)).unwrap().key_id());
    assert_eq!(
        std::fs::read_to_string(&path).unwrap(),
        placed,
        "the file is as the operator left it"
    );
}

#[test]
fn what_cannot_become_the_master_key_is_told_and_changes_nothing() {
    let given = Sealer::from_text(&text(1)).unwrap();
    assert_eq!(given.kept_in(), KeptIn::Configuration);
    assert!(matches!(given.next_key(None), Err(Error::MasterKeyNeeded)));
    assert!(matches!(given.next_key(Some("short")), Err(Error::MasterKeyForm)));
    assert!(matches!(given.next_key(Some(&text(1))), Err(Error::MasterKeyKnown(_))));
    for byte in 2..=u8::try_from(MASTER_KEYS_MAX).unwrap() {
        given.adopt(&given.next_key(Some(&text(byte))).unwrap()).unwrap();
    }
    assert!(matches!(given.next_key(Some(&text(99))), Err(Error::MasterKeysFull)));
    let many: Vec<String> = (0..=u8::try_from(MASTER_KEYS_MAX).unwrap()).map(text).collect();
    assert!(matches!(Sealer::from_text(&many.join(" ")), Err(Error::MasterKeysFull)));
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("master.key");
    let sealer = Sealer::open_or_create(&path).unwrap();
    let next = sealer.next_key(Some(&text(1))).unwrap();
    std::fs::remove_file(&path).unwrap();
    assert!(matches!(sealer.adopt(&next), Err(Error::MasterKeyFile { .. })));
    assert!(
        sealer.earlier_key_ids().is_empty(),
        "what is not in the file is not used"
    );
    assert!(!format!("{next:?} {}", Path::new("x").display()).contains(&text(1)));
}
