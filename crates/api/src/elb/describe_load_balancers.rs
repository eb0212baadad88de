//! DescribeLoadBalancers: by ARN, by name, or all.

use super::{error, find, view};
use crate::{Cx, page};
use longshore_aws_model::AwsError;
use longshore_aws_model::elbv2::{DescribeLoadBalancersInput, DescribeLoadBalancersOutput};
use longshore_store::Snapshot;
use longshore_store::tables::LoadBalancers;

pub fn describe_load_balancers(state: &Snapshot, cx: &Cx, input: DescribeLoadBalancersInput) -> Result<DescribeLoadBalancersOutput, AwsError> {
    let (arns, names) = (input.load_balancer_arns.unwrap_or_default(), input.names.unwrap_or_default());
    if !arns.is_empty() && !names.is_empty() {
        return Err(error::validation("Load balancer names and ARNs cannot be specified at the same time"));
    }
    let by_name = |name: &String| {
        state.load_balancers().find(&LoadBalancers::BY_NAME, &(cx.scope.clone(), name.clone())).ok_or_else(|| {
            AwsError::new("LoadBalancerNotFound", format!("Load balancers '[{name}]' not found"))
        })
    };
    let rows: Vec<_> = if !arns.is_empty() {
        arns.iter().map(|arn| find::load_balancer(state, &cx.scope, arn)).collect::<Result<_, _>>()?
    } else if !names.is_empty() {
        names.iter().map(by_name).collect::<Result<_, _>>()?
    } else {
        state.load_balancers().prefix(&cx.scope).collect()
    };
    let page = page::page(rows.into_iter(), |row| row.arn.clone(), input.marker.as_deref(), find::limit(input.page_size))
        .map_err(|_| error::bad_marker())?;
    let load_balancers = page.items.iter().map(|row| view::load_balancer(row)).collect();
    Ok(DescribeLoadBalancersOutput { load_balancers: Some(load_balancers), next_marker: page.next_token })
}
