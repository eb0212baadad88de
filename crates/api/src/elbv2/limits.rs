//! Quotas, each with the error for what exceeds it, and DescribeAccountLimits, which shows them.
//!
//! AWS's defaults; those of network and gateway load balancers, which are not served, are not shown.

use super::conditions;
use super::list::Paging;
use crate::Cx;
use longshore_aws_model::AwsError;
use longshore_aws_model::elbv2::{DescribeAccountLimitsInput, DescribeAccountLimitsOutput, codes};
use longshore_store::Snapshot;
use longshore_store::tables::{Listeners, Rules};
use longshore_types::Scope;
use longshore_types::elbv2::Listener;
use std::sync::Arc;

/// How many there may be of something.
pub struct Limit {
    name: &'static str,
    max: usize,
    code: &'static str,
    /// What there is too much of.
    noun: &'static str,
}

const fn limit(name: &'static str, max: usize, code: &'static str, noun: &'static str) -> Limit {
    Limit { name, max, code, noun }
}

pub static LOAD_BALANCERS: Limit =
    limit("application-load-balancers", 50, codes::TOO_MANY_LOAD_BALANCERS, "load balancers");
pub static CERTIFICATES: Limit = limit(
    "certificates-per-application-load-balancer",
    25,
    codes::TOO_MANY_CERTIFICATES,
    "certificates on a load balancer",
);
pub static LISTENERS: Limit =
    limit("listeners-per-application-load-balancer", 50, codes::TOO_MANY_LISTENERS, "listeners on a load balancer");
pub static RULES: Limit =
    limit("rules-per-application-load-balancer", 100, codes::TOO_MANY_RULES, "rules on a load balancer");
pub static TARGET_GROUPS: Limit = limit("target-groups", 3000, codes::TOO_MANY_TARGET_GROUPS, "target groups");
pub static TARGET_GROUPS_PER_ACTION: Limit = limit(
    "target-groups-per-action-on-application-load-balancer",
    5,
    codes::TOO_MANY_TARGET_GROUPS,
    "target groups of an action",
);
pub static TARGET_GROUPS_PER_LOAD_BALANCER: Limit = limit(
    "target-groups-per-application-load-balancer",
    100,
    codes::TOO_MANY_UNIQUE_TARGET_GROUPS_PER_LOAD_BALANCER,
    "target groups on a load balancer",
);
pub static TARGETS: Limit =
    limit("targets-per-target-group", 1000, codes::TOO_MANY_TARGETS, "targets in a target group");
/// Checked with the rule's other properties.
static VALUES: Limit = limit("condition-values-per-alb-rule", conditions::MAX_VALUES, "", "");
static WILDCARDS: Limit = limit("condition-wildcards-per-alb-rule", conditions::MAX_WILDCARDS, "", "");

static ALL: [&Limit; 10] = [
    &LOAD_BALANCERS,
    &CERTIFICATES,
    &VALUES,
    &WILDCARDS,
    &LISTENERS,
    &RULES,
    &TARGET_GROUPS,
    &TARGET_GROUPS_PER_ACTION,
    &TARGET_GROUPS_PER_LOAD_BALANCER,
    &TARGETS,
];

/// Refuses what would be `count` of them.
pub fn check(limit: &Limit, count: usize) -> Result<(), AwsError> {
    if count <= limit.max {
        return Ok(());
    }
    Err(AwsError::new(limit.code, format!("The maximum number of {} is {}", limit.noun, limit.max)))
}

pub fn listeners(state: &Snapshot, scope: &Scope, load_balancer: &str) -> impl Iterator<Item = Arc<Listener>> {
    state.listeners().by_index(&Listeners::BY_LOAD_BALANCER, &(scope.clone(), load_balancer.to_owned()))
}

/// Rules of a load balancer, without the default ones.
pub fn rules(state: &Snapshot, scope: &Scope, load_balancer: &str) -> usize {
    let of = |listener: Arc<Listener>| {
        state.rules().by_index(&Rules::BY_LISTENER, &(scope.clone(), listener.arn.clone())).count()
    };
    listeners(state, scope, load_balancer).map(of).sum()
}

pub fn describe_account_limits(
    _: &Snapshot,
    _: &Cx,
    input: DescribeAccountLimitsInput,
) -> Result<DescribeAccountLimitsOutput, AwsError> {
    let paging = Paging { marker: input.marker.as_deref(), page_size: input.page_size };
    let (page, next_marker) = paging.page(ALL.iter(), |limit| limit.name.to_owned())?;
    let limits = page.into_iter().map(|limit| longshore_aws_model::elbv2::Limit {
        name: Some(limit.name.to_owned()),
        max: Some(limit.max.to_string()),
    });
    Ok(DescribeAccountLimitsOutput { limits: Some(limits.collect()), next_marker })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::elbv2::create_listener::create_listener;
    use crate::elbv2::create_rule::create_rule;
    use crate::elbv2::testing::*;
    use crate::testing::Fixture;

    #[test]
    fn limits_are_shown_by_name_and_in_pages() {
        let fixture = Fixture::new();
        assert!(ALL.is_sorted_by_key(|limit| limit.name));
        let input = |marker| DescribeAccountLimitsInput { marker, page_size: Some(4) };
        let first = read(&fixture, describe_account_limits, input(None)).expect("a page");
        let names = |page: &DescribeAccountLimitsOutput| {
            let limits = page.limits.clone().unwrap_or_default().into_iter();
            limits.map(|limit| (limit.name.unwrap_or_default(), limit.max.unwrap_or_default())).collect::<Vec<_>>()
        };
        assert_eq!(names(&first)[0], ("application-load-balancers".to_owned(), "50".to_owned()));
        let second = read(&fixture, describe_account_limits, input(first.next_marker.clone())).expect("a page");
        assert_eq!(names(&second).len(), 4);
        assert!(names(&first).iter().all(|limit| !names(&second).contains(limit)));
    }

    #[test]
    fn what_is_too_much_is_refused() {
        let fixture = Fixture::new();
        let stack = stack(&fixture);
        for priority in 1..=100 {
            path_rule(&fixture, &stack, priority, "/a");
        }
        assert_eq!(
            refusal(write(&fixture, create_rule, rule_input(&stack, 101, "/a"))),
            "TooManyRules: The maximum number of rules on a load balancer is 100"
        );
        for port in 81..130 {
            write(&fixture, create_listener, listener_input(&stack, port)).expect("made");
        }
        assert_eq!(
            refusal(write(&fixture, create_listener, listener_input(&stack, 130))),
            "TooManyListeners: The maximum number of listeners on a load balancer is 50"
        );
        // The same again is no other.
        write(&fixture, create_listener, listener_input(&stack, 129)).expect("is there");
    }
}
