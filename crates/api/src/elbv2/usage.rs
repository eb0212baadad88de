//! Which load balancers forward to which target groups, through listeners and rules. Asked for one target after another, so
//! it is looked up in the tables' indexes: no call walks over an account's rules.

use longshore_store::Snapshot;
use longshore_store::tables::{Listeners, Rules};
use longshore_types::Scope;
use longshore_types::elbv2::Action;
use std::collections::BTreeSet;

/// Whether a listener or a rule forwards to the target group.
pub fn is_used(state: &Snapshot, scope: &Scope, target_group: &str) -> bool {
    let key = (scope.clone(), target_group.to_owned());
    state.listeners().by_index(&Listeners::BY_TARGET_GROUP, &key).next().is_some()
        || state.rules().by_index(&Rules::BY_TARGET_GROUP, &key).next().is_some()
}

/// ARNs of the load balancers that forward to the group: one at most.
pub fn load_balancers(state: &Snapshot, scope: &Scope, target_group: &str) -> BTreeSet<String> {
    let key = (scope.clone(), target_group.to_owned());
    let of_rules = state.rules().by_index(&Rules::BY_TARGET_GROUP, &key);
    let of_rules = of_rules.filter_map(|rule| state.listeners().get(&(scope.clone(), rule.listener.clone())));
    let listeners = state.listeners().by_index(&Listeners::BY_TARGET_GROUP, &key).chain(of_rules);
    listeners.map(|listener| listener.load_balancer.clone()).collect()
}

/// ARNs of the groups that a load balancer forwards to.
pub fn target_groups(state: &Snapshot, scope: &Scope, load_balancer: &str) -> BTreeSet<String> {
    let mut groups = BTreeSet::new();
    let mut add = |actions: &[Action]| groups.extend(actions.iter().flat_map(Action::target_groups).map(str::to_owned));
    for listener in state.listeners().by_index(&Listeners::BY_LOAD_BALANCER, &(scope.clone(), load_balancer.to_owned()))
    {
        add(&listener.default_actions);
        for rule in state.rules().by_index(&Rules::BY_LISTENER, &(scope.clone(), listener.arn.clone())) {
            add(&rule.actions);
        }
    }
    groups
}
