//! DescribeSecurityGroupReferences, DescribeStaleSecurityGroups, GetSecurityGroupsForVpc.

use super::filter::{FilterTable, Tagged, text};
use super::list::Listing;
use super::view::some;
use super::{error, security_groups, tags, vpcs};
use crate::Cx;
use longshore_aws_model::AwsError;
use longshore_aws_model::ec2::*;
use longshore_store::Snapshot;
use longshore_store::tables::SecurityGroups;

/// Groups are named from other VPCs over peering connections alone, of which there are none.
pub fn describe_security_group_references(
    state: &Snapshot,
    cx: &Cx,
    input: DescribeSecurityGroupReferencesInput,
) -> Result<DescribeSecurityGroupReferencesOutput, AwsError> {
    for id in &input.group_id {
        security_groups::by_id(state, cx, id)?;
    }
    let output = DescribeSecurityGroupReferencesOutput { security_group_reference_set: Some(Vec::new()) };
    error::finish(input.dry_run, output)
}

/// A rule becomes stale when a peering connection goes, of which there are none.
pub fn describe_stale_security_groups(
    state: &Snapshot,
    cx: &Cx,
    input: DescribeStaleSecurityGroupsInput,
) -> Result<DescribeStaleSecurityGroupsOutput, AwsError> {
    vpcs::find(state, cx, &input.vpc_id)?;
    let output = DescribeStaleSecurityGroupsOutput { next_token: None, stale_security_group_set: Some(Vec::new()) };
    error::finish(input.dry_run, output)
}

const FILTERS: &FilterTable<SecurityGroupForVpc> = &[
    ("group-id", |group| text(&group.group_id)),
    ("description", |group| text(&group.description)),
    ("group-name", |group| text(&group.group_name)),
    ("owner-id", |group| text(&group.owner_id)),
    ("primary-vpc-id", |group| text(&group.primary_vpc_id)),
];

impl Tagged for SecurityGroupForVpc {
    fn tags(&self) -> &[Tag] {
        self.tags.as_deref().unwrap_or_default()
    }
}

pub fn get_security_groups_for_vpc(
    state: &Snapshot,
    cx: &Cx,
    input: GetSecurityGroupsForVpcInput,
) -> Result<GetSecurityGroupsForVpcOutput, AwsError> {
    let vpc = vpcs::find(state, cx, &input.vpc_id)?;
    let groups = state.security_groups().by_index(&SecurityGroups::BY_VPC, &(cx.scope.clone(), vpc.id.clone()));
    let groups = groups.map(|group| SecurityGroupForVpc {
        description: some(&group.description),
        group_name: some(&group.name),
        owner_id: some(&cx.scope.account),
        group_id: some(&group.id),
        tags: tags::view(&group.tags),
        primary_vpc_id: some(&group.vpc),
    });
    let listing = Listing {
        filters: input.filters.as_deref(),
        max_results: input.max_results,
        next_token: input.next_token.as_deref(),
    };
    let (security_group_for_vpcs, next_token) = listing.page(groups, |group| &group.group_id, FILTERS)?;
    error::finish(input.dry_run, GetSecurityGroupsForVpcOutput { next_token, security_group_for_vpcs })
}
