//! Stored rows as IAM sends them.

use super::policies::AnyPolicy;
use longshore_aws_model::Timestamp;
use longshore_aws_model::iam as wire;
use longshore_aws_wire::percent_encode;
use longshore_types::iam::{Group, InstanceProfile, LastUsed, Role, User};
use longshore_types::{AccountId, Tags, arn};

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
    let role_last_used = Some(wire::RoleLastUsed {
        last_used_date: role.last_used.as_ref().map(|used| Timestamp(used.at.0)),
        region: role.last_used.as_ref().map(|used| used.region.clone()),
    });
    let permissions_boundary = boundary(role.permissions_boundary.as_ref());
    wire::Role { tags, role_last_used, permissions_boundary, ..listed(account, role) }
}

fn boundary(arn: Option<&String>) -> Option<wire::AttachedPermissionsBoundary> {
    arn.map(|arn| wire::AttachedPermissionsBoundary {
        // The one type there is; it says what the ARN is of.
        permissions_boundary_type: Some("Policy".to_owned()),
        permissions_boundary_arn: Some(arn.clone()),
    })
}

/// A user as lists have it: without tags and boundary.
pub fn listed_user(account: &AccountId, user: &User) -> wire::User {
    wire::User {
        path: Some(user.path.clone()),
        user_name: Some(user.name.clone()),
        user_id: Some(user.id.clone()),
        arn: Some(arn::iam(account, "user", &user.path, &user.name)),
        create_date: Some(Timestamp(user.created_at.0)),
        ..Default::default()
    }
}

pub fn user(account: &AccountId, user: &User) -> wire::User {
    wire::User {
        tags: (!user.tags.is_empty()).then(|| tags(&user.tags)),
        permissions_boundary: boundary(user.permissions_boundary.as_ref()),
        ..listed_user(account, user)
    }
}

pub fn group(account: &AccountId, group: &Group) -> wire::Group {
    wire::Group {
        path: Some(group.path.clone()),
        group_name: Some(group.name.clone()),
        group_id: Some(group.id.clone()),
        arn: Some(arn::iam(account, "group", &group.path, &group.name)),
        create_date: Some(Timestamp(group.created_at.0)),
    }
}

/// `role` is the profile's, if it has one.
pub fn instance_profile(account: &AccountId, profile: &InstanceProfile, role: Option<&Role>) -> wire::InstanceProfile {
    wire::InstanceProfile {
        path: Some(profile.path.clone()),
        instance_profile_name: Some(profile.name.clone()),
        instance_profile_id: Some(profile.id.clone()),
        arn: Some(arn::iam(account, "instance-profile", &profile.path, &profile.name)),
        create_date: Some(Timestamp(profile.created_at.0)),
        roles: Some(role.map(|role| listed(account, role)).into_iter().collect()),
        tags: (!profile.tags.is_empty()).then(|| tags(&profile.tags)),
    }
}

/// `N/A` stands for a key that has signed nothing.
pub fn last_used(used: Option<&LastUsed>) -> wire::AccessKeyLastUsed {
    let or_none = |text: Option<&String>| Some(text.map_or_else(|| "N/A".to_owned(), String::clone));
    wire::AccessKeyLastUsed {
        last_used_date: used.map(|used| Timestamp(used.at.0)),
        service_name: or_none(used.map(|used| &used.service)),
        region: or_none(used.map(|used| &used.region)),
    }
}

/// A policy as lists have it: without description and tags.
pub fn listed_policy(account: &AccountId, policy: &AnyPolicy, attachments: usize, boundaries: usize) -> wire::Policy {
    let count = |n: usize| Some(i32::try_from(n).unwrap_or(i32::MAX));
    let (created, updated) = policy.dates();
    wire::Policy {
        policy_name: Some(policy.name().to_owned()),
        policy_id: policy.id().map(str::to_owned),
        arn: Some(policy.arn(account)),
        path: Some(policy.path().to_owned()),
        default_version_id: Some(format!("v{}", policy.default_version())),
        attachment_count: count(attachments),
        permissions_boundary_usage_count: count(boundaries),
        is_attachable: Some(true),
        create_date: Some(Timestamp(created.0)),
        update_date: Some(Timestamp(updated.0)),
        ..Default::default()
    }
}

pub fn policy(account: &AccountId, policy: &AnyPolicy, attachments: usize, boundaries: usize) -> wire::Policy {
    let own = policy.own();
    wire::Policy {
        description: own.and_then(|own| own.description.clone()),
        tags: Some(own.map(|own| tags(&own.tags)).unwrap_or_default()),
        ..listed_policy(account, policy, attachments, boundaries)
    }
}

/// Policy documents are URL-encoded in answers.
pub fn document(text: &str) -> String {
    percent_encode(text)
}

pub fn tags(tags: &Tags) -> Vec<wire::Tag> {
    tags.iter().map(|(key, value)| wire::Tag { key: Some(key.clone()), value: Some(value.clone()) }).collect()
}
