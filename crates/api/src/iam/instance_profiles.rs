//! Instance profiles: CreateInstanceProfile, GetInstanceProfile, ListInstanceProfiles, ListInstanceProfilesForRole,
//! DeleteInstanceProfile, AddRoleToInstanceProfile and RemoveRoleFromInstanceProfile.

use super::holder::Holder;
use super::{error, roles, tags, view};
use crate::Cx;
use longshore_aws_model::AwsError;
use longshore_aws_model::iam::*;
use longshore_store::{Snapshot, Tx};
use longshore_types::iam::{InstanceProfile as Row, Role as RoleRow};
use std::sync::Arc;

fn find(state: &Snapshot, cx: &Cx, name: &str) -> Result<Arc<Row>, AwsError> {
    let row = state.instance_profiles().get(&(cx.scope.account.clone(), name.to_owned()));
    row.ok_or_else(|| error::no_such_instance_profile(name))
}

fn sent(state: &Snapshot, cx: &Cx, row: &Row) -> InstanceProfile {
    let role = row.role.as_ref().and_then(|name| RoleRow::get(state, cx, name));
    view::instance_profile(&cx.scope.account, row, role.as_deref())
}

pub fn create_instance_profile(
    tx: &mut Tx,
    cx: &Cx,
    input: CreateInstanceProfileInput,
) -> Result<CreateInstanceProfileOutput, AwsError> {
    let account = cx.scope.account.clone();
    let name = input.instance_profile_name;
    if tx.instance_profiles().prefix(&account).any(|row| row.name.eq_ignore_ascii_case(&name)) {
        return Err(error::already_exists(format!("Instance Profile {name} already exists.")));
    }
    let row = Row {
        id: format!("AIPA{}", cx.ids().alphanumeric(17)),
        path: input.path.unwrap_or_else(|| "/".to_owned()),
        created_at: cx.now,
        role: None,
        tags: tags::parse(input.tags.as_deref().unwrap_or_default())?,
        name,
    };
    let instance_profile = Some(sent(tx, cx, &row));
    tx.instance_profiles().put((account, row.name.clone()), row);
    Ok(CreateInstanceProfileOutput { instance_profile })
}

pub fn get_instance_profile(
    state: &Snapshot,
    cx: &Cx,
    input: GetInstanceProfileInput,
) -> Result<GetInstanceProfileOutput, AwsError> {
    let row = find(state, cx, &input.instance_profile_name)?;
    Ok(GetInstanceProfileOutput { instance_profile: Some(sent(state, cx, &row)) })
}

pub fn list_instance_profiles(
    state: &Snapshot,
    cx: &Cx,
    input: ListInstanceProfilesInput,
) -> Result<ListInstanceProfilesOutput, AwsError> {
    let path = input.path_prefix.as_deref().unwrap_or("/");
    let of_path = state.instance_profiles().prefix(&cx.scope.account).filter(|row| row.path.starts_with(path));
    let page = roles::list(of_path, |row| row.name.clone(), input.marker.as_deref(), input.max_items)?;
    Ok(ListInstanceProfilesOutput {
        instance_profiles: Some(page.items.iter().map(|row| sent(state, cx, row)).collect()),
        is_truncated: Some(page.next_token.is_some()),
        marker: page.next_token,
    })
}

pub fn list_instance_profiles_for_role(
    state: &Snapshot,
    cx: &Cx,
    input: ListInstanceProfilesForRoleInput,
) -> Result<ListInstanceProfilesForRoleOutput, AwsError> {
    let role = roles::find(state, cx, &input.role_name)?;
    let rows = state.instance_profiles().prefix(&cx.scope.account);
    let of_role = rows.filter(|row| row.role.as_ref() == Some(&role.name));
    let page = roles::list(of_role, |row| row.name.clone(), input.marker.as_deref(), input.max_items)?;
    Ok(ListInstanceProfilesForRoleOutput {
        instance_profiles: Some(page.items.iter().map(|row| sent(state, cx, row)).collect()),
        is_truncated: Some(page.next_token.is_some()),
        marker: page.next_token,
    })
}

/// The profiles that give a role, as they are sent.
pub fn of_role(state: &Snapshot, cx: &Cx, role: &str) -> impl Iterator<Item = InstanceProfile> {
    let rows = state.instance_profiles().prefix(&cx.scope.account);
    rows.filter(move |row| row.role.as_deref() == Some(role)).map(move |row| sent(state, cx, &row))
}

pub fn delete_instance_profile(
    tx: &mut Tx,
    cx: &Cx,
    input: DeleteInstanceProfileInput,
) -> Result<DeleteInstanceProfileOutput, AwsError> {
    let row = find(tx, cx, &input.instance_profile_name)?;
    if row.role.is_some() {
        let message = "Cannot delete entity, must remove roles from instance profile first.";
        return Err(error::delete_conflict(message));
    }
    tx.instance_profiles().remove(&(cx.scope.account.clone(), row.name.clone()));
    Ok(DeleteInstanceProfileOutput {})
}

pub fn add_role_to_instance_profile(
    tx: &mut Tx,
    cx: &Cx,
    input: AddRoleToInstanceProfileInput,
) -> Result<AddRoleToInstanceProfileOutput, AwsError> {
    let row = find(tx, cx, &input.instance_profile_name)?;
    let role = roles::find(tx, cx, &input.role_name)?;
    if row.role.is_some() {
        return Err(error::limit_exceeded("Cannot exceed quota for InstanceSessionsPerInstanceProfile: 1"));
    }
    let key = (cx.scope.account.clone(), row.name.clone());
    tx.instance_profiles().update(&key, |row| row.role = Some(role.name.clone()));
    Ok(AddRoleToInstanceProfileOutput {})
}

pub fn remove_role_from_instance_profile(
    tx: &mut Tx,
    cx: &Cx,
    input: RemoveRoleFromInstanceProfileInput,
) -> Result<RemoveRoleFromInstanceProfileOutput, AwsError> {
    let row = find(tx, cx, &input.instance_profile_name)?;
    if row.role.as_ref() != Some(&input.role_name) {
        return Err(error::no_such_role(&input.role_name));
    }
    let key = (cx.scope.account.clone(), row.name.clone());
    tx.instance_profiles().update(&key, |row| row.role = None);
    Ok(RemoveRoleFromInstanceProfileOutput {})
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ec2::testing::{read, refusal, write};
    use crate::iam::create_role::tests::with_role;
    use crate::iam::delete_role::delete_role;

    #[test]
    fn a_profile_holds_one_role_and_holds_it_back_from_deletion() {
        let fixture = with_role();
        let name = || "p".to_owned();
        let make = CreateInstanceProfileInput { instance_profile_name: name(), ..Default::default() };
        write(&fixture, create_instance_profile, make).expect("a profile");
        let add = || AddRoleToInstanceProfileInput { instance_profile_name: name(), role_name: "web".to_owned() };
        write(&fixture, add_role_to_instance_profile, add()).expect("added");
        assert_eq!(
            refusal(write(&fixture, add_role_to_instance_profile, add())),
            "LimitExceeded: Cannot exceed quota for InstanceSessionsPerInstanceProfile: 1"
        );
        let of_role = ListInstanceProfilesForRoleInput { role_name: "web".to_owned(), ..Default::default() };
        let profiles = read(&fixture, list_instance_profiles_for_role, of_role).expect("a list");
        let profile = &profiles.instance_profiles.expect("a list")[0];
        assert_eq!(profile.arn.as_deref(), Some("arn:aws:iam::123456789012:instance-profile/p"));
        assert_eq!(profile.roles.as_ref().map(Vec::len), Some(1));
        let conflict = "DeleteConflict: Cannot delete entity, must remove roles from instance profile first.";
        assert_eq!(refusal(write(&fixture, delete_role, DeleteRoleInput { role_name: "web".to_owned() })), conflict);
        let delete = || DeleteInstanceProfileInput { instance_profile_name: name() };
        assert_eq!(refusal(write(&fixture, delete_instance_profile, delete())), conflict);
        let remove = RemoveRoleFromInstanceProfileInput { instance_profile_name: name(), role_name: "web".to_owned() };
        write(&fixture, remove_role_from_instance_profile, remove).expect("removed");
        write(&fixture, delete_instance_profile, delete()).expect("deleted");
        assert_eq!(
            refusal(write(&fixture, delete_instance_profile, delete())),
            "NoSuchEntity: Instance Profile p cannot be found."
        );
    }
}
