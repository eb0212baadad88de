//! AttachRolePolicy, DetachRolePolicy, ListAttachedRolePolicies and GetPolicy: AWS's managed policies.

use super::{error, managed, roles, view};
use crate::Cx;
use longshore_aws_model::AwsError;
use longshore_aws_model::iam::*;
use longshore_store::{Snapshot, Tx};
use longshore_types::arn::Arn;

/// IAM's hard limit of managed policies a role has.
const POLICIES_MAX: usize = 20;

pub fn attach_role_policy(
    tx: &mut Tx,
    cx: &Cx,
    input: AttachRolePolicyInput,
) -> Result<AttachRolePolicyOutput, AwsError> {
    check_arn(&input.policy_arn)?;
    let role = roles::find(tx, cx, &input.role_name)?;
    managed::find(&input.policy_arn).ok_or_else(|| error::not_attachable(&input.policy_arn))?;
    if role.attached_policies.len() >= POLICIES_MAX && !role.attached_policies.contains(&input.policy_arn) {
        return Err(error::limit_exceeded(format!("Cannot exceed quota for PoliciesPerRole: {POLICIES_MAX}")));
    }
    roles::update(tx, cx, &input.role_name, |role| role.attached_policies.insert(input.policy_arn))?;
    Ok(AttachRolePolicyOutput {})
}

pub fn detach_role_policy(
    tx: &mut Tx,
    cx: &Cx,
    input: DetachRolePolicyInput,
) -> Result<DetachRolePolicyOutput, AwsError> {
    check_arn(&input.policy_arn)?;
    match roles::update(tx, cx, &input.role_name, |role| role.attached_policies.remove(&input.policy_arn))? {
        true => Ok(DetachRolePolicyOutput {}),
        false => Err(error::policy_not_found(&input.policy_arn)),
    }
}

pub fn list_attached_role_policies(
    state: &Snapshot,
    cx: &Cx,
    input: ListAttachedRolePoliciesInput,
) -> Result<ListAttachedRolePoliciesOutput, AwsError> {
    let role = roles::find(state, cx, &input.role_name)?;
    let path = input.path_prefix.as_deref().unwrap_or("/");
    let policies = role.attached_policies.iter().filter_map(|arn| managed::find(arn));
    let of_path = policies.filter(|policy| policy.path.starts_with(path));
    let page = roles::list(of_path, |policy| policy.arn(), input.marker.as_deref(), input.max_items)?;
    let sent = page
        .items
        .iter()
        .map(|policy| AttachedPolicy { policy_name: Some(policy.name.to_owned()), policy_arn: Some(policy.arn()) });
    Ok(ListAttachedRolePoliciesOutput {
        attached_policies: Some(sent.collect()),
        is_truncated: Some(page.next_token.is_some()),
        marker: page.next_token,
    })
}

pub fn get_policy(state: &Snapshot, cx: &Cx, input: GetPolicyInput) -> Result<GetPolicyOutput, AwsError> {
    check_arn(&input.policy_arn)?;
    let policy = managed::find(&input.policy_arn).ok_or_else(|| error::policy_not_found(&input.policy_arn))?;
    let roles = state.roles().prefix(&cx.scope.account);
    let attachments = roles.filter(|role| role.attached_policies.contains(&input.policy_arn)).count();
    Ok(GetPolicyOutput { policy: Some(view::policy(policy, attachments)) })
}

fn check_arn(arn: &str) -> Result<(), AwsError> {
    let is_policy = |arn: Arn<'_>| arn.service == "iam" && arn.resource.starts_with("policy/");
    match Arn::parse(arn).is_some_and(is_policy) {
        true => Ok(()),
        false => Err(error::invalid_input(format!("ARN {arn} is not valid."))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ec2::testing::{read, refusal, write};
    use crate::iam::create_role::tests::with_role;

    const EXECUTION: &str = "arn:aws:iam::aws:policy/service-role/AmazonECSTaskExecutionRolePolicy";

    fn attach(role_name: &str, arn: &str) -> AttachRolePolicyInput {
        AttachRolePolicyInput { role_name: role_name.to_owned(), policy_arn: arn.to_owned() }
    }

    fn detach(role_name: &str, arn: &str) -> DetachRolePolicyInput {
        DetachRolePolicyInput { role_name: role_name.to_owned(), policy_arn: arn.to_owned() }
    }

    #[test]
    fn policies_are_attached_listed_counted_and_detached() {
        let fixture = with_role();
        write(&fixture, attach_role_policy, attach("web", EXECUTION)).expect("attached");
        write(&fixture, attach_role_policy, attach("web", EXECUTION)).expect("attached already");
        let list = |path: Option<&str>| {
            let input = ListAttachedRolePoliciesInput {
                role_name: "web".to_owned(),
                path_prefix: path.map(str::to_owned),
                ..Default::default()
            };
            read(&fixture, list_attached_role_policies, input).expect("a list").attached_policies.expect("a list")
        };
        assert_eq!(list(None)[0].policy_arn.as_deref(), Some(EXECUTION));
        assert_eq!(list(Some("/service-role/"))[0].policy_name.as_deref(), Some("AmazonECSTaskExecutionRolePolicy"));
        assert_eq!(list(Some("/job-function/")), []);
        let input = GetPolicyInput { policy_arn: EXECUTION.to_owned() };
        let policy = read(&fixture, get_policy, input).expect("a policy").policy.expect("a policy");
        assert_eq!((policy.attachment_count, policy.is_attachable), (Some(1), Some(true)));
        write(&fixture, detach_role_policy, detach("web", EXECUTION)).expect("detached");
        assert_eq!(list(None), []);
    }

    #[test]
    fn what_is_not_there_is_told() {
        let fixture = with_role();
        let unknown = "arn:aws:iam::aws:policy/Nothing";
        assert_eq!(
            refusal(write(&fixture, attach_role_policy, attach("web", unknown))),
            "NoSuchEntity: Policy arn:aws:iam::aws:policy/Nothing does not exist or is not attachable."
        );
        assert_eq!(
            refusal(write(&fixture, attach_role_policy, attach("none", EXECUTION))),
            "NoSuchEntity: The role with name none cannot be found."
        );
        assert_eq!(
            refusal(write(&fixture, attach_role_policy, attach("web", "AdministratorAccess-policy"))),
            "InvalidInput: ARN AdministratorAccess-policy is not valid."
        );
        assert_eq!(
            refusal(write(&fixture, detach_role_policy, detach("web", EXECUTION))),
            format!("NoSuchEntity: Policy {EXECUTION} was not found.")
        );
        assert_eq!(
            refusal(read(&fixture, get_policy, GetPolicyInput { policy_arn: unknown.to_owned() })),
            "NoSuchEntity: Policy arn:aws:iam::aws:policy/Nothing was not found."
        );
    }
}
