//! Where connections and API destinations live. AWS has them beside the buses; here they are connections of a bus: of `default`, or of
//! the first bus that the caller's key may manage if `default` is not one of them. A rule of another bus gets a copy.

use super::super::{asked::Asked, fault::Fault, names};
use control::{Bus, resources::Scope};
use std::sync::Arc;

/// The bus that a caller's connections live on, if the caller may do this there.
pub(super) fn of(asked: &Asked, scope: Scope) -> Result<&Arc<Bus>, Fault> {
    let first = asked.model.buses.values().find(|bus| asked.may(&bus.name, scope));
    let default = || asked.model.buses.get(names::DEFAULT_BUS);
    let home = match asked.may(names::DEFAULT_BUS, scope) {
        true => default(),
        false => first,
    };
    if let Some(home) = home {
        return Ok(home);
    }
    asked.require(names::DEFAULT_BUS, scope)?;
    Err(Fault::not_found("There is no event bus."))
}
