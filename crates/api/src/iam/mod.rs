//! IAM: users, groups, roles, their policies and keys.

use crate::Routes;
use longshore_aws_model::iam::*;

pub mod managed;
pub mod permissions;
pub mod service_linked_role;
pub mod trust;

mod document;
mod error;
mod holder;
mod policies;
mod roles;
mod tags;
mod view;

mod absent;
mod access_keys;
mod account;
mod attached_policies;
mod authorization_details;
mod boundaries;
pub(crate) mod create_role;
mod delete_role;
mod get_role;
mod groups;
mod inline_policies;
mod instance_profiles;
mod list_roles;
mod managed_policies;
mod policy_versions;
mod simulate;
pub(crate) mod tagging;
mod update_role;
mod users;

pub use document::check_session_policy;

pub fn routes(routes: Routes) -> Routes {
    [roles_of, users_of, groups_of, policies_of, instance_profiles_of, account_of]
        .into_iter()
        .fold(routes, |routes, add| add(routes))
}

fn roles_of(routes: Routes) -> Routes {
    routes
        .write::<CreateRole>(create_role::create_role)
        .read::<GetRole>(get_role::get_role)
        .read::<ListRoles>(list_roles::list_roles)
        .write::<UpdateRole>(update_role::update_role)
        .write::<UpdateRoleDescription>(update_role::update_role_description)
        .write::<UpdateAssumeRolePolicy>(update_role::update_assume_role_policy)
        .write::<DeleteRole>(delete_role::delete_role)
        .write::<AttachRolePolicy>(attached_policies::attach_role_policy)
        .write::<DetachRolePolicy>(attached_policies::detach_role_policy)
        .read::<ListAttachedRolePolicies>(attached_policies::list_attached_role_policies)
        .write::<PutRolePolicy>(inline_policies::put_role_policy)
        .read::<GetRolePolicy>(inline_policies::get_role_policy)
        .write::<DeleteRolePolicy>(inline_policies::delete_role_policy)
        .read::<ListRolePolicies>(inline_policies::list_role_policies)
        .write::<PutRolePermissionsBoundary>(boundaries::put_role_permissions_boundary)
        .write::<DeleteRolePermissionsBoundary>(boundaries::delete_role_permissions_boundary)
        .write::<TagRole>(tagging::tag_role)
        .write::<UntagRole>(tagging::untag_role)
        .read::<ListRoleTags>(tagging::list_role_tags)
        .write::<CreateServiceLinkedRole>(service_linked_role::create_service_linked_role)
        .write::<DeleteServiceLinkedRole>(service_linked_role::delete_service_linked_role)
        .read::<GetServiceLinkedRoleDeletionStatus>(service_linked_role::get_service_linked_role_deletion_status)
}

fn users_of(routes: Routes) -> Routes {
    routes
        .write::<CreateUser>(users::create_user)
        .read::<GetUser>(users::get_user)
        .read::<ListUsers>(users::list_users)
        .write::<UpdateUser>(users::update_user)
        .write::<DeleteUser>(users::delete_user)
        .write::<CreateAccessKey>(access_keys::create_access_key)
        .read::<ListAccessKeys>(access_keys::list_access_keys)
        .write::<UpdateAccessKey>(access_keys::update_access_key)
        .write::<DeleteAccessKey>(access_keys::delete_access_key)
        .read::<GetAccessKeyLastUsed>(access_keys::get_access_key_last_used)
        .write::<AttachUserPolicy>(attached_policies::attach_user_policy)
        .write::<DetachUserPolicy>(attached_policies::detach_user_policy)
        .read::<ListAttachedUserPolicies>(attached_policies::list_attached_user_policies)
        .write::<PutUserPolicy>(inline_policies::put_user_policy)
        .read::<GetUserPolicy>(inline_policies::get_user_policy)
        .write::<DeleteUserPolicy>(inline_policies::delete_user_policy)
        .read::<ListUserPolicies>(inline_policies::list_user_policies)
        .write::<PutUserPermissionsBoundary>(boundaries::put_user_permissions_boundary)
        .write::<DeleteUserPermissionsBoundary>(boundaries::delete_user_permissions_boundary)
        .write::<TagUser>(tagging::tag_user)
        .write::<UntagUser>(tagging::untag_user)
        .read::<ListUserTags>(tagging::list_user_tags)
}

fn groups_of(routes: Routes) -> Routes {
    routes
        .write::<CreateGroup>(groups::create_group)
        .read::<GetGroup>(groups::get_group)
        .read::<ListGroups>(groups::list_groups)
        .write::<UpdateGroup>(groups::update_group)
        .write::<DeleteGroup>(groups::delete_group)
        .write::<AddUserToGroup>(groups::add_user_to_group)
        .write::<RemoveUserFromGroup>(groups::remove_user_from_group)
        .read::<ListGroupsForUser>(groups::list_groups_for_user)
        .write::<AttachGroupPolicy>(attached_policies::attach_group_policy)
        .write::<DetachGroupPolicy>(attached_policies::detach_group_policy)
        .read::<ListAttachedGroupPolicies>(attached_policies::list_attached_group_policies)
        .write::<PutGroupPolicy>(inline_policies::put_group_policy)
        .read::<GetGroupPolicy>(inline_policies::get_group_policy)
        .write::<DeleteGroupPolicy>(inline_policies::delete_group_policy)
        .read::<ListGroupPolicies>(inline_policies::list_group_policies)
}

fn policies_of(routes: Routes) -> Routes {
    routes
        .write::<CreatePolicy>(managed_policies::create_policy)
        .read::<GetPolicy>(managed_policies::get_policy)
        .read::<ListPolicies>(managed_policies::list_policies)
        .write::<DeletePolicy>(managed_policies::delete_policy)
        .read::<ListEntitiesForPolicy>(managed_policies::list_entities_for_policy)
        .write::<CreatePolicyVersion>(policy_versions::create_policy_version)
        .read::<GetPolicyVersion>(policy_versions::get_policy_version)
        .read::<ListPolicyVersions>(policy_versions::list_policy_versions)
        .write::<SetDefaultPolicyVersion>(policy_versions::set_default_policy_version)
        .write::<DeletePolicyVersion>(policy_versions::delete_policy_version)
        .write::<TagPolicy>(tagging::tag_policy)
        .write::<UntagPolicy>(tagging::untag_policy)
        .read::<ListPolicyTags>(tagging::list_policy_tags)
}

fn instance_profiles_of(routes: Routes) -> Routes {
    routes
        .write::<CreateInstanceProfile>(instance_profiles::create_instance_profile)
        .read::<GetInstanceProfile>(instance_profiles::get_instance_profile)
        .read::<ListInstanceProfiles>(instance_profiles::list_instance_profiles)
        .read::<ListInstanceProfilesForRole>(instance_profiles::list_instance_profiles_for_role)
        .write::<DeleteInstanceProfile>(instance_profiles::delete_instance_profile)
        .write::<AddRoleToInstanceProfile>(instance_profiles::add_role_to_instance_profile)
        .write::<RemoveRoleFromInstanceProfile>(instance_profiles::remove_role_from_instance_profile)
        .write::<TagInstanceProfile>(tagging::tag_instance_profile)
        .write::<UntagInstanceProfile>(tagging::untag_instance_profile)
        .read::<ListInstanceProfileTags>(tagging::list_instance_profile_tags)
}

fn account_of(routes: Routes) -> Routes {
    routes
        .read::<GetAccountSummary>(account::get_account_summary)
        .read::<GetAccountAuthorizationDetails>(authorization_details::get_account_authorization_details)
        .read::<GetAccountPasswordPolicy>(absent::get_account_password_policy)
        .read::<GetLoginProfile>(absent::get_login_profile)
        .write::<DeleteLoginProfile>(absent::delete_login_profile)
        .read::<ListMFADevices>(absent::list_mfa_devices)
        .read::<ListVirtualMFADevices>(absent::list_virtual_mfa_devices)
        .read::<ListSSHPublicKeys>(absent::list_ssh_public_keys)
        .read::<ListSigningCertificates>(absent::list_signing_certificates)
        .read::<ListServiceSpecificCredentials>(absent::list_service_specific_credentials)
        .read::<ListServerCertificates>(absent::list_server_certificates)
        .read::<ListSAMLProviders>(absent::list_saml_providers)
        .read::<ListOpenIDConnectProviders>(absent::list_open_id_connect_providers)
        .read::<SimulatePrincipalPolicy>(simulate::simulate_principal_policy)
        .read::<SimulateCustomPolicy>(simulate::simulate_custom_policy)
        .read::<GetContextKeysForPrincipalPolicy>(simulate::get_context_keys_for_principal_policy)
        .read::<GetContextKeysForCustomPolicy>(simulate::get_context_keys_for_custom_policy)
        .read::<ListAccountAliases>(account::list_account_aliases)
        .write::<CreateAccountAlias>(account::create_account_alias)
        .write::<DeleteAccountAlias>(account::delete_account_alias)
}
