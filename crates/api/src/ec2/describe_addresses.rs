//! DescribeAddresses.

use super::error::{self, Kind};
use super::filter::{FilterTable, Filters, Tagged, text};
use super::list::{check_exist, choice};
use super::{addresses, view};
use crate::Cx;
use longshore_aws_model::AwsError;
use longshore_aws_model::ec2::{Address, DescribeAddressesInput, DescribeAddressesOutput, Tag};
use longshore_store::Snapshot;

const FILTERS: &FilterTable<Address> = &[
    ("allocation-id", |address| text(&address.allocation_id)),
    ("association-id", |address| text(&address.association_id)),
    ("domain", |address| text(&address.domain)),
    ("instance-id", |_| Vec::new()),
    ("network-border-group", |address| text(&address.network_border_group)),
    ("network-interface-id", |address| text(&address.network_interface_id)),
    ("network-interface-owner-id", |address| text(&address.network_interface_owner_id)),
    ("private-ip-address", |address| text(&address.private_ip_address)),
    ("public-ip", |address| text(&address.public_ip)),
];

impl Tagged for Address {
    fn tags(&self) -> &[Tag] {
        self.tags.as_deref().unwrap_or_default()
    }
}

pub fn describe_addresses(
    state: &Snapshot,
    cx: &Cx,
    input: DescribeAddressesInput,
) -> Result<DescribeAddressesOutput, AwsError> {
    let (ids, public) = (input.allocation_ids.as_deref(), input.public_ips.as_deref());
    check_exist(Kind::Allocation, ids, |id| addresses::find(state, cx, id).is_ok())?;
    let is_chosen = choice(ids);
    let is_chosen_public = choice(public);
    let all: Vec<_> = state.elastic_addresses().prefix(&cx.scope).map(|row| view::address(state, cx, &row)).collect();
    let known = |text: &String| all.iter().any(|address| address.public_ip.as_ref() == Some(text));
    if let Some(unknown) = public.unwrap_or_default().iter().find(|text| !known(text)) {
        return Err(AwsError::new("InvalidAddress.NotFound", format!("Address '{unknown}' not found.")));
    }
    let filters = Filters::parse(input.filters.as_deref(), FILTERS)?;
    let chosen = all.into_iter().filter(|address| {
        is_chosen(address.allocation_id.as_deref().unwrap_or_default())
            && is_chosen_public(address.public_ip.as_deref().unwrap_or_default())
            && filters.pass(address)
    });
    error::finish(input.dry_run, DescribeAddressesOutput { addresses: Some(chosen.collect()) })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ec2::addresses::allocate_address;
    use crate::ec2::testing::{filter, read, refusal, write};
    use crate::testing::Fixture;
    use longshore_aws_model::ec2::AllocateAddressInput;

    #[test]
    fn addresses_are_chosen_by_id_address_and_filter() {
        let fixture = Fixture::new();
        let allocate = || write(&fixture, allocate_address, AllocateAddressInput::default()).expect("an address");
        let (one, _) = (allocate(), allocate());
        let count = |input: DescribeAddressesInput| {
            read(&fixture, describe_addresses, input).expect("a list").addresses.expect("a list").len()
        };
        assert_eq!(count(DescribeAddressesInput::default()), 2);
        let id = one.allocation_id.clone().expect("an id");
        let public = one.public_ip.clone().expect("an address");
        assert_eq!(count(DescribeAddressesInput { allocation_ids: Some(vec![id]), ..Default::default() }), 1);
        assert_eq!(count(DescribeAddressesInput { public_ips: Some(vec![public.clone()]), ..Default::default() }), 1);
        assert_eq!(count(DescribeAddressesInput { filters: filter("public-ip", &public), ..Default::default() }), 1);
        let unknown = DescribeAddressesInput { public_ips: Some(vec!["1.2.3.4".to_owned()]), ..Default::default() };
        assert_eq!(
            refusal(read(&fixture, describe_addresses, unknown)),
            "InvalidAddress.NotFound: Address '1.2.3.4' not found."
        );
    }
}
