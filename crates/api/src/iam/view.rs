//! Stored roles as IAM sends them.

use super::managed::Managed;
use longshore_aws_model::Timestamp;
use longshore_aws_model::iam as wire;
use longshore_aws_wire::percent_encode;
use longshore_types::iam::Role;
use longshore_types::{AccountId, Tags, arn};

/// AWS's managed policies are older than any account here: 2015-02-06.
const MANAGED_SINCE: Timestamp = Timestamp(1_423_180_800_000);

/// A role as lists have it: without tags.
pub fn listed(account: &AccountId, role: &Role) -> wire::Role {
    wire::Role {
        path: Some(role.path.clone()),
        role_name: Some(role.name.clone()),
        role_id: Some(role.id.clone()),
        arn: Some(arn::role(account, &role.path, &role.name)),
        create_date: Some(Timestamp(role.created_at.0)),
        assume_role_policy_document: Some(document(&role.trust_policy)),
        description: role.description.clone(),
        max_session_duration: Some(role.max_session_seconds),
        ..Default::default()
    }
}

/// A role with everything.
pub fn role(account: &AccountId, role: &Role) -> wire::Role {
    let tags = (!role.tags.is_empty()).then(|| tags(&role.tags));
    wire::Role { tags, role_last_used: Some(wire::RoleLastUsed::default()), ..listed(account, role) }
}

/// Policy documents are URL-encoded in answers.
pub fn document(text: &str) -> String {
    percent_encode(text)
}

pub fn tags(tags: &Tags) -> Vec<wire::Tag> {
    tags.iter().map(|(key, value)| wire::Tag { key: Some(key.clone()), value: Some(value.clone()) }).collect()
}

pub fn policy(policy: Managed, attachment_count: usize) -> wire::Policy {
    wire::Policy {
        policy_name: Some(policy.name.to_owned()),
        policy_id: Some(policy.id()),
        arn: Some(policy.arn()),
        path: Some(policy.path.to_owned()),
        default_version_id: Some("v1".to_owned()),
        attachment_count: Some(i32::try_from(attachment_count).unwrap_or(i32::MAX)),
        permissions_boundary_usage_count: Some(0),
        is_attachable: Some(true),
        create_date: Some(MANAGED_SINCE),
        update_date: Some(MANAGED_SINCE),
        tags: Some(Vec::new()),
        ..Default::default()
    }
}
