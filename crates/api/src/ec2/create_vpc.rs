//! CreateVpc: a network with its default security group and main route table. There is no internet gateway in it.

use super::{default_vpc, error, tags, view};
use crate::Cx;
use longshore_aws_model::AwsError;
use longshore_aws_model::ec2::{CreateVpcInput, CreateVpcOutput};
use longshore_store::Tx;
use longshore_types::ec2::Cidr;

/// Networks that no VPC may be in: the host itself, link-local, multicast and reserved addresses.
const FORBIDDEN: [&str; 4] = ["0.0.0.0/8", "127.0.0.0/8", "169.254.0.0/16", "224.0.0.0/3"];

pub fn create_vpc(tx: &mut Tx, cx: &Cx, input: CreateVpcInput) -> Result<CreateVpcOutput, AwsError> {
    error::refuse("Ipv6Pool", &input.ipv6_pool)?;
    error::refuse("Ipv6CidrBlock", &input.ipv6_cidr_block)?;
    error::refuse("Ipv4IpamPoolId", &input.ipv4_ipam_pool_id)?;
    error::refuse("Ipv4NetmaskLength", &input.ipv4_netmask_length)?;
    error::refuse("Ipv6IpamPoolId", &input.ipv6_ipam_pool_id)?;
    error::refuse("Ipv6NetmaskLength", &input.ipv6_netmask_length)?;
    error::refuse("Ipv6CidrBlockNetworkBorderGroup", &input.ipv6_cidr_block_network_border_group)?;
    error::refuse("VpcEncryptionControl", &input.vpc_encryption_control)?;
    error::refuse_true("AmazonProvidedIpv6CidrBlock", input.amazon_provided_ipv6_cidr_block)?;
    match input.instance_tenancy.as_deref() {
        None | Some("default") => {}
        Some("dedicated" | "host") => return Err(error::unsupported("InstanceTenancy")),
        Some(other) => return Err(error::invalid_value(other, "instanceTenancy", "Unknown tenancy.")),
    }
    let cidr = cidr(cx, input.cidr_block.as_deref())?;
    let tags = tags::from_specifications(input.tag_specifications.as_deref(), "vpc")?;
    let vpc = default_vpc::create_vpc(tx, cx, cidr, tags, |_| {});
    error::finish(input.dry_run, CreateVpcOutput { vpc: Some(view::vpc(&cx.scope, &vpc)) })
}

/// The network that a request asks for, if a VPC may have it.
pub fn cidr(cx: &Cx, text: Option<&str>) -> Result<Cidr, AwsError> {
    let missing = || AwsError::new("MissingParameter", "Either 'cidrBlock' or 'ipv4IpamPoolId' should be provided.");
    let text = text.ok_or_else(missing)?;
    let invalid = |_| error::invalid_value(text, "cidrBlock", "This is not a valid CIDR block.");
    let cidr: Cidr = text.parse().map_err(invalid)?;
    let forbidden = FORBIDDEN.iter().any(|network| {
        let network: Cidr = network.parse().expect("the table holds networks");
        network.overlaps(cidr)
    });
    // A VPC that holds the addresses tasks are reached at from outside could not tell inside from outside.
    if !(16..=28).contains(&cidr.prefix()) || forbidden || cidr.overlaps(cx.settings.public_pool) {
        return Err(error::vpc_range(text));
    }
    Ok(cidr)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ec2::testing::{refusal, write};
    use crate::testing::Fixture;
    use longshore_aws_model::ec2::{Tag, TagSpecification};

    fn input(cidr: &str) -> CreateVpcInput {
        CreateVpcInput { cidr_block: Some(cidr.to_owned()), ..Default::default() }
    }

    #[test]
    fn a_vpc_begins_with_a_default_group_and_tags() {
        let fixture = Fixture::new();
        let tag = Tag { key: Some("Name".to_owned()), value: Some("a".to_owned()) };
        let specification = TagSpecification { resource_type: Some("vpc".to_owned()), tags: Some(vec![tag.clone()]) };
        let input = CreateVpcInput { tag_specifications: Some(vec![specification]), ..input("10.1.2.3/16") };
        let vpc = write(&fixture, create_vpc, input).expect("a VPC").vpc.expect("a VPC");
        assert_eq!(vpc.cidr_block.as_deref(), Some("10.1.0.0/16"));
        assert_eq!((vpc.is_default, vpc.tags), (Some(false), Some(vec![tag])));
        let id = longshore_types::id::VpcId(vpc.vpc_id.expect("an id"));
        fixture.read(|state, cx| {
            assert!(super::super::network::default_security_group(state, &cx.scope, &id).is_some());
        });
    }

    #[test]
    fn networks_of_a_wrong_size_or_place_are_refused() {
        let fixture = Fixture::new();
        for cidr in ["10.0.0.0/15", "10.0.0.0/29", "127.0.0.0/16", "198.18.4.0/24"] {
            let expected = format!("InvalidVpc.Range: The CIDR '{cidr}' is invalid.");
            assert_eq!(refusal(write(&fixture, create_vpc, input(cidr))), expected);
        }
        assert_eq!(
            refusal(write(&fixture, create_vpc, input("ten"))),
            "InvalidParameterValue: Value (ten) for parameter cidrBlock is invalid. This is not a valid CIDR block."
        );
        assert_eq!(
            refusal(write(&fixture, create_vpc, CreateVpcInput::default())),
            "MissingParameter: Either 'cidrBlock' or 'ipv4IpamPoolId' should be provided."
        );
    }

    #[test]
    fn what_is_not_obeyed_is_refused_and_a_dry_run_leaves_nothing() {
        let fixture = Fixture::new();
        let ipv6 = CreateVpcInput { amazon_provided_ipv6_cidr_block: Some(true), ..input("10.0.0.0/16") };
        assert_eq!(
            refusal(write(&fixture, create_vpc, ipv6)),
            "UnsupportedOperation: The parameter AmazonProvidedIpv6CidrBlock is not supported by Longshore."
        );
        let dry = CreateVpcInput { dry_run: Some(true), ..input("10.0.0.0/16") };
        let error = write(&fixture, create_vpc, dry).expect_err("a dry run");
        assert_eq!((error.code.as_ref(), error.http_status), ("DryRunOperation", Some(412)));
        fixture.read(|state, _| assert_eq!(state.vpcs().len(), 1));
    }
}
