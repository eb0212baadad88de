//! GetAccessKeyInfo: the account of an access key. AWS reads it from the id; here there is one account.

use crate::Cx;
use longshore_aws_model::AwsError;
use longshore_aws_model::sts::{GetAccessKeyInfoInput, GetAccessKeyInfoOutput};
use longshore_store::Snapshot;

pub fn get_access_key_info(
    state: &Snapshot,
    cx: &Cx,
    input: GetAccessKeyInfoInput,
) -> Result<GetAccessKeyInfoOutput, AwsError> {
    let id = &input.access_key_id;
    let of_key = || state.access_keys().get(id).map(|key| key.account.clone());
    let of_session = || state.role_sessions().get(id).map(|session| session.account.clone());
    let account = of_key().or_else(of_session).unwrap_or_else(|| cx.scope.account.clone());
    Ok(GetAccessKeyInfoOutput { account: Some(account.to_string()) })
}
