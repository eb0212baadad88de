//! DescribeVpcAttribute: one attribute a request.

use super::{error, vpcs};
use crate::Cx;
use longshore_aws_model::AwsError;
use longshore_aws_model::ec2::{AttributeBooleanValue, DescribeVpcAttributeInput, DescribeVpcAttributeOutput};
use longshore_store::Snapshot;

pub fn describe_vpc_attribute(
    state: &Snapshot,
    cx: &Cx,
    input: DescribeVpcAttributeInput,
) -> Result<DescribeVpcAttributeOutput, AwsError> {
    let vpc = vpcs::find(state, cx, &input.vpc_id)?;
    let mut output = DescribeVpcAttributeOutput { vpc_id: Some(vpc.id.to_string()), ..Default::default() };
    let value = |value| Some(AttributeBooleanValue { value: Some(value) });
    match input.attribute.as_str() {
        "enableDnsSupport" => output.enable_dns_support = value(vpc.enable_dns_support),
        "enableDnsHostnames" => output.enable_dns_hostnames = value(vpc.enable_dns_hostnames),
        "enableNetworkAddressUsageMetrics" => {
            output.enable_network_address_usage_metrics = value(vpc.address_usage_metrics)
        }
        other => return Err(error::invalid_value(other, "attribute", "Unknown attribute.")),
    }
    error::finish(input.dry_run, output)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ec2::testing::{default_vpc, read, refusal};
    use crate::testing::Fixture;

    #[test]
    fn each_attribute_is_told_alone() {
        let fixture = Fixture::new();
        let vpc_id = default_vpc(&fixture);
        let input = |attribute: &str| DescribeVpcAttributeInput {
            attribute: attribute.to_owned(),
            vpc_id: vpc_id.clone(),
            dry_run: None,
        };
        let output = read(&fixture, describe_vpc_attribute, input("enableDnsSupport")).expect("an attribute");
        assert_eq!(output.enable_dns_support, Some(AttributeBooleanValue { value: Some(true) }));
        assert_eq!(output.enable_dns_hostnames, None);
        assert_eq!(
            refusal(read(&fixture, describe_vpc_attribute, input("colour"))),
            "InvalidParameterValue: Value (colour) for parameter attribute is invalid. Unknown attribute."
        );
    }
}
