//! Finding managed policies: AWS's and the account's.

use super::{error, managed};
use crate::Cx;
use longshore_aws_model::AwsError;
use longshore_store::Snapshot;
use longshore_types::arn::{self, Arn};
use longshore_types::iam::ManagedPolicy;
use longshore_types::{AccountId, Timestamp};
use std::sync::Arc;

/// A managed policy.
#[derive(Clone, Debug)]
pub enum AnyPolicy {
    Aws(&'static managed::Managed),
    Own(Arc<ManagedPolicy>),
}

impl AnyPolicy {
    pub fn own(&self) -> Option<&ManagedPolicy> {
        match self {
            Self::Aws(_) => None,
            Self::Own(policy) => Some(policy),
        }
    }

    pub fn name(&self) -> &str {
        match self {
            Self::Aws(policy) => policy.name,
            Self::Own(policy) => &policy.name,
        }
    }

    pub fn path(&self) -> &str {
        match self {
            Self::Aws(policy) => policy.path,
            Self::Own(policy) => &policy.path,
        }
    }

    pub fn id(&self) -> Option<&str> {
        match self {
            Self::Aws(policy) => policy.id,
            Self::Own(policy) => Some(&policy.id),
        }
    }

    pub fn arn(&self, account: &AccountId) -> String {
        match self {
            Self::Aws(policy) => policy.arn(),
            Self::Own(policy) => arn::iam(account, "policy", &policy.path, &policy.name),
        }
    }

    pub fn default_version(&self) -> u32 {
        match self {
            Self::Aws(policy) => policy.version,
            Self::Own(policy) => policy.default_version,
        }
    }

    /// Created, updated.
    pub fn dates(&self) -> (Timestamp, Timestamp) {
        match self {
            Self::Aws(policy) => (policy.created_at, policy.updated_at),
            Self::Own(policy) => (policy.created_at, policy.updated_at),
        }
    }
}

/// The policy of an ARN; its path has to be the policy's.
pub fn find(state: &Snapshot, cx: &Cx, arn: &str) -> Option<AnyPolicy> {
    if let Some(policy) = managed::find(arn) {
        return Some(AnyPolicy::Aws(policy));
    }
    own(state, cx, arn).map(AnyPolicy::Own)
}

fn own(state: &Snapshot, cx: &Cx, policy_arn: &str) -> Option<Arc<ManagedPolicy>> {
    let account = &cx.scope.account;
    let name = policy_arn.rsplit('/').next()?;
    let policy = state.policies().get(&(account.clone(), name.to_owned()))?;
    (arn::iam(account, "policy", &policy.path, &policy.name) == policy_arn).then_some(policy)
}

/// A policy that a request is about.
pub fn get(state: &Snapshot, cx: &Cx, arn: &str) -> Result<AnyPolicy, AwsError> {
    check_arn(arn)?;
    find(state, cx, arn).ok_or_else(|| error::policy_not_found(arn))
}

/// One that a request is to change; AWS's own are not for changing.
pub fn get_own(state: &Snapshot, cx: &Cx, arn: &str) -> Result<Arc<ManagedPolicy>, AwsError> {
    match get(state, cx, arn)? {
        AnyPolicy::Own(policy) => Ok(policy),
        AnyPolicy::Aws(_) => Err(AwsError::new(
            "AccessDenied",
            format!("User: {} is not authorized to perform this action on resource: policy {arn}", cx.caller.arn),
        )
        .with_status(403)),
    }
}

pub fn check_arn(arn: &str) -> Result<(), AwsError> {
    let is_policy = |arn: Arn<'_>| arn.service == "iam" && arn.resource.starts_with("policy/");
    match Arn::parse(arn).is_some_and(is_policy) {
        true => Ok(()),
        false => Err(error::invalid_input(format!("ARN {arn} is not valid."))),
    }
}

/// An error if an ARN cannot be somebody's boundary.
pub fn check_boundary(state: &Snapshot, cx: &Cx, arn: &str) -> Result<(), AwsError> {
    check_arn(arn)?;
    match find(state, cx, arn) {
        Some(_) => Ok(()),
        None => Err(error::no_such_boundary(arn)),
    }
}

/// How many users, groups and roles a policy is attached to, and whose boundary it is.
pub fn usage(state: &Snapshot, cx: &Cx, arn: &str) -> (usize, usize) {
    let account = &cx.scope.account;
    let mut attachments = state.groups().prefix(account).filter(|row| row.attached_policies.contains(arn)).count();
    let mut boundaries = 0;
    let mut add = |is_attached: bool, boundary: Option<&String>| {
        attachments += usize::from(is_attached);
        boundaries += usize::from(boundary.is_some_and(|own| own == arn));
    };
    for row in state.roles().prefix(account) {
        add(row.attached_policies.contains(arn), row.permissions_boundary.as_ref());
    }
    for row in state.users().prefix(account) {
        add(row.attached_policies.contains(arn), row.permissions_boundary.as_ref());
    }
    (attachments, boundaries)
}
