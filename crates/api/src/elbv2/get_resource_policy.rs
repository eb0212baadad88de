//! GetResourcePolicy: of a shared trust store. There are no trust stores, so there is no policy.

use crate::Cx;
use longshore_aws_model::AwsError;
use longshore_aws_model::elbv2::{GetResourcePolicyInput, GetResourcePolicyOutput, codes};
use longshore_store::Snapshot;

pub fn get_resource_policy(
    _: &Snapshot,
    _: &Cx,
    input: GetResourcePolicyInput,
) -> Result<GetResourcePolicyOutput, AwsError> {
    let text = format!("No resource policy found for '{}'", input.resource_arn);
    Err(AwsError::new(codes::RESOURCE_NOT_FOUND, text))
}
