//! Certificates of Certificate Manager.

use crate::sealed::Sealed;
use crate::{Tags, Timestamp};
use serde::{Deserialize, Serialize};

/// Key: scope and ARN.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Certificate {
    pub arn: String,
    /// The name it was requested for, or the subject's common name.
    pub domain: String,
    /// All names, the domain first.
    pub names: Vec<String>,
    /// The certificate in PEM.
    pub body: String,
    /// Those of its issuers in PEM.
    pub chain: Option<String>,
    /// The private key in PEM, sealed for the ARN.
    pub private_key: Sealed,
    pub origin: Origin,
    pub not_before: Timestamp,
    pub not_after: Timestamp,
    /// Hexadecimal bytes with colons.
    pub serial: String,
    pub subject: String,
    pub issuer: String,
    /// `EC_prime256v1`, `RSA_2048`.
    pub key_algorithm: String,
    /// `SHA256WITHRSA`.
    pub signature_algorithm: String,
    pub created_at: Timestamp,
    /// When this body came, of one that was imported, perhaps in the place of another.
    #[serde(default)]
    pub imported_at: Option<Timestamp>,
    /// Whether a public log may have it. None has what is made here; it is shown to those who set it.
    #[serde(default = "yes")]
    pub logs_transparency: bool,
    /// Of a request, to know a repetition.
    pub idempotency_token: Option<String>,
    pub tags: Tags,
}

fn yes() -> bool {
    true
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Origin {
    Imported,
    /// Made here, and signed by itself.
    Issued,
}
