//! CreatePolicy, GetPolicy, ListPolicies, DeletePolicy and ListEntitiesForPolicy.

use super::document::{self, Purpose};
use super::policies::{self, AnyPolicy};
use super::{error, managed, roles, tags, view};
use crate::Cx;
use longshore_aws_model::AwsError;
use longshore_aws_model::iam::*;
use longshore_store::{Snapshot, Tx};
use longshore_types::arn;
use longshore_types::iam::{ManagedPolicy, PolicyVersion as Version};
use std::collections::BTreeMap;

/// Characters of a managed policy, white space left out.
const POLICY_MAX: usize = 6144;

pub fn check_document(text: &str) -> Result<(), AwsError> {
    document::check(text, Purpose::Permissions)?;
    if text.chars().filter(|c| !c.is_whitespace()).count() > POLICY_MAX {
        return Err(error::limit_exceeded(format!("Cannot exceed quota for PolicySize: {POLICY_MAX}")));
    }
    Ok(())
}

pub fn create_policy(tx: &mut Tx, cx: &Cx, input: CreatePolicyInput) -> Result<CreatePolicyOutput, AwsError> {
    check_document(&input.policy_document)?;
    let account = cx.scope.account.clone();
    if tx.policies().prefix(&account).any(|policy| policy.name.eq_ignore_ascii_case(&input.policy_name)) {
        let message = format!("A policy called {} already exists. Duplicate names are not allowed.", input.policy_name);
        return Err(error::already_exists(message));
    }
    let version = Version { document: input.policy_document, created_at: cx.now };
    let policy = ManagedPolicy {
        id: format!("ANPA{}", cx.ids().alphanumeric(17)),
        path: input.path.unwrap_or_else(|| "/".to_owned()),
        description: input.description,
        created_at: cx.now,
        updated_at: cx.now,
        tags: tags::parse(input.tags.as_deref().unwrap_or_default())?,
        versions: BTreeMap::from([(1, version)]),
        default_version: 1,
        last_version: 1,
        name: input.policy_name,
    };
    tx.policies().put((account.clone(), policy.name.clone()), policy.clone());
    let arn = arn::iam(&account, "policy", &policy.path, &policy.name);
    Ok(CreatePolicyOutput { policy: Some(sent(tx, cx, &policies::get(tx, cx, &arn)?)) })
}

fn sent(state: &Snapshot, cx: &Cx, policy: &AnyPolicy) -> Policy {
    let account = &cx.scope.account;
    let (attachments, boundaries) = policies::usage(state, cx, &policy.arn(account));
    view::policy(account, policy, attachments, boundaries)
}

pub fn get_policy(state: &Snapshot, cx: &Cx, input: GetPolicyInput) -> Result<GetPolicyOutput, AwsError> {
    let policy = policies::get(state, cx, &input.policy_arn)?;
    Ok(GetPolicyOutput { policy: Some(sent(state, cx, &policy)) })
}

pub fn list_policies(state: &Snapshot, cx: &Cx, input: ListPoliciesInput) -> Result<ListPoliciesOutput, AwsError> {
    let account = &cx.scope.account;
    let scope = input.scope.as_deref().unwrap_or("All");
    let path = input.path_prefix.as_deref().unwrap_or("/");
    let only_attached = input.only_attached.unwrap_or(false);
    let own = state.policies().prefix(account).map(AnyPolicy::Own).filter(|_| scope != "AWS");
    let aws = managed::all().map(AnyPolicy::Aws).filter(|_| scope != "Local");
    let mut all: Vec<AnyPolicy> = own.chain(aws).filter(|policy| policy.path().starts_with(path)).collect();
    all.sort_by_key(|policy| policy.arn(account));
    let used = all.into_iter().map(|policy| {
        let usage = policies::usage(state, cx, &policy.arn(account));
        (policy, usage)
    });
    let fits = |(_, (attachments, boundaries)): &(AnyPolicy, (usize, usize))| {
        let of_kind = match input.policy_usage_filter.as_deref() {
            Some("PermissionsPolicy") => *attachments > 0 || !only_attached,
            Some("PermissionsBoundary") => *boundaries > 0,
            _ => true,
        };
        of_kind && (!only_attached || attachments + boundaries > 0)
    };
    let page =
        roles::list(used.filter(fits), |(policy, _)| policy.arn(account), input.marker.as_deref(), input.max_items)?;
    let policies = page
        .items
        .iter()
        .map(|(policy, (attachments, boundaries))| view::listed_policy(account, policy, *attachments, *boundaries));
    Ok(ListPoliciesOutput {
        policies: Some(policies.collect()),
        is_truncated: Some(page.next_token.is_some()),
        marker: page.next_token,
    })
}

/// Only of a policy that nobody has and that has one version.
pub fn delete_policy(tx: &mut Tx, cx: &Cx, input: DeletePolicyInput) -> Result<DeletePolicyOutput, AwsError> {
    let policy = policies::get_own(tx, cx, &input.policy_arn)?;
    if policies::usage(tx, cx, &input.policy_arn) != (0, 0) {
        return Err(error::delete_conflict("Cannot delete a policy attached to entities."));
    }
    if policy.versions.len() > 1 {
        return Err(error::delete_conflict(
            "This policy has more than one version. Before you delete a policy, you must delete the policy's versions. The default version is deleted with the policy.",
        ));
    }
    tx.policies().remove(&(cx.scope.account.clone(), policy.name.clone()));
    Ok(DeletePolicyOutput {})
}

pub fn list_entities_for_policy(
    state: &Snapshot,
    cx: &Cx,
    input: ListEntitiesForPolicyInput,
) -> Result<ListEntitiesForPolicyOutput, AwsError> {
    policies::get(state, cx, &input.policy_arn)?;
    let account = &cx.scope.account;
    let arn = &input.policy_arn;
    let path = input.path_prefix.as_deref().unwrap_or("/");
    let filter = input.entity_filter.as_deref();
    let wants = |kind: &str| filter.is_none_or(|filter| filter == kind);
    let usage = input.policy_usage_filter.as_deref();
    let has = |attached: bool, boundary: Option<&String>| {
        let is_boundary = boundary == Some(arn);
        match usage {
            Some("PermissionsPolicy") => attached,
            Some("PermissionsBoundary") => is_boundary,
            _ => attached || is_boundary,
        }
    };
    enum Entity {
        Group(PolicyGroup),
        User(PolicyUser),
        Role(PolicyRole),
    }
    let mut all = Vec::new();
    if wants("Group") {
        let rows = state.groups().prefix(account).filter(|row| row.path.starts_with(path));
        all.extend(rows.filter(|row| has(row.attached_policies.contains(arn), None)).map(|row| {
            let group = PolicyGroup { group_name: Some(row.name.clone()), group_id: Some(row.id.clone()) };
            (format!("1/{}", row.name), Entity::Group(group))
        }));
    }
    if wants("User") {
        let rows = state.users().prefix(account).filter(|row| row.path.starts_with(path));
        let rows = rows.filter(|row| has(row.attached_policies.contains(arn), row.permissions_boundary.as_ref()));
        all.extend(rows.map(|row| {
            let user = PolicyUser { user_name: Some(row.name.clone()), user_id: Some(row.id.clone()) };
            (format!("2/{}", row.name), Entity::User(user))
        }));
    }
    if wants("Role") {
        let rows = state.roles().prefix(account).filter(|row| row.path.starts_with(path));
        let rows = rows.filter(|row| has(row.attached_policies.contains(arn), row.permissions_boundary.as_ref()));
        all.extend(rows.map(|row| {
            let role = PolicyRole { role_name: Some(row.name.clone()), role_id: Some(row.id.clone()) };
            (format!("3/{}", row.name), Entity::Role(role))
        }));
    }
    let page = roles::list(all.into_iter(), |(key, _)| key.clone(), input.marker.as_deref(), input.max_items)?;
    let (mut groups, mut users, mut roles) = (Vec::new(), Vec::new(), Vec::new());
    for (_, entity) in page.items {
        match entity {
            Entity::Group(group) => groups.push(group),
            Entity::User(user) => users.push(user),
            Entity::Role(role) => roles.push(role),
        }
    }
    Ok(ListEntitiesForPolicyOutput {
        policy_groups: Some(groups),
        policy_users: Some(users),
        policy_roles: Some(roles),
        is_truncated: Some(page.next_token.is_some()),
        marker: page.next_token,
    })
}

#[cfg(test)]
pub mod tests {
    use super::*;
    use crate::ec2::testing::{read, refusal, write};
    use crate::iam::attached_policies::attach_role_policy;
    use crate::iam::create_role::tests::with_role;
    use crate::testing::Fixture;

    pub const DOCUMENT: &str =
        r#"{"Version":"2012-10-17","Statement":{"Effect":"Allow","Action":"s3:*","Resource":"*"}}"#;

    pub fn input(name: &str) -> CreatePolicyInput {
        CreatePolicyInput { policy_name: name.to_owned(), policy_document: DOCUMENT.to_owned(), ..Default::default() }
    }

    const OWN: &str = "arn:aws:iam::123456789012:policy/p";

    fn attach(arn: &str) -> AttachRolePolicyInput {
        AttachRolePolicyInput { role_name: "web".to_owned(), policy_arn: arn.to_owned() }
    }

    #[test]
    fn a_policy_is_made_attached_found_and_deleted() {
        let fixture = with_role();
        let policy = write(&fixture, create_policy, input("p")).expect("a policy").policy.expect("a policy");
        assert_eq!(policy.arn.as_deref(), Some(OWN));
        assert_eq!((policy.default_version_id.as_deref(), policy.attachment_count), (Some("v1"), Some(0)));
        write(&fixture, attach_role_policy, attach(OWN)).expect("attached");
        let get = || GetPolicyInput { policy_arn: OWN.to_owned() };
        let policy = read(&fixture, get_policy, get()).expect("a policy").policy.expect("a policy");
        assert_eq!(policy.attachment_count, Some(1));
        let entities = ListEntitiesForPolicyInput { policy_arn: OWN.to_owned(), ..Default::default() };
        let entities = read(&fixture, list_entities_for_policy, entities).expect("a list");
        assert_eq!(entities.policy_roles.expect("a list")[0].role_name.as_deref(), Some("web"));
        let delete = || DeletePolicyInput { policy_arn: OWN.to_owned() };
        assert_eq!(
            refusal(write(&fixture, delete_policy, delete())),
            "DeleteConflict: Cannot delete a policy attached to entities."
        );
        fixture.write(|tx, cx| {
            roles::update(tx, cx, "web", |role| role.attached_policies.clear()).expect("the role");
        });
        write(&fixture, delete_policy, delete()).expect("deleted");
        assert_eq!(refusal(read(&fixture, get_policy, get())), format!("NoSuchEntity: Policy {OWN} was not found."));
    }

    #[test]
    fn policies_are_listed_by_scope_and_attachment() {
        let fixture = with_role();
        write(&fixture, create_policy, input("p")).expect("a policy");
        let list = |scope: &str, only_attached: bool| {
            let input = ListPoliciesInput {
                scope: Some(scope.to_owned()),
                only_attached: Some(only_attached),
                max_items: Some(1000),
                ..Default::default()
            };
            read(&fixture, list_policies, input).expect("a list").policies.expect("a list").len()
        };
        assert_eq!((list("Local", false), list("Local", true)), (1, 0));
        assert_eq!(list("AWS", false), managed::all().count());
        assert_eq!(list("All", false), managed::all().count() + 1);
        write(&fixture, attach_role_policy, attach("arn:aws:iam::aws:policy/AdministratorAccess")).expect("attached");
        assert_eq!(list("All", true), 1);
    }

    #[test]
    fn managed_policies_of_aws_are_told_and_not_changed() {
        let fixture = Fixture::new();
        let arn = "arn:aws:iam::aws:policy/AdministratorAccess";
        let get = GetPolicyInput { policy_arn: arn.to_owned() };
        let policy = read(&fixture, get_policy, get).expect("a policy").policy.expect("a policy");
        assert_eq!(policy.policy_id.as_deref(), Some("ANPAIWMBCKSKIEE64ZLYK"));
        let delete = DeletePolicyInput { policy_arn: arn.to_owned() };
        assert!(refusal(write(&fixture, delete_policy, delete)).starts_with("AccessDenied: "));
    }

    #[test]
    fn refusals_say_what_is_wrong() {
        let fixture = Fixture::new();
        write(&fixture, create_policy, input("p")).expect("a policy");
        for (given, expected) in [
            (input("P"), "EntityAlreadyExists: A policy called P already exists. Duplicate names are not allowed."),
            (
                CreatePolicyInput { policy_document: "{".to_owned(), ..input("a") },
                "MalformedPolicyDocument: Syntax errors in policy.",
            ),
            (
                CreatePolicyInput {
                    policy_document: DOCUMENT.replace("s3:*", &format!("s3:{}", "a".repeat(POLICY_MAX))),
                    ..input("a")
                },
                "LimitExceeded: Cannot exceed quota for PolicySize: 6144",
            ),
        ] {
            assert_eq!(refusal(write(&fixture, create_policy, given)), expected);
        }
    }
}
