//! STS: who one is, and sessions of roles.

use crate::Routes;
use longshore_aws_model::sts::*;

pub mod secret;
pub mod session;

mod assume_role;
mod get_caller_identity;

pub fn routes(routes: Routes) -> Routes {
    routes
        .read::<GetCallerIdentity>(get_caller_identity::get_caller_identity)
        .write::<AssumeRole>(assume_role::assume_role)
}
