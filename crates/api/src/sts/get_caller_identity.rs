//! GetCallerIdentity.

use crate::Cx;
use longshore_aws_model::AwsError;
use longshore_aws_model::sts::{GetCallerIdentityInput, GetCallerIdentityOutput};
use longshore_store::Snapshot;

pub fn get_caller_identity(
    _: &Snapshot,
    cx: &Cx,
    _: GetCallerIdentityInput,
) -> Result<GetCallerIdentityOutput, AwsError> {
    Ok(GetCallerIdentityOutput {
        user_id: Some(cx.caller.user_id.clone()),
        account: Some(cx.scope.account.to_string()),
        arn: Some(cx.caller.arn.clone()),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ec2::testing::read;
    use crate::testing::Fixture;

    #[test]
    fn the_caller_is_told() {
        let output = read(&Fixture::new(), get_caller_identity, GetCallerIdentityInput {}).expect("an identity");
        assert_eq!(output.account.as_deref(), Some("123456789012"));
        assert_eq!(output.arn.as_deref(), Some("arn:aws:iam::123456789012:root"));
        assert_eq!(output.user_id.as_deref(), Some("123456789012"));
    }
}
