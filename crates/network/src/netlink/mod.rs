//! Netlink, spoken directly: the few messages this crate needs, as bytes, over a blocking socket.
//!
//! Why not a netlink crate: attaching an interface is five system calls when its messages travel together,
//! and the general crates bring an async connection task per namespace and hundreds of message types.
//! A socket stays bound to the namespace it was opened in, whichever thread uses it later.

pub mod conntrack;
pub mod message;
pub mod nftables;
pub mod route;
pub mod socket;

pub use socket::{NetlinkError, Socket};
