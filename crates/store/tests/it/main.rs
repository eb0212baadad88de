//! The store seen from outside, over tables of its own.
#![allow(clippy::unwrap_used, reason = "in a test a panic is the report")]

mod crash;
mod disk;
mod model;
mod transactions;
mod upgrade;
mod watch;

use longshore_store::engine::{MemoryEngine, RedbEngine};
use longshore_store::{Schema, Store, StoreError, table};
use serde::{Deserialize, Serialize};

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct User {
    pub team: String,
    pub tags: Vec<String>,
}

table! {
    /// By organisation and number.
    pub Users: "users", (String, u64) => User {
        BY_TEAM: "team", (String, String) = |(org, _), user| vec![(org.clone(), user.team.clone())],
        BY_TAG: "tag", String = |_, user| user.tags.clone(),
    }
}

table! {
    pub Notes: "notes", String => String {}
}

pub fn schema() -> Schema {
    Schema::new().with::<Users>().with::<Notes>()
}

pub fn memory_store() -> (Store, MemoryEngine) {
    let engine = MemoryEngine::new();
    (Store::with_engine(engine.clone(), schema()).unwrap(), engine)
}

pub fn user(team: &str, tags: &[&str]) -> User {
    User { team: team.into(), tags: tags.iter().map(|tag| (*tag).into()).collect() }
}

pub fn id(org: &str, number: u64) -> (String, u64) {
    (org.into(), number)
}

/// xorshift64*; the same seed gives the same run.
pub struct Rng(u64);

impl Rng {
    pub fn new(seed: u64) -> Self {
        Self(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1)
    }

    pub fn below(&mut self, bound: u64) -> u64 {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        self.0.wrapping_mul(0x2545_f491_4f6c_dd1d) % bound
    }
}

/// Opens a file, waiting a little for its lock: a test beside this one that starts a process holds all locks in the moment
/// between fork and exec.
pub fn open_engine(path: &std::path::Path) -> Result<RedbEngine, StoreError> {
    for _ in 0..200 {
        match RedbEngine::open(path) {
            Err(StoreError::InUse { .. }) => std::thread::sleep(std::time::Duration::from_millis(5)),
            other => return other,
        }
    }
    Err(StoreError::InUse { path: path.to_owned() })
}

pub fn open_file(path: &std::path::Path) -> Result<Store, StoreError> {
    Store::with_engine(open_engine(path)?, schema())
}
