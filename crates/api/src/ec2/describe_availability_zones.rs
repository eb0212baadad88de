//! DescribeAvailabilityZones.

use super::filter::{FilterTable, Filters, Tagged, text};
use super::list::choice;
use super::view::some;
use super::{error, zones};
use crate::Cx;
use longshore_aws_model::AwsError;
use longshore_aws_model::ec2::{
    AvailabilityZone, DescribeAvailabilityZonesInput, DescribeAvailabilityZonesOutput, Tag,
};
use longshore_store::Snapshot;

const FILTERS: &FilterTable<AvailabilityZone> = &[
    ("group-long-name", |zone| text(&zone.group_long_name)),
    ("group-name", |zone| text(&zone.group_name)),
    ("message", |_| Vec::new()),
    ("opt-in-status", |zone| text(&zone.opt_in_status)),
    ("parent-zone-id", |_| Vec::new()),
    ("parent-zone-name", |_| Vec::new()),
    ("region-name", |zone| text(&zone.region_name)),
    ("state", |zone| text(&zone.state)),
    ("zone-id", |zone| text(&zone.zone_id)),
    ("zone-name", |zone| text(&zone.zone_name)),
    ("zone-type", |zone| text(&zone.zone_type)),
];

/// Zones have no tags.
impl Tagged for AvailabilityZone {
    fn tags(&self) -> &[Tag] {
        &[]
    }
}

/// `AllAvailabilityZones` adds zones that one has not opted in to; there are none here.
pub fn describe_availability_zones(
    _: &Snapshot,
    cx: &Cx,
    input: DescribeAvailabilityZonesInput,
) -> Result<DescribeAvailabilityZonesOutput, AwsError> {
    let region = &cx.scope.region;
    let asked = input.zone_names.iter().chain(&input.zone_ids).flatten();
    let unknown: Vec<_> = asked.filter(|zone| zones::find(region, zone).is_none()).map(String::as_str).collect();
    if !unknown.is_empty() {
        return Err(error::invalid_parameter(format!("Invalid availability zone: [{}]", unknown.join(", "))));
    }
    let filters = Filters::parse(input.filters.as_deref(), FILTERS)?;
    let (by_name, by_id) = (choice(input.zone_names.as_deref()), choice(input.zone_ids.as_deref()));
    let zones = zones::zones(region).into_iter().filter(|zone| by_name(zone.name.as_str()) && by_id(&zone.id));
    let zones = zones.map(|zone| AvailabilityZone {
        opt_in_status: some("opt-in-not-required"),
        messages: Some(Vec::new()),
        region_name: some(region),
        zone_name: some(zone.name),
        zone_id: Some(zone.id),
        group_name: Some(format!("{region}-zg-1")),
        network_border_group: some(region),
        zone_type: some("availability-zone"),
        state: some("available"),
        ..Default::default()
    });
    let zones = zones.filter(|zone| filters.pass(zone)).collect();
    error::finish(input.dry_run, DescribeAvailabilityZonesOutput { availability_zones: Some(zones) })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ec2::testing::{filter, read, refusal};
    use crate::testing::Fixture;

    fn names(input: DescribeAvailabilityZonesInput) -> Vec<String> {
        let output = read(&Fixture::new(), describe_availability_zones, input).expect("a list");
        output.availability_zones.into_iter().flatten().filter_map(|zone| zone.zone_name).collect()
    }

    #[test]
    fn zones_are_those_of_the_region() {
        let all = names(DescribeAvailabilityZonesInput { filters: filter("state", "available"), ..Default::default() });
        assert_eq!(all, ["us-east-1a", "us-east-1b", "us-east-1c"]);
        let one = DescribeAvailabilityZonesInput { zone_ids: Some(vec!["use1-az2".to_owned()]), ..Default::default() };
        assert_eq!(names(one), ["us-east-1b"]);
        let unknown =
            DescribeAvailabilityZonesInput { zone_names: Some(vec!["moon".to_owned()]), ..Default::default() };
        assert_eq!(
            refusal(read(&Fixture::new(), describe_availability_zones, unknown)),
            "InvalidParameterValue: Invalid availability zone: [moon]"
        );
    }
}
