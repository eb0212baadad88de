//! DeleteRole: only of a role without policies.

use super::holder::Holder;
use super::{error, roles};
use crate::Cx;
use longshore_aws_model::AwsError;
use longshore_aws_model::iam::{DeleteRoleInput, DeleteRoleOutput};
use longshore_store::Tx;

pub fn delete_role(tx: &mut Tx, cx: &Cx, input: DeleteRoleInput) -> Result<DeleteRoleOutput, AwsError> {
    let role = roles::find(tx, cx, &input.role_name)?;
    if role.linked_service.is_some() {
        return Err(error::unmodifiable(format!(
            "Cannot perform the operation on the protected role '{}' - this role is only modifiable by AWS",
            role.name
        )));
    }
    role.check_empty()?;
    let account = &cx.scope.account;
    if tx.instance_profiles().prefix(account).any(|profile| profile.role.as_ref() == Some(&role.name)) {
        let message = "Cannot delete entity, must remove roles from instance profile first.";
        return Err(error::delete_conflict(message));
    }
    tx.roles().remove(&(cx.scope.account.clone(), input.role_name));
    Ok(DeleteRoleOutput {})
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ec2::testing::{refusal, write};
    use crate::iam::create_role::tests::with_role;

    #[test]
    fn a_role_goes_after_its_policies() {
        let fixture = with_role();
        let input = || DeleteRoleInput { role_name: "web".to_owned() };
        let arn = "arn:aws:iam::aws:policy/AdministratorAccess";
        fixture.write(move |tx, cx| {
            let add = |role: &mut longshore_types::iam::Role| {
                role.attached_policies.insert(arn.to_owned());
                role.inline_policies.insert("a".to_owned(), "{}".to_owned());
            };
            roles::update(tx, cx, "web", add).expect("the role");
        });
        assert_eq!(
            refusal(write(&fixture, delete_role, input())),
            "DeleteConflict: Cannot delete entity, must detach all policies first."
        );
        fixture.write(move |tx, cx| {
            roles::update(tx, cx, "web", |role| role.attached_policies.clear()).expect("the role");
        });
        assert_eq!(
            refusal(write(&fixture, delete_role, input())),
            "DeleteConflict: Cannot delete entity, must delete policies first."
        );
        fixture.write(move |tx, cx| {
            roles::update(tx, cx, "web", |role| role.inline_policies.clear()).expect("the role");
        });
        write(&fixture, delete_role, input()).expect("it has no policies");
        assert_eq!(
            refusal(write(&fixture, delete_role, input())),
            "NoSuchEntity: The role with name web cannot be found."
        );
    }
}
