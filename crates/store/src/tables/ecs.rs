//! Clusters, task definitions, tasks and services.

use crate::table;
use longshore_types::Scope;
use longshore_types::ecs::{
    AccountSetting, Cluster, DeletedRevision, Service, ServiceDeployment, ServiceRevision, Task, TaskDefinition,
};
use longshore_types::id::*;

table! {
    pub Clusters: "ecs-clusters", (Scope, ClusterName) => Cluster {}
}

table! {
    pub TaskDefinitions: "ecs-task-definitions", (Scope, Family, u32) => TaskDefinition {}
}

table! {
    /// Of families of which revisions have been deleted: no number comes again.
    pub DeletedRevisions: "ecs-deleted-revisions", (Scope, Family) => DeletedRevision {}
}

table! {
    pub Tasks: "ecs-tasks", (Scope, TaskId) => Task {
        BY_CLUSTER: "cluster", (Scope, ClusterName) = |(scope, _), task| vec![(scope.clone(), task.cluster.clone())],
        BY_SERVICE: "service", (Scope, ClusterName, ServiceName) = |(scope, _), task| {
            task.service.iter().map(|service| (scope.clone(), task.cluster.clone(), service.clone())).collect()
        },
        /// Tasks that their node still has to do something for.
        BY_NODE: "node", NodeId = |_, task| if task.is_stopped() { vec![] } else { vec![task.node.clone()] },
        /// Tasks of a RunTask call with an idempotency token.
        BY_CLIENT_TOKEN: "client-token", (Scope, ClusterName, String) = |(scope, _), task| {
            task.client_token.iter().map(|(token, _)| (scope.clone(), task.cluster.clone(), token.clone())).collect()
        },
        /// Tasks that wait to be pruned.
        STOPPED: "stopped", u64 = |_, task| {
            task.times.stopped_at.iter().map(|at| u64::try_from(at.0).unwrap_or(0)).collect()
        },
    }
}

table! {
    pub Services: "ecs-services", (Scope, ClusterName, ServiceName) => Service {}
}

table! {
    pub ServiceDeployments: "ecs-service-deployments", (Scope, ClusterName, ServiceName, String) => ServiceDeployment {}
}

table! {
    pub ServiceRevisions: "ecs-service-revisions", (Scope, ClusterName, ServiceName, u64) => ServiceRevision {}
}

table! {
    pub AccountSettings: "ecs-account-settings", (Scope, String, String) => AccountSetting {}
}
