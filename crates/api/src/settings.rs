//! What does not change while the server runs.

use crate::identity::Authority;
use crate::vault::Vault;
use longshore_types::ec2::Cidr;
use longshore_types::{AccountId, Region};
use std::sync::Arc;

#[derive(Clone, Debug)]
pub struct Settings {
    /// The account that open mode answers for.
    pub account: AccountId,
    /// The region of requests that name none.
    pub region: Region,
    /// `http://127.0.0.1:4566`.
    pub api_url: String,
    /// Addresses on the host for internet-facing load balancers, one each.
    pub load_balancer_pool: Cidr,
    /// Public addresses of tasks.
    pub public_pool: Cidr,
    /// Whom requests are checked by; nobody in open mode.
    pub authority: Option<Arc<Authority>>,
    /// Key that registry passwords are derived from; never leaves the server.
    pub registry_secret: String,
    /// Seals the values of secrets and secure parameters.
    pub vault: Vault,
}

impl Settings {
    /// An account in open mode with keys that everybody knows: for tests, fuzzers and the simulator.
    pub fn made_up() -> Self {
        Self {
            account: "123456789012".into(),
            region: "us-east-1".into(),
            api_url: "http://127.0.0.1:4566".into(),
            load_balancer_pool: "127.64.0.0/16".parse().expect("a network"),
            public_pool: "198.18.0.0/16".parse().expect("a network"),
            authority: None,
            registry_secret: "secret".into(),
            vault: Vault::new(&[7; 32]),
        }
    }
}
