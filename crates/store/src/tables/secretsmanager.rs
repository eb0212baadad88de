//! Secrets.

use crate::table;
use longshore_types::Scope;
use longshore_types::secretsmanager::{Secret, SecretVersion};

table! {
    pub Secrets: "secretsmanager-secrets", (Scope, String) => Secret {}
}

table! {
    /// Scope, name of the secret, version id.
    pub SecretVersions: "secretsmanager-versions", (Scope, String, String) => SecretVersion {}
}
