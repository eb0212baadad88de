//! IAM policies: reading their documents and deciding what they allow.
//!
//! [`Policy`] is a document read once and kept; [`decide`] asks the policies that concern a request, in IAM's order:
//! an explicit denial anywhere, then what the resource's own policy grants, then identity, boundary and session. What a
//! request knows about itself is a [`Context`], asked only for the keys that a policy mentions.
//!
//! Pure: no clock, no accounts, no AWS service by name. Sources: "Policy evaluation logic", "IAM JSON policy elements" and
//! "Condition operators" of the IAM user guide.

mod condition;
mod context;
mod decide;
mod document;
mod pattern;
mod principal;
mod time;

pub use condition::Operator;
pub use context::{Context, MapContext, NoContext, Values};
pub use decide::{Decision, Grants, Named, Request, Source, Statements, decide, matches, says};
pub use document::{Effect, Policy, PolicyError};
pub use pattern::is_like;
pub use principal::{Names, Principal};
