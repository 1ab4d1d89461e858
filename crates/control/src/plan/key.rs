//! Keys: making, changing, rotating, deleting. Whatever a change leaves, one key in force must be able to administer:
//! otherwise nobody could make another.

use super::{Edit, Effect, Plan, Planning, delete, put};
use crate::{
    documents::{self, INSTALLATION},
    keys::{self, KeySecret, LastUse, Token},
    limits,
    model::Key,
    refusal::{Class, Refusal},
    resources::{KeySpec, ResourceKind},
    validate,
};
use serde_json::{Map, Value};
use std::{sync::Arc, time::Duration};
use store::{Kind, Operation, Revision};

pub(super) fn put(planning: &Planning<'_>, body: Map<String, Value>) -> Result<Plan, Refusal> {
    let existing = existing(planning)?;
    let spec = spec(planning, body)?;
    if existing.spec == spec {
        return Ok(planning.unchanged());
    }
    if existing.spec.signing != spec.signing {
        let detail = "what a key's secret is for is fixed when the key is made: make another key";
        return Err(Refusal::invalid("/signing", detail));
    }
    let Key {
        id,
        secrets,
        created,
        used,
        usage,
        ..
    } = Key::clone(existing);
    let key = Key {
        usage,
        ..Key::new(id, spec, secrets, created, used)
    };
    write(planning, key, Vec::new())
}

pub(super) fn create(planning: &Planning<'_>, body: Map<String, Value>, token: &Token) -> Result<Plan, Refusal> {
    if planning.change.kind != ResourceKind::Key {
        return Err(Refusal::invalid("/kind", "only a key is made with a secret"));
    }
    let id = planning.name().to_owned();
    if planning.model.keys.contains_key(&id) {
        let detail = format!("key {id:?} exists already");
        return Err(Refusal::new("already_exists", Class::Precondition, detail));
    }
    put::room("keys", planning.model.keys.len(), limits::KEYS_MAX)?;
    let spec = spec(planning, body)?;
    if keys::end_of(&spec).is_some_and(|end| end < planning.now) {
        return Err(Refusal::invalid("/not_after", "the key would have expired already"));
    }
    let secret = secret(planning, token, &spec)?;
    // A key of this id may have been used before.
    let forget = documents::forget_last_use_operation(&id);
    let key = Key::new(id, spec, vec![secret], planning.now, Arc::new(LastUse::saved(None)));
    write(planning, key, vec![forget])
}

pub(super) fn rotate(planning: &Planning<'_>, token: &Token, overlap: Duration) -> Result<Plan, Refusal> {
    if planning.change.kind != ResourceKind::Key {
        return Err(Refusal::invalid("/kind", "only a key is rotated"));
    }
    if overlap > keys::OVERLAP_MAX {
        return Err(Refusal::invalid("/overlap", "overlap is at most 90d"));
    }
    let existing = existing(planning)?;
    let new = secret(planning, token, &existing.spec)?;
    let secrets = existing.rotated(new, overlap, planning.now)?;
    let key = Key {
        secrets,
        ..Key::clone(existing)
    };
    write(planning, key, Vec::new())
}

pub(super) fn delete(planning: &Planning<'_>, version: Revision) -> Result<Plan, Refusal> {
    let name = planning.name();
    let mut others = planning.model.keys.values().filter(|key| key.id != name);
    if !others.any(|key| keys::administers_now(&key.spec, planning.now)) {
        let detail = format!("key {name:?} is the last that can administer: make another one first");
        return Err(Refusal::in_use(detail));
    }
    let removed = name.to_owned();
    let edit: Edit = Box::new(move |model, _| {
        model.keys.remove(&removed);
    });
    let operations = vec![
        delete::remove(INSTALLATION, Kind::Key, name, version),
        documents::forget_last_use_operation(name),
    ];
    Ok(planning.carry_out(operations, Effect::Other, planning.model.counters, edit))
}

fn existing<'a>(planning: &Planning<'a>) -> Result<&'a Arc<Key>, Refusal> {
    planning.model.keys.get(planning.name()).ok_or_else(|| {
        Refusal::not_found(format!(
            "key {:?} does not exist; `key create` makes one and shows its secret once",
            planning.name()
        ))
    })
}

fn spec(planning: &Planning<'_>, body: Map<String, Value>) -> Result<KeySpec, Refusal> {
    let spec: KeySpec = put::spec(body)?;
    validate::key(&spec)?;
    for (index, bus) in spec.buses.iter().flatten().enumerate() {
        put::exists(&format!("/buses/{index}"), "bus", bus, &planning.model.buses)?;
    }
    Ok(spec)
}

fn secret(planning: &Planning<'_>, token: &Token, spec: &KeySpec) -> Result<KeySecret, Refusal> {
    debug_assert_eq!(token.id().as_str(), planning.name(), "a token is of its key");
    Ok(KeySecret::of(token, spec.signing, planning.sealer, planning.now)?)
}

fn write(planning: &Planning<'_>, key: Key, more: Vec<Operation>) -> Result<Plan, Refusal> {
    let mut others = planning.model.keys.values().filter(|other| other.id != key.id);
    let administers = |spec| keys::administers_now(spec, planning.now);
    if !administers(&key.spec) && !others.any(|other| administers(&other.spec)) {
        let detail = "no key in force could administer then: the first and the last key is a bearer key with scope \
                      administer, and has not expired";
        return Err(Refusal::in_use(detail));
    }
    let mut operations = vec![put::write(planning, INSTALLATION, documents::key_body(&key))?];
    operations.extend(more);
    let edit: Edit = Box::new(move |model, version| {
        model.keys.insert(key.id.clone(), Arc::new(Key { version, ..key }));
    });
    Ok(planning.carry_out(operations, Effect::Other, planning.model.counters, edit))
}
