//! CreateAccessKey, ListAccessKeys, UpdateAccessKey, DeleteAccessKey and GetAccessKeyLastUsed.

use super::{error, roles, users, view};
use crate::Cx;
use crate::sts::secret;
use longshore_aws_model::iam::*;
use longshore_aws_model::{AwsError, Timestamp};
use longshore_store::tables::AccessKeys;
use longshore_store::{Snapshot, Tx};
use longshore_types::iam::AccessKey as Row;
use std::sync::Arc;

/// IAM's hard limit.
const KEYS_MAX: usize = 2;

fn of_user(state: &Snapshot, cx: &Cx, user: &str) -> Vec<Arc<Row>> {
    let key = (cx.scope.account.clone(), user.to_owned());
    state.access_keys().by_index(&AccessKeys::BY_USER, &key).collect()
}

fn status(row: &Row) -> Option<String> {
    Some(if row.is_active { "Active" } else { "Inactive" }.to_owned())
}

/// The one answer that has the secret.
pub fn create_access_key(tx: &mut Tx, cx: &Cx, input: CreateAccessKeyInput) -> Result<CreateAccessKeyOutput, AwsError> {
    let user = users::named_or_caller(tx, cx, input.user_name.as_deref())?;
    if of_user(tx, cx, &user.name).len() >= KEYS_MAX {
        return Err(error::limit_exceeded(format!("Cannot exceed quota for AccessKeysPerUser: {KEYS_MAX}")));
    }
    let row = Row {
        id: format!("AKIA{}", cx.ids().alphanumeric(16)),
        secret_access_key: secret::new_secret(30),
        account: cx.scope.account.clone(),
        user: user.name.clone(),
        is_active: true,
        created_at: cx.now,
        last_used: None,
    };
    let sent = AccessKey {
        user_name: Some(row.user.clone()),
        access_key_id: Some(row.id.clone()),
        status: status(&row),
        secret_access_key: Some(row.secret_access_key.clone()),
        create_date: Some(Timestamp(cx.now.0)),
    };
    tx.access_keys().put(row.id.clone(), row);
    Ok(CreateAccessKeyOutput { access_key: Some(sent) })
}

pub fn list_access_keys(
    state: &Snapshot,
    cx: &Cx,
    input: ListAccessKeysInput,
) -> Result<ListAccessKeysOutput, AwsError> {
    let user = users::named_or_caller(state, cx, input.user_name.as_deref())?;
    let keys = of_user(state, cx, &user.name).into_iter();
    let page = roles::list(keys, |key| key.id.clone(), input.marker.as_deref(), input.max_items)?;
    let sent = page.items.iter().map(|row| AccessKeyMetadata {
        user_name: Some(row.user.clone()),
        access_key_id: Some(row.id.clone()),
        status: status(row),
        create_date: Some(Timestamp(row.created_at.0)),
    });
    Ok(ListAccessKeysOutput {
        access_key_metadata: Some(sent.collect()),
        is_truncated: Some(page.next_token.is_some()),
        marker: page.next_token,
    })
}

/// A key of the named user.
fn find(state: &Snapshot, cx: &Cx, user: Option<&str>, id: &str) -> Result<Arc<Row>, AwsError> {
    let user = users::named_or_caller(state, cx, user)?;
    let key = state.access_keys().get(&id.to_owned());
    key.filter(|key| key.account == cx.scope.account && key.user == user.name)
        .ok_or_else(|| error::no_such_access_key(id))
}

pub fn update_access_key(tx: &mut Tx, cx: &Cx, input: UpdateAccessKeyInput) -> Result<UpdateAccessKeyOutput, AwsError> {
    let key = find(tx, cx, input.user_name.as_deref(), &input.access_key_id)?;
    tx.access_keys().update(&key.id, |key| key.is_active = input.status == "Active");
    Ok(UpdateAccessKeyOutput {})
}

pub fn delete_access_key(tx: &mut Tx, cx: &Cx, input: DeleteAccessKeyInput) -> Result<DeleteAccessKeyOutput, AwsError> {
    let key = find(tx, cx, input.user_name.as_deref(), &input.access_key_id)?;
    tx.access_keys().remove(&key.id);
    Ok(DeleteAccessKeyOutput {})
}

pub fn get_access_key_last_used(
    state: &Snapshot,
    _: &Cx,
    input: GetAccessKeyLastUsedInput,
) -> Result<GetAccessKeyLastUsedOutput, AwsError> {
    let key = state.access_keys().get(&input.access_key_id);
    let key = key.ok_or_else(|| error::no_such_access_key(&input.access_key_id))?;
    Ok(GetAccessKeyLastUsedOutput {
        user_name: Some(key.user.clone()),
        access_key_last_used: Some(view::last_used(key.last_used.as_ref())),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ec2::testing::{read, refusal, write};
    use crate::iam::users::tests::with_user;

    #[test]
    fn a_user_has_two_keys_at_most_and_tells_a_secret_once() {
        let fixture = with_user();
        let make = || CreateAccessKeyInput { user_name: Some("ann".to_owned()) };
        let key = write(&fixture, create_access_key, make()).expect("a key").access_key.expect("a key");
        let id = key.access_key_id.expect("an id");
        assert!(id.starts_with("AKIA") && id.len() == 20, "{id}");
        assert_eq!(key.secret_access_key.map(|secret| secret.len()), Some(40));
        write(&fixture, create_access_key, make()).expect("a key");
        assert_eq!(
            refusal(write(&fixture, create_access_key, make())),
            "LimitExceeded: Cannot exceed quota for AccessKeysPerUser: 2"
        );
        let update = UpdateAccessKeyInput {
            user_name: Some("ann".to_owned()),
            access_key_id: id.clone(),
            status: "Inactive".to_owned(),
        };
        write(&fixture, update_access_key, update).expect("changed");
        let list = ListAccessKeysInput { user_name: Some("ann".to_owned()), ..Default::default() };
        let keys = read(&fixture, list_access_keys, list).expect("a list").access_key_metadata.expect("a list");
        let inactive = keys.iter().filter(|key| key.status.as_deref() == Some("Inactive"));
        assert_eq!((keys.len(), inactive.count()), (2, 1));
        let used = GetAccessKeyLastUsedInput { access_key_id: id.clone() };
        let used = read(&fixture, get_access_key_last_used, used).expect("told").access_key_last_used.expect("told");
        assert_eq!((used.service_name.as_deref(), used.last_used_date), (Some("N/A"), None));
        let delete = || DeleteAccessKeyInput { user_name: Some("ann".to_owned()), access_key_id: id.clone() };
        write(&fixture, delete_access_key, delete()).expect("deleted");
        assert_eq!(
            refusal(write(&fixture, delete_access_key, delete())),
            format!("NoSuchEntity: The Access Key with id {id} cannot be found.")
        );
        let nobody = CreateAccessKeyInput::default();
        assert_eq!(
            refusal(write(&fixture, create_access_key, nobody)),
            "ValidationError: Must specify userName when calling with non-User credentials"
        );
    }
}
