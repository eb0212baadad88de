//! Certificates.

use crate::table;
use longshore_types::Scope;
use longshore_types::acm::Certificate;

table! {
    pub Certificates: "acm-certificates", (Scope, String) => Certificate {}
}
