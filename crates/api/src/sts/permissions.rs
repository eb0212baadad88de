//! What each operation of STS needs.

use crate::identity::Resources::{Any, Each};
use crate::identity::{Ask, Permission, free, on};
use longshore_policy::Values;
use std::borrow::Cow;

pub const PERMISSIONS: &[Permission] = &[
    // Its handler asks the role's trust policy, too.
    free("AssumeRole"),
    on("DecodeAuthorizationMessage", "sts:DecodeAuthorizationMessage", Any),
    free("GetAccessKeyInfo"),
    free("GetCallerIdentity"),
    on("GetFederationToken", "sts:GetFederationToken", Each(federated_user)),
    free("GetSessionToken"),
];

fn federated_user(ask: &Ask<'_>) -> Vec<String> {
    vec![format!("arn:aws:sts::{}:federated-user/{}", ask.cx.scope.account, ask.get("Name").unwrap_or_default())]
}

/// `sts:ExternalId` and its kind.
pub fn context<'a>(ask: &Ask<'a>, name: &str) -> Option<Values<'a>> {
    match name {
        "externalid" => ask.get("ExternalId").map(Values::one),
        "rolesessionname" => ask.get("RoleSessionName").map(Values::one),
        // A session hands its own on to the role that it assumes.
        "sourceidentity" => {
            let inherited = || ask.cx.caller.session.as_ref()?.source_identity.as_deref();
            ask.get("SourceIdentity").or_else(inherited).map(Values::one)
        }
        "durationseconds" => ask.get("DurationSeconds").map(Values::one),
        "transitivetagkeys" => {
            let keys: Vec<_> = ask.all("TransitiveTagKeys").map(Cow::Borrowed).collect();
            (!keys.is_empty()).then_some(Values::Many(keys))
        }
        _ => None,
    }
}
