//! DescribeTargetGroups.

use super::list::{Paging, given, only_one};
use super::{error, names, usage, view};
use crate::Cx;
use longshore_aws_model::AwsError;
use longshore_aws_model::elbv2::{DescribeTargetGroupsInput, DescribeTargetGroupsOutput};
use longshore_store::Snapshot;
use longshore_store::tables::TargetGroups;
use longshore_types::elbv2::TargetGroup;
use std::sync::Arc;

pub fn describe_target_groups(
    state: &Snapshot,
    cx: &Cx,
    input: DescribeTargetGroupsInput,
) -> Result<DescribeTargetGroupsOutput, AwsError> {
    let (arns, by_name) = (given(&input.target_group_arns), given(&input.names));
    only_one(&[
        ("Load balancer ARN", input.load_balancer_arn.is_some()),
        ("target group ARNs", arns.is_some()),
        ("target group names", by_name.is_some()),
    ])?;
    let mut rows: Vec<Arc<TargetGroup>> = match (&input.load_balancer_arn, arns, by_name) {
        (Some(arn), ..) => {
            names::load_balancer(state, &cx.scope, arn)?;
            let groups = usage::target_groups(state, &cx.scope, arn).into_iter();
            groups.filter_map(|group| state.target_groups().get(&(cx.scope.clone(), group))).collect()
        }
        (_, Some(arns), _) => {
            arns.iter().map(|arn| names::target_group(state, &cx.scope, arn)).collect::<Result<_, _>>()?
        }
        (.., Some(by_name)) => by_name.iter().map(|name| named(state, cx, name)).collect::<Result<_, _>>()?,
        _ => state.target_groups().prefix(&cx.scope).collect(),
    };
    rows.sort_by(|a, b| a.arn.cmp(&b.arn));
    let paging = Paging { marker: input.marker.as_deref(), page_size: input.page_size };
    let (rows, next_marker) = paging.page(rows.into_iter(), |row| row.arn.clone())?;
    let target_groups = rows.iter().map(|row| view::target_group(state, &cx.scope, row)).collect();
    Ok(DescribeTargetGroupsOutput { target_groups: Some(target_groups), next_marker })
}

fn named(state: &Snapshot, cx: &Cx, name: &str) -> Result<Arc<TargetGroup>, AwsError> {
    let key = (cx.scope.clone(), name.to_owned());
    state.target_groups().find(&TargetGroups::BY_NAME, &key).ok_or_else(error::target_group_not_found)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::elbv2::testing::*;
    use crate::testing::Fixture;

    #[test]
    fn groups_are_chosen_by_name_arn_or_load_balancer() {
        let fixture = Fixture::new();
        let stack = stack(&fixture);
        let other = target_group(&fixture, "other");
        let arns = |input| -> Vec<String> {
            let output = read(&fixture, describe_target_groups, input).expect("a list");
            output.target_groups.into_iter().flatten().filter_map(|group| group.target_group_arn).collect()
        };
        assert_eq!(arns(DescribeTargetGroupsInput::default()).len(), 2);
        let of_load_balancer =
            DescribeTargetGroupsInput { load_balancer_arn: Some(stack.load_balancer), ..Default::default() };
        assert_eq!(arns(of_load_balancer), [stack.target_group]);
        let by_name = DescribeTargetGroupsInput { names: Some(vec!["other".to_owned()]), ..Default::default() };
        assert_eq!(arns(by_name), [other.as_str()]);
        let by_arn = DescribeTargetGroupsInput { target_group_arns: Some(vec![other.clone()]), ..Default::default() };
        assert_eq!(arns(by_arn), [other]);
        let unknown = DescribeTargetGroupsInput { names: Some(vec!["z".to_owned()]), ..Default::default() };
        assert_eq!(
            refusal(read(&fixture, describe_target_groups, unknown)),
            "TargetGroupNotFound: One or more target groups not found"
        );
    }
}
