//! ModifyVpcAttribute: names in the VPC's resolver, and a switch of metrics that is kept and shown; one attribute a request.

use super::{error, vpcs};
use crate::Cx;
use longshore_aws_model::AwsError;
use longshore_aws_model::ec2::{AttributeBooleanValue, ModifyVpcAttributeInput, ModifyVpcAttributeOutput};
use longshore_store::Tx;

pub fn modify_vpc_attribute(
    tx: &mut Tx,
    cx: &Cx,
    input: ModifyVpcAttributeInput,
) -> Result<ModifyVpcAttributeOutput, AwsError> {
    let vpc = vpcs::find(tx, cx, &input.vpc_id)?;
    let given = |attribute: Option<AttributeBooleanValue>| attribute.map(|attribute| attribute.value.unwrap_or(false));
    let support = given(input.enable_dns_support);
    let hostnames = given(input.enable_dns_hostnames);
    let metrics = given(input.enable_network_address_usage_metrics);
    let all = [
        ("enableDnsHostnames", hostnames),
        ("enableDnsSupport", support),
        ("enableNetworkAddressUsageMetrics", metrics),
    ];
    let names: Vec<&str> = all.iter().filter(|(_, value)| value.is_some()).map(|(name, _)| *name).collect();
    match names.len() {
        0 => return Err(error::missing_parameter("attribute")),
        1 => {}
        _ => {
            let message = format!("Fields for multiple attribute types specified: {}", names.join(", "));
            return Err(error::invalid_combination(message));
        }
    }
    if hostnames == Some(true) && !vpc.enable_dns_support {
        return Err(error::invalid_parameter("DNS hostnames need DNS support: set enableDnsSupport first."));
    }
    tx.vpcs().update(&(cx.scope.clone(), vpc.id.clone()), |vpc| {
        vpc.enable_dns_support = support.unwrap_or(vpc.enable_dns_support);
        vpc.enable_dns_hostnames = hostnames.unwrap_or(vpc.enable_dns_hostnames);
        vpc.address_usage_metrics = metrics.unwrap_or(vpc.address_usage_metrics);
    });
    Ok(ModifyVpcAttributeOutput {})
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ec2::describe_vpc_attribute::describe_vpc_attribute;
    use crate::ec2::testing::{default_vpc, read, refusal, write};
    use crate::testing::Fixture;
    use longshore_aws_model::ec2::DescribeVpcAttributeInput;

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
    #[test]
    fn metrics_of_addresses_are_kept_and_shown() {
        let fixture = Fixture::new();
        let vpc_id = default_vpc(&fixture);
        let switch = |on| {
            let value = Some(AttributeBooleanValue { value: Some(on) });
            let input = ModifyVpcAttributeInput {
                vpc_id: vpc_id.clone(),
                enable_network_address_usage_metrics: value.clone(),
                ..Default::default()
            };
            write(&fixture, modify_vpc_attribute, input).expect("it is changed");
            let attribute = "enableNetworkAddressUsageMetrics".to_owned();
            let input = DescribeVpcAttributeInput { attribute, vpc_id: vpc_id.clone(), dry_run: None };
            let shown = read(&fixture, describe_vpc_attribute, input).expect("an attribute");
            assert_eq!(shown.enable_network_address_usage_metrics, value);
        };
        switch(true);
        switch(false);
    }
}
