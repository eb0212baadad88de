//! DescribeMetricFilters and DescribeSubscriptionFilters: no group has any, since none can be put.

use super::error;
use crate::Cx;
use longshore_aws_model::AwsError;
use longshore_aws_model::logs::*;
use longshore_store::Snapshot;

pub fn describe_metric_filters(
    state: &Snapshot,
    cx: &Cx,
    input: DescribeMetricFiltersInput,
) -> Result<DescribeMetricFiltersOutput, AwsError> {
    if let Some(name) = input.log_group_name {
        check_group(state, cx, name)?;
    }
    if input.metric_name.is_some() != input.metric_namespace.is_some() {
        return Err(error::invalid("metricName and metricNamespace must be given together."));
    }
    Ok(DescribeMetricFiltersOutput { metric_filters: Some(Vec::new()), next_token: None })
}

pub fn describe_subscription_filters(
    state: &Snapshot,
    cx: &Cx,
    input: DescribeSubscriptionFiltersInput,
) -> Result<DescribeSubscriptionFiltersOutput, AwsError> {
    check_group(state, cx, input.log_group_name)?;
    Ok(DescribeSubscriptionFiltersOutput { subscription_filters: Some(Vec::new()), next_token: None })
}

fn check_group(state: &Snapshot, cx: &Cx, name: String) -> Result<(), AwsError> {
    match state.log_groups().contains(&(cx.scope.clone(), name)) {
        true => Ok(()),
        false => Err(error::no_group()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::logs::testing::{Bench, refusal};

    #[test]
    fn a_group_has_no_filters_but_must_exist() {
        let bench = Bench::app(&[]);
        let subscriptions = |group: &str| {
            let input = DescribeSubscriptionFiltersInput { log_group_name: group.to_owned(), ..Default::default() };
            bench.read(|state, cx| describe_subscription_filters(state, cx, input))
        };
        let metrics = |group: Option<&str>| {
            let log_group_name = group.map(str::to_owned);
            let input = DescribeMetricFiltersInput { log_group_name, ..Default::default() };
            bench.read(|state, cx| describe_metric_filters(state, cx, input))
        };
        assert_eq!(subscriptions("app").expect("a list").subscription_filters, Some(Vec::new()));
        assert_eq!(metrics(Some("app")).expect("a list").metric_filters, Some(Vec::new()));
        assert_eq!(metrics(None).expect("a list").metric_filters, Some(Vec::new()));
        let missing = "ResourceNotFoundException: The specified log group does not exist.";
        assert_eq!(refusal(subscriptions("none")), missing);
        assert_eq!(refusal(metrics(Some("none"))), missing);
    }
}
