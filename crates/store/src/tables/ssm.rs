//! Parameters.

use crate::table;
use longshore_types::Scope;
use longshore_types::ssm::{Parameter, ParameterVersion};

table! {
    pub Parameters: "ssm-parameters", (Scope, String) => Parameter {}
}

table! {
    /// Scope, name, version.
    pub ParameterVersions: "ssm-parameter-versions", (Scope, String, u64) => ParameterVersion {}
}
