//! DescribeTargetGroups: by ARN, by name, of a load balancer, or all.

use super::{error, find, view};
use crate::{Cx, page};
use longshore_aws_model::AwsError;
use longshore_aws_model::elbv2::{DescribeTargetGroupsInput, DescribeTargetGroupsOutput};
use longshore_store::Snapshot;
use longshore_store::tables::TargetGroups;

pub fn describe_target_groups(state: &Snapshot, cx: &Cx, input: DescribeTargetGroupsInput) -> Result<DescribeTargetGroupsOutput, AwsError> {
    let (arns, names) = (input.target_group_arns.unwrap_or_default(), input.names.unwrap_or_default());
    let given = [!arns.is_empty(), !names.is_empty(), input.load_balancer_arn.is_some()];
    if given.iter().filter(|given| **given).count() > 1 {
        return Err(error::validation("Only one of target group ARNs, names and a load balancer ARN can be specified"));
    }
    let by_name = |name: &String| {
        state.target_groups().find(&TargetGroups::BY_NAME, &(cx.scope.clone(), name.clone())).ok_or_else(error::no_target_group)
    };
    let rows: Vec<_> = if !arns.is_empty() {
        arns.iter().map(|arn| find::target_group(state, &cx.scope, arn)).collect::<Result<_, _>>()?
    } else if !names.is_empty() {
        names.iter().map(by_name).collect::<Result<_, _>>()?
    } else if let Some(arn) = &input.load_balancer_arn {
        find::load_balancer(state, &cx.scope, arn)?;
        state.target_groups().prefix(&cx.scope).filter(|row| find::users(state, &cx.scope, &row.arn).contains(arn)).collect()
    } else {
        state.target_groups().prefix(&cx.scope).collect()
    };
    let page = page::page(rows.into_iter(), |row| row.arn.clone(), input.marker.as_deref(), find::limit(input.page_size))
        .map_err(|_| error::bad_marker())?;
    let groups = page.items.iter().map(|row| view::target_group(state, &cx.scope, row)).collect();
    Ok(DescribeTargetGroupsOutput { target_groups: Some(groups), next_marker: page.next_token })
}
