//! GetAuthorizationToken: a password for `docker login`, good for twelve hours.

use super::{names, token, view};
use crate::Cx;
use base64::Engine as _;
use longshore_aws_model::ecr::{AuthorizationData, GetAuthorizationTokenInput, GetAuthorizationTokenOutput};
use longshore_aws_model::{AwsError, Timestamp as WireTime};
use longshore_store::Snapshot;
use std::time::Duration;

const GOOD_FOR: Duration = Duration::from_secs(12 * 3600);

pub fn get_authorization_token(
    _: &Snapshot,
    cx: &Cx,
    input: GetAuthorizationTokenInput,
) -> Result<GetAuthorizationTokenOutput, AwsError> {
    for registry in input.registry_ids.iter().flatten() {
        names::check_registry(&cx.scope, Some(registry))?;
    }
    let expires_at = cx.now + GOOD_FOR;
    let password = token::issue(&cx.settings.registry_secret, &cx.scope, &cx.caller.access_key_id, expires_at);
    let data = AuthorizationData {
        authorization_token: Some(base64::engine::general_purpose::STANDARD.encode(format!("AWS:{password}"))),
        expires_at: Some(WireTime(expires_at.0)),
        proxy_endpoint: Some(format!("https://{}", view::host(&cx.scope))),
    };
    Ok(GetAuthorizationTokenOutput { authorization_data: Some(vec![data]) })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::Fixture;
    use base64::engine::general_purpose::STANDARD;

    #[test]
    fn the_password_is_good_for_twelve_hours() {
        let fixture = Fixture::new();
        let input = GetAuthorizationTokenInput::default();
        let data = fixture.read(|state, cx| get_authorization_token(state, cx, input)).expect("a token");
        let data = data.authorization_data.and_then(|mut list| list.pop()).expect("one");
        assert_eq!(data.proxy_endpoint.as_deref(), Some("https://123456789012.dkr.ecr.us-east-1.amazonaws.com"));
        let user_and_password = STANDARD.decode(data.authorization_token.expect("a token")).expect("base64");
        let user_and_password = String::from_utf8(user_and_password).expect("text");
        let password = user_and_password.strip_prefix("AWS:").expect("the user's name");
        let secret = &fixture.settings.registry_secret;
        let almost = fixture.now + (GOOD_FOR - Duration::from_millis(1));
        let granted = token::verify(secret, password, almost).expect("it is good");
        assert_eq!((granted.scope, granted.access_key), (fixture.cx().scope, fixture.cx().caller.access_key_id));
        assert_eq!(token::verify(secret, password, fixture.now + GOOD_FOR), None);
    }
}
