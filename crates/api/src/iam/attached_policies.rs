//! Attach…Policy, Detach…Policy and ListAttached…Policies of users, groups and roles: managed policies, AWS's and the
//! account's.

use super::holder::Holder;
use super::{error, policies, roles};
use crate::Cx;
use crate::page::Page;
use longshore_aws_model::AwsError;
use longshore_aws_model::iam::*;
use longshore_store::{Snapshot, Tx};
use longshore_types::iam::{Group, Role, User};

fn attach<H: Holder>(tx: &mut Tx, cx: &Cx, name: &str, arn: String) -> Result<(), AwsError> {
    policies::check_arn(&arn)?;
    let holder = H::find(tx, cx, name)?;
    policies::find(tx, cx, &arn).ok_or_else(|| error::not_attachable(&arn))?;
    if holder.attached().len() >= H::ATTACHED_MAX && !holder.attached().contains(&arn) {
        return Err(error::limit_exceeded(format!("Cannot exceed quota for {}: {}", H::QUOTA, H::ATTACHED_MAX)));
    }
    H::update(tx, cx, name, |holder| holder.attached_mut().insert(arn))?;
    Ok(())
}

fn detach<H: Holder>(tx: &mut Tx, cx: &Cx, name: &str, arn: &str) -> Result<(), AwsError> {
    policies::check_arn(arn)?;
    match H::update(tx, cx, name, |holder| holder.attached_mut().remove(arn))? {
        true => Ok(()),
        false => Err(error::policy_not_found(arn)),
    }
}

fn list<H: Holder>(
    state: &Snapshot,
    cx: &Cx,
    name: &str,
    path: Option<&str>,
    marker: Option<&str>,
    max_items: Option<i32>,
) -> Result<Page<AttachedPolicy>, AwsError> {
    let holder = H::find(state, cx, name)?;
    let path = path.unwrap_or("/");
    let known = holder.attached().iter().filter_map(|arn| policies::find(state, cx, arn));
    let of_path = known.filter(|policy| policy.path().starts_with(path));
    let sent = of_path.map(|policy| AttachedPolicy {
        policy_name: Some(policy.name().to_owned()),
        policy_arn: Some(policy.arn(&cx.scope.account)),
    });
    roles::list(sent, |policy| policy.policy_arn.clone().unwrap_or_default(), marker, max_items)
}

/// The three operations of one kind of holder.
macro_rules! operations {
    (
        $holder:ty, $name:ident,
        $attach:ident($attach_input:ty) -> $attach_output:ident,
        $detach:ident($detach_input:ty) -> $detach_output:ident,
        $list:ident($list_input:ty) -> $list_output:ident
    ) => {
        pub fn $attach(tx: &mut Tx, cx: &Cx, input: $attach_input) -> Result<$attach_output, AwsError> {
            attach::<$holder>(tx, cx, &input.$name, input.policy_arn)?;
            Ok($attach_output {})
        }

        pub fn $detach(tx: &mut Tx, cx: &Cx, input: $detach_input) -> Result<$detach_output, AwsError> {
            detach::<$holder>(tx, cx, &input.$name, &input.policy_arn)?;
            Ok($detach_output {})
        }

        pub fn $list(state: &Snapshot, cx: &Cx, input: $list_input) -> Result<$list_output, AwsError> {
            let (path, marker) = (input.path_prefix.as_deref(), input.marker.as_deref());
            let page = list::<$holder>(state, cx, &input.$name, path, marker, input.max_items)?;
            Ok($list_output {
                attached_policies: Some(page.items),
                is_truncated: Some(page.next_token.is_some()),
                marker: page.next_token,
            })
        }
    };
}

operations!(
    Role, role_name,
    attach_role_policy(AttachRolePolicyInput) -> AttachRolePolicyOutput,
    detach_role_policy(DetachRolePolicyInput) -> DetachRolePolicyOutput,
    list_attached_role_policies(ListAttachedRolePoliciesInput) -> ListAttachedRolePoliciesOutput
);
operations!(
    User, user_name,
    attach_user_policy(AttachUserPolicyInput) -> AttachUserPolicyOutput,
    detach_user_policy(DetachUserPolicyInput) -> DetachUserPolicyOutput,
    list_attached_user_policies(ListAttachedUserPoliciesInput) -> ListAttachedUserPoliciesOutput
);
operations!(
    Group, group_name,
    attach_group_policy(AttachGroupPolicyInput) -> AttachGroupPolicyOutput,
    detach_group_policy(DetachGroupPolicyInput) -> DetachGroupPolicyOutput,
    list_attached_group_policies(ListAttachedGroupPoliciesInput) -> ListAttachedGroupPoliciesOutput
);

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
    }
}
