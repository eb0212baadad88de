//! ModifyVpcAttribute: names in the VPC's resolver, one attribute a request.

use super::{error, vpcs};
use crate::Cx;
use longshore_aws_model::AwsError;
use longshore_aws_model::ec2::{ModifyVpcAttributeInput, ModifyVpcAttributeOutput};
use longshore_store::Tx;

pub fn modify_vpc_attribute(
    tx: &mut Tx,
    cx: &Cx,
    input: ModifyVpcAttributeInput,
) -> Result<ModifyVpcAttributeOutput, AwsError> {
    let vpc = vpcs::find(tx, cx, &input.vpc_id)?;
    let metrics = input.enable_network_address_usage_metrics.map(|attribute| attribute.value);
    error::refuse_true("EnableNetworkAddressUsageMetrics", metrics.flatten())?;
    let support = input.enable_dns_support.map(|attribute| attribute.value.unwrap_or(false));
    let hostnames = input.enable_dns_hostnames.map(|attribute| attribute.value.unwrap_or(false));
    match (support, hostnames) {
        (Some(_), Some(_)) => {
            let message = "Fields for multiple attribute types specified: enableDnsHostnames, enableDnsSupport";
            return Err(error::invalid_combination(message));
        }
        (None, None) if metrics.is_none() => return Err(error::missing_parameter("attribute")),
        (None, Some(true)) if !vpc.enable_dns_support => {
            return Err(error::invalid_parameter("DNS hostnames need DNS support: set enableDnsSupport first."));
        }
        _ => {}
    }
    tx.vpcs().update(&(cx.scope.clone(), vpc.id.clone()), |vpc| {
        vpc.enable_dns_support = support.unwrap_or(vpc.enable_dns_support);
        vpc.enable_dns_hostnames = hostnames.unwrap_or(vpc.enable_dns_hostnames);
    });
    Ok(ModifyVpcAttributeOutput {})
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ec2::testing::{default_vpc, refusal, write};
    use crate::testing::Fixture;
    use longshore_aws_model::ec2::AttributeBooleanValue;

    #[test]
    fn names_are_switched_one_attribute_at_a_time() {
        let fixture = Fixture::new();
        let vpc_id = default_vpc(&fixture);
        let input = |support: Option<bool>, hostnames: Option<bool>| ModifyVpcAttributeInput {
            enable_dns_support: support.map(|value| AttributeBooleanValue { value: Some(value) }),
            enable_dns_hostnames: hostnames.map(|value| AttributeBooleanValue { value: Some(value) }),
            vpc_id: vpc_id.clone(),
            enable_network_address_usage_metrics: None,
        };
        write(&fixture, modify_vpc_attribute, input(None, Some(false))).expect("it is changed");
        write(&fixture, modify_vpc_attribute, input(Some(false), None)).expect("it is changed");
        fixture.read(|state, _| {
            let vpc = state.vpcs().all().next().expect("the VPC");
            assert_eq!((vpc.enable_dns_support, vpc.enable_dns_hostnames), (false, false));
        });
        for (given, code) in [
            (input(None, Some(true)), "InvalidParameterValue"),
            (input(Some(true), Some(true)), "InvalidParameterCombination"),
            (input(None, None), "MissingParameter"),
        ] {
            let refused = refusal(write(&fixture, modify_vpc_attribute, given));
            assert!(refused.starts_with(code), "{refused}");
        }
    }
}
