//! Words of the domain: ids, ARNs, states and the resources that the store keeps.
//!
//! **Invariant:** this crate knows no clock, no randomness, no file and no socket. Times and ids are handed in.
//! Stored types live here and are never sent to clients; `api`'s `view.rs` files turn them into wire types.

pub mod acm;
pub mod arn;
pub mod ec2;
pub mod ecr;
pub mod ecs;
pub mod elbv2;
pub mod iam;
pub mod id;
pub mod ids_source;
pub mod launch;
pub mod link;
pub mod logs;
pub mod node;
pub mod sealed;
pub mod secretsmanager;
pub mod ssm;
pub mod tags;
pub mod time;

pub use id::{AccountId, Region, Scope};
pub use ids_source::IdSource;
pub use tags::Tags;
pub use time::Timestamp;
