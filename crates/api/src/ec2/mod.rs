//! EC2's part that containers need: VPCs, subnets, security groups, interfaces.

use crate::Routes;

pub mod default_vpc;
pub mod network;
pub mod zones;

pub(crate) mod filter;

mod error;
mod list;
mod tags;

pub fn routes(routes: Routes) -> Routes {
    routes
}
