//! CreateNatGateway, DeleteNatGateway.
//!
//! A gateway works as soon as it is stored, so CreateNatGateway alone calls it `pending`. One that cannot work is `failed`
//! with EC2's reason, and is seen to be so: creating it is no error.

use super::error::{self, Kind};
use super::network::{NewInterface, NoAddress, create_interface, create_interface_at, delete_interface};
use super::{addresses, create_network_interface, internet_gateways, subnets, tags, view};
use crate::Cx;
use longshore_aws_model::AwsError;
use longshore_aws_model::ec2::*;
use longshore_store::{Snapshot, Tx};
use longshore_types::ec2::{self as stored, ElasticAddress, EniOwner, NatElasticAddress, NatGatewayEnd, Subnet};
use longshore_types::id::NatGatewayId;
use longshore_types::{Tags, Timestamp};
use std::sync::Arc;

pub fn find(state: &Snapshot, cx: &Cx, id: &str) -> Result<Arc<stored::NatGateway>, AwsError> {
    let key = (cx.scope.clone(), NatGatewayId::from(id));
    state.nat_gateways().get(&key).filter(|row| is_shown(row, cx.now)).ok_or_else(|| Kind::NatGateway.not_found(&[id]))
}

/// EC2 forgets a gateway an hour after its end.
pub fn is_shown(gateway: &stored::NatGateway, now: Timestamp) -> bool {
    gateway.end.as_ref().is_none_or(|end| now.since(end.at()) < stored::NatGateway::SHOWN_AFTER_END)
}

pub fn create_nat_gateway(
    tx: &mut Tx,
    cx: &Cx,
    input: CreateNatGatewayInput,
) -> Result<CreateNatGatewayOutput, AwsError> {
    error::refuse_all!(input;
        vpc_id = "VpcId", availability_zone_addresses = "AvailabilityZoneAddresses",
        secondary_allocation_ids = "SecondaryAllocationIds",
        secondary_private_ip_addresses = "SecondaryPrivateIpAddresses",
        secondary_private_ip_address_count = "SecondaryPrivateIpAddressCount",
    );
    if input.availability_mode.as_deref().is_some_and(|mode| mode != "zonal") {
        return Err(error::unsupported("AvailabilityMode"));
    }
    let id = input.subnet_id.as_deref().ok_or_else(|| error::missing_parameter("SubnetId"))?;
    let subnet = subnets::find(tx, cx, id)?;
    let public = match input.connectivity_type.as_deref() {
        None | Some("public") => true,
        Some("private") => false,
        Some(other) => return Err(error::invalid_value(other, "connectivityType", "Expecting 'public' or 'private'.")),
    };
    let elastic = elastic(tx, cx, public, input.allocation_id.as_deref())?;
    let tags = tags::from_specifications(input.tag_specifications.as_deref(), "natgateway")?;
    let token = input.client_token.clone().filter(|token| !token.is_empty());
    if let Some(made) = made_before(tx, cx, token.as_deref()) {
        if made.subnet != subnet.id || made.public != public {
            return Err(error::idempotent_mismatch());
        }
        let output =
            CreateNatGatewayOutput { client_token: token, nat_gateway: Some(view::nat_gateway(tx, cx, &made)) };
        return error::finish(input.dry_run, output);
    }
    forget_ended(tx, cx);
    let mut gateway = stored::NatGateway {
        id: NatGatewayId(cx.ids().ec2("nat")),
        vpc: subnet.vpc.clone(),
        subnet: subnet.id.clone(),
        eni: None,
        private_address: None,
        elastic: None,
        public,
        end: None,
        created_at: cx.now,
        client_token: token.clone(),
        tags,
    };
    match why_not(tx, cx, &subnet, elastic.as_deref()) {
        Some((code, message)) => {
            gateway.end = Some(NatGatewayEnd::Failed { code: code.to_owned(), message, at: cx.now });
        }
        None => place(tx, cx, &mut gateway, &subnet, elastic.as_deref(), input.private_ip_address.as_deref())?,
    }
    tx.nat_gateways().put((cx.scope.clone(), gateway.id.clone()), gateway.clone());
    let mut sent = view::nat_gateway(tx, cx, &gateway);
    if gateway.is_available() {
        sent.state = Some("pending".to_owned());
    }
    error::finish(input.dry_run, CreateNatGatewayOutput { client_token: token, nat_gateway: Some(sent) })
}

fn elastic(
    state: &Snapshot,
    cx: &Cx,
    public: bool,
    allocation: Option<&str>,
) -> Result<Option<Arc<ElasticAddress>>, AwsError> {
    match (public, allocation) {
        (true, Some(id)) => addresses::find(state, cx, id).map(Some),
        (true, None) => {
            let message = "The request must include the AllocationId parameter. Add the required parameter and retry the request.";
            Err(AwsError::new("MissingParameter", message))
        }
        (false, Some(_)) => {
            let message = "The parameter AllocationId cannot be used with the connectivity type private";
            Err(error::invalid_combination(message))
        }
        (false, None) => Ok(None),
    }
}

fn made_before(state: &Snapshot, cx: &Cx, token: Option<&str>) -> Option<Arc<stored::NatGateway>> {
    let token = token?;
    state.nat_gateways().prefix(&cx.scope).find(|gateway| gateway.client_token.as_deref() == Some(token))
}

/// What a gateway fails for, as EC2 says it.
fn why_not(
    state: &Snapshot,
    cx: &Cx,
    subnet: &Subnet,
    elastic: Option<&ElasticAddress>,
) -> Option<(&'static str, String)> {
    let elastic = elastic?;
    if !internet_gateways::is_attached(state, cx, &subnet.vpc) {
        let message = format!("Network {} has no Internet gateway attached", subnet.vpc);
        return Some(("Gateway.NotAttached", message));
    }
    let message = format!("Elastic IP address [{}] is already associated", elastic.allocation);
    elastic.association.is_some().then_some(("Resource.AlreadyAssociated", message))
}

fn place(
    tx: &mut Tx,
    cx: &Cx,
    gateway: &mut stored::NatGateway,
    subnet: &Subnet,
    elastic: Option<&ElasticAddress>,
    asked: Option<&str>,
) -> Result<(), AwsError> {
    let new = NewInterface {
        subnet: subnet.id.clone(),
        security_groups: Vec::new(),
        owner: EniOwner::NatGateway { id: gateway.id.clone() },
        description: format!("Interface for NAT Gateway {}", gateway.id),
        public: false,
        tags: Tags::default(),
    };
    let made = match asked {
        Some(text) => {
            let address = create_network_interface::check_address(tx, cx, subnet, text)?;
            create_interface_at(tx, cx, new, address)
        }
        None => create_interface(tx, cx, new),
    };
    let eni = match made {
        Ok(eni) => eni,
        Err(NoAddress::Full(_)) => {
            gateway.end = Some(NatGatewayEnd::Failed {
                code: "InsufficientFreeAddressesInSubnet".to_owned(),
                message: format!("Subnet {} has insufficient free addresses to create this NAT gateway", subnet.id),
                at: cx.now,
            });
            return Ok(());
        }
        Err(error) => return Err(error.into()),
    };
    gateway.elastic = elastic.map(|elastic| NatElasticAddress {
        allocation: elastic.allocation.clone(),
        association: addresses::associate(tx, cx, &elastic.allocation, &eni.id, eni.address),
        address: elastic.address,
    });
    gateway.private_address = Some(eni.address);
    gateway.eni = Some(eni.id);
    Ok(())
}

/// Its elastic address is free at once. Routes to it stay and lead nowhere.
pub fn delete_nat_gateway(
    tx: &mut Tx,
    cx: &Cx,
    input: DeleteNatGatewayInput,
) -> Result<DeleteNatGatewayOutput, AwsError> {
    let gateway = find(tx, cx, &input.nat_gateway_id)?;
    if let Some(eni) = &gateway.eni {
        delete_interface(tx, &cx.scope, eni);
    }
    let key = (cx.scope.clone(), gateway.id.clone());
    tx.nat_gateways().update(&key, |gateway| {
        gateway.eni = None;
        if !matches!(gateway.end, Some(NatGatewayEnd::Deleted { .. })) {
            gateway.end = Some(NatGatewayEnd::Deleted { at: cx.now });
        }
    });
    forget_ended(tx, cx);
    error::finish(input.dry_run, DeleteNatGatewayOutput { nat_gateway_id: Some(gateway.id.to_string()) })
}

/// Removes the rows that nobody is shown any more.
fn forget_ended(tx: &mut Tx, cx: &Cx) {
    let rows: Vec<_> = tx.nat_gateways().prefix(&cx.scope).filter(|gateway| !is_shown(gateway, cx.now)).collect();
    for gateway in rows {
        tx.nat_gateways().remove(&(cx.scope.clone(), gateway.id.clone()));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ec2::addresses::allocate_address;
    use crate::ec2::create_subnet::create_subnet;
    use crate::ec2::create_vpc::create_vpc;
    use crate::ec2::describe_nat_gateways::describe_nat_gateways;
    use crate::ec2::testing::{default_subnet, filter, read, refusal, write};
    use crate::testing::Fixture;

    fn allocation(fixture: &Fixture) -> String {
        let output = write(fixture, allocate_address, AllocateAddressInput::default()).expect("an address");
        output.allocation_id.expect("an id")
    }

    fn public(subnet: &str, allocation: &str) -> CreateNatGatewayInput {
        CreateNatGatewayInput {
            subnet_id: Some(subnet.to_owned()),
            allocation_id: Some(allocation.to_owned()),
            ..Default::default()
        }
    }

    fn create(fixture: &Fixture, input: CreateNatGatewayInput) -> NatGateway {
        write(fixture, create_nat_gateway, input).expect("a gateway").nat_gateway.expect("a gateway")
    }

    fn described(fixture: &Fixture, id: &str) -> NatGateway {
        let input = DescribeNatGatewaysInput { nat_gateway_ids: Some(vec![id.to_owned()]), ..Default::default() };
        read(fixture, describe_nat_gateways, input).expect("a list").nat_gateways.expect("a list").remove(0)
    }

    #[test]
    fn a_public_gateway_has_its_elastic_address_until_it_is_deleted() {
        let fixture = Fixture::new();
        let (subnet, allocation) = (default_subnet(&fixture), allocation(&fixture));
        let made = create(&fixture, public(&subnet, &allocation));
        assert_eq!(made.state.as_deref(), Some("pending"));
        let id = made.nat_gateway_id.expect("an id");
        let shown = described(&fixture, &id);
        assert_eq!((shown.state.as_deref(), shown.connectivity_type.as_deref()), (Some("available"), Some("public")));
        let address = &shown.nat_gateway_addresses.as_ref().expect("addresses")[0];
        assert_eq!((address.allocation_id.as_ref(), address.is_primary), (Some(&allocation), Some(true)));
        assert!(address.network_interface_id.is_some() && address.public_ip.is_some());
        let input = DescribeNatGatewaysInput { filter: filter("state", "available"), ..Default::default() };
        assert_eq!(
            read(&fixture, describe_nat_gateways, input).expect("a list").nat_gateways.map(|all| all.len()),
            Some(1)
        );

        let release = ReleaseAddressInput { allocation_id: Some(allocation), ..Default::default() };
        assert!(write(&fixture, addresses::release_address, release.clone()).is_err());
        let delete = DeleteNatGatewayInput { dry_run: None, nat_gateway_id: id.clone() };
        write(&fixture, delete_nat_gateway, delete).expect("it is there");
        assert_eq!(described(&fixture, &id).state.as_deref(), Some("deleted"));
        write(&fixture, addresses::release_address, release).expect("it is free");
        fixture.read(|state, _| assert_eq!(state.network_interfaces().len(), 0));
    }

    #[test]
    fn a_gateway_that_cannot_work_fails_with_the_reason() {
        let fixture = Fixture::new();
        let default = default_subnet(&fixture);
        let vpc = CreateVpcInput { cidr_block: Some("10.0.0.0/16".to_owned()), ..Default::default() };
        let vpc_id = write(&fixture, create_vpc, vpc).expect("a VPC").vpc.and_then(|vpc| vpc.vpc_id).expect("an id");
        let subnet = CreateSubnetInput {
            vpc_id: vpc_id.clone(),
            cidr_block: Some("10.0.0.0/24".to_owned()),
            ..Default::default()
        };
        let subnet =
            write(&fixture, create_subnet, subnet).expect("a subnet").subnet.and_then(|subnet| subnet.subnet_id);
        let subnet = subnet.expect("an id");
        let allocation = allocation(&fixture);
        let failed = create(&fixture, public(&subnet, &allocation));
        assert_eq!(
            (failed.state.as_deref(), failed.failure_code.as_deref(), failed.failure_message),
            (
                Some("failed"),
                Some("Gateway.NotAttached"),
                Some(format!("Network {vpc_id} has no Internet gateway attached"))
            )
        );
        create(&fixture, public(&default, &allocation));
        let failed = create(&fixture, public(&default, &allocation));
        assert_eq!(failed.failure_code.as_deref(), Some("Resource.AlreadyAssociated"));
        let private = CreateNatGatewayInput {
            subnet_id: Some(subnet),
            connectivity_type: Some("private".to_owned()),
            ..Default::default()
        };
        let made = create(&fixture, private);
        assert_eq!(made.nat_gateway_addresses.expect("addresses")[0].allocation_id, None);
    }

    #[test]
    fn a_public_gateway_needs_an_elastic_address() {
        let fixture = Fixture::new();
        let input = CreateNatGatewayInput { subnet_id: Some(default_subnet(&fixture)), ..Default::default() };
        assert_eq!(
            refusal(write(&fixture, create_nat_gateway, input)),
            "MissingParameter: The request must include the AllocationId parameter. Add the required parameter and retry \
             the request."
        );
        let delete = DeleteNatGatewayInput { dry_run: None, nat_gateway_id: "nat-1".to_owned() };
        assert_eq!(
            refusal(write(&fixture, delete_nat_gateway, delete)),
            "NatGatewayNotFound: NAT gateway nat-1 was not found"
        );
    }
}
