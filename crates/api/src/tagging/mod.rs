//! The Resource Groups Tagging API: the tags of all services in one place.
//!
//! [`resources`] lists what has tags, one line a table; [`services`] changes them, by each service's own operations.

mod change;
mod error;
mod get_resources;
mod keys;
pub mod permissions;
mod resources;
mod services;

use crate::Routes;
use longshore_aws_model::resourcegroupstaggingapi::*;

pub fn routes(routes: Routes) -> Routes {
    routes
        .read::<GetResources>(get_resources::get_resources)
        .read::<GetTagKeys>(keys::get_tag_keys)
        .read::<GetTagValues>(keys::get_tag_values)
        .call::<TagResources, _>(change::tag_resources)
        .call::<UntagResources, _>(change::untag_resources)
}
