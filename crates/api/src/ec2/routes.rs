//! CreateRoute, ReplaceRoute, DeleteRoute.

use super::error;
use super::{internet_gateways, prefix_lists, route_tables, vpcs};
use crate::Cx;
use longshore_aws_model::AwsError;
use longshore_aws_model::ec2::*;
use longshore_store::{Snapshot, Tx};
use longshore_types::ec2::{self as stored, Cidr, Destination, RouteTarget};
use longshore_types::id::{NatGatewayId, RouteTableId};

/// EC2's quota of routes in a table, to which a prefix list counts with its size.
const ROUTES_MAX: usize = 500;

pub fn create_route(tx: &mut Tx, cx: &Cx, input: CreateRouteInput) -> Result<CreateRouteOutput, AwsError> {
    error::refuse_all!(input;
        destination_ipv6_cidr_block = "DestinationIpv6CidrBlock", vpc_endpoint_id = "VpcEndpointId",
        transit_gateway_id = "TransitGatewayId", local_gateway_id = "LocalGatewayId",
        carrier_gateway_id = "CarrierGatewayId", core_network_arn = "CoreNetworkArn",
        odb_network_arn = "OdbNetworkArn", egress_only_internet_gateway_id = "EgressOnlyInternetGatewayId",
        instance_id = "InstanceId", network_interface_id = "NetworkInterfaceId",
        vpc_peering_connection_id = "VpcPeeringConnectionId",
    );
    let table = route_tables::find(tx, cx, &input.route_table_id)?;
    let destination = destination(tx, cx, input.destination_cidr_block, input.destination_prefix_list_id)?;
    let target = target(tx, cx, &table, input.gateway_id, input.nat_gateway_id)?;
    check_local(tx, cx, &table, &destination)?;
    if table.routes.iter().any(|route| route.destination == destination) {
        let message = format!("The route identified by {} already exists.", text(&destination));
        return Err(AwsError::new("RouteAlreadyExists", message));
    }
    let weight = |destination: &Destination| prefix_lists::weight(tx, cx, destination);
    let used: usize = table.routes.iter().map(|route| weight(&route.destination)).sum();
    if used + weight(&destination) > ROUTES_MAX {
        return Err(AwsError::new("RouteLimitExceeded", "The maximum number of routes has been reached."));
    }
    change(tx, cx, &table.id, |routes| routes.push(stored::Route { destination, target }));
    error::finish(input.dry_run, CreateRouteOutput { r#return: Some(true) })
}

pub fn replace_route(tx: &mut Tx, cx: &Cx, input: ReplaceRouteInput) -> Result<ReplaceRouteOutput, AwsError> {
    error::refuse_all!(input;
        destination_ipv6_cidr_block = "DestinationIpv6CidrBlock", vpc_endpoint_id = "VpcEndpointId",
        transit_gateway_id = "TransitGatewayId", local_gateway_id = "LocalGatewayId",
        carrier_gateway_id = "CarrierGatewayId", core_network_arn = "CoreNetworkArn",
        odb_network_arn = "OdbNetworkArn", egress_only_internet_gateway_id = "EgressOnlyInternetGatewayId",
        instance_id = "InstanceId", network_interface_id = "NetworkInterfaceId",
        vpc_peering_connection_id = "VpcPeeringConnectionId",
    );
    error::refuse_true("LocalTarget", input.local_target)?;
    let table = route_tables::find(tx, cx, &input.route_table_id)?;
    let destination = destination(tx, cx, input.destination_cidr_block, input.destination_prefix_list_id)?;
    let target = target(tx, cx, &table, input.gateway_id, input.nat_gateway_id)?;
    check_local(tx, cx, &table, &destination)?;
    if !table.routes.iter().any(|route| route.destination == destination) {
        let message = format!(
            "There is no route defined for '{}' in the route table. Use CreateRoute instead.",
            text(&destination)
        );
        return Err(error::invalid_parameter(message));
    }
    change(tx, cx, &table.id, |routes| {
        routes
            .iter_mut()
            .filter(|route| route.destination == destination)
            .for_each(|route| route.target = target.clone());
    });
    error::finish(input.dry_run, ReplaceRouteOutput {})
}

pub fn delete_route(tx: &mut Tx, cx: &Cx, input: DeleteRouteInput) -> Result<DeleteRouteOutput, AwsError> {
    error::refuse_all!(input; destination_ipv6_cidr_block = "DestinationIpv6CidrBlock");
    let table = route_tables::find(tx, cx, &input.route_table_id)?;
    let destination = destination(tx, cx, input.destination_cidr_block, input.destination_prefix_list_id)?;
    if let Destination::Cidr(cidr) = &destination
        && vpcs::find(tx, cx, table.vpc.as_str())?.cidrs().any(|local| local == *cidr)
    {
        let message = format!("cannot remove local route {cidr} in route table {}", table.id);
        return Err(error::invalid_parameter(message));
    }
    if !table.routes.iter().any(|route| route.destination == destination) {
        let parameter = match destination {
            Destination::Cidr(_) => "destination-cidr-block",
            Destination::PrefixList(_) => "destination-prefix-list-id",
        };
        let message = format!("no route with {parameter} {} in route table {}", text(&destination), table.id);
        return Err(AwsError::new("InvalidRoute.NotFound", message));
    }
    change(tx, cx, &table.id, |routes| routes.retain(|route| route.destination != destination));
    error::finish(input.dry_run, DeleteRouteOutput {})
}

fn change(tx: &mut Tx, cx: &Cx, table: &RouteTableId, change: impl FnOnce(&mut Vec<stored::Route>)) {
    tx.route_tables().update(&(cx.scope.clone(), table.clone()), |table| change(&mut table.routes));
}

fn text(destination: &Destination) -> String {
    match destination {
        Destination::Cidr(cidr) => cidr.to_string(),
        Destination::PrefixList(id) => id.to_string(),
    }
}

fn destination(state: &Snapshot, cx: &Cx, cidr: Option<String>, list: Option<String>) -> Result<Destination, AwsError> {
    match (cidr, list) {
        (Some(text), None) => {
            let invalid = |_| error::invalid_value(&text, "destinationCidrBlock", "This is not a valid CIDR block.");
            Ok(Destination::Cidr(text.parse().map_err(invalid)?))
        }
        (None, Some(id)) => Ok(Destination::PrefixList(prefix_lists::find(state, cx, &id)?.id.clone())),
        (None, None) => Err(error::missing_parameter("destinationCidrBlock or destinationPrefixListId")),
        (Some(_), Some(_)) => {
            let message =
                "The parameter destinationCidrBlock cannot be used with the parameter destinationPrefixListId";
            Err(error::invalid_combination(message))
        }
    }
}

/// The one target that a request names, checked to be of the table's VPC.
fn target(
    state: &Snapshot,
    cx: &Cx,
    table: &stored::RouteTable,
    gateway: Option<String>,
    nat_gateway: Option<String>,
) -> Result<RouteTarget, AwsError> {
    match (gateway, nat_gateway) {
        (Some(id), None) if id == "local" => Err(error::unsupported("GatewayId=local")),
        (Some(id), None) => {
            let gateway = internet_gateways::find(state, cx, &id)?;
            if gateway.vpc.as_ref() != Some(&table.vpc) {
                let message = format!("route table {} and network gateway {id} belong to different networks", table.id);
                return Err(error::invalid_parameter(message));
            }
            Ok(RouteTarget::InternetGateway(gateway.id.clone()))
        }
        (None, Some(id)) => {
            let key = (cx.scope.clone(), NatGatewayId::from(id.as_str()));
            let gateway = state.nat_gateways().get(&key).filter(|gateway| gateway.is_available());
            let gateway = gateway.ok_or_else(|| {
                AwsError::new("InvalidNatGatewayID.NotFound", format!("The natGateway ID '{id}' does not exist"))
            })?;
            if gateway.vpc != table.vpc {
                let message = format!("route table {} and NAT gateway {id} belong to different networks", table.id);
                return Err(error::invalid_parameter(message));
            }
            Ok(RouteTarget::NatGateway(gateway.id.clone()))
        }
        (None, None) => {
            let message = "The request must contain exactly one of gatewayId, natGatewayId";
            Err(AwsError::new("MissingParameter", message))
        }
        (Some(_), Some(_)) => {
            Err(error::invalid_combination("The request must contain exactly one of gatewayId, natGatewayId"))
        }
    }
}

/// What is inside the VPC stays there: no gateway may be on the way.
fn check_local(
    state: &Snapshot,
    cx: &Cx,
    table: &stored::RouteTable,
    destination: &Destination,
) -> Result<(), AwsError> {
    let vpc = vpcs::find(state, cx, table.vpc.as_str())?;
    let inside = |cidr: &Cidr| vpc.cidrs().any(|local| local.contains_cidr(*cidr));
    match destination {
        Destination::Cidr(cidr) if inside(cidr) => {
            if vpc.cidrs().any(|local| local == *cidr) {
                let message = format!("The route identified by {cidr} already exists.");
                return Err(AwsError::new("RouteAlreadyExists", message));
            }
            Err(error::invalid_parameter(format!(
                "The destination CIDR block {cidr} is equal to or more specific than one of this VPC's CIDR blocks. \
                 This route can target only an interface or an instance."
            )))
        }
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ec2::create_vpc::create_vpc;
    use crate::ec2::route_tables::create_route_table;
    use crate::ec2::testing::{default_vpc, refusal, write};
    use crate::testing::Fixture;

    struct Parts {
        fixture: Fixture,
        table: String,
        gateway: String,
    }

    fn parts() -> Parts {
        let fixture = Fixture::new();
        let input = CreateRouteTableInput { vpc_id: default_vpc(&fixture), ..Default::default() };
        let output = write(&fixture, create_route_table, input).expect("a table");
        let table = output.route_table.and_then(|table| table.route_table_id).expect("an id");
        let gateway =
            fixture.read(|state, _| state.internet_gateways().all().next().expect("a gateway").id.to_string());
        Parts { fixture, table, gateway }
    }

    impl Parts {
        fn create(&self, cidr: &str) -> CreateRouteInput {
            CreateRouteInput {
                route_table_id: self.table.clone(),
                destination_cidr_block: Some(cidr.to_owned()),
                gateway_id: Some(self.gateway.clone()),
                ..Default::default()
            }
        }

        fn routes(&self) -> Vec<String> {
            let id = self.table.as_str();
            self.fixture.read(|state, cx| {
                let table = route_tables::find(state, cx, id).expect("the table");
                table.routes.iter().map(|route| text(&route.destination)).collect()
            })
        }
    }

    #[test]
    fn a_route_is_made_replaced_and_deleted() {
        let parts = parts();
        write(&parts.fixture, create_route, parts.create("10.1.2.3/8")).expect("a route");
        assert_eq!(parts.routes(), ["10.0.0.0/8"]);
        assert_eq!(
            refusal(write(&parts.fixture, create_route, parts.create("10.0.0.0/8"))),
            "RouteAlreadyExists: The route identified by 10.0.0.0/8 already exists."
        );
        let replace = |cidr: &str| ReplaceRouteInput {
            route_table_id: parts.table.clone(),
            destination_cidr_block: Some(cidr.to_owned()),
            gateway_id: Some(parts.gateway.clone()),
            ..Default::default()
        };
        write(&parts.fixture, replace_route, replace("10.0.0.0/8")).expect("it is there");
        assert_eq!(
            refusal(write(&parts.fixture, replace_route, replace("11.0.0.0/8"))),
            "InvalidParameterValue: There is no route defined for '11.0.0.0/8' in the route table. Use CreateRoute instead."
        );
        let delete = |cidr: &str| DeleteRouteInput {
            route_table_id: parts.table.clone(),
            destination_cidr_block: Some(cidr.to_owned()),
            ..Default::default()
        };
        write(&parts.fixture, delete_route, delete("10.0.0.0/8")).expect("it is there");
        let table = &parts.table;
        for (cidr, expected) in [
            (
                "10.0.0.0/8",
                format!(
                    "InvalidRoute.NotFound: no route with destination-cidr-block 10.0.0.0/8 in route table {table}"
                ),
            ),
            (
                "172.31.0.0/16",
                format!("InvalidParameterValue: cannot remove local route 172.31.0.0/16 in route table {table}"),
            ),
        ] {
            assert_eq!(refusal(write(&parts.fixture, delete_route, delete(cidr))), expected);
        }
    }

    #[test]
    fn bad_routes_are_refused_by_what_is_wrong() {
        let parts = parts();
        let vpc = CreateVpcInput { cidr_block: Some("10.0.0.0/16".to_owned()), ..Default::default() };
        let vpc_id = write(&parts.fixture, create_vpc, vpc).expect("a VPC").vpc.and_then(|vpc| vpc.vpc_id);
        let input = CreateRouteTableInput { vpc_id: vpc_id.expect("an id"), ..Default::default() };
        let output = write(&parts.fixture, create_route_table, input).expect("a table");
        let other = output.route_table.and_then(|table| table.route_table_id).expect("an id");
        let gateway = &parts.gateway;
        let cases = [
            (
                CreateRouteInput { route_table_id: other.clone(), ..parts.create("0.0.0.0/0") },
                format!(
                    "InvalidParameterValue: route table {other} and network gateway {gateway} belong to different networks"
                ),
            ),
            (
                parts.create("172.31.0.0/20"),
                "InvalidParameterValue: The destination CIDR block 172.31.0.0/20 is equal to or more specific than one of \
                 this VPC's CIDR blocks. This route can target only an interface or an instance."
                    .to_owned(),
            ),
            (parts.create("moon"), "InvalidParameterValue: Value (moon) for parameter destinationCidrBlock is invalid. This is not a valid CIDR block.".to_owned()),
            (
                CreateRouteInput { nat_gateway_id: Some("nat-1".to_owned()), gateway_id: None, ..parts.create("0.0.0.0/0") },
                "InvalidNatGatewayID.NotFound: The natGateway ID 'nat-1' does not exist".to_owned(),
            ),
            (
                CreateRouteInput { gateway_id: None, ..parts.create("0.0.0.0/0") },
                "MissingParameter: The request must contain exactly one of gatewayId, natGatewayId".to_owned(),
            ),
            (
                CreateRouteInput { network_interface_id: Some("eni-1".to_owned()), gateway_id: None, ..parts.create("0.0.0.0/0") },
                "UnsupportedOperation: The parameter NetworkInterfaceId is not supported by Longshore.".to_owned(),
            ),
        ];
        for (input, expected) in cases {
            assert_eq!(refusal(write(&parts.fixture, create_route, input)), expected);
        }
        assert_eq!(parts.routes(), Vec::<String>::new());
    }
}
