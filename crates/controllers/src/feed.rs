//! What a node hears: everything when it connects, and changes after that.

use crate::intent;
use crate::networks::Networks;
use longshore_store::tables::*;
use longshore_store::{Changes, Store, Watcher};
use longshore_types::Scope;
use longshore_types::ec2::EniOwner;
use longshore_types::id::{NodeId, TaskId};
use longshore_types::link::ToAgent;
use std::collections::BTreeSet;

/// One connection to a node: what it was told so far.
pub struct Feed {
    node: NodeId,
    /// Revision up to which it was told.
    seen: u64,
    networks: Networks,
}

impl Feed {
    /// The first messages after `Welcome`. `generation` gives numbers that only grow.
    pub fn start(store: &Store, node: &NodeId, generation: impl Fn() -> u64) -> (Self, Vec<ToAgent>) {
        let state = store.snapshot();
        let networks = Networks::new(&state);
        let first = vec![
            ToAgent::Network { generation: generation(), vpcs: networks.intents() },
            ToAgent::Tasks { whole: true, upsert: intent::tasks(&state, node), remove: vec![] },
        ];
        (Self { node: node.clone(), seen: state.revision(), networks }, first)
    }

    /// Wakes when [`next`](Self::next) may have something to say.
    pub fn watch(&self, store: &Store) -> Watcher {
        let watcher = store.watch().on::<Tasks>().on::<Vpcs>().on::<Subnets>().on::<SecurityGroups>();
        let watcher = watcher.on::<RouteTables>().on::<InternetGateways>().on::<NatGateways>().on::<NetworkAcls>();
        watcher.on::<PrefixLists>().on::<NetworkInterfaces>().on::<RoleSessions>().since(self.seen)
    }

    /// What changed since the last call.
    pub fn next(&mut self, store: &Store, generation: impl Fn() -> u64) -> Vec<ToAgent> {
        let changes = store.changes_since(self.seen);
        self.seen = changes.snapshot().revision();
        self.network_change(&changes, generation).into_iter().chain(task_changes(&changes, &self.node)).collect()
    }

    fn network_change(&mut self, changes: &Changes, generation: impl Fn() -> u64) -> Option<ToAgent> {
        let is_different = self.networks.update(changes);
        is_different.then(|| ToAgent::Network { generation: generation(), vpcs: self.networks.intents() })
    }
}

fn task_changes(changes: &Changes, node: &NodeId) -> Option<ToAgent> {
    let state = changes.snapshot();
    let (Some(tasks), Some(interfaces), Some(sessions)) =
        (changes.keys::<Tasks>(), changes.keys::<NetworkInterfaces>(), changes.keys::<RoleSessions>())
    else {
        return Some(ToAgent::Tasks { whole: true, upsert: intent::tasks(state, node), remove: vec![] });
    };
    let mut touched: BTreeSet<(Scope, TaskId)> = tasks.into_iter().collect();
    for key in interfaces {
        if let Some(eni) = state.network_interfaces().get(&key)
            && let EniOwner::Task { task, .. } = &eni.owner
        {
            touched.insert((key.0, task.clone()));
        }
    }
    for key in sessions {
        if let Some(task) = state.role_sessions().get(&key).and_then(|session| session.task.clone()) {
            touched.extend(state.tasks().all().keys().filter(|(_, id)| *id == task));
        }
    }
    let (mut upsert, mut remove) = (Vec::new(), Vec::new());
    for (scope, id) in touched {
        match state.tasks().get(&(scope.clone(), id.clone())).and_then(|row| intent::task_intent(state, &scope, &row)) {
            Some(intent) => upsert.push(intent),
            None => remove.push(id),
        }
    }
    (!upsert.is_empty() || !remove.is_empty()).then_some(ToAgent::Tasks { whole: false, upsert, remove })
}
