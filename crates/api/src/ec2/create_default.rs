//! CreateDefaultVpc, CreateDefaultSubnet: what an account begins with, after it was deleted.

use super::{default_vpc, error, view, vpcs, zones};
use crate::Cx;
use longshore_aws_model::AwsError;
use longshore_aws_model::ec2::*;
use longshore_store::tables::Subnets;
use longshore_store::{Snapshot, Tx};
use longshore_types::ec2::Cidr;

pub fn create_default_vpc(
    tx: &mut Tx,
    cx: &Cx,
    input: CreateDefaultVpcInput,
) -> Result<CreateDefaultVpcOutput, AwsError> {
    if vpcs::default(tx, cx).is_ok() {
        let message = "A Default VPC already exists for this account in this region.";
        return Err(AwsError::new("DefaultVpcAlreadyExists", message));
    }
    let vpc = default_vpc::create_default(tx, cx);
    error::finish(input.dry_run, CreateDefaultVpcOutput { vpc: Some(view::vpc(&cx.scope, &vpc)) })
}

pub fn create_default_subnet(
    tx: &mut Tx,
    cx: &Cx,
    input: CreateDefaultSubnetInput,
) -> Result<CreateDefaultSubnetOutput, AwsError> {
    error::refuse_true("Ipv6Native", input.ipv6_native)?;
    let asked = match (input.availability_zone, input.availability_zone_id) {
        (Some(zone), None) | (None, Some(zone)) => zone,
        (None, None) => return Err(error::missing_parameter("AvailabilityZone")),
        (Some(_), Some(_)) => {
            let message = "The parameter AvailabilityZone cannot be used with the parameter AvailabilityZoneId";
            return Err(error::invalid_combination(message));
        }
    };
    let unknown = || error::invalid_value(&asked, "availabilityZone", "Unknown availability zone.");
    let zone = zones::find(&cx.scope.region, &asked).ok_or_else(unknown)?;
    let none = |_| AwsError::new("DefaultVpcDoesNotExist", "No default VPC exists for this account in this region.");
    let vpc = vpcs::default(tx, cx).map_err(none)?;
    let state: &Snapshot = tx;
    let key = (cx.scope.clone(), vpc.id.clone());
    let present: Vec<_> = state.subnets().by_index(&Subnets::BY_VPC, &key).collect();
    if present.iter().any(|subnet| subnet.default_for_zone && subnet.zone == zone.name) {
        let message = format!("'{}' already has a default subnet", zone.name);
        return Err(AwsError::new("DefaultSubnetAlreadyExistsInAvailabilityZone", message));
    }
    let blocks = (0..16).filter_map(|n| Cidr::new(vpc.cidr.nth(n << 12)?, 20));
    let free = blocks.into_iter().find(|block| !present.iter().any(|subnet| subnet.cidr.overlaps(*block)));
    let full = || {
        let message = "There are not sufficient free addresses in the default VPC for a default subnet.";
        AwsError::new("InsufficientFreeAddressesInSubnet", message)
    };
    let subnet = default_vpc::create_default_subnet(tx, cx, &vpc, free.ok_or_else(full)?, zone);
    let subnet = Some(view::subnet(tx, &cx.scope, &subnet));
    error::finish(input.dry_run, CreateDefaultSubnetOutput { subnet })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ec2::delete_subnet::delete_subnet;
    use crate::ec2::testing::{default_subnet, refusal, write};
    use crate::testing::Fixture;

    #[test]
    fn a_deleted_default_subnet_is_made_again() {
        let fixture = Fixture::new();
        assert_eq!(
            refusal(write(&fixture, create_default_vpc, CreateDefaultVpcInput::default())),
            "DefaultVpcAlreadyExists: A Default VPC already exists for this account in this region."
        );
        let id = default_subnet(&fixture);
        let zone = fixture.read({
            let id = id.as_str();
            move |state, cx| state.subnets().get(&(cx.scope.clone(), id.into())).expect("the subnet").zone.to_string()
        });
        let input = CreateDefaultSubnetInput { availability_zone: Some(zone.clone()), ..Default::default() };
        assert_eq!(
            refusal(write(&fixture, create_default_subnet, input.clone())),
            format!("DefaultSubnetAlreadyExistsInAvailabilityZone: '{zone}' already has a default subnet")
        );
        write(&fixture, delete_subnet, DeleteSubnetInput { subnet_id: id, dry_run: None }).expect("it is empty");
        let made = write(&fixture, create_default_subnet, input).expect("a subnet").subnet.expect("a subnet");
        assert_eq!((made.default_for_az, made.map_public_ip_on_launch), (Some(true), Some(true)));
    }
}
