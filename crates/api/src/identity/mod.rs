//! Who asks, and whether they may: enforcement of `--auth iam`.
//!
//! - [`authenticate`]: from a signed request to a [`crate::Caller`].
//! - [`check`]: from a caller and an operation's input to yes, or AWS's words for no. Every route calls it, between
//!   decoding and the handler.
//! - `permissions.rs` of each service: which actions on which resources an operation needs.
//! - [`grants`]: the policies that concern a caller, compiled once and kept while the tables they come from are the same.
//!
//! In open mode there is no [`Enforced`], and nothing here is asked.

mod authenticate;
mod authorize;
mod context;
mod denied;
mod fields;
mod grants;
pub mod hop;
mod permission;
mod resource_policy;
mod resource_tags;

pub use authenticate::{authenticate, caller_of_key, record_use};
pub use authorize::{acting_as, allows, authorize, check, is_trusted};
pub use denied::{decode_message, denied};
pub use fields::Fields;
pub use grants::{Identity, identity_documents, managed_document, of_identity};
pub use permission::{Ask, Permission, Resources, free, on, permissions};

use longshore_aws_wire::sigv4::SigningKey;
use longshore_policy::Grants;
use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// The account's own access key, made at the first start.
#[derive(Clone, PartialEq, Eq)]
pub struct RootKey {
    pub access_key_id: String,
    pub secret_access_key: String,
}

/// What is known of keys and policies between requests.
pub struct Authority {
    pub root: RootKey,
    /// By access key, day, region and service.
    signing_keys: Mutex<HashMap<String, SigningKey>>,
    /// By access key; good while the revision is the same.
    grants: Mutex<HashMap<String, (u64, Arc<Grants>)>>,
}

/// Entries that a cache has at most; a full one starts over, which costs each of its users one derivation.
const CACHED_MAX: usize = 4096;

impl Authority {
    pub fn new(root: RootKey) -> Self {
        Self { root, signing_keys: Mutex::default(), grants: Mutex::default() }
    }
}

/// The secret stays out of logs.
impl std::fmt::Debug for Authority {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Authority").field("root", &self.root.access_key_id).finish_non_exhaustive()
    }
}

/// What enforcement knows of one request besides its caller.
#[derive(Debug)]
pub struct Enforced {
    pub authority: Arc<Authority>,
    pub source: Source,
    pub user_agent: Option<String>,
}

/// Where a request comes from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Source {
    /// A client of the API or the registry: its peer address.
    Client(IpAddr),
    /// A task, which reaches the API inside its VPC: its private address.
    Task(IpAddr),
    /// ECS, which pulls images, reads secrets and writes logs through the interface of a task: the task's private address.
    /// No request of ours stands for this one; AWS's goes over TLS.
    ForTask(IpAddr),
}

impl Source {
    /// `aws:SourceIp`. A client of IPv4 reaches a socket that listens on `[::]` as `::ffff:192.0.2.1`, which no network of a
    /// policy contains: it is the address of IPv4 that is meant.
    pub fn address(self) -> IpAddr {
        match self {
            Self::Client(address) | Self::Task(address) | Self::ForTask(address) => address.to_canonical(),
        }
    }
}

impl Enforced {
    pub fn new(authority: &Arc<Authority>, source: Source) -> Self {
        Self { authority: Arc::clone(authority), source, user_agent: None }
    }
}

/// A panic elsewhere leaves a cache as good as it was.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// What `cache` has for a key, or what `make` makes.
fn cached<V: Clone>(
    cache: &Mutex<HashMap<String, V>>,
    key: String,
    is_good: impl Fn(&V) -> bool,
    make: impl FnOnce() -> V,
) -> V {
    if let Some(value) = lock(cache).get(&key).filter(|value| is_good(value)) {
        return value.clone();
    }
    let value = make();
    remember(cache, key, value.clone());
    value
}

/// Forgets all the others when there are many.
fn remember<V>(cache: &Mutex<HashMap<String, V>>, key: String, value: V) {
    let mut cache = lock(cache);
    if cache.len() >= CACHED_MAX {
        cache.clear();
    }
    cache.insert(key, value);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_client_of_ipv4_is_one_on_a_socket_of_ipv6_too() {
        let address = |text: &str| Source::Client(text.parse().expect("an address")).address().to_string();
        assert_eq!(address("::ffff:192.0.2.1"), "192.0.2.1");
        assert_eq!(address("192.0.2.1"), "192.0.2.1");
        assert_eq!(address("2001:db8::1"), "2001:db8::1");
    }
}
