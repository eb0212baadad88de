//! Which load balancers forward to which target groups, through listeners and rules.

use longshore_store::Snapshot;
use longshore_types::Scope;
use longshore_types::elbv2::Action;
use std::collections::{BTreeMap, BTreeSet};

/// Load balancers by target group. One walk over an account's listeners and rules.
pub struct Usage(BTreeMap<String, BTreeSet<String>>);

impl Usage {
    pub fn of(state: &Snapshot, scope: &Scope) -> Self {
        let mut usage = Self(BTreeMap::new());
        for listener in state.listeners().prefix(scope) {
            usage.add(&listener.default_actions, &listener.load_balancer);
        }
        for rule in state.rules().prefix(scope) {
            if let Some(listener) = state.listeners().get(&(scope.clone(), rule.listener.clone())) {
                usage.add(&rule.actions, &listener.load_balancer);
            }
        }
        usage
    }

    fn add(&mut self, actions: &[Action], load_balancer: &str) {
        for group in actions.iter().flat_map(Action::target_groups) {
            self.0.entry(group.to_owned()).or_default().insert(load_balancer.to_owned());
        }
    }

    /// ARNs of the load balancers that forward to the group: one at most.
    pub fn load_balancers(&self, target_group: &str) -> impl Iterator<Item = &str> {
        self.0.get(target_group).into_iter().flatten().map(String::as_str)
    }

    /// ARNs of the groups that a load balancer forwards to.
    pub fn target_groups<'a>(&'a self, load_balancer: &str) -> BTreeSet<&'a str> {
        self.0.iter().filter(|(_, users)| users.contains(load_balancer)).map(|(group, _)| group.as_str()).collect()
    }

    pub fn is_used(&self, target_group: &str) -> bool {
        self.0.contains_key(target_group)
    }
}
