//! ListInstanceProfilesForRole: none, because there are no instances; clients ask before they delete a role.

use super::roles;
use crate::Cx;
use longshore_aws_model::AwsError;
use longshore_aws_model::iam::{ListInstanceProfilesForRoleInput, ListInstanceProfilesForRoleOutput};
use longshore_store::Snapshot;

pub fn list_instance_profiles_for_role(
    state: &Snapshot,
    cx: &Cx,
    input: ListInstanceProfilesForRoleInput,
) -> Result<ListInstanceProfilesForRoleOutput, AwsError> {
    roles::find(state, cx, &input.role_name)?;
    Ok(ListInstanceProfilesForRoleOutput {
        instance_profiles: Some(Vec::new()),
        is_truncated: Some(false),
        marker: None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ec2::testing::{read, refusal};
    use crate::iam::create_role::tests::with_role;

    #[test]
    fn a_role_has_none() {
        let fixture = with_role();
        let input = |name: &str| ListInstanceProfilesForRoleInput { role_name: name.to_owned(), ..Default::default() };
        let output = read(&fixture, list_instance_profiles_for_role, input("web")).expect("a list");
        assert_eq!(output.instance_profiles, Some(vec![]));
        assert_eq!(
            refusal(read(&fixture, list_instance_profiles_for_role, input("none"))),
            "NoSuchEntity: The role with name none cannot be found."
        );
    }
}
