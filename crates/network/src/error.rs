//! What can go wrong with a node's network, as its caller sees it.

use std::io;
use std::net::Ipv4Addr;
use std::path::PathBuf;

use crate::config::ConfigError;
use crate::namespace::NamespaceError;
use crate::netlink::NetlinkError;
use crate::nft::NftError;

/// An operation of [`Network`](crate::Network) failed.
#[derive(Debug, thiserror::Error)]
pub enum NetworkError {
    #[error("network configuration")]
    Config(#[from] ConfigError),
    #[error("network generation {offered} is older than generation {current}, which is in effect")]
    Stale { current: u64, offered: u64 },
    #[error("instance tag `{0}`: must be 1 to 8 lowercase letters and digits and begin with a letter")]
    Tag(String),
    #[error("run directory {0} is in use by another network process")]
    Busy(PathBuf),
    #[error("{0} is not a VPC of this node")]
    UnknownVpc(String),
    #[error("interface {0} is not attached")]
    UnknownEni(String),
    #[error("{subnet} is not a subnet of {vpc} that contains {address}")]
    Subnet { vpc: String, subnet: String, address: Ipv4Addr },
    #[error("{vpc} has no security group {group}")]
    UnknownGroup { vpc: String, group: String },
    #[error("address {address} belongs to {owner}")]
    AddressInUse { address: Ipv4Addr, owner: String },
    #[error("interface {0} can change only its security groups and public address while attached")]
    Immutable(String),
    #[error("process {0} is not in a network namespace of its own")]
    NotIsolated(u32),
    #[error("the uplink pool has no free block")]
    PoolExhausted,
    #[error("{doing}")]
    Netlink {
        doing: String,
        #[source]
        error: NetlinkError,
    },
    #[error(transparent)]
    Namespace(#[from] NamespaceError),
    #[error("{doing}")]
    Nft {
        doing: String,
        #[source]
        error: NftError,
    },
    #[error("{doing} {path}")]
    File {
        doing: &'static str,
        path: PathBuf,
        #[source]
        error: io::Error,
    },
    #[error("start the network thread")]
    Thread(#[source] io::Error),
    /// The thread that owns the network panicked or was shut down.
    #[error("the network thread has ended")]
    Gone,
}

/// Names what a netlink exchange was for.
pub(crate) trait Doing<T> {
    fn doing(self, text: impl FnOnce() -> String) -> Result<T, NetworkError>;
}

impl<T> Doing<T> for Result<T, NetlinkError> {
    fn doing(self, text: impl FnOnce() -> String) -> Result<T, NetworkError> {
        self.map_err(|error| NetworkError::Netlink { doing: text(), error })
    }
}

impl<T> Doing<T> for Result<T, NftError> {
    fn doing(self, text: impl FnOnce() -> String) -> Result<T, NetworkError> {
        self.map_err(|error| NetworkError::Nft { doing: text(), error })
    }
}
