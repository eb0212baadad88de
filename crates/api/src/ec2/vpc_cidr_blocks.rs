//! AssociateVpcCidrBlock, DisassociateVpcCidrBlock: networks of a VPC beside its first one.

use super::{create_vpc, error, view, vpcs};
use crate::Cx;
use longshore_aws_model::AwsError;
use longshore_aws_model::ec2::*;
use longshore_store::tables::{RouteTables, Subnets};
use longshore_store::{Snapshot, Tx};
use longshore_types::ec2::{Cidr, CidrAssociation, Destination, Vpc};
use longshore_types::id::VpcId;
use std::sync::Arc;

/// EC2's quota of IPv4 networks of a VPC.
const CIDRS_MAX: usize = 5;

/// Private ranges that do not mix in one VPC.
const PRIVATE: [&str; 3] = ["10.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16"];

pub fn associate_vpc_cidr_block(
    tx: &mut Tx,
    cx: &Cx,
    input: AssociateVpcCidrBlockInput,
) -> Result<AssociateVpcCidrBlockOutput, AwsError> {
    error::refuse_all!(input;
        ipv6_cidr_block_network_border_group = "Ipv6CidrBlockNetworkBorderGroup", ipv6_pool = "Ipv6Pool",
        ipv6_cidr_block = "Ipv6CidrBlock", ipv4_ipam_pool_id = "Ipv4IpamPoolId",
        ipv4_netmask_length = "Ipv4NetmaskLength", ipv6_ipam_pool_id = "Ipv6IpamPoolId",
        ipv6_netmask_length = "Ipv6NetmaskLength",
    );
    error::refuse_true("AmazonProvidedIpv6CidrBlock", input.amazon_provided_ipv6_cidr_block)?;
    let vpc = vpcs::find(tx, cx, &input.vpc_id)?;
    let cidr = create_vpc::cidr(cx, input.cidr_block.as_deref())?;
    if vpc.cidrs().count() >= CIDRS_MAX {
        let message = format!("This network '{}' has met its maximum number of allowed CIDRs: {CIDRS_MAX}", vpc.id);
        return Err(AwsError::new("CidrLimitExceeded", message));
    }
    if vpc.cidrs().any(|present| present.overlaps(cidr)) {
        return Err(AwsError::new(
            "InvalidVpc.Range",
            format!("The CIDR '{cidr}' conflicts with another CIDR of network '{}'.", vpc.id),
        ));
    }
    if let (Some(own), Some(new)) = (private_range(vpc.cidr), private_range(cidr))
        && own != new
    {
        return Err(AwsError::new(
            "InvalidVpc.Range",
            format!(
                "The CIDR '{cidr}' is restricted. Use a CIDR from the same private address range as the current VPC \
                 CIDR, or use a publicly-routable CIDR."
            ),
        ));
    }
    check_routes(tx, cx, &vpc.id, cidr)?;
    let association = CidrAssociation { id: cx.ids().ec2("vpc-cidr-assoc"), cidr };
    let sent = view::cidr_association(&association.id, cidr, "associating");
    tx.vpcs().update(&(cx.scope.clone(), vpc.id.clone()), |vpc| vpc.more_cidrs.push(association));
    Ok(AssociateVpcCidrBlockOutput {
        cidr_block_association: Some(sent),
        vpc_id: Some(vpc.id.to_string()),
        ..Default::default()
    })
}

/// A route to the new network or a part of it would be one inside the VPC.
fn check_routes(state: &Snapshot, cx: &Cx, vpc: &VpcId, cidr: Cidr) -> Result<(), AwsError> {
    let mut tables = state.route_tables().by_index(&RouteTables::BY_VPC, &(cx.scope.clone(), vpc.clone()));
    let is_inside = |destination: &Destination| matches!(destination, Destination::Cidr(to) if cidr.contains_cidr(*to));
    match tables.find(|table| table.routes.iter().any(|route| is_inside(&route.destination))) {
        Some(table) => {
            let message = format!("The CIDR '{cidr}' is equal to or larger than a route of route table {}.", table.id);
            Err(AwsError::new("InvalidVpc.Range", message))
        }
        None => Ok(()),
    }
}

fn private_range(cidr: Cidr) -> Option<usize> {
    PRIVATE.iter().position(|range| range.parse::<Cidr>().expect("the table holds networks").contains_cidr(cidr))
}

pub fn disassociate_vpc_cidr_block(
    tx: &mut Tx,
    cx: &Cx,
    input: DisassociateVpcCidrBlockInput,
) -> Result<DisassociateVpcCidrBlockOutput, AwsError> {
    let id = &input.association_id;
    let state: &Snapshot = tx;
    let found = by_association(state, cx, id);
    let not_found = || {
        let message = format!("The vpc CIDR block association ID '{id}' does not exist");
        AwsError::new("InvalidVpcCidrBlockAssociationID.NotFound", message)
    };
    let vpc = found.ok_or_else(not_found)?;
    let Some(association) = vpc.more_cidrs.iter().find(|association| association.id == *id) else {
        let message = format!(
            "The vpc CIDR block with association ID {id} may not be disassociated. It is the primary IPv4 CIDR block of the VPC"
        );
        return Err(AwsError::new("OperationNotPermitted", message));
    };
    let mut subnets = state.subnets().by_index(&Subnets::BY_VPC, &(cx.scope.clone(), vpc.id.clone()));
    if subnets.any(|subnet| association.cidr.contains_cidr(subnet.cidr)) {
        let message = format!("The vpc CIDR block with association ID {id} may not be disassociated. Subnets use it");
        return Err(AwsError::new("DependencyViolation", message));
    }
    let sent = view::cidr_association(id, association.cidr, "disassociating");
    let key = (cx.scope.clone(), vpc.id.clone());
    tx.vpcs().update(&key, |vpc| vpc.more_cidrs.retain(|association| association.id != *id));
    Ok(DisassociateVpcCidrBlockOutput {
        cidr_block_association: Some(sent),
        vpc_id: Some(key.1.to_string()),
        ..Default::default()
    })
}

/// The VPC one of whose networks has this association.
pub fn by_association(state: &Snapshot, cx: &Cx, id: &str) -> Option<Arc<Vpc>> {
    state.vpcs().prefix(&cx.scope).find(|vpc| view::cidr_associations(vpc).any(|(one, _)| one == id))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ec2::create_subnet::create_subnet;
    use crate::ec2::describe_vpcs::describe_vpcs;
    use crate::ec2::testing::{default_vpc, read, refusal, write};
    use crate::testing::Fixture;

    fn associate(vpc: &str, cidr: &str) -> AssociateVpcCidrBlockInput {
        AssociateVpcCidrBlockInput { vpc_id: vpc.to_owned(), cidr_block: Some(cidr.to_owned()), ..Default::default() }
    }

    #[test]
    fn a_second_network_takes_subnets_and_goes_when_it_is_empty() {
        let fixture = Fixture::new();
        let vpc_id = default_vpc(&fixture);
        let output = write(&fixture, associate_vpc_cidr_block, associate(&vpc_id, "172.20.0.0/16")).expect("it fits");
        let id = output.cidr_block_association.and_then(|one| one.association_id).expect("an id");
        let input = CreateSubnetInput {
            vpc_id: vpc_id.clone(),
            cidr_block: Some("172.20.1.0/24".to_owned()),
            ..Default::default()
        };
        let subnet = write(&fixture, create_subnet, input).expect("it is inside").subnet.and_then(|one| one.subnet_id);
        let shown = read(&fixture, describe_vpcs, DescribeVpcsInput::default()).expect("a list").vpcs.expect("a list");
        assert_eq!(shown[0].cidr_block_association_set.as_ref().map(Vec::len), Some(2));
        let disassociate = DisassociateVpcCidrBlockInput { association_id: id.clone() };
        let refused = refusal(write(&fixture, disassociate_vpc_cidr_block, disassociate.clone()));
        assert!(refused.starts_with("DependencyViolation"), "{refused}");
        let delete = DeleteSubnetInput { subnet_id: subnet.expect("an id"), dry_run: None };
        write(&fixture, crate::ec2::delete_subnet::delete_subnet, delete).expect("it is empty");
        write(&fixture, disassociate_vpc_cidr_block, disassociate).expect("it is empty");
        let primary = shown[0].cidr_block_association_set.as_ref().and_then(|all| all[0].association_id.clone());
        let primary = DisassociateVpcCidrBlockInput { association_id: primary.expect("an id") };
        let refused = refusal(write(&fixture, disassociate_vpc_cidr_block, primary));
        assert!(refused.starts_with("OperationNotPermitted"), "{refused}");
    }

    #[test]
    fn networks_that_do_not_go_together_are_refused() {
        let fixture = Fixture::new();
        let vpc = default_vpc(&fixture);
        for (cidr, expected) in [
            ("172.31.128.0/17", "conflicts with another CIDR"),
            ("10.0.0.0/16", "is restricted. Use a CIDR from the same private address range"),
            ("172.16.0.0/12", "The CIDR '172.16.0.0/12' is invalid."),
        ] {
            let refused = refusal(write(&fixture, associate_vpc_cidr_block, associate(&vpc, cidr)));
            assert!(refused.starts_with("InvalidVpc.Range") && refused.contains(expected), "{refused}");
        }
        write(&fixture, associate_vpc_cidr_block, associate(&vpc, "100.64.0.0/16")).expect("it is not private");
    }
}
