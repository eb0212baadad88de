//! What each operation of IAM needs (Service Authorization Reference, "AWS Identity and Access Management").

use super::service_linked_role;
use crate::Principal;
use crate::identity::Resources::{Any, Arns, Each};
use crate::identity::{Ask, Permission, Resources, on};
use longshore_policy::Values;
use longshore_types::arn::{self, Arn};

/// `iam:<operation>`.
macro_rules! iam {
    ($operation:literal, $resources:expr) => {
        on($operation, concat!("iam:", $operation), $resources)
    };
}

const ROLE: Resources = Each(role);
const USER: Resources = Each(user);
const GROUP: Resources = Each(group);
const POLICY: Resources = Arns("PolicyArn");
const PROFILE: Resources = Each(instance_profile);

pub const PERMISSIONS: &[Permission] = &[
    iam!("AddRoleToInstanceProfile", PROFILE),
    on("AddRoleToInstanceProfile", "iam:PassRole", ROLE),
    iam!("AddUserToGroup", GROUP),
    iam!("AttachGroupPolicy", GROUP),
    iam!("AttachRolePolicy", ROLE),
    iam!("AttachUserPolicy", USER),
    iam!("CreateAccessKey", USER),
    iam!("CreateAccountAlias", Any),
    iam!("CreateGroup", GROUP),
    iam!("CreateInstanceProfile", PROFILE),
    on("CreateInstanceProfile", "iam:TagInstanceProfile", Each(|ask| if_tagged(ask, instance_profile))),
    iam!("CreatePolicy", Each(policy)),
    on("CreatePolicy", "iam:TagPolicy", Each(|ask| if_tagged(ask, policy))),
    iam!("CreatePolicyVersion", POLICY),
    iam!("CreateRole", ROLE),
    on("CreateRole", "iam:TagRole", Each(|ask| if_tagged(ask, role))),
    iam!("CreateServiceLinkedRole", Each(service_role)),
    iam!("CreateUser", USER),
    on("CreateUser", "iam:TagUser", Each(|ask| if_tagged(ask, user))),
    iam!("DeleteAccessKey", USER),
    iam!("DeleteAccountAlias", Any),
    iam!("DeleteGroup", GROUP),
    iam!("DeleteGroupPolicy", GROUP),
    iam!("DeleteInstanceProfile", PROFILE),
    iam!("DeleteLoginProfile", USER),
    iam!("DeletePolicy", POLICY),
    iam!("DeletePolicyVersion", POLICY),
    iam!("DeleteRole", ROLE),
    iam!("DeleteRolePermissionsBoundary", ROLE),
    iam!("DeleteRolePolicy", ROLE),
    iam!("DeleteServiceLinkedRole", ROLE),
    iam!("DeleteUser", USER),
    iam!("DeleteUserPermissionsBoundary", USER),
    iam!("DeleteUserPolicy", USER),
    iam!("DetachGroupPolicy", GROUP),
    iam!("DetachRolePolicy", ROLE),
    iam!("DetachUserPolicy", USER),
    iam!("GetAccessKeyLastUsed", Each(key_owner)),
    iam!("GetAccountAuthorizationDetails", Any),
    iam!("GetAccountPasswordPolicy", Any),
    iam!("GetAccountSummary", Any),
    iam!("GetContextKeysForCustomPolicy", Any),
    iam!("GetContextKeysForPrincipalPolicy", Arns("PolicySourceArn")),
    iam!("GetGroup", GROUP),
    iam!("GetGroupPolicy", GROUP),
    iam!("GetInstanceProfile", PROFILE),
    iam!("GetLoginProfile", USER),
    iam!("GetPolicy", POLICY),
    iam!("GetPolicyVersion", POLICY),
    iam!("GetRole", ROLE),
    iam!("GetRolePolicy", ROLE),
    iam!("GetServiceLinkedRoleDeletionStatus", Any),
    iam!("GetUser", USER),
    iam!("GetUserPolicy", USER),
    iam!("ListAccessKeys", USER),
    iam!("ListAccountAliases", Any),
    iam!("ListAttachedGroupPolicies", GROUP),
    iam!("ListAttachedRolePolicies", ROLE),
    iam!("ListAttachedUserPolicies", USER),
    iam!("ListEntitiesForPolicy", POLICY),
    iam!("ListGroupPolicies", GROUP),
    iam!("ListGroups", Each(|ask| all(ask, "group"))),
    iam!("ListGroupsForUser", USER),
    iam!("ListInstanceProfileTags", PROFILE),
    iam!("ListInstanceProfiles", Each(|ask| all(ask, "instance-profile"))),
    iam!("ListInstanceProfilesForRole", ROLE),
    iam!("ListMFADevices", USER),
    iam!("ListOpenIDConnectProviders", Any),
    iam!("ListPolicies", Each(|ask| all(ask, "policy"))),
    iam!("ListPolicyTags", POLICY),
    iam!("ListPolicyVersions", POLICY),
    iam!("ListRolePolicies", ROLE),
    iam!("ListRoleTags", ROLE),
    iam!("ListRoles", Each(|ask| all(ask, "role"))),
    iam!("ListSAMLProviders", Any),
    iam!("ListSSHPublicKeys", USER),
    iam!("ListServerCertificates", Any),
    iam!("ListServiceSpecificCredentials", USER),
    iam!("ListSigningCertificates", USER),
    iam!("ListUserPolicies", USER),
    iam!("ListUserTags", USER),
    iam!("ListUsers", Each(|ask| all(ask, "user"))),
    iam!("ListVirtualMFADevices", Any),
    iam!("PutGroupPolicy", GROUP),
    iam!("PutRolePermissionsBoundary", ROLE),
    iam!("PutRolePolicy", ROLE),
    iam!("PutUserPermissionsBoundary", USER),
    iam!("PutUserPolicy", USER),
    iam!("RemoveRoleFromInstanceProfile", PROFILE),
    iam!("RemoveUserFromGroup", GROUP),
    iam!("SetDefaultPolicyVersion", POLICY),
    iam!("SimulateCustomPolicy", Any),
    iam!("SimulatePrincipalPolicy", Arns("PolicySourceArn")),
    iam!("TagInstanceProfile", PROFILE),
    iam!("TagPolicy", POLICY),
    iam!("TagRole", ROLE),
    iam!("TagUser", USER),
    iam!("UntagInstanceProfile", PROFILE),
    iam!("UntagPolicy", POLICY),
    iam!("UntagRole", ROLE),
    iam!("UntagUser", USER),
    iam!("UpdateAccessKey", USER),
    iam!("UpdateAssumeRolePolicy", ROLE),
    iam!("UpdateGroup", Each(group_and_new)),
    iam!("UpdateRole", ROLE),
    iam!("UpdateRoleDescription", ROLE),
    iam!("UpdateUser", Each(user_and_new)),
];

fn if_tagged(ask: &Ask<'_>, resource: fn(&Ask<'_>) -> Vec<String>) -> Vec<String> {
    if ask.get("Tags.Key").is_some() { resource(ask) } else { Vec::new() }
}

/// The path of what is there, else the one that is asked for.
fn own(ask: &Ask<'_>, kind: &str, name: &str, path: Option<String>) -> Vec<String> {
    let path = path.or_else(|| ask.get("Path").map(str::to_owned)).unwrap_or_else(|| "/".to_owned());
    vec![arn::iam(&ask.cx.scope.account, kind, &path, name)]
}

fn all(ask: &Ask<'_>, kind: &str) -> Vec<String> {
    vec![arn::iam(&ask.cx.scope.account, kind, ask.get("PathPrefix").unwrap_or("/"), "")]
}

/// The ARN of a role that is given by name or ARN.
pub fn role_arn(ask: &Ask<'_>, role: &str) -> String {
    if Arn::parse(role).is_some() {
        return role.to_owned();
    }
    let row = ask.state.roles().get(&(ask.cx.scope.account.clone(), role.to_owned()));
    arn::role(&ask.cx.scope.account, row.as_ref().map_or("/", |row| &row.path), role)
}

fn role(ask: &Ask<'_>) -> Vec<String> {
    let name = ask.get("RoleName").unwrap_or_default();
    let row = ask.state.roles().get(&(ask.cx.scope.account.clone(), name.to_owned()));
    own(ask, "role", name, row.map(|row| row.path.clone()))
}

/// The user that is named; the caller, where none is.
fn user(ask: &Ask<'_>) -> Vec<String> {
    let caller = match &ask.cx.caller.principal {
        Principal::User(name) => name.as_str(),
        _ => "",
    };
    let name = ask.get("UserName").unwrap_or(caller);
    user_arn(ask, name)
}

fn user_arn(ask: &Ask<'_>, name: &str) -> Vec<String> {
    let row = ask.state.users().get(&(ask.cx.scope.account.clone(), name.to_owned()));
    own(ask, "user", name, row.map(|row| row.path.clone()))
}

fn key_owner(ask: &Ask<'_>) -> Vec<String> {
    let key = ask.state.access_keys().get(&ask.get("AccessKeyId").unwrap_or_default().to_owned());
    key.map_or_else(|| vec!["*".to_owned()], |key| user_arn(ask, &key.user))
}

fn group(ask: &Ask<'_>) -> Vec<String> {
    let name = ask.get("GroupName").unwrap_or_default();
    let row = ask.state.groups().get(&(ask.cx.scope.account.clone(), name.to_owned()));
    own(ask, "group", name, row.map(|row| row.path.clone()))
}

/// A user that is renamed or moved, and what it becomes: leave is needed for both.
fn user_and_new(ask: &Ask<'_>) -> Vec<String> {
    let name = ask.get("UserName").unwrap_or_default();
    let row = ask.state.users().get(&(ask.cx.scope.account.clone(), name.to_owned()));
    both(ask, "user", name, row.map(|row| row.path.clone()), "NewUserName")
}

fn group_and_new(ask: &Ask<'_>) -> Vec<String> {
    let name = ask.get("GroupName").unwrap_or_default();
    let row = ask.state.groups().get(&(ask.cx.scope.account.clone(), name.to_owned()));
    both(ask, "group", name, row.map(|row| row.path.clone()), "NewGroupName")
}

fn both(ask: &Ask<'_>, kind: &str, name: &str, path: Option<String>, new_name: &str) -> Vec<String> {
    let new_path = ask.get("NewPath").map(str::to_owned).or_else(|| path.clone());
    let mut arns = own(ask, kind, name, path);
    arns.extend(own(ask, kind, ask.get(new_name).unwrap_or(name), new_path));
    arns.dedup();
    arns
}

fn policy(ask: &Ask<'_>) -> Vec<String> {
    own(ask, "policy", ask.get("PolicyName").unwrap_or_default(), None)
}

fn instance_profile(ask: &Ask<'_>) -> Vec<String> {
    let name = ask.get("InstanceProfileName").unwrap_or_default();
    let row = ask.state.instance_profiles().get(&(ask.cx.scope.account.clone(), name.to_owned()));
    own(ask, "instance-profile", name, row.map(|row| row.path.clone()))
}

fn service_role(ask: &Ask<'_>) -> Vec<String> {
    let service = ask.get("AWSServiceName").unwrap_or_default();
    let name = service_linked_role::name(service).unwrap_or("*");
    vec![arn::role(&ask.cx.scope.account, &service_linked_role::path(service), name)]
}

/// `iam:PassedToService` and its kind.
pub fn context<'a>(ask: &Ask<'a>, name: &str, action: &str) -> Option<Values<'a>> {
    match name {
        "passedtoservice" if action == "iam:PassRole" => Some(Values::one(passed_to(ask))),
        "policyarn" => ask.get("PolicyArn").map(Values::one),
        "permissionsboundary" => {
            let named = ask.get("PermissionsBoundary").map(str::to_owned);
            let of_role = || {
                let name = ask.get("RoleName")?.to_owned();
                ask.state.roles().get(&(ask.cx.scope.account.clone(), name))?.permissions_boundary.clone()
            };
            let of_user = || {
                let name = ask.get("UserName")?.to_owned();
                ask.state.users().get(&(ask.cx.scope.account.clone(), name))?.permissions_boundary.clone()
            };
            named.or_else(of_role).or_else(of_user).map(Values::one)
        }
        "awsservicename" => ask.get("AWSServiceName").map(Values::one),
        _ => None,
    }
}

/// To whom a request hands a role: EC2 by an instance profile, ECS itself by a service's role, tasks otherwise.
fn passed_to(ask: &Ask<'_>) -> &'static str {
    if ask.get("InstanceProfileName").is_some() {
        "ec2.amazonaws.com"
    } else if ask.get("role").is_some() {
        "ecs.amazonaws.com"
    } else {
        "ecs-tasks.amazonaws.com"
    }
}

#[cfg(test)]
mod tests {
    use crate::iam::users::tests::with_user;
    use crate::testing::asked;
    use longshore_aws_model::iam::*;

    #[test]
    fn a_rename_or_move_takes_leave_for_what_it_makes_too() {
        let fixture = with_user();
        let of_user = |new_path: Option<&str>, new_name: Option<&str>| {
            let input = UpdateUserInput {
                user_name: "ann".to_owned(),
                new_path: new_path.map(str::to_owned),
                new_user_name: new_name.map(str::to_owned),
            };
            asked::<UpdateUser>(&fixture, &input)
        };
        let user = |path: &str| format!("iam:UpdateUser arn:aws:iam::123456789012:user{path}");
        assert_eq!(of_user(None, Some("bob")), [user("/ann"), user("/bob")]);
        assert_eq!(of_user(Some("/admins/"), None), [user("/ann"), user("/admins/ann")]);
        assert_eq!(of_user(None, None), [user("/ann")]);
        let input = UpdateGroupInput {
            group_name: "dev".to_owned(),
            new_path: Some("/admins/".to_owned()),
            new_group_name: Some("ops".to_owned()),
        };
        let group = |path: &str| format!("iam:UpdateGroup arn:aws:iam::123456789012:group{path}");
        assert_eq!(asked::<UpdateGroup>(&fixture, &input), [group("/dev"), group("/admins/ops")]);
    }
}
