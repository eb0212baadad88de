//! Operations of elbv2.

use crate::Routes;

pub fn routes(routes: Routes) -> Routes {
    routes
}
