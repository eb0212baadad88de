//! Security groups as nftables, purely: from configuration and interfaces to the text and elements of a table.
//!
//! One table `ip longshore` in each VPC's namespace:
//! ```text
//! forward ─┬─ to the uplink: leave-<route table of the source's subnet> drops what no route lets out
//!          ├─ acl: network ACLs of the two subnets, where they have any
//!          ├─ established, related: accept
//!          ├─ from the uplink, addressed to a public address: ──────────────┐
//!          └─ egress: mark := members[source];  marks out-<n>               │
//!                     out-<n>: jump out-<group> …  rule matches: goto ──────┤
//! input, output: the same way for load balancer addresses                   ▼
//!                                                                        ingress: mark := members[destination]; marks in-<n>
//!                                                                        in-<n>: jump in-<group> …  rule matches: accept
//!                                                                        to the uplink: accept
//! postrouting ─ to the uplink: source-<route table> gives the packet its interface's or its NAT gateway's address
//! ```
//! `<n>` is a *combination*: a distinct set of groups, made when the first interface has it. An interface is only
//! elements: its address in `members` (to the combination), in `m-<group>` of each group, and in the NAT
//! maps. The values are marks rather than verdicts, because for each verdict added the kernel walks all chains
//! of the table again to rule out loops.

pub mod acl;
pub mod element;
pub mod host;
pub mod routes;
pub mod rule;
pub mod table;
pub mod vpc;

/// Name of our table in a VPC's namespace, where nobody else has one.
pub const TABLE: &str = "longshore";
/// Name of a VPC's link to the host, inside its namespace.
pub const UPLINK: &str = "uplink";
