//! Groups, and who is in them: CreateGroup, GetGroup, ListGroups, UpdateGroup, DeleteGroup, AddUserToGroup,
//! RemoveUserFromGroup and ListGroupsForUser.

use super::holder::Holder;
use super::{error, roles, view};
use crate::Cx;
use longshore_aws_model::AwsError;
use longshore_aws_model::iam::*;
use longshore_store::{Snapshot, Tx};
use longshore_types::iam::{Group as Row, User as UserRow};
use std::sync::Arc;

/// IAM's hard limit.
const GROUPS_OF_USER_MAX: usize = 10;

pub fn create_group(tx: &mut Tx, cx: &Cx, input: CreateGroupInput) -> Result<CreateGroupOutput, AwsError> {
    let account = cx.scope.account.clone();
    if tx.groups().prefix(&account).any(|group| group.name.eq_ignore_ascii_case(&input.group_name)) {
        return Err(error::exists("Group", &input.group_name));
    }
    let group = Row {
        id: format!("AGPA{}", cx.ids().alphanumeric(17)),
        path: input.path.unwrap_or_else(|| "/".to_owned()),
        created_at: cx.now,
        attached_policies: Default::default(),
        inline_policies: Default::default(),
        name: input.group_name,
    };
    let sent = view::group(&account, &group);
    tx.groups().put((account, group.name.clone()), group);
    Ok(CreateGroupOutput { group: Some(sent) })
}

fn members(state: &Snapshot, cx: &Cx, group: &str) -> Vec<Arc<UserRow>> {
    state.users().prefix(&cx.scope.account).filter(|user| user.groups.contains(group)).collect()
}

pub fn get_group(state: &Snapshot, cx: &Cx, input: GetGroupInput) -> Result<GetGroupOutput, AwsError> {
    let account = &cx.scope.account;
    let group = Row::find(state, cx, &input.group_name)?;
    let users = members(state, cx, &group.name).into_iter();
    let page = roles::list(users, |user| user.name.clone(), input.marker.as_deref(), input.max_items)?;
    Ok(GetGroupOutput {
        group: Some(view::group(account, &group)),
        users: Some(page.items.iter().map(|user| view::listed_user(account, user)).collect()),
        is_truncated: Some(page.next_token.is_some()),
        marker: page.next_token,
    })
}

pub fn list_groups(state: &Snapshot, cx: &Cx, input: ListGroupsInput) -> Result<ListGroupsOutput, AwsError> {
    let account = &cx.scope.account;
    let path = input.path_prefix.as_deref().unwrap_or("/");
    let of_path = state.groups().prefix(account).filter(|group| group.path.starts_with(path));
    let page = roles::list(of_path, |group| group.name.clone(), input.marker.as_deref(), input.max_items)?;
    Ok(ListGroupsOutput {
        groups: Some(page.items.iter().map(|group| view::group(account, group)).collect()),
        is_truncated: Some(page.next_token.is_some()),
        marker: page.next_token,
    })
}

/// A new name or path; members and policies stay the group's.
pub fn update_group(tx: &mut Tx, cx: &Cx, input: UpdateGroupInput) -> Result<UpdateGroupOutput, AwsError> {
    let account = cx.scope.account.clone();
    let group = Row::find(tx, cx, &input.group_name)?;
    let mut changed = Row::clone(&group);
    if let Some(path) = input.new_path {
        changed.path = path;
    }
    if let Some(name) = input.new_group_name.filter(|name| *name != group.name) {
        let is_taken = |other: Arc<Row>| other.name.eq_ignore_ascii_case(&name) && other.id != group.id;
        if tx.groups().prefix(&account).any(is_taken) {
            return Err(error::exists("Group", &name));
        }
        for user in members(tx, cx, &group.name) {
            tx.users().update(&(account.clone(), user.name.clone()), |user| {
                user.groups.remove(&group.name);
                user.groups.insert(name.clone());
            });
        }
        tx.groups().remove(&(account.clone(), group.name.clone()));
        changed.name = name;
    }
    tx.groups().put((account, changed.name.clone()), changed);
    Ok(UpdateGroupOutput {})
}

/// Only of a group without members and policies.
pub fn delete_group(tx: &mut Tx, cx: &Cx, input: DeleteGroupInput) -> Result<DeleteGroupOutput, AwsError> {
    let group = Row::find(tx, cx, &input.group_name)?;
    if !members(tx, cx, &group.name).is_empty() {
        return Err(error::delete_conflict("Cannot delete entity, must remove users from group first."));
    }
    group.check_empty()?;
    tx.groups().remove(&(cx.scope.account.clone(), group.name.clone()));
    Ok(DeleteGroupOutput {})
}

pub fn add_user_to_group(tx: &mut Tx, cx: &Cx, input: AddUserToGroupInput) -> Result<AddUserToGroupOutput, AwsError> {
    let group = Row::find(tx, cx, &input.group_name)?;
    let count = UserRow::update(tx, cx, &input.user_name, |user| {
        user.groups.insert(group.name.clone());
        user.groups.len()
    })?;
    if count > GROUPS_OF_USER_MAX {
        return Err(error::limit_exceeded(format!("Cannot exceed quota for GroupsPerUser: {GROUPS_OF_USER_MAX}")));
    }
    Ok(AddUserToGroupOutput {})
}

pub fn remove_user_from_group(
    tx: &mut Tx,
    cx: &Cx,
    input: RemoveUserFromGroupInput,
) -> Result<RemoveUserFromGroupOutput, AwsError> {
    let group = Row::find(tx, cx, &input.group_name)?;
    let was_in = UserRow::update(tx, cx, &input.user_name, |user| user.groups.remove(&group.name))?;
    match was_in {
        true => Ok(RemoveUserFromGroupOutput {}),
        false => Err(error::no_such_entity_of(&format!(
            "The user with name {} cannot be found in the group {}.",
            input.user_name, group.name
        ))),
    }
}

pub fn list_groups_for_user(
    state: &Snapshot,
    cx: &Cx,
    input: ListGroupsForUserInput,
) -> Result<ListGroupsForUserOutput, AwsError> {
    let user = UserRow::find(state, cx, &input.user_name)?;
    let groups = user.groups.iter().filter_map(|name| Row::get(state, cx, name));
    let page = roles::list(groups, |group| group.name.clone(), input.marker.as_deref(), input.max_items)?;
    Ok(ListGroupsForUserOutput {
        groups: Some(page.items.iter().map(|group| view::group(&cx.scope.account, group)).collect()),
        is_truncated: Some(page.next_token.is_some()),
        marker: page.next_token,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ec2::testing::{read, refusal, write};
    use crate::iam::users::tests::with_user;

    #[test]
    fn users_join_and_leave_a_group_that_keeps_them_when_renamed() {
        let fixture = with_user();
        let make = || CreateGroupInput { group_name: "staff".to_owned(), path: None };
        write(&fixture, create_group, make()).expect("a group");
        assert_eq!(
            refusal(write(&fixture, create_group, make())),
            "EntityAlreadyExists: Group with name staff already exists."
        );
        let join = AddUserToGroupInput { group_name: "staff".to_owned(), user_name: "ann".to_owned() };
        write(&fixture, add_user_to_group, join).expect("joined");
        let rename = UpdateGroupInput {
            group_name: "staff".to_owned(),
            new_group_name: Some("crew".to_owned()),
            new_path: None,
        };
        write(&fixture, update_group, rename).expect("renamed");
        let get = GetGroupInput { group_name: "crew".to_owned(), ..Default::default() };
        let users = read(&fixture, get_group, get).expect("a group").users.expect("a list");
        assert_eq!(users[0].user_name.as_deref(), Some("ann"));
        let of_user = ListGroupsForUserInput { user_name: "ann".to_owned(), ..Default::default() };
        let groups = read(&fixture, list_groups_for_user, of_user).expect("a list").groups.expect("a list");
        assert_eq!(groups[0].arn.as_deref(), Some("arn:aws:iam::123456789012:group/crew"));
        let delete = || DeleteGroupInput { group_name: "crew".to_owned() };
        assert_eq!(
            refusal(write(&fixture, delete_group, delete())),
            "DeleteConflict: Cannot delete entity, must remove users from group first."
        );
        let leave = || RemoveUserFromGroupInput { group_name: "crew".to_owned(), user_name: "ann".to_owned() };
        write(&fixture, remove_user_from_group, leave()).expect("left");
        assert!(refusal(write(&fixture, remove_user_from_group, leave())).starts_with("NoSuchEntity: "));
        write(&fixture, delete_group, delete()).expect("deleted");
    }
}
