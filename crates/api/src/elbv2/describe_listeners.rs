//! DescribeListeners: of a load balancer, or by ARN.

use super::list::{Paging, given, only_one};
use super::{error, names, view};
use crate::Cx;
use longshore_aws_model::AwsError;
use longshore_aws_model::elbv2::{DescribeListenersInput, DescribeListenersOutput};
use longshore_store::Snapshot;
use longshore_store::tables::Listeners;
use longshore_types::elbv2::Listener;
use std::sync::Arc;

pub fn describe_listeners(
    state: &Snapshot,
    cx: &Cx,
    input: DescribeListenersInput,
) -> Result<DescribeListenersOutput, AwsError> {
    let arns = given(&input.listener_arns);
    only_one(&[("Load balancer ARN", input.load_balancer_arn.is_some()), ("listener ARNs", arns.is_some())])?;
    let mut rows: Vec<Arc<Listener>> = match (&input.load_balancer_arn, arns) {
        (Some(arn), _) => {
            names::load_balancer(state, &cx.scope, arn)?;
            state.listeners().by_index(&Listeners::BY_LOAD_BALANCER, &(cx.scope.clone(), arn.clone())).collect()
        }
        (_, Some(arns)) => arns.iter().map(|arn| names::listener(state, &cx.scope, arn)).collect::<Result<_, _>>()?,
        _ => return Err(error::validation("You must specify either listener ARNs or a load balancer ARN")),
    };
    rows.sort_by(|a, b| a.arn.cmp(&b.arn));
    let paging = Paging { marker: input.marker.as_deref(), page_size: input.page_size };
    let (rows, next_marker) = paging.page(rows.into_iter(), |row| row.arn.clone())?;
    Ok(DescribeListenersOutput { listeners: Some(rows.iter().map(|row| view::listener(row)).collect()), next_marker })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::elbv2::testing::*;
    use crate::testing::Fixture;

    #[test]
    fn listeners_are_found_by_load_balancer_and_by_arn() {
        let fixture = Fixture::new();
        let stack = stack(&fixture);
        let describe = |input| read(&fixture, describe_listeners, input);
        for input in [
            DescribeListenersInput { load_balancer_arn: Some(stack.load_balancer.clone()), ..Default::default() },
            DescribeListenersInput { listener_arns: Some(vec![stack.listener.clone()]), ..Default::default() },
        ] {
            let found = describe(input).expect("a list").listeners.expect("one");
            assert_eq!(
                (found.len(), found[0].port, found[0].listener_arn.as_ref()),
                (1, Some(80), Some(&stack.listener))
            );
        }
        let unknown =
            DescribeListenersInput { listener_arns: Some(vec![format!("{}0", stack.listener)]), ..Default::default() };
        assert_eq!(refusal(describe(unknown)), "ListenerNotFound: One or more listeners not found");
        assert_eq!(
            refusal(describe(DescribeListenersInput::default())),
            "ValidationError: You must specify either listener ARNs or a load balancer ARN"
        );
    }
}
