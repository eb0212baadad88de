//! DescribeInternetGateways.

use super::error::{self, Kind};
use super::filter::{FilterTable, Tagged, text};
use super::list::{Listing, check_exist, choice};
use super::{internet_gateways, view};
use crate::Cx;
use longshore_aws_model::AwsError;
use longshore_aws_model::ec2::{DescribeInternetGatewaysInput, DescribeInternetGatewaysOutput, InternetGateway, Tag};
use longshore_store::Snapshot;

const FILTERS: &FilterTable<InternetGateway> = &[
    ("attachment.state", |gateway| gateway.attachments.iter().flatten().flat_map(|a| text(&a.state)).collect()),
    ("attachment.vpc-id", |gateway| gateway.attachments.iter().flatten().flat_map(|a| text(&a.vpc_id)).collect()),
    ("internet-gateway-id", |gateway| text(&gateway.internet_gateway_id)),
    ("owner-id", |gateway| text(&gateway.owner_id)),
];

impl Tagged for InternetGateway {
    fn tags(&self) -> &[Tag] {
        self.tags.as_deref().unwrap_or_default()
    }
}

pub fn describe_internet_gateways(
    state: &Snapshot,
    cx: &Cx,
    input: DescribeInternetGatewaysInput,
) -> Result<DescribeInternetGatewaysOutput, AwsError> {
    let ids = input.internet_gateway_ids.as_deref();
    check_exist(Kind::InternetGateway, ids, |id| internet_gateways::find(state, cx, id).is_ok())?;
    let is_chosen = choice(ids);
    let gateways = state.internet_gateways().prefix(&cx.scope).filter(|gateway| is_chosen(gateway.id.as_str()));
    let listing = Listing {
        filters: input.filters.as_deref(),
        max_results: input.max_results,
        next_token: input.next_token.as_deref(),
    };
    let (internet_gateways, next_token) = listing.page(
        gateways.map(|gateway| view::internet_gateway(&cx.scope, &gateway)),
        |gateway| &gateway.internet_gateway_id,
        FILTERS,
    )?;
    error::finish(input.dry_run, DescribeInternetGatewaysOutput { internet_gateways, next_token })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ec2::testing::{default_vpc, filter, read, refusal};
    use crate::testing::Fixture;

    #[test]
    fn the_default_vpcs_gateway_is_told() {
        let fixture = Fixture::new();
        let filters = filter("attachment.vpc-id", &default_vpc(&fixture));
        let input = DescribeInternetGatewaysInput { filters, ..Default::default() };
        let output = read(&fixture, describe_internet_gateways, input).expect("a list");
        assert_eq!(output.internet_gateways.map(|gateways| gateways.len()), Some(1));
        let input = DescribeInternetGatewaysInput {
            internet_gateway_ids: Some(vec!["igw-1".to_owned()]),
            ..Default::default()
        };
        assert_eq!(
            refusal(read(&fixture, describe_internet_gateways, input)),
            "InvalidInternetGatewayID.NotFound: The internetGateway ID 'igw-1' does not exist"
        );
    }
}
