//! DescribeRouteTables.

use super::error::{self, Kind};
use super::filter::{FilterTable, Tagged, flag, text};
use super::list::{Listing, check_exist, choice};
use super::{route_tables, view};
use crate::Cx;
use longshore_aws_model::AwsError;
use longshore_aws_model::ec2::{
    DescribeRouteTablesInput, DescribeRouteTablesOutput, Route, RouteTable, RouteTableAssociation, Tag,
};
use longshore_store::Snapshot;

const FILTERS: &FilterTable<RouteTable> = &[
    ("association.gateway-id", |table| associations(table, |a| a.gateway_id.clone())),
    ("association.main", |table| table.associations.iter().flatten().flat_map(|a| flag(a.main)).collect()),
    ("association.route-table-association-id", |table| associations(table, |a| a.route_table_association_id.clone())),
    ("association.route-table-id", |table| associations(table, |a| a.route_table_id.clone())),
    // Subnets are with the main table by being with no other, which is no association.
    ("association.subnet-id", |table| associations(table, |a| a.subnet_id.clone())),
    ("owner-id", |table| text(&table.owner_id)),
    ("route-table-id", |table| text(&table.route_table_id)),
    ("route.destination-cidr-block", |table| routes(table, |route| route.destination_cidr_block.clone())),
    ("route.destination-ipv6-cidr-block", |_| Vec::new()),
    ("route.destination-prefix-list-id", |table| routes(table, |route| route.destination_prefix_list_id.clone())),
    ("route.egress-only-internet-gateway-id", |_| Vec::new()),
    ("route.gateway-id", |table| routes(table, |route| route.gateway_id.clone())),
    ("route.instance-id", |_| Vec::new()),
    ("route.nat-gateway-id", |table| routes(table, |route| route.nat_gateway_id.clone())),
    ("route.origin", |table| routes(table, |route| route.origin.clone())),
    ("route.state", |table| routes(table, |route| route.state.clone())),
    ("route.transit-gateway-id", |_| Vec::new()),
    ("route.vpc-peering-connection-id", |_| Vec::new()),
    ("vpc-id", |table| text(&table.vpc_id)),
];

fn associations(table: &RouteTable, value: fn(&RouteTableAssociation) -> Option<String>) -> Vec<String> {
    table.associations.iter().flatten().filter_map(value).collect()
}

fn routes(table: &RouteTable, value: fn(&Route) -> Option<String>) -> Vec<String> {
    table.routes.iter().flatten().filter_map(value).collect()
}

impl Tagged for RouteTable {
    fn tags(&self) -> &[Tag] {
        self.tags.as_deref().unwrap_or_default()
    }
}

pub fn describe_route_tables(
    state: &Snapshot,
    cx: &Cx,
    input: DescribeRouteTablesInput,
) -> Result<DescribeRouteTablesOutput, AwsError> {
    let ids = input.route_table_ids.as_deref();
    check_exist(Kind::RouteTable, ids, |id| route_tables::find(state, cx, id).is_ok())?;
    let is_chosen = choice(ids);
    let tables = state.route_tables().prefix(&cx.scope).filter(|table| is_chosen(table.id.as_str()));
    let listing = Listing {
        filters: input.filters.as_deref(),
        max_results: input.max_results,
        next_token: input.next_token.as_deref(),
    };
    let (route_tables, next_token) = listing.page(
        tables.map(|table| view::route_table(state, &cx.scope, &table)),
        |table| &table.route_table_id,
        FILTERS,
    )?;
    error::finish(input.dry_run, DescribeRouteTablesOutput { route_tables, next_token })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ec2::testing::{default_vpc, filter, read, refusal};
    use crate::testing::Fixture;

    #[test]
    fn the_default_vpc_has_a_way_out() {
        let fixture = Fixture::new();
        let input =
            DescribeRouteTablesInput { filters: filter("vpc-id", &default_vpc(&fixture)), ..Default::default() };
        let table =
            read(&fixture, describe_route_tables, input).expect("a list").route_tables.expect("a list").remove(0);
        let routes: Vec<_> =
            table.routes.into_iter().flatten().filter_map(|route| route.destination_cidr_block).collect();
        assert_eq!(routes, ["172.31.0.0/16", "0.0.0.0/0"]);
        assert_eq!(table.associations.expect("one")[0].main, Some(true));
        let input = DescribeRouteTablesInput { filters: filter("association.main", "false"), ..Default::default() };
        assert_eq!(read(&fixture, describe_route_tables, input).expect("a list").route_tables, Some(vec![]));
        let input = DescribeRouteTablesInput { route_table_ids: Some(vec!["rtb-1".to_owned()]), ..Default::default() };
        assert_eq!(
            refusal(read(&fixture, describe_route_tables, input)),
            "InvalidRouteTableID.NotFound: The routeTable ID 'rtb-1' does not exist"
        );
    }
}
