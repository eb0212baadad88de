//! Operations of logs.

use crate::Routes;

pub fn routes(routes: Routes) -> Routes {
    routes
}
