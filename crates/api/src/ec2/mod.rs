//! EC2's part that containers need: VPCs, subnets, security groups, interfaces.

use crate::Routes;

pub mod default_vpc;
pub mod network;
pub mod zones;

pub fn routes(routes: Routes) -> Routes {
    routes
}
