//! One model behind every door: resources with their validation, keys and scopes, sealed secrets.
//!
//! Pure but for the store it is loaded from: it plans a change (what to write, what the model is afterwards) and never
//! carries it out; the delivery core does, because a change of a subscription is saved together with delivery state.
//!
//! In reading order: [`resources`] are what people write, [`names`], [`limits`] and [`units`] what may stand in them; the
//! [`model`] is all of them at one revision; [`plan()`] turns a [`Change`] into a [`Plan`] or a [`Refusal`]; [`documents`] is the
//! stored form, [`export()`] the outgoing one; [`seal`] keeps secrets, [`keys`] say who may do what.
//!
//! ```
//! use control::{Action, Change, Effect, Model, Precondition, Rules, resources::ResourceKind, seal::{MasterKey, Sealer}};
//!
//! let sealer = Sealer::from_key(MasterKey::from_bytes(&[7; 32]));
//! let rules = Rules::default();
//! let change = Change {
//!     bus: String::new(),
//!     kind: ResourceKind::Bus,
//!     name: "shop".into(),
//!     action: Action::Put(serde_json::json!({"description": "what the shop does"})),
//!     precondition: Precondition::Absent,
//!     by: control::audit::Actor::System("an example"),
//! };
//! let plan = control::plan(&Model::default(), &rules, &sealer, &change, 0)?;
//! assert_eq!(plan.effect, Effect::BusCreated);
//! assert!(plan.finish.at(1).buses["shop"].topics.contains_key("events"));
//! # Ok::<(), control::Refusal>(())
//! ```

pub mod arn;
mod count;
pub mod resources;
mod secret;
pub mod signing_key;

pub mod limits;
pub mod names;
mod parse;
pub mod units;
pub mod usage;
mod validate;

pub mod filters;
pub mod model;
mod places;
pub mod rules;
mod shared_map;
pub mod transforms;

pub mod audit;
pub mod documents;
pub mod export;
pub mod plan;
pub mod refusal;
pub mod trial;

pub mod keys;
pub mod seal;

pub use count::counted;
pub use documents::LoadError;
pub use export::{Difference, diff, export, export_all, preview};
pub use keys::{
    Denied, EventGridKeys, Grant, KeySecret, LastUse, Principal, Token, authenticate, authorize, authorize_installation,
};
pub use model::*;
pub use parse::read_json;
pub use plan::*;
pub use refusal::*;
pub use rules::Rules;
pub use secret::is_same;
pub use shared_map::SharedMap;

#[cfg(test)]
mod tests;
