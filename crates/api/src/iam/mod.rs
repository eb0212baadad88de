//! IAM's part that containers need: roles, their policies, and who may assume them.

use crate::Routes;
use longshore_aws_model::iam::*;

pub mod trust;

mod document;
mod error;
mod managed;
mod roles;
mod tags;
mod view;

mod attached_policies;
pub(crate) mod create_role;
mod delete_role;
mod get_role;
mod inline_policies;
mod list_instance_profiles_for_role;
mod list_roles;
mod role_tags;
mod update_role;

pub fn routes(routes: Routes) -> Routes {
    routes
        .write::<CreateRole>(create_role::create_role)
        .read::<GetRole>(get_role::get_role)
        .read::<ListRoles>(list_roles::list_roles)
        .write::<UpdateRole>(update_role::update_role)
        .write::<UpdateAssumeRolePolicy>(update_role::update_assume_role_policy)
        .write::<DeleteRole>(delete_role::delete_role)
        .write::<AttachRolePolicy>(attached_policies::attach_role_policy)
        .write::<DetachRolePolicy>(attached_policies::detach_role_policy)
        .read::<ListAttachedRolePolicies>(attached_policies::list_attached_role_policies)
        .read::<GetPolicy>(attached_policies::get_policy)
        .write::<PutRolePolicy>(inline_policies::put_role_policy)
        .read::<GetRolePolicy>(inline_policies::get_role_policy)
        .write::<DeleteRolePolicy>(inline_policies::delete_role_policy)
        .read::<ListRolePolicies>(inline_policies::list_role_policies)
        .write::<TagRole>(role_tags::tag_role)
        .write::<UntagRole>(role_tags::untag_role)
        .read::<ListRoleTags>(role_tags::list_role_tags)
        .read::<ListInstanceProfilesForRole>(list_instance_profiles_for_role::list_instance_profiles_for_role)
}
