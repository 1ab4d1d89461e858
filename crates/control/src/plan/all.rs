//! Several changes as one: all of them are written, or none. Each is planned on the model that those before it would leave, so that a
//! subscription may use a connection that comes with it.

use super::{Change, Effect, Finish, counters_operation, plan};
use crate::{
    documents::COUNTERS_SETTING,
    model::{Counters, Model},
    refusal::Refusal,
    rules::Rules,
    seal::Sealer,
};
use std::collections::BTreeSet;
use store::{Kind, Millis, Operation, Revision};

/// Changes that can be carried out as one.
#[derive(Debug)]
pub struct Plans {
    /// What to write, with the conditions that the plans were made under.
    pub operations: Vec<Operation>,
    /// What kind of change each is, in their order.
    pub effects: Vec<Effect>,
    /// Makes the model for the revision that the write got.
    pub finish: Finish,
}

/// Plans changes as one, or says why not. Every resource may be in the list once: its write is held against what is stored.
pub fn plan_all(
    model: &Model,
    rules: &Rules,
    sealer: &Sealer,
    changes: &[Change],
    now: Millis,
) -> Result<Plans, Refusal> {
    let mut names = BTreeSet::new();
    for Change { kind, bus, name, .. } in changes {
        if !names.insert((*kind, bus, name)) {
            let detail = format!("{kind} {name:?} of bus {bus:?} would be changed twice at once");
            return Err(Refusal::invalid("", detail));
        }
    }
    let mut current = model.clone();
    let (mut operations, mut effects, mut edits) = (Vec::new(), Vec::new(), Vec::new());
    for change in changes {
        let planned = plan(&current, rules, sealer, change, now)?;
        // The same once more, for what those behind it are planned on: only its version is not known yet.
        let after = plan(&current, rules, sealer, change, now)?;
        current = after.finish.at(Revision::MAX);
        operations.extend(planned.operations.into_iter().filter(|one| !is_of_counters(one)));
        effects.push(planned.effect);
        edits.push(planned.finish.edit);
    }
    if !operations.is_empty() {
        let version = model.counters.version;
        operations.push(counters_operation(Counters {
            version,
            ..current.counters
        }));
    }
    let edit = move |model: &mut Model, revision| edits.into_iter().for_each(|edit| edit(model, revision));
    Ok(Plans {
        operations,
        effects,
        finish: Finish::new(model.clone(), edit),
    })
}

/// Every plan writes the counters; of several, the last says how they stand.
fn is_of_counters(operation: &Operation) -> bool {
    matches!(operation, Operation::PutDocument { kind: Kind::Setting, name, .. } if name == COUNTERS_SETTING)
}
