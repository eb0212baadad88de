//! IAM's part that containers need: roles, their policies, and who may assume them.

use crate::Routes;

pub mod trust;

pub fn routes(routes: Routes) -> Routes {
    routes
}
