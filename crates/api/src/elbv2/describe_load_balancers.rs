//! DescribeLoadBalancers.

use super::list::{Paging, given, only_one};
use super::{error, names, view};
use crate::Cx;
use longshore_aws_model::AwsError;
use longshore_aws_model::elbv2::{DescribeLoadBalancersInput, DescribeLoadBalancersOutput};
use longshore_store::Snapshot;
use longshore_store::tables::LoadBalancers;
use longshore_types::elbv2::LoadBalancer;
use std::sync::Arc;

pub fn describe_load_balancers(
    state: &Snapshot,
    cx: &Cx,
    input: DescribeLoadBalancersInput,
) -> Result<DescribeLoadBalancersOutput, AwsError> {
    let (arns, by_name) = (given(&input.load_balancer_arns), given(&input.names));
    only_one(&[("Load balancer ARNs", arns.is_some()), ("load balancer names", by_name.is_some())])?;
    let mut rows: Vec<Arc<LoadBalancer>> = match (arns, by_name) {
        (Some(arns), _) => {
            arns.iter().map(|arn| names::load_balancer(state, &cx.scope, arn)).collect::<Result<_, _>>()?
        }
        (_, Some(by_name)) => by_name.iter().map(|name| named(state, cx, name)).collect::<Result<_, _>>()?,
        _ => state.load_balancers().prefix(&cx.scope).collect(),
    };
    rows.sort_by(|a, b| a.arn.cmp(&b.arn));
    let paging = Paging { marker: input.marker.as_deref(), page_size: input.page_size };
    let (rows, next_marker) = paging.page(rows.into_iter(), |row| row.arn.clone())?;
    let load_balancers = rows.iter().map(|row| view::load_balancer(row)).collect();
    Ok(DescribeLoadBalancersOutput { load_balancers: Some(load_balancers), next_marker })
}

fn named(state: &Snapshot, cx: &Cx, name: &str) -> Result<Arc<LoadBalancer>, AwsError> {
    let key = (cx.scope.clone(), name.to_owned());
    state.load_balancers().find(&LoadBalancers::BY_NAME, &key).ok_or_else(|| {
        let mut error = error::load_balancer_not_found();
        error.message = format!("Load balancers '[{name}]' not found");
        error
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::elbv2::testing::*;
    use crate::testing::Fixture;

    fn count(output: &DescribeLoadBalancersOutput) -> usize {
        output.load_balancers.as_ref().map_or(0, Vec::len)
    }

    #[test]
    fn load_balancers_are_chosen_by_name_or_arn_and_paged() {
        let fixture = Fixture::new();
        let arns: Vec<String> = ["a", "b", "c"].map(|name| load_balancer(&fixture, name)).to_vec();
        let describe = |input| read(&fixture, describe_load_balancers, input);
        let by_name = DescribeLoadBalancersInput { names: Some(vec!["b".to_owned()]), ..Default::default() };
        let found = describe(by_name).expect("a list").load_balancers.expect("one");
        assert_eq!(found[0].load_balancer_arn.as_ref(), Some(&arns[1]));
        let by_arn = DescribeLoadBalancersInput { load_balancer_arns: Some(arns.clone()), ..Default::default() };
        assert_eq!(count(&describe(by_arn).expect("a list")), 3);
        let page = |marker| describe(DescribeLoadBalancersInput { page_size: Some(2), marker, ..Default::default() });
        let first = page(None).expect("a page");
        let second = page(first.next_marker.clone()).expect("a page");
        assert_eq!((count(&first), count(&second), second.next_marker), (2, 1, None));
    }

    #[test]
    fn refusals_name_what_is_wrong() {
        let fixture = Fixture::new();
        let arn = load_balancer(&fixture, "a");
        let gone = format!("{}/0", arn);
        for (input, expected) in [
            (
                DescribeLoadBalancersInput { names: Some(vec!["z".to_owned()]), ..Default::default() },
                "LoadBalancerNotFound: Load balancers '[z]' not found",
            ),
            (
                DescribeLoadBalancersInput { load_balancer_arns: Some(vec![gone]), ..Default::default() },
                "LoadBalancerNotFound: One or more load balancers not found",
            ),
            (
                DescribeLoadBalancersInput { load_balancer_arns: Some(vec!["z".to_owned()]), ..Default::default() },
                "ValidationError: 'z' is not a valid load balancer ARN",
            ),
            (
                DescribeLoadBalancersInput {
                    names: Some(vec!["a".to_owned()]),
                    load_balancer_arns: Some(vec![arn]),
                    ..Default::default()
                },
                "ValidationError: Load balancer ARNs and load balancer names cannot be specified at the same time",
            ),
            (
                DescribeLoadBalancersInput { marker: Some("%".to_owned()), ..Default::default() },
                "ValidationError: '%' is not a valid marker",
            ),
        ] {
            assert_eq!(refusal(read(&fixture, describe_load_balancers, input)), expected);
        }
    }
}
