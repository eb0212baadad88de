//! GetAuthorizationToken: a password for `docker login`, good for twelve hours.

use super::{names, token, view};
use crate::Cx;
use base64::Engine as _;
use longshore_aws_model::ecr::{AuthorizationData, GetAuthorizationTokenInput, GetAuthorizationTokenOutput};
use longshore_aws_model::{AwsError, Timestamp as WireTime};
use longshore_store::Snapshot;
use std::time::Duration;

const GOOD_FOR: Duration = Duration::from_secs(12 * 3600);

pub fn get_authorization_token(_: &Snapshot, cx: &Cx, input: GetAuthorizationTokenInput) -> Result<GetAuthorizationTokenOutput, AwsError> {
    for registry in input.registry_ids.iter().flatten() {
        names::check_registry(&cx.scope, Some(registry))?;
    }
    let expires_at = cx.now + GOOD_FOR;
    let password = token::issue(&cx.settings.registry_secret, &cx.scope, expires_at);
    let data = AuthorizationData {
        authorization_token: Some(base64::engine::general_purpose::STANDARD.encode(format!("AWS:{password}"))),
        expires_at: Some(WireTime(expires_at.0)),
        proxy_endpoint: Some(format!("https://{}", view::host(&cx.scope))),
    };
    Ok(GetAuthorizationTokenOutput { authorization_data: Some(vec![data]) })
}
