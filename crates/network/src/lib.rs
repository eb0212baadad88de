//! VPC data plane of a node: namespaces, interfaces, security groups on packets.
//!
//! ```text
//!  task's namespace        VPC's namespace (routes, filters)                 host
//!  ┌──────────────┐  veth  ┌────────────────────────────────────┐   veth    ┌─────────────────────┐
//!  │ eth0 10.0.1.5├────────┤ e<eni>  /32 route                  │           │                     │
//!  └──────────────┘        │ lo: subnet .1, base+2, metadata,   │           │ forwards, masquerades│
//!  ┌──────────────┐        │     load balancer addresses  uplink├───────────┤ <tag>-<n>           │
//!  │ eth0 10.0.1.6├────────┤ e<eni>       nftables `longshore`  │           │ nftables            │
//!  └──────────────┘        └────────────────────────────────────┘           └─────────────────────┘
//! ```
//! There is no bridge: every packet is routed and so crosses the filter, where the groups of its sender and
//! receiver decide. Two VPCs share nothing, and may have equal addresses.
//!
//! - [`Network`] applies a whole [`NetworkConfig`] and attaches interfaces; [`teardown`] removes every trace.
//! - [`ruleset`] is the decision, a pure function from groups and interfaces to nftables.
//! - [`namespace`] opens sockets inside a VPC, for load balancers, resolver and metadata endpoint.
//!
//! It knows nothing of AWS's shapes, of tasks, or of who assigns addresses.

// Tests say what they expect by unwrapping it.
#![cfg_attr(test, allow(clippy::unwrap_used))]

mod cidr;
mod config;
mod error;
mod ledger;
pub mod namespace;
mod netlink;
mod network;
mod nft;
mod options;
mod plane;
pub mod ruleset;
mod sysctl;

pub use cidr::{Cidr, CidrError};
pub use config::{
    AclEntry, ConfigError, Eni, LocalAddress, MacAddr, MacAddrError, NetworkAcl, NetworkConfig, Peer, PortRange,
    RouteTable, RouteTarget, Rule, SecurityGroup, Subnet, TableRoute, Traffic, Vpc,
};
pub use error::NetworkError;
pub use ledger::Attached;
pub use namespace::{NamespaceError, NamespaceThread, open_in_namespace, tcp_listener_in, udp_socket_in};
pub use netlink::NetlinkError;
pub use netlink::route::LinkCounters as Counters;
pub use network::{Network, is_present, teardown};
pub use nft::NftError;
pub use options::NetworkOptions;
pub use ruleset::vpc::{API_PORT, METADATA, RESOLVER};
