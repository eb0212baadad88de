//! Whether a caller may: the operation's permissions against the caller's policies.

use super::context::RequestContext;
use super::denied::denied;
use super::grants::is_of_its_role;
use super::{Ask, Enforced, Fields, Permission, Resources, Source, permissions, resource_policy};
use crate::sts::session;
use crate::{Caller, Cx, Principal};
use longshore_aws_model::{AwsError, OperationSchema, Shape};
use longshore_policy::{self as policy, Decision, Grants, Policy, Request};
use longshore_store::Snapshot;
use longshore_types::arn;
use longshore_types::iam::{Role, SessionOf};
use std::net::Ipv4Addr;
use std::sync::Arc;

/// Whether the caller may run an operation on this input. Yes, in open mode.
pub fn check<I: Shape>(
    state: &Snapshot,
    cx: &Cx,
    operation: &'static OperationSchema,
    input: &I,
) -> Result<(), AwsError> {
    let Some(enforced) = &cx.enforced else { return Ok(()) };
    let service = operation.service.name;
    narrow_session(cx, service, operation.name)?;
    if matches!(cx.caller.principal, Principal::Root | Principal::Service) {
        return Ok(());
    }
    let fields = Fields::of(input);
    let ask = Ask { state, cx, operation: operation.name, fields: &fields };
    let lines = permissions(operation);
    if lines.is_empty() {
        // Not in the table: asked for by the operation's name, on everything.
        let action = format!("{}:{}", operation.service.signing_name, operation.name);
        return authorize(&ask, enforced, service, &action, "*");
    }
    for Permission { action, resources, .. } in lines {
        if action.is_empty() {
            continue;
        }
        match resources {
            Resources::Any => authorize(&ask, enforced, service, action, "*")?,
            Resources::Arns(path) => {
                for resource in ask.all(path) {
                    authorize(&ask, enforced, service, action, resource)?;
                }
            }
            Resources::Each(find) => {
                for resource in find(&ask) {
                    authorize(&ask, enforced, service, action, &resource)?;
                }
            }
        }
    }
    Ok(())
}

/// A session of GetSessionToken reaches neither IAM nor most of STS: that would take a second factor, which nobody has.
fn narrow_session(cx: &Cx, service: &str, operation: &str) -> Result<(), AwsError> {
    let of = cx.caller.session.as_ref().map(|session| &session.of);
    let is_narrow = match of {
        Some(SessionOf::User(_)) => !matches!(operation, "AssumeRole" | "GetCallerIdentity"),
        Some(SessionOf::Federation(_)) => operation != "GetCallerIdentity",
        _ => false,
    };
    match (service, is_narrow) {
        ("iam", true) => {
            Err(AwsError::new("InvalidClientTokenId", "The security token included in the request is invalid")
                .with_status(403))
        }
        ("sts", true) => {
            Err(AwsError::new("AccessDenied", format!("Cannot call {operation} with session credentials"))
                .with_status(403))
        }
        _ => Ok(()),
    }
}

/// Whether the caller may do `action` to `resource`; `service` says in which words it is refused.
pub fn authorize(
    ask: &Ask<'_>,
    enforced: &Enforced,
    service: &str,
    action: &str,
    resource: &str,
) -> Result<(), AwsError> {
    let grants = enforced.authority.grants(ask.state, &ask.cx.scope.account, &ask.cx.caller);
    match decide(ask, &grants, action, resource) {
        Decision::Allowed => Ok(()),
        decision => Err(denied(ask.cx, service, action, resource, decision)),
    }
}

fn decide(ask: &Ask<'_>, grants: &Grants, action: &str, resource: &str) -> Decision {
    let caller = &ask.cx.caller;
    let context = RequestContext { ask, action, resource };
    let request = Request { action, resource, principal: principal(ask.cx, caller), context: &context };
    // A resource names a role by its ARN, which another role may have by now.
    let of_resource = resource_policy::find(ask.state, &ask.cx.scope, resource)
        .filter(|_| is_of_its_role(ask.state, &ask.cx.scope.account, caller));
    policy::decide(&request, grants, of_resource.as_ref())
}

fn principal<'a>(cx: &'a Cx, caller: &'a Caller) -> policy::Principal<'a> {
    let session = caller.session.as_deref().filter(|session| session.of == SessionOf::Role);
    policy::Principal::Aws {
        arn: &caller.arn,
        role: session.map(|session| session.role_arn.as_str()),
        account: cx.scope.account.as_str(),
    }
}

/// Whether the caller of a context may do one thing, apart from any operation: what a registry's client does, or what ECS
/// does with an execution role. Yes, in open mode. A context that does not say where it comes from is of this machine.
pub fn allows(state: &Snapshot, mut cx: Cx, action: &str, resource: &str) -> Result<(), AwsError> {
    let Some(authority) = &cx.settings.authority else { return Ok(()) };
    if matches!(cx.caller.principal, Principal::Root | Principal::Service) {
        return Ok(());
    }
    let here = || Arc::new(Enforced::new(authority, Source::Client(Ipv4Addr::LOCALHOST.into())));
    let enforced = cx.enforced.take().unwrap_or_else(here);
    cx.enforced = Some(Arc::clone(&enforced));
    let ask = Ask { state, cx: &cx, operation: "", fields: &Fields::default() };
    let service = action.split(':').next().unwrap_or_default();
    authorize(&ask, &enforced, service, action, resource)
}

/// The context in which ECS acts with the role of a task that has this address, in a session of this name; checked as every
/// caller is, but in open mode.
pub fn acting_as(state: &Snapshot, mut cx: Cx, role: &Role, session_name: &str, task: Ipv4Addr) -> Cx {
    let account = &cx.scope.account;
    let session = longshore_types::iam::RoleSession {
        // Its policies are kept under this name, which is no access key.
        access_key_id: format!("role/{}", role.name),
        role_arn: arn::role(account, &role.path, &role.name),
        role_id: role.id.clone(),
        session_name: session_name.to_owned(),
        ..session::new(&cx, std::time::Duration::ZERO)
    };
    cx.caller = session::caller(state, Arc::new(session));
    let authority = cx.settings.authority.as_ref();
    cx.enforced = authority.map(|authority| Arc::new(Enforced::new(authority, Source::ForTask(task.into()))));
    cx
}

/// Whether a role's trust policy and, where that leaves it to the account, the caller's own policies let the caller do
/// `action` (`sts:AssumeRole`, `sts:TagSession`) with the role. In open mode only the trust policy is asked.
pub fn is_trusted(ask: &Ask<'_>, role: &Role, action: &str) -> bool {
    let Ok(trust) = Policy::parse(&role.trust_policy) else { return false };
    let cx = ask.cx;
    let resource = arn::role(&cx.scope.account, &role.path, &role.name);
    let context = RequestContext { ask, action, resource: &resource };
    // Open mode's caller is the account: a role that trusts one of its users is the account's to assume.
    let request = Request { action, resource: &resource, principal: principal(cx, &cx.caller), context: &context };
    let Some(enforced) = &cx.enforced else { return policy::says(&request, &trust, true).is_allowed() };
    if !policy::says(&request, &trust, true).is_allowed() || !is_of_its_role(ask.state, &cx.scope.account, &cx.caller) {
        return false;
    }
    // The account's own key may not assume roles, but by a trust policy that names it; its word is as good as its policies'.
    if cx.caller.principal == Principal::Root {
        return true;
    }
    let grants = enforced.authority.grants(ask.state, &cx.scope.account, &cx.caller);
    policy::decide(&request, &grants, Some(&trust)).is_allowed()
}
