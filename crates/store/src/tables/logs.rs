//! Log groups and streams.

use crate::table;
use longshore_types::Scope;
use longshore_types::logs::{LogGroup, LogStream};

table! {
    pub LogGroups: "logs-groups", (Scope, String) => LogGroup {}
}

table! {
    /// Scope, group, stream.
    pub LogStreams: "logs-streams", (Scope, String, String) => LogStream {}
}
