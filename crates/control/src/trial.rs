//! What a list of changes would do one after the other, without doing any: each is planned on the model that those before it
//! would leave. Pure, as [`plan`] is; what a change does beyond documents (positions, lanes) is not looked at.

use crate::{
    export::{Difference, diff, export},
    model::Model,
    plan::{Change, Effect, plan},
    refusal::Refusal,
    rules::Rules,
    seal::Sealer,
};
use serde_json::Value;
use store::{Millis, Revision};

/// What one change of a list would do.
#[derive(Clone, Debug, PartialEq)]
pub struct Trial {
    /// What kind of change it is.
    pub effect: Effect,
    /// Whether the resource would be there before it.
    pub existed: bool,
    /// What would differ. Secrets show as fingerprints.
    pub changes: Vec<Difference>,
}

/// Tries changes in their order on a copy of the model; the first that would be refused ends it, by its index.
pub fn try_all(
    model: &Model,
    rules: &Rules,
    sealer: &Sealer,
    changes: &[Change],
    now: Millis,
) -> Result<Vec<Trial>, (usize, Refusal)> {
    let mut model = model.clone();
    let mut trials = Vec::with_capacity(changes.len());
    for (index, change) in changes.iter().enumerate() {
        // Versions that no document has, each another one.
        let revision = Revision::MAX - (changes.len() - index) as Revision;
        let (trial, after) =
            try_one(model, rules, sealer, change, now, revision).map_err(|refusal| (index, refusal))?;
        trials.push(trial);
        model = after;
    }
    Ok(trials)
}

/// Takes the model, so that the one after it is made of it and not of a copy.
fn try_one(
    model: Model,
    rules: &Rules,
    sealer: &Sealer,
    change: &Change,
    now: Millis,
    revision: Revision,
) -> Result<(Trial, Model), Refusal> {
    let planned = plan(&model, rules, sealer, change, now)?;
    let before = shown(&model, sealer, change)?;
    drop(model);
    let after = planned.finish.at(revision);
    let trial = Trial {
        existed: before.is_some(),
        changes: diff(before.as_ref(), shown(&after, sealer, change)?.as_ref()),
        effect: planned.effect,
    };
    Ok((trial, after))
}

/// The resource of a change, if it is there.
pub(crate) fn shown(model: &Model, sealer: &Sealer, change: &Change) -> Result<Option<Value>, Refusal> {
    let Change { kind, bus, name, .. } = change;
    match model.version(*kind, bus, name) {
        Some(_) => export(model, sealer, *kind, bus, name).map(Some),
        None => Ok(None),
    }
}
