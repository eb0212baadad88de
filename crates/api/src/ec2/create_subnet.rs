//! CreateSubnet: a part of a VPC's network, in one zone.

use super::{error, subnets, tags, view, vpcs, zones};
use crate::Cx;
use longshore_aws_model::AwsError;
use longshore_aws_model::ec2::{CreateSubnetInput, CreateSubnetOutput};
use longshore_store::tables::Subnets;
use longshore_store::{Snapshot, Tx};
use longshore_types::ec2::{Cidr, InstanceNames, Subnet, Vpc};
use longshore_types::id::SubnetId;

pub fn create_subnet(tx: &mut Tx, cx: &Cx, input: CreateSubnetInput) -> Result<CreateSubnetOutput, AwsError> {
    error::refuse("Ipv6CidrBlock", &input.ipv6_cidr_block)?;
    error::refuse("OutpostArn", &input.outpost_arn)?;
    error::refuse_true("Ipv6Native", input.ipv6_native)?;
    error::refuse("Ipv4IpamPoolId", &input.ipv4_ipam_pool_id)?;
    error::refuse("Ipv4NetmaskLength", &input.ipv4_netmask_length)?;
    error::refuse("Ipv6IpamPoolId", &input.ipv6_ipam_pool_id)?;
    error::refuse("Ipv6NetmaskLength", &input.ipv6_netmask_length)?;

    let vpc = vpcs::find(tx, cx, &input.vpc_id)?;
    let cidr = cidr(tx, cx, &vpc, input.cidr_block.as_deref())?;
    let zone = zone(tx, cx, &vpc, &input)?;
    let tags = tags::from_specifications(input.tag_specifications.as_deref(), "subnet")?;
    let subnet = Subnet {
        id: SubnetId(cx.ids().ec2("subnet")),
        vpc: vpc.id.clone(),
        cidr,
        zone: zone.name,
        zone_id: zone.id,
        default_for_zone: false,
        map_public_ip_on_launch: false,
        instance_names: InstanceNames::default(),
        created_at: cx.now,
        tags,
    };
    subnets::add(tx, cx, subnet.clone());
    error::finish(input.dry_run, CreateSubnetOutput { subnet: Some(view::subnet(tx, &cx.scope, &subnet)) })
}

fn cidr(state: &Snapshot, cx: &Cx, vpc: &Vpc, text: Option<&str>) -> Result<Cidr, AwsError> {
    let missing = || AwsError::new("MissingParameter", "Either 'cidrBlock' or 'ipv4IpamPoolId' should be provided.");
    let text = text.ok_or_else(missing)?;
    let invalid = |_| error::invalid_value(text, "cidrBlock", "This is not a valid CIDR block.");
    let cidr: Cidr = text.parse().map_err(invalid)?;
    if !(16..=28).contains(&cidr.prefix()) || !vpc.cidrs().any(|block| block.contains_cidr(cidr)) {
        return Err(error::subnet_range(text));
    }
    let mut others = state.subnets().by_index(&Subnets::BY_VPC, &(cx.scope.clone(), vpc.id.clone()));
    if others.any(|other| other.cidr.overlaps(cidr)) {
        return Err(error::subnet_conflict(text));
    }
    Ok(cidr)
}

/// The zone asked for; otherwise the one where the VPC has the fewest subnets.
fn zone(state: &Snapshot, cx: &Cx, vpc: &Vpc, input: &CreateSubnetInput) -> Result<zones::Zone, AwsError> {
    let (asked, parameter) = match (&input.availability_zone, &input.availability_zone_id) {
        (Some(_), Some(_)) => {
            let message = "The parameter AvailabilityZone cannot be used with the parameter AvailabilityZoneId";
            return Err(error::invalid_combination(message));
        }
        (Some(name), None) => (Some(name), "availabilityZone"),
        (None, id) => (id.as_ref(), "availabilityZoneId"),
    };
    let all = zones::zones(&cx.scope.region);
    match asked {
        Some(asked) => zones::find(&cx.scope.region, asked).ok_or_else(|| {
            let names = all.each_ref().map(|zone| zone.name.as_str()).join(", ");
            let why = format!("Subnets can currently only be created in the following availability zones: {names}.");
            error::invalid_value(asked, parameter, &why)
        }),
        None => {
            let key = (cx.scope.clone(), vpc.id.clone());
            let used: Vec<_> =
                state.subnets().by_index(&Subnets::BY_VPC, &key).map(|subnet| subnet.zone.clone()).collect();
            let emptiest = all.into_iter().min_by_key(|zone| used.iter().filter(|name| **name == zone.name).count());
            Ok(emptiest.expect("a region has zones"))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ec2::create_vpc::create_vpc;
    use crate::ec2::testing::{refusal, write};
    use crate::testing::Fixture;
    use longshore_aws_model::ec2::CreateVpcInput;

    fn vpc(fixture: &Fixture) -> String {
        let given = CreateVpcInput { cidr_block: Some("10.0.0.0/16".to_owned()), ..Default::default() };
        write(fixture, create_vpc, given).expect("a VPC").vpc.and_then(|vpc| vpc.vpc_id).expect("an id")
    }

    fn input(vpc_id: &str, cidr: &str, zone: Option<&str>) -> CreateSubnetInput {
        CreateSubnetInput {
            vpc_id: vpc_id.to_owned(),
            cidr_block: Some(cidr.to_owned()),
            availability_zone: zone.map(str::to_owned),
            ..Default::default()
        }
    }

    #[test]
    fn subnets_spread_over_zones_and_count_their_addresses() {
        let fixture = Fixture::new();
        let vpc = vpc(&fixture);
        let zones: Vec<_> = ["10.0.0.0/24", "10.0.1.0/24", "10.0.2.0/24", "10.0.3.0/28"]
            .into_iter()
            .map(|cidr| {
                write(&fixture, create_subnet, input(&vpc, cidr, None)).expect("a subnet").subnet.expect("a subnet")
            })
            .map(|subnet| {
                (subnet.availability_zone.expect("a zone"), subnet.available_ip_address_count.expect("a count"))
            })
            .collect();
        let expected = [("us-east-1a", 251), ("us-east-1b", 251), ("us-east-1c", 251), ("us-east-1a", 11)];
        assert_eq!(zones, expected.map(|(zone, count)| (zone.to_owned(), count)));
    }

    #[test]
    fn a_subnet_must_fit() {
        let fixture = Fixture::new();
        let vpc = vpc(&fixture);
        write(&fixture, create_subnet, input(&vpc, "10.0.0.0/20", Some("us-east-1b"))).expect("a subnet");
        for (given, expected) in [
            (input("vpc-1", "10.0.0.0/24", None), "InvalidVpcID.NotFound: The vpc ID 'vpc-1' does not exist"),
            (input(&vpc, "10.1.0.0/24", None), "InvalidSubnet.Range: The CIDR '10.1.0.0/24' is invalid."),
            (input(&vpc, "10.0.0.0/29", None), "InvalidSubnet.Range: The CIDR '10.0.0.0/29' is invalid."),
            (
                input(&vpc, "10.0.8.0/24", None),
                "InvalidSubnet.Conflict: The CIDR '10.0.8.0/24' conflicts with another subnet",
            ),
            (
                input(&vpc, "10.0/24", None),
                "InvalidParameterValue: Value (10.0/24) for parameter cidrBlock is invalid. This is not a valid CIDR block.",
            ),
            (
                input(&vpc, "10.0.16.0/24", Some("us-east-1z")),
                "InvalidParameterValue: Value (us-east-1z) for parameter availabilityZone is invalid. Subnets can currently \
                 only be created in the following availability zones: us-east-1a, us-east-1b, us-east-1c.",
            ),
        ] {
            assert_eq!(refusal(write(&fixture, create_subnet, given)), expected);
        }
    }
}
