//! CreateUser, GetUser, ListUsers, UpdateUser and DeleteUser.

use super::holder::Holder;
use super::{error, policies, roles, tags, view};
use crate::{Cx, Principal};
use longshore_aws_model::AwsError;
use longshore_aws_model::iam::*;
use longshore_store::tables::AccessKeys;
use longshore_store::{Snapshot, Tx};
use longshore_types::iam::User as Row;
use std::sync::Arc;

/// The user a request names; the caller, where it names none.
pub fn named_or_caller(state: &Snapshot, cx: &Cx, name: Option<&str>) -> Result<Arc<Row>, AwsError> {
    match (name, &cx.caller.principal) {
        (Some(name), _) => Row::find(state, cx, name),
        (None, Principal::User(name)) => Row::find(state, cx, name),
        (None, _) => {
            Err(AwsError::new("ValidationError", "Must specify userName when calling with non-User credentials"))
        }
    }
}

pub fn create_user(tx: &mut Tx, cx: &Cx, input: CreateUserInput) -> Result<CreateUserOutput, AwsError> {
    let account = cx.scope.account.clone();
    if tx.users().prefix(&account).any(|user| user.name.eq_ignore_ascii_case(&input.user_name)) {
        return Err(error::exists("User", &input.user_name));
    }
    if let Some(arn) = &input.permissions_boundary {
        policies::check_boundary(tx, cx, arn)?;
    }
    let user = Row {
        id: format!("AIDA{}", cx.ids().alphanumeric(17)),
        path: input.path.unwrap_or_else(|| "/".to_owned()),
        created_at: cx.now,
        tags: tags::parse(input.tags.as_deref().unwrap_or_default())?,
        groups: Default::default(),
        attached_policies: Default::default(),
        inline_policies: Default::default(),
        permissions_boundary: input.permissions_boundary,
        name: input.user_name,
    };
    let sent = view::user(&account, &user);
    tx.users().put((account, user.name.clone()), user);
    Ok(CreateUserOutput { user: Some(sent) })
}

pub fn get_user(state: &Snapshot, cx: &Cx, input: GetUserInput) -> Result<GetUserOutput, AwsError> {
    let account = &cx.scope.account;
    if input.user_name.is_none() && cx.caller.principal == Principal::Root {
        // The account itself, as IAM shows it.
        let user = User { user_id: Some(account.to_string()), arn: Some(cx.caller.arn.clone()), ..Default::default() };
        return Ok(GetUserOutput { user: Some(user) });
    }
    let user = named_or_caller(state, cx, input.user_name.as_deref())?;
    Ok(GetUserOutput { user: Some(view::user(account, &user)) })
}

pub fn list_users(state: &Snapshot, cx: &Cx, input: ListUsersInput) -> Result<ListUsersOutput, AwsError> {
    let account = &cx.scope.account;
    let path = input.path_prefix.as_deref().unwrap_or("/");
    let of_path = state.users().prefix(account).filter(|user| user.path.starts_with(path));
    let page = roles::list(of_path, |user| user.name.clone(), input.marker.as_deref(), input.max_items)?;
    Ok(ListUsersOutput {
        users: Some(page.items.iter().map(|user| view::listed_user(account, user)).collect()),
        is_truncated: Some(page.next_token.is_some()),
        marker: page.next_token,
    })
}

/// A new name or path; keys and policies stay the user's.
pub fn update_user(tx: &mut Tx, cx: &Cx, input: UpdateUserInput) -> Result<UpdateUserOutput, AwsError> {
    let account = cx.scope.account.clone();
    let user = Row::find(tx, cx, &input.user_name)?;
    let mut changed = Row::clone(&user);
    if let Some(path) = input.new_path {
        changed.path = path;
    }
    if let Some(name) = input.new_user_name.filter(|name| *name != user.name) {
        let is_taken = |other: Arc<Row>| other.name.eq_ignore_ascii_case(&name) && other.id != user.id;
        if tx.users().prefix(&account).any(is_taken) {
            return Err(error::exists("User", &name));
        }
        let keys: Vec<_> =
            tx.access_keys().by_index(&AccessKeys::BY_USER, &(account.clone(), user.name.clone())).collect();
        for key in keys {
            tx.access_keys().update(&key.id, |key| key.user.clone_from(&name));
        }
        tx.users().remove(&(account.clone(), user.name.clone()));
        changed.name = name;
    }
    tx.users().put((account, changed.name.clone()), changed);
    Ok(UpdateUserOutput {})
}

/// Only of a user without keys, policies and groups.
pub fn delete_user(tx: &mut Tx, cx: &Cx, input: DeleteUserInput) -> Result<DeleteUserOutput, AwsError> {
    let user = Row::find(tx, cx, &input.user_name)?;
    let key = (cx.scope.account.clone(), user.name.clone());
    user.check_empty()?;
    if !user.groups.is_empty() {
        return Err(error::delete_conflict("Cannot delete entity, must remove users from group first."));
    }
    if tx.access_keys().by_index(&AccessKeys::BY_USER, &key).next().is_some() {
        return Err(error::delete_conflict("Cannot delete entity, must delete access keys first."));
    }
    tx.users().remove(&key);
    Ok(DeleteUserOutput {})
}

#[cfg(test)]
pub mod tests {
    use super::*;
    use crate::ec2::testing::{read, refusal, write};
    use crate::iam::access_keys::create_access_key;
    use crate::testing::Fixture;

    pub fn with_user() -> Fixture {
        let fixture = Fixture::new();
        let input = CreateUserInput { user_name: "ann".to_owned(), ..Default::default() };
        write(&fixture, create_user, input).expect("a user");
        fixture
    }

    #[test]
    fn a_user_is_made_renamed_with_its_keys_and_deleted_without_them() {
        let fixture = with_user();
        let again = CreateUserInput { user_name: "Ann".to_owned(), ..Default::default() };
        assert_eq!(
            refusal(write(&fixture, create_user, again)),
            "EntityAlreadyExists: User with name Ann already exists."
        );
        let key = CreateAccessKeyInput { user_name: Some("ann".to_owned()) };
        let key = write(&fixture, create_access_key, key).expect("a key").access_key.expect("a key");
        let rename = UpdateUserInput {
            user_name: "ann".to_owned(),
            new_path: Some("/staff/".to_owned()),
            new_user_name: Some("bob".to_owned()),
        };
        write(&fixture, update_user, rename).expect("renamed");
        let get = |name: &str| GetUserInput { user_name: Some(name.to_owned()) };
        let user = read(&fixture, get_user, get("bob")).expect("a user").user.expect("a user");
        assert_eq!(user.arn.as_deref(), Some("arn:aws:iam::123456789012:user/staff/bob"));
        assert_eq!(
            refusal(read(&fixture, get_user, get("ann"))),
            "NoSuchEntity: The user with name ann cannot be found."
        );
        let delete = || DeleteUserInput { user_name: "bob".to_owned() };
        assert_eq!(
            refusal(write(&fixture, delete_user, delete())),
            "DeleteConflict: Cannot delete entity, must delete access keys first."
        );
        let id = key.access_key_id.expect("an id");
        fixture.write(move |tx, _| {
            assert_eq!(tx.access_keys().get(&id).expect("the key").user, "bob");
            tx.access_keys().remove(&id);
        });
        write(&fixture, delete_user, delete()).expect("deleted");
    }

    #[test]
    fn the_account_is_shown_where_no_user_is_named() {
        let fixture = with_user();
        let user = read(&fixture, get_user, GetUserInput::default()).expect("a user").user.expect("a user");
        assert_eq!(user.arn.as_deref(), Some("arn:aws:iam::123456789012:root"));
        let input = ListUsersInput { path_prefix: Some("/staff/".to_owned()), ..Default::default() };
        assert_eq!(read(&fixture, list_users, input).expect("a list").users.expect("a list").len(), 0);
        let all = read(&fixture, list_users, ListUsersInput::default()).expect("a list");
        assert_eq!(all.users.expect("a list").len(), 1);
    }
}
