//! ListRoles: in order of their names.

use super::{roles, view};
use crate::Cx;
use longshore_aws_model::AwsError;
use longshore_aws_model::iam::{ListRolesInput, ListRolesOutput};
use longshore_store::Snapshot;

pub fn list_roles(state: &Snapshot, cx: &Cx, input: ListRolesInput) -> Result<ListRolesOutput, AwsError> {
    let account = &cx.scope.account;
    let path = input.path_prefix.as_deref().unwrap_or("/");
    let of_path = state.roles().prefix(account).filter(|role| role.path.starts_with(path));
    let page = roles::list(of_path, |role| role.name.clone(), input.marker.as_deref(), input.max_items)?;
    Ok(ListRolesOutput {
        roles: Some(page.items.iter().map(|role| view::listed(account, role)).collect()),
        is_truncated: Some(page.next_token.is_some()),
        marker: page.next_token,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ec2::testing::{read, refusal, write};
    use crate::iam::create_role::create_role;
    use crate::iam::create_role::tests::input;
    use crate::testing::Fixture;
    use longshore_aws_model::iam::CreateRoleInput;

    #[test]
    fn roles_come_in_pages_and_by_path() {
        let fixture = Fixture::new();
        for name in ["a", "b", "c"] {
            write(&fixture, create_role, input(name)).expect("a role");
        }
        let deep = CreateRoleInput { path: Some("/deep/".to_owned()), ..input("d") };
        write(&fixture, create_role, deep).expect("a role");
        let list = |marker: Option<String>, path: Option<&str>| {
            let input = ListRolesInput { max_items: Some(3), marker, path_prefix: path.map(str::to_owned) };
            let output = read(&fixture, list_roles, input).expect("a page");
            let names: Vec<_> = output.roles.into_iter().flatten().filter_map(|role| role.role_name).collect();
            (names.join(""), output.is_truncated.expect("told"), output.marker)
        };
        let (names, truncated, marker) = list(None, None);
        assert_eq!((names.as_str(), truncated), ("abc", true));
        assert_eq!(list(marker, None), ("d".to_owned(), false, None));
        assert_eq!(list(None, Some("/deep/")).0, "d");
        let bad = ListRolesInput { marker: Some("%".to_owned()), ..Default::default() };
        assert_eq!(refusal(read(&fixture, list_roles, bad)), "ValidationError: Invalid Marker: %");
    }
}
