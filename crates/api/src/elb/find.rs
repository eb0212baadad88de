//! Rows by ARN, and who uses whom.

use super::error;
use longshore_aws_model::AwsError;
use longshore_store::Snapshot;
use longshore_store::tables::{Listeners, Rules};
use longshore_types::Scope;
use longshore_types::elbv2::*;
use std::collections::BTreeSet;
use std::sync::Arc;

pub fn load_balancer(state: &Snapshot, scope: &Scope, arn: &str) -> Result<Arc<LoadBalancer>, AwsError> {
    if !arn.contains(":loadbalancer/") {
        return Err(error::validation(format!("'{arn}' is not a valid load balancer ARN")));
    }
    state.load_balancers().get(&(scope.clone(), arn.to_owned())).ok_or_else(error::no_load_balancer)
}

pub fn target_group(state: &Snapshot, scope: &Scope, arn: &str) -> Result<Arc<TargetGroup>, AwsError> {
    if !arn.contains(":targetgroup/") {
        return Err(error::validation(format!("'{arn}' is not a valid target group ARN")));
    }
    state.target_groups().get(&(scope.clone(), arn.to_owned())).ok_or_else(error::no_target_group)
}

pub fn listener(state: &Snapshot, scope: &Scope, arn: &str) -> Result<Arc<Listener>, AwsError> {
    state.listeners().get(&(scope.clone(), arn.to_owned())).ok_or_else(error::no_listener)
}

pub fn rule(state: &Snapshot, scope: &Scope, arn: &str) -> Result<Arc<Rule>, AwsError> {
    state.rules().get(&(scope.clone(), arn.to_owned())).ok_or_else(error::no_rule)
}

/// Listeners of a load balancer, by port.
pub fn listeners(state: &Snapshot, scope: &Scope, load_balancer: &str) -> Vec<Arc<Listener>> {
    let key = (scope.clone(), load_balancer.to_owned());
    let mut listeners: Vec<_> = state.listeners().by_index(&Listeners::BY_LOAD_BALANCER, &key).collect();
    listeners.sort_by_key(|listener| listener.port);
    listeners
}

/// Rules of a listener without the default one, by priority.
pub fn rules(state: &Snapshot, scope: &Scope, listener: &str) -> Vec<Arc<Rule>> {
    let mut rules: Vec<_> = state.rules().by_index(&Rules::BY_LISTENER, &(scope.clone(), listener.to_owned())).collect();
    rules.sort_by_key(|rule| rule.priority);
    rules
}

/// ARNs of the load balancers that forward to a target group; AWS allows one.
pub fn users(state: &Snapshot, scope: &Scope, target_group: &str) -> BTreeSet<String> {
    let uses = |actions: &[Action]| actions.iter().any(|action| action.target_groups().any(|arn| arn == target_group));
    let mut users = BTreeSet::new();
    for listener in state.listeners().prefix(scope) {
        let by_rule = || rules(state, scope, &listener.arn).iter().any(|rule| uses(&rule.actions));
        if uses(&listener.default_actions) || by_rule() {
            users.insert(listener.load_balancer.clone());
        }
    }
    users
}

/// `app/name/0123456789abcdef` of a load balancer's ARN.
pub fn tail(load_balancer: &str) -> &str {
    load_balancer.split_once(":loadbalancer/").map_or(load_balancer, |(_, tail)| tail)
}

/// 1 to 32 letters, digits and hyphens, no hyphen at an end.
pub fn check_name(name: &str) -> Result<(), AwsError> {
    if name.is_empty() || name.len() > 32 {
        return Err(error::validation(format!("The name '{name}' must have 1 to 32 characters")));
    }
    let allowed = name.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-');
    match allowed && !name.starts_with('-') && !name.ends_with('-') {
        true => Ok(()),
        false => Err(error::validation(format!("The name '{name}' can only contain characters that are alphanumeric characters and hyphens(-), and cannot begin or end with a hyphen"))),
    }
}

/// Rows on a page.
pub fn limit(page_size: Option<i32>) -> usize {
    page_size.map_or(400, |n| n.clamp(1, 400) as usize)
}
