//! Values at rest that only the server's key opens.

use serde::{Deserialize, Serialize};

/// An encrypted value, in base64. What seals and opens it is the vault of `api`.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Sealed(pub String);

/// Ciphertext says nothing to a reader of logs.
impl std::fmt::Debug for Sealed {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Sealed({} characters)", self.0.len())
    }
}
