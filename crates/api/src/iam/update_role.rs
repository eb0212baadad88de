//! UpdateRole, its older form UpdateRoleDescription, and UpdateAssumeRolePolicy for its trust policy.

use super::create_role::check_trust_policy;
use super::{roles, view};
use crate::Cx;
use longshore_aws_model::AwsError;
use longshore_aws_model::iam::{
    UpdateAssumeRolePolicyInput, UpdateAssumeRolePolicyOutput, UpdateRoleDescriptionInput, UpdateRoleDescriptionOutput,
    UpdateRoleInput, UpdateRoleOutput,
};
use longshore_store::Tx;

/// A description that is left out stays; a session duration that is left out becomes one hour, as IAM documents it.
pub fn update_role(tx: &mut Tx, cx: &Cx, input: UpdateRoleInput) -> Result<UpdateRoleOutput, AwsError> {
    roles::update(tx, cx, &input.role_name, |role| {
        if let Some(description) = input.description {
            role.description = Some(description).filter(|text| !text.is_empty());
        }
        role.max_session_seconds = input.max_session_duration.unwrap_or(3600);
    })?;
    Ok(UpdateRoleOutput {})
}

pub fn update_role_description(
    tx: &mut Tx,
    cx: &Cx,
    input: UpdateRoleDescriptionInput,
) -> Result<UpdateRoleDescriptionOutput, AwsError> {
    roles::update(tx, cx, &input.role_name, |role| {
        role.description = Some(input.description).filter(|text| !text.is_empty());
    })?;
    let role = roles::find(tx, cx, &input.role_name)?;
    Ok(UpdateRoleDescriptionOutput { role: Some(view::role(&cx.scope.account, &role)) })
}

pub fn update_assume_role_policy(
    tx: &mut Tx,
    cx: &Cx,
    input: UpdateAssumeRolePolicyInput,
) -> Result<UpdateAssumeRolePolicyOutput, AwsError> {
    check_trust_policy(&input.policy_document)?;
    roles::update(tx, cx, &input.role_name, |role| role.trust_policy = input.policy_document)?;
    Ok(UpdateAssumeRolePolicyOutput {})
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ec2::testing::{refusal, write};
    use crate::iam::create_role::tests::{TRUST, with_role};

    #[test]
    fn description_and_duration_change() {
        let fixture = with_role();
        let input = |description: Option<&str>, max_session_duration| UpdateRoleInput {
            role_name: "web".to_owned(),
            description: description.map(str::to_owned),
            max_session_duration,
        };
        let role = || {
            fixture.read(|state, cx| {
                let role = roles::find(state, cx, "web").expect("the role");
                (role.description.clone(), role.max_session_seconds)
            })
        };
        write(&fixture, update_role, input(Some("a"), Some(7200))).expect("changed");
        assert_eq!(role(), (Some("a".to_owned()), 7200));
        write(&fixture, update_role, input(None, None)).expect("changed");
        assert_eq!(role(), (Some("a".to_owned()), 3600));
    }

    #[test]
    fn the_trust_policy_changes_if_it_is_one() {
        let fixture = with_role();
        let input = |name: &str, document: String| UpdateAssumeRolePolicyInput {
            role_name: name.to_owned(),
            policy_document: document,
        };
        let new = TRUST.replace("ecs-tasks", "ecs");
        write(&fixture, update_assume_role_policy, input("web", new.clone())).expect("changed");
        fixture.read(|state, cx| assert_eq!(roles::find(state, cx, "web").expect("the role").trust_policy, new));
        for (given, expected) in [
            (input("web", "null".to_owned()), "MalformedPolicyDocument: Syntax errors in policy."),
            (input("none", new), "NoSuchEntity: The role with name none cannot be found."),
        ] {
            assert_eq!(refusal(write(&fixture, update_assume_role_policy, given)), expected);
        }
    }
}
