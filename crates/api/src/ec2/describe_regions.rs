//! DescribeRegions: every region of AWS, all of them enabled, because each is served here.

use super::filter::{FilterTable, Filters, Tagged, text};
use super::list::choice;
use super::view::some;
use super::{error, zones};
use crate::Cx;
use longshore_aws_model::AwsError;
use longshore_aws_model::ec2::{DescribeRegionsInput, DescribeRegionsOutput, Region, Tag};
use longshore_store::Snapshot;

const FILTERS: &FilterTable<Region> = &[
    ("endpoint", |region| text(&region.endpoint)),
    ("opt-in-status", |region| text(&region.opt_in_status)),
    ("region-name", |region| text(&region.region_name)),
];

/// Regions have no tags.
impl Tagged for Region {
    fn tags(&self) -> &[Tag] {
        &[]
    }
}

/// `AllRegions` adds regions that are not enabled; there are none here.
pub fn describe_regions(_: &Snapshot, _: &Cx, input: DescribeRegionsInput) -> Result<DescribeRegionsOutput, AwsError> {
    let is_known = |name: &&String| zones::REGIONS.iter().any(|(known, _)| known == name);
    let unknown = input.region_names.iter().flatten().find(|name| !is_known(name));
    if let Some(unknown) = unknown {
        return Err(error::invalid_parameter(format!("Invalid region name: {unknown}")));
    }
    let filters = Filters::parse(input.filters.as_deref(), FILTERS)?;
    let is_chosen = choice(input.region_names.as_deref());
    let regions = zones::REGIONS.iter().filter(|(name, _)| is_chosen(name)).map(|(name, opt_in)| Region {
        opt_in_status: some(if *opt_in { "opted-in" } else { "opt-in-not-required" }),
        region_name: some(name),
        endpoint: Some(format!("ec2.{name}.amazonaws.com")),
        ..Default::default()
    });
    let regions = regions.filter(|region| filters.pass(region)).collect();
    error::finish(input.dry_run, DescribeRegionsOutput { regions: Some(regions) })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ec2::testing::{filter, read, refusal};
    use crate::testing::Fixture;

    #[test]
    fn regions_are_chosen_by_name_and_filter() {
        let fixture = Fixture::new();
        let input = DescribeRegionsInput { filters: filter("region-name", "us-*"), ..Default::default() };
        assert_eq!(read(&fixture, describe_regions, input).expect("a list").regions.map(|r| r.len()), Some(4));
        let input = DescribeRegionsInput { region_names: Some(vec!["moon".to_owned()]), ..Default::default() };
        assert_eq!(
            refusal(read(&fixture, describe_regions, input)),
            "InvalidParameterValue: Invalid region name: moon"
        );
    }
}
