//! Operations of ecr.

use crate::Routes;

pub fn routes(routes: Routes) -> Routes {
    routes
}
