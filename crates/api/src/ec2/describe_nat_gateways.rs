//! DescribeNatGateways.

use super::error::{self, Kind};
use super::filter::{FilterTable, Tagged, text};
use super::list::{Listing, check_exist, choice};
use super::{nat_gateways, view};
use crate::Cx;
use longshore_aws_model::AwsError;
use longshore_aws_model::ec2::{DescribeNatGatewaysInput, DescribeNatGatewaysOutput, NatGateway, Tag};
use longshore_store::Snapshot;

const FILTERS: &FilterTable<NatGateway> = &[
    ("nat-gateway-id", |gateway| text(&gateway.nat_gateway_id)),
    ("state", |gateway| text(&gateway.state)),
    ("subnet-id", |gateway| text(&gateway.subnet_id)),
    ("vpc-id", |gateway| text(&gateway.vpc_id)),
];

impl Tagged for NatGateway {
    fn tags(&self) -> &[Tag] {
        self.tags.as_deref().unwrap_or_default()
    }
}

pub fn describe_nat_gateways(
    state: &Snapshot,
    cx: &Cx,
    input: DescribeNatGatewaysInput,
) -> Result<DescribeNatGatewaysOutput, AwsError> {
    let ids = input.nat_gateway_ids.as_deref();
    check_exist(Kind::NatGateway, ids, |id| nat_gateways::find(state, cx, id).is_ok())?;
    let is_chosen = choice(ids);
    let shown = state.nat_gateways().prefix(&cx.scope);
    let shown = shown.filter(|row| nat_gateways::is_shown(row, cx.now) && is_chosen(row.id.as_str()));
    let listing = Listing {
        filters: input.filter.as_deref(),
        max_results: input.max_results,
        next_token: input.next_token.as_deref(),
    };
    let shown = shown.map(|row| view::nat_gateway(state, cx, &row));
    let (nat_gateways, next_token) = listing.page(shown, |gateway| &gateway.nat_gateway_id, FILTERS)?;
    error::finish(input.dry_run, DescribeNatGatewaysOutput { nat_gateways, next_token })
}
