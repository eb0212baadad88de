//! GetAccountAuthorizationDetails: users, groups, roles and managed policies with all that is attached to them, in one list. Of
//! AWS's policies it has those that are in use.

use super::holder::Holder;
use super::instance_profiles;
use super::policies::{self, AnyPolicy};
use super::{managed, policy_versions, roles, view};
use crate::Cx;
use longshore_aws_model::AwsError;
use longshore_aws_model::iam::*;
use longshore_store::Snapshot;
use longshore_types::iam::{Group as GroupRow, Role as RoleRow, User as UserRow};
use std::sync::Arc;

enum Entity {
    User(Arc<UserRow>),
    Group(Arc<GroupRow>),
    Role(Arc<RoleRow>),
    Policy(AnyPolicy),
}

impl Entity {
    /// In the order of the answer: by kind, then by name.
    fn key(&self) -> String {
        match self {
            Self::User(row) => format!("1/{}", row.name),
            Self::Group(row) => format!("2/{}", row.name),
            Self::Role(row) => format!("3/{}", row.name),
            Self::Policy(policy @ AnyPolicy::Own(_)) => format!("4/{}", policy.name()),
            Self::Policy(policy) => format!("5/{}", policy.name()),
        }
    }
}

pub fn get_account_authorization_details(
    state: &Snapshot,
    cx: &Cx,
    input: GetAccountAuthorizationDetailsInput,
) -> Result<GetAccountAuthorizationDetailsOutput, AwsError> {
    let account = &cx.scope.account;
    let filter = input.filter.unwrap_or_default();
    let wanted = |kind: &str| filter.is_empty() || filter.iter().any(|given| given == kind);
    let mut all = Vec::new();
    if wanted("User") {
        all.extend(state.users().prefix(account).map(Entity::User));
    }
    if wanted("Group") {
        all.extend(state.groups().prefix(account).map(Entity::Group));
    }
    if wanted("Role") {
        all.extend(state.roles().prefix(account).map(Entity::Role));
    }
    if wanted("LocalManagedPolicy") {
        all.extend(state.policies().prefix(account).map(|row| Entity::Policy(AnyPolicy::Own(row))));
    }
    if wanted("AWSManagedPolicy") {
        let used = managed::all().filter(|policy| policies::usage(state, cx, &policy.arn()) != (0, 0));
        all.extend(used.map(|policy| Entity::Policy(AnyPolicy::Aws(policy))));
    }
    all.sort_by_cached_key(Entity::key);
    let page = roles::list(all.into_iter(), Entity::key, input.marker.as_deref(), input.max_items)?;
    let (mut users, mut groups, mut of_roles, mut of_policies) = (vec![], vec![], vec![], vec![]);
    for entity in &page.items {
        match entity {
            Entity::User(row) => users.push(user(state, cx, row)),
            Entity::Group(row) => groups.push(group(state, cx, row)),
            Entity::Role(row) => of_roles.push(role(state, cx, row)),
            Entity::Policy(row) => of_policies.push(policy(state, cx, row)),
        }
    }
    Ok(GetAccountAuthorizationDetailsOutput {
        user_detail_list: Some(users),
        group_detail_list: Some(groups),
        role_detail_list: Some(of_roles),
        policies: Some(of_policies),
        is_truncated: Some(page.next_token.is_some()),
        marker: page.next_token,
    })
}

fn inline(holder: &impl Holder) -> Option<Vec<PolicyDetail>> {
    let detail = |(name, text): (&String, &String)| PolicyDetail {
        policy_name: Some(name.clone()),
        policy_document: Some(view::document(text)),
    };
    Some(holder.inline().iter().map(detail).collect())
}

fn attached(state: &Snapshot, cx: &Cx, holder: &impl Holder) -> Option<Vec<AttachedPolicy>> {
    let known = holder.attached().iter().filter_map(|arn| policies::find(state, cx, arn));
    let sent = known.map(|policy| AttachedPolicy {
        policy_name: Some(policy.name().to_owned()),
        policy_arn: Some(policy.arn(&cx.scope.account)),
    });
    Some(sent.collect())
}

fn user(state: &Snapshot, cx: &Cx, row: &UserRow) -> UserDetail {
    let sent = view::user(&cx.scope.account, row);
    UserDetail {
        path: sent.path,
        user_name: sent.user_name,
        user_id: sent.user_id,
        arn: sent.arn,
        create_date: sent.create_date,
        user_policy_list: inline(row),
        group_list: Some(row.groups.iter().cloned().collect()),
        attached_managed_policies: attached(state, cx, row),
        permissions_boundary: sent.permissions_boundary,
        tags: Some(sent.tags.unwrap_or_default()),
    }
}

fn group(state: &Snapshot, cx: &Cx, row: &GroupRow) -> GroupDetail {
    let sent = view::group(&cx.scope.account, row);
    GroupDetail {
        path: sent.path,
        group_name: sent.group_name,
        group_id: sent.group_id,
        arn: sent.arn,
        create_date: sent.create_date,
        group_policy_list: inline(row),
        attached_managed_policies: attached(state, cx, row),
    }
}

fn role(state: &Snapshot, cx: &Cx, row: &RoleRow) -> RoleDetail {
    let sent = view::role(&cx.scope.account, row);
    RoleDetail {
        path: sent.path,
        role_name: sent.role_name,
        role_id: sent.role_id,
        arn: sent.arn,
        create_date: sent.create_date,
        assume_role_policy_document: sent.assume_role_policy_document,
        instance_profile_list: Some(instance_profiles::of_role(state, cx, &row.name).collect()),
        role_policy_list: inline(row),
        attached_managed_policies: attached(state, cx, row),
        permissions_boundary: sent.permissions_boundary,
        tags: Some(sent.tags.unwrap_or_default()),
        role_last_used: sent.role_last_used,
    }
}

fn policy(state: &Snapshot, cx: &Cx, row: &AnyPolicy) -> ManagedPolicyDetail {
    let account = &cx.scope.account;
    let (attachments, boundaries) = policies::usage(state, cx, &row.arn(account));
    let sent = view::policy(account, row, attachments, boundaries);
    ManagedPolicyDetail {
        policy_name: sent.policy_name,
        policy_id: sent.policy_id,
        arn: sent.arn,
        path: sent.path,
        default_version_id: sent.default_version_id,
        attachment_count: sent.attachment_count,
        permissions_boundary_usage_count: sent.permissions_boundary_usage_count,
        is_attachable: sent.is_attachable,
        description: sent.description,
        create_date: sent.create_date,
        update_date: sent.update_date,
        policy_version_list: Some(policy_versions::all(row)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ec2::testing::{read, refusal, write};
    use crate::iam::attached_policies::{attach_role_policy, attach_user_policy};
    use crate::iam::create_role::{create_role, tests::input as new_role};
    use crate::iam::groups::{add_user_to_group, create_group};
    use crate::iam::inline_policies::put_role_policy;
    use crate::iam::managed_policies::create_policy;
    use crate::iam::users::tests::with_user;
    use crate::testing::Fixture;

    const ANY: &str = r#"{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Action":"*","Resource":"*"}]}"#;
    const READ: &str = "arn:aws:iam::aws:policy/ReadOnlyAccess";

    fn account() -> Fixture {
        let fixture = with_user();
        let staff = || "staff".to_owned();
        write(&fixture, create_group, CreateGroupInput { group_name: staff(), path: None }).expect("made");
        let member = AddUserToGroupInput { group_name: staff(), user_name: "ann".to_owned() };
        write(&fixture, add_user_to_group, member).expect("added");
        write(&fixture, create_role, new_role("web")).expect("made");
        let own =
            CreatePolicyInput { policy_name: "mine".to_owned(), policy_document: ANY.to_owned(), ..Default::default() };
        let own = write(&fixture, create_policy, own).expect("made").policy.and_then(|p| p.arn).expect("an ARN");
        let to_role = AttachRolePolicyInput { role_name: "web".to_owned(), policy_arn: own };
        write(&fixture, attach_role_policy, to_role).expect("attached");
        let to_user = AttachUserPolicyInput { user_name: "ann".to_owned(), policy_arn: READ.to_owned() };
        write(&fixture, attach_user_policy, to_user).expect("attached");
        let inline = PutRolePolicyInput {
            role_name: "web".to_owned(),
            policy_name: "in".to_owned(),
            policy_document: ANY.to_owned(),
        };
        write(&fixture, put_role_policy, inline).expect("put");
        fixture
    }

    fn names(output: &GetAccountAuthorizationDetailsOutput) -> Vec<&str> {
        let users = output.user_detail_list.iter().flatten().filter_map(|row| row.user_name.as_deref());
        let groups = output.group_detail_list.iter().flatten().filter_map(|row| row.group_name.as_deref());
        let roles = output.role_detail_list.iter().flatten().filter_map(|row| row.role_name.as_deref());
        let policies = output.policies.iter().flatten().filter_map(|row| row.policy_name.as_deref());
        users.chain(groups).chain(roles).chain(policies).collect()
    }

    fn get(fixture: &Fixture, input: GetAccountAuthorizationDetailsInput) -> GetAccountAuthorizationDetailsOutput {
        read(fixture, get_account_authorization_details, input).expect("details")
    }

    #[test]
    fn everybody_comes_with_all_that_is_attached() {
        let output = get(&account(), Default::default());
        assert_eq!(names(&output), ["ann", "staff", "web", "mine", "ReadOnlyAccess"]);
        let user = &output.user_detail_list.as_ref().expect("users")[0];
        assert_eq!(user.group_list, Some(vec!["staff".to_owned()]));
        assert_eq!(user.attached_managed_policies.as_ref().expect("policies")[0].policy_arn.as_deref(), Some(READ));
        let role = &output.role_detail_list.as_ref().expect("roles")[0];
        let inline = &role.role_policy_list.as_ref().expect("policies")[0];
        assert_eq!(inline.policy_document, Some(view::document(ANY)));
        let policies = output.policies.as_ref().expect("policies");
        assert_eq!((policies[0].attachment_count, policies[1].attachment_count), (Some(1), Some(1)));
        let versions = policies[0].policy_version_list.as_ref().expect("versions");
        assert_eq!(
            (versions[0].document.clone(), versions[0].is_default_version),
            (Some(view::document(ANY)), Some(true))
        );
    }

    #[test]
    fn filters_choose_kinds_and_pages_go_through_all_of_them() {
        let fixture = account();
        let cases: [(&[&str], &[&str]); 5] = [
            (&["User"], &["ann"]),
            (&["Group", "Role"], &["staff", "web"]),
            (&["LocalManagedPolicy"], &["mine"]),
            (&["AWSManagedPolicy"], &["ReadOnlyAccess"]),
            (&[], &["ann", "staff", "web", "mine", "ReadOnlyAccess"]),
        ];
        for (filter, expected) in cases {
            let filter = Some(filter.iter().map(|kind| (*kind).to_owned()).collect());
            let input = GetAccountAuthorizationDetailsInput { filter, ..Default::default() };
            assert_eq!(names(&get(&fixture, input)), expected);
        }
        let (mut seen, mut marker) = (Vec::new(), None);
        loop {
            let input = GetAccountAuthorizationDetailsInput { max_items: Some(2), marker, ..Default::default() };
            let output = get(&fixture, input);
            seen.extend(names(&output).into_iter().map(str::to_owned));
            assert_eq!(output.is_truncated, Some(output.marker.is_some()));
            marker = output.marker;
            if marker.is_none() {
                break;
            }
        }
        assert_eq!(seen, ["ann", "staff", "web", "mine", "ReadOnlyAccess"]);
        let bad = GetAccountAuthorizationDetailsInput { marker: Some("x".to_owned()), ..Default::default() };
        let refused = read(&fixture, get_account_authorization_details, bad);
        assert_eq!(refusal(refused), "ValidationError: Invalid Marker: x");
    }
}
