//! Load balancers and target groups.

use crate::table;
use longshore_types::Scope;
use longshore_types::elbv2::{Action, Listener, LoadBalancer, Rule, Target, TargetGroup};
use longshore_types::id::*;

table! {
    pub LoadBalancers: "elbv2-load-balancers", (Scope, String) => LoadBalancer {
        BY_NAME: "name", (Scope, String) = |(scope, _), lb| vec![(scope.clone(), lb.name.clone())],
        /// By address on the host, over all accounts: the pool is the machine's.
        BY_HOST_ADDRESS: "host-address", u64 = |_, lb| {
            lb.host_address.iter().map(|address| u64::from(u32::from(*address))).collect()
        },
    }
}

table! {
    pub TargetGroups: "elbv2-target-groups", (Scope, String) => TargetGroup {
        BY_NAME: "name", (Scope, String) = |(scope, _), group| vec![(scope.clone(), group.name.clone())],
    }
}

table! {
    /// The last part of the key is `address:port`.
    pub Targets: "elbv2-targets", (Scope, String, String) => Target {
        BY_TASK: "task", (Scope, TaskId) = |(scope, _, _), target| {
            target.task.iter().map(|task| (scope.clone(), task.clone())).collect()
        },
    }
}

table! {
    pub Listeners: "elbv2-listeners", (Scope, String) => Listener {
        BY_LOAD_BALANCER: "load-balancer", (Scope, String) = |(scope, _), l| vec![(scope.clone(), l.load_balancer.clone())],
        /// Listeners whose default actions forward to a group.
        BY_TARGET_GROUP: "target-group", (Scope, String) = |(scope, _), l| target_groups(scope, &l.default_actions),
    }
}

table! {
    pub Rules: "elbv2-rules", (Scope, String) => Rule {
        BY_LISTENER: "listener", (Scope, String) = |(scope, _), rule| vec![(scope.clone(), rule.listener.clone())],
        /// Rules that forward to a group.
        BY_TARGET_GROUP: "target-group", (Scope, String) = |(scope, _), rule| target_groups(scope, &rule.actions),
    }
}

/// The groups that actions forward to.
fn target_groups(scope: &Scope, actions: &[Action]) -> Vec<(Scope, String)> {
    actions.iter().flat_map(Action::target_groups).map(|group| (scope.clone(), group.to_owned())).collect()
}
