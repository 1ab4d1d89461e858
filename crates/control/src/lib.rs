//! One model behind every door: resources with their validation, keys and scopes, sealed secrets.
//!
//! Pure but for the store it is loaded from: it plans a change (what to write, what the model is afterwards) and never
//! carries it out; the delivery core does, because a change of a subscription is saved together with delivery state.

pub mod model;
pub mod plan;
pub mod refusal;
pub mod resources;
pub mod seal;

pub use model::*;
pub use plan::*;
pub use refusal::*;
