//! Tags: ordered pairs of key and value, at most fifty, keys unique.

use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// Key to value.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Tags(pub BTreeMap<String, String>);

impl Tags {
    pub const MAX: usize = 50;

    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    pub fn iter(&self) -> impl Iterator<Item = (&String, &String)> {
        self.0.iter()
    }

    pub fn get(&self, key: &str) -> Option<&str> {
        self.0.get(key).map(String::as_str)
    }

    /// Adds and overwrites.
    pub fn merge(&mut self, other: &Tags) {
        self.0.extend(other.0.iter().map(|(k, v)| (k.clone(), v.clone())));
    }
}

impl FromIterator<(String, String)> for Tags {
    fn from_iter<I: IntoIterator<Item = (String, String)>>(pairs: I) -> Self {
        Self(pairs.into_iter().collect())
    }
}
