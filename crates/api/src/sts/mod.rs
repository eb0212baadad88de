//! STS: who one is, and sessions of roles.

use crate::Routes;

pub mod secret;

pub fn routes(routes: Routes) -> Routes {
    routes
}
