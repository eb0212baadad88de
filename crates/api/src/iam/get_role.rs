//! GetRole.

use super::{roles, view};
use crate::Cx;
use longshore_aws_model::AwsError;
use longshore_aws_model::iam::{GetRoleInput, GetRoleOutput};
use longshore_store::Snapshot;

pub fn get_role(state: &Snapshot, cx: &Cx, input: GetRoleInput) -> Result<GetRoleOutput, AwsError> {
    let role = roles::find(state, cx, &input.role_name)?;
    Ok(GetRoleOutput { role: Some(view::role(&cx.scope.account, &role)) })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ec2::testing::{read, refusal};
    use crate::iam::create_role::tests::with_role;

    #[test]
    fn a_role_is_found_by_name() {
        let fixture = with_role();
        let input = |name: &str| GetRoleInput { role_name: name.to_owned() };
        let role = read(&fixture, get_role, input("web")).expect("a role").role.expect("a role");
        assert_eq!(role.arn.as_deref(), Some("arn:aws:iam::123456789012:role/web"));
        assert_eq!(
            refusal(read(&fixture, get_role, input("none"))),
            "NoSuchEntity: The role with name none cannot be found."
        );
    }
}
