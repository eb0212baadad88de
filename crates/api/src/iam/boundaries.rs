//! Permissions boundaries of users and roles.

use super::holder::Holder;
use super::{error, policies};
use crate::Cx;
use longshore_aws_model::AwsError;
use longshore_aws_model::iam::*;
use longshore_store::Tx;
use longshore_types::iam::{Role as RoleRow, User as UserRow};

macro_rules! operations {
    (
        $holder:ty, $name:ident, $kind:literal,
        $put:ident($put_input:ty) -> $put_output:ident,
        $delete:ident($delete_input:ty) -> $delete_output:ident
    ) => {
        pub fn $put(tx: &mut Tx, cx: &Cx, input: $put_input) -> Result<$put_output, AwsError> {
            policies::check_boundary(tx, cx, &input.permissions_boundary)?;
            <$holder>::update(tx, cx, &input.$name, |row| {
                row.permissions_boundary = Some(input.permissions_boundary);
            })?;
            Ok($put_output {})
        }

        pub fn $delete(tx: &mut Tx, cx: &Cx, input: $delete_input) -> Result<$delete_output, AwsError> {
            match <$holder>::update(tx, cx, &input.$name, |row| row.permissions_boundary.take())? {
                Some(_) => Ok($delete_output {}),
                None => {
                    let name = &input.$name;
                    Err(error::no_such_entity_of(&format!(
                        concat!($kind, " {} does not have a permission boundary."),
                        name
                    )))
                }
            }
        }
    };
}

operations!(
    RoleRow, role_name, "Role",
    put_role_permissions_boundary(PutRolePermissionsBoundaryInput) -> PutRolePermissionsBoundaryOutput,
    delete_role_permissions_boundary(DeleteRolePermissionsBoundaryInput) -> DeleteRolePermissionsBoundaryOutput
);
operations!(
    UserRow, user_name, "User",
    put_user_permissions_boundary(PutUserPermissionsBoundaryInput) -> PutUserPermissionsBoundaryOutput,
    delete_user_permissions_boundary(DeleteUserPermissionsBoundaryInput) -> DeleteUserPermissionsBoundaryOutput
);

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ec2::testing::{read, refusal, write};
    use crate::iam::create_role::tests::with_role;
    use crate::iam::get_role::get_role;

    #[test]
    fn a_boundary_is_put_shown_and_taken_away() {
        let fixture = with_role();
        let arn = "arn:aws:iam::aws:policy/PowerUserAccess";
        let put = PutRolePermissionsBoundaryInput { role_name: "web".to_owned(), permissions_boundary: arn.to_owned() };
        write(&fixture, put_role_permissions_boundary, put).expect("put");
        let role = read(&fixture, get_role, GetRoleInput { role_name: "web".to_owned() }).expect("a role").role;
        let boundary = role.expect("a role").permissions_boundary.expect("a boundary");
        assert_eq!(boundary.permissions_boundary_arn.as_deref(), Some(arn));
        let delete = || DeleteRolePermissionsBoundaryInput { role_name: "web".to_owned() };
        write(&fixture, delete_role_permissions_boundary, delete()).expect("deleted");
        assert_eq!(
            refusal(write(&fixture, delete_role_permissions_boundary, delete())),
            "NoSuchEntity: Role web does not have a permission boundary."
        );
    }
}
