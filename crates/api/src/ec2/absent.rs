//! What Longshore's networks do not have: VPC endpoints, peering, IPv6 gateways, security groups of several VPCs. Lists of
//! them are empty; making one is refused by name.

use super::error;
use super::list::check_exist;
use crate::Cx;
use longshore_aws_model::AwsError;
use longshore_aws_model::ec2::*;
use longshore_store::{Snapshot, Tx};

/// Refused, because its parameters would have no effect: Longshore's own registry, logs and credentials are reached from
/// every subnet as though endpoints were there.
pub fn create_vpc_endpoint(_: &mut Tx, _: &Cx, _: CreateVpcEndpointInput) -> Result<CreateVpcEndpointOutput, AwsError> {
    let message = "VPC endpoints are not supported by Longshore, and not needed for its own services: image pulls, logs \
                   and credentials of tasks work from every subnet.";
    Err(AwsError::new("UnsupportedOperation", message))
}

pub fn describe_vpc_endpoints(
    _: &Snapshot,
    _: &Cx,
    input: DescribeVpcEndpointsInput,
) -> Result<DescribeVpcEndpointsOutput, AwsError> {
    if let Some(id) = input.vpc_endpoint_ids.iter().flatten().next() {
        let message = format!("The Vpc Endpoint Id '{id}' does not exist");
        return Err(AwsError::new("InvalidVpcEndpointId.NotFound", message));
    }
    let output = DescribeVpcEndpointsOutput { vpc_endpoints: Some(Vec::new()), ..Default::default() };
    error::finish(input.dry_run, output)
}

pub fn describe_vpc_endpoint_connections(
    _: &Snapshot,
    _: &Cx,
    input: DescribeVpcEndpointConnectionsInput,
) -> Result<DescribeVpcEndpointConnectionsOutput, AwsError> {
    let output =
        DescribeVpcEndpointConnectionsOutput { vpc_endpoint_connections: Some(Vec::new()), ..Default::default() };
    error::finish(input.dry_run, output)
}

pub fn describe_security_group_vpc_associations(
    _: &Snapshot,
    _: &Cx,
    input: DescribeSecurityGroupVpcAssociationsInput,
) -> Result<DescribeSecurityGroupVpcAssociationsOutput, AwsError> {
    let none = Some(Vec::new());
    let output = DescribeSecurityGroupVpcAssociationsOutput { security_group_vpc_associations: none, next_token: None };
    error::finish(input.dry_run, output)
}

pub fn describe_vpc_peering_connections(
    _: &Snapshot,
    _: &Cx,
    input: DescribeVpcPeeringConnectionsInput,
) -> Result<DescribeVpcPeeringConnectionsOutput, AwsError> {
    if let Some(id) = input.vpc_peering_connection_ids.iter().flatten().next() {
        let message = format!("The vpcPeeringConnection ID '{id}' does not exist");
        return Err(AwsError::new("InvalidVpcPeeringConnectionID.NotFound", message));
    }
    let output =
        DescribeVpcPeeringConnectionsOutput { vpc_peering_connections: Some(Vec::new()), ..Default::default() };
    error::finish(input.dry_run, output)
}

pub fn describe_egress_only_internet_gateways(
    _: &Snapshot,
    _: &Cx,
    input: DescribeEgressOnlyInternetGatewaysInput,
) -> Result<DescribeEgressOnlyInternetGatewaysOutput, AwsError> {
    let ids = input.egress_only_internet_gateway_ids.as_deref();
    check_exist(error::Kind::InternetGateway, ids, |_| false)?;
    let output = DescribeEgressOnlyInternetGatewaysOutput {
        egress_only_internet_gateways: Some(Vec::new()),
        ..Default::default()
    };
    error::finish(input.dry_run, output)
}
